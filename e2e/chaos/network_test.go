package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

func init() { families = append(families, family{"network", networkFaults}) }

var (
	// BFD of 3 x 100 ms, and the router's kernel: 370 ms at worst in docs/performance.md.
	bfdLoses = cost{within: 600 * time.Millisecond, breaks: true, why: "BFD 3 x 100 ms"}
	// Without BFD it is the hold time.
	holdEnds = cost{within: 10 * time.Second, breaks: true, why: "hold time 9 s"}
	nodeLost = allowance{fleet.OnSegment: takenOver, fleet.WithBFD: bfdLoses, fleet.Graceful: holdEnds}
	// The router's own visitor has no way around it.
	onlyWay = cost{throughout: true, within: 5 * time.Second, breaks: true, why: "the only router of these clients"}
)

func networkFaults() []fault {
	toBIRD, toFRR := allowance{fleet.WithBFD: onlyWay}, allowance{fleet.Graceful: onlyWay}
	return []fault{
		{target: "node", what: "cut off at the switch for 8 s", lasts: brief, victims: nodes(1), strike: cut(nodes(1), bothWays), allowed: nodeLost},
		{target: "node", what: "without carrier for 8 s", lasts: brief, victims: nodes(1), strike: cut(nodes(1), carrier), allowed: nodeLost},
		{target: "node", what: "not heard by anybody for 8 s", lasts: brief, victims: nodes(1), strike: cut(nodes(1), (*lab.Lab).Mute), allowed: nodeLost},
		{target: "node", what: "hears nobody for 8 s", lasts: brief, victims: nodes(1), strike: cut(nodes(1), (*lab.Lab).Deafen), allowed: nodeLost},
		{target: "node", what: "powered off, on again 5 s later", lasts: 5 * time.Second, victims: oneNode, strike: powerOff, allowed: nodeLost, rest: 45 * time.Second},
		{target: "node", what: "paused for 30 s, as a virtual machine", lasts: long, short: frozenShort, victims: oneNode, strike: paused, allowed: nodeLost, rest: 45 * time.Second},
		{target: "node", what: "cable out and in every 2 s for 20 s", lasts: 20 * time.Second, short: 8 * time.Second, victims: nodes(1), strike: flap(nodes(1), bothWays),
			allowed: allowance{fleet.OnSegment: takenOver, fleet.WithBFD: flapping, fleet.Graceful: flapping}},
		{target: "node", what: "two of three cut off at the switch for 8 s", lasts: brief, victims: nodes(2), strike: cut(nodes(2), bothWays), alone: true, allowed: nodeLost},

		{target: "gossip", what: "one node's cut both ways for 8 s", lasts: brief, strike: blocked(oneFromOthers)},
		{target: "gossip", what: "one node's cut both ways for 30 s", lasts: long, short: frozenShort, strike: blocked(oneFromOthers)},
		{target: "gossip", what: "one node hears none for 8 s", lasts: brief, strike: unhearing},
		{target: "gossip", what: "one node's not heard for 8 s", lasts: brief, strike: unheardByOthers},
		{target: "gossip", what: "cut between all for 8 s", lasts: brief, strike: amongAll},

		{target: "controller", what: "the leader's host cut off for 30 s", lasts: long, short: frozenShort, strike: cut(leadersHost, bothWays), rest: 45 * time.Second},
		{target: "controller", what: "the leader's host hears nobody for 30 s", lasts: long, short: frozenShort, strike: cut(leadersHost, (*lab.Lab).Deafen), rest: 45 * time.Second},
		{target: "controller", what: "the leader's host is not heard for 30 s", lasts: long, short: frozenShort, strike: cut(leadersHost, (*lab.Lab).Mute), rest: 45 * time.Second},

		{target: "API server", what: "its host cut off for 8 s", lasts: brief, strike: cut(controlPlane, bothWays), rest: 60 * time.Second},
		{target: "API server", what: "its host hears nobody for 8 s", lasts: brief, strike: cut(controlPlane, (*lab.Lab).Deafen), rest: 60 * time.Second},
		{target: "API server", what: "its host is not heard for 8 s", lasts: brief, strike: cut(controlPlane, (*lab.Lab).Mute), rest: 60 * time.Second},

		{target: "router", what: "BIRD's cut off from the nodes for 8 s", lasts: brief, strike: cut(routersHost(lab.BIRD), bothWays), allowed: toBIRD},
		{target: "router", what: "FRR's cut off from the nodes for 8 s", lasts: brief, strike: cut(routersHost(lab.FRR), bothWays), allowed: toFRR},
		{target: "router", what: "BIRD's does not hear the nodes for 8 s", lasts: brief, strike: cut(routersHost(lab.BIRD), (*lab.Lab).Deafen), allowed: toBIRD},
		{target: "router", what: "BIRD's is not heard by the nodes for 8 s", lasts: brief, strike: cut(routersHost(lab.BIRD), (*lab.Lab).Mute), allowed: toBIRD},
	}
}

// Each time that the cable is out, for as long as it is noticed.
var flapping = cost{throughout: true, within: 5 * time.Second, breaks: true, why: "a fault each 4 s"}

func routersHost(s lab.Software) hosts {
	return func(_ context.Context, f *fleet.Fleet, _ *rand.Rand) ([]*lab.Host, error) {
		return []*lab.Host{router(f, s).Host}, nil
	}
}

// oneNode draws as powerOff and paused do.
func oneNode(_ context.Context, f *fleet.Fleet, r *rand.Rand) ([]*lab.Host, error) {
	return []*lab.Host{one(r, f.Nodes).Host}, nil
}

func powerOff(_ context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
	n := one(r, f.Nodes)
	return n.PowerOn, n.PowerOff()
}

// paused stands still as a whole: nothing of it runs, its kernel does not answer; and then it goes on, with all that it
// believed before. The kernels of the lab's hosts are one, so its cable is out.
func paused(_ context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
	n := one(r, f.Nodes)
	list := []*lab.Process{n.Speaker, n.KubeProxy}
	return func(context.Context) error { return errors.Join(f.Restore(n.Host), each(list, (*lab.Process).Thaw)) },
		errors.Join(f.Cut(n.Host, lab.SwitchSide), each(list, (*lab.Process).Freeze))
}

// amongAll has every speaker be alone, with a segment that is whole.
func amongAll(ctx context.Context, f *fleet.Fleet, _ *rand.Rand) (func(context.Context) error, error) {
	var list []*lab.Host
	for _, n := range f.Nodes {
		list = append(list, n.Host)
	}
	return unblock(f), f.Block(ctx, list, list, ownPorts...)
}
