package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

func init() { families = append(families, family{"processes", processFaults}) }

// What the design says a failure may cost. See docs/layer2.md and docs/bgp.md, "What a failure costs".
var (
	// Without graceful restart a router leaves a node whose session ends or whose BFD falls silent. The node's kernel
	// forwards on, so nothing new is lost; what the router sends elsewhere breaks.
	rerouted = cost{breaks: true, why: "the router leaves the node"}
	// A BIRD whose sessions all end has no route until one is back: 1 s between attempts, and the next hops' coming.
	routeless = cost{throughout: true, within: 4 * time.Second, breaks: true, why: "no route without a session"}
	// FRR 8.4 keeps no routes of a session that ends with its hold time (RFC 8538): 9 s, of which up to 3 s had passed.
	edge     = "at the edge of the hold time"
	leftLate = cost{breaks: true, why: edge}
	lateAll  = cost{throughout: true, within: 4 * time.Second, breaks: true, why: edge}
	// Three packets of 50 ms, three questions of 20 ms, the claim: "less than half a second".
	takenOver = cost{within: 500 * time.Millisecond, breaks: true, moves: true, why: "takeover"}
)

const (
	moment = 2 * time.Second // what a kubelet needs to start a container again
	long   = 30 * time.Second
	brief  = 8 * time.Second
)

// frozenShort is how long what is to be frozen for 30 s is on a short day, where patience is the only difference.
const frozenShort = 8 * time.Second

func processFaults() []fault {
	restGone := fleet.OnSegment
	return []fault{
		{target: "controller", what: "the leader killed, started 2 s later", lasts: moment, strike: kill(leader)},
		{target: "controller", what: "the leader frozen for 30 s", lasts: long, short: frozenShort, strike: freeze(leader), rest: 45 * time.Second},
		{target: "controller", what: "the leader killed every 2 s for 20 s", lasts: 20 * time.Second, short: 6 * time.Second, strike: loop(leader)},
		{target: "controller", what: "all killed at once, started 5 s later", lasts: 5 * time.Second, strike: kill(controllers)},
		{target: "controller", what: "all frozen for 30 s", lasts: long, short: frozenShort, strike: freeze(controllers), rest: 45 * time.Second},
		{target: "controller", what: "the leader killed amid 40 new Services", lasts: moment, strike: killAmidBurst},

		{target: "speaker", what: "stopped (SIGTERM), started 2 s later", lasts: moment, strike: stop(speakers(1)),
			allowed: allowance{fleet.WithBFD: rerouted}},
		{target: "speaker", what: "killed (SIGKILL), started 2 s later", lasts: moment, strike: kill(speakers(1)),
			allowed: allowance{fleet.WithBFD: rerouted}},
		{target: "speaker", what: "frozen (SIGSTOP) for 8 s", lasts: brief, strike: freeze(speakers(1)),
			allowed: allowance{fleet.WithBFD: rerouted, fleet.Graceful: leftLate}},
		{target: "speaker", what: "frozen (SIGSTOP) for 30 s", lasts: long, strike: freeze(speakers(1)),
			allowed: allowance{
				restGone:       {breaks: true, moves: true, why: "taken over after the grace of 15 s"},
				fleet.WithBFD:  rerouted,
				fleet.Graceful: {breaks: true, why: "the router leaves the node after the hold time"},
			}},
		{target: "speaker", what: "killed every 2 s for 20 s", lasts: 20 * time.Second, short: 6 * time.Second, strike: loop(speakers(1)),
			allowed: allowance{fleet.WithBFD: rerouted}},
		{target: "speaker", what: "two at once killed, started 2 s later", lasts: moment, strike: kill(speakers(2)),
			allowed: allowance{fleet.WithBFD: rerouted}},
		{target: "speaker", what: "two at once frozen for 8 s", lasts: brief, strike: freeze(speakers(2)),
			allowed: allowance{fleet.WithBFD: rerouted, fleet.Graceful: leftLate}},
		{target: "speaker", what: "all at once stopped (SIGTERM), started 2 s later", lasts: moment, strike: stop(allSpeakers), alone: true,
			allowed: allowance{fleet.OnSegment: unowned, fleet.WithBFD: routeless}},
		{target: "speaker", what: "all at once killed, started 2 s later", lasts: moment, strike: kill(allSpeakers), alone: true,
			allowed: allowance{fleet.OnSegment: unowned, fleet.WithBFD: routeless}},
		{target: "speaker", what: "all at once frozen for 8 s", lasts: brief, strike: freeze(allSpeakers), alone: true,
			allowed: allowance{fleet.OnSegment: unowned, fleet.WithBFD: routeless, fleet.Graceful: lateAll}},
		{target: "speaker", what: "all killed every 2 s for 20 s", lasts: 20 * time.Second, short: 6 * time.Second, strike: loop(allSpeakers), every: loopEvery, alone: true,
			allowed: allowance{fleet.OnSegment: unowned, fleet.WithBFD: routeless}},

		{target: "API server", what: "killed, started 8 s later", lasts: brief, strike: kill(program("kube-apiserver"))},
		{target: "API server", what: "frozen for 30 s", lasts: long, short: frozenShort, strike: freeze(program("kube-apiserver")), rest: 60 * time.Second},
		{target: "API server", what: "killed every 2 s for 20 s", lasts: 20 * time.Second, short: 6 * time.Second, strike: loop(program("kube-apiserver"))},
		{target: "etcd", what: "killed, started 8 s later", lasts: brief, strike: kill(program("etcd"))},
		{target: "etcd", what: "frozen for 30 s", lasts: long, short: frozenShort, strike: freeze(program("etcd")), rest: 60 * time.Second},
		{target: "etcd", what: "killed every 2 s for 20 s", lasts: 20 * time.Second, short: 6 * time.Second, strike: loop(program("etcd"))},
		{target: "kube-controller-manager", what: "killed, started 8 s later", lasts: brief, strike: kill(program("kube-controller-manager"))},
		{target: "kube-proxy", what: "killed, started 8 s later", lasts: brief, strike: kill(kubeProxy)},
		{target: "kube-proxy", what: "frozen for 30 s", lasts: long, short: frozenShort, strike: freeze(kubeProxy)},

		{target: "router", what: "BIRD killed, started 5 s later", lasts: 5 * time.Second, strike: routerKilled(lab.BIRD), allowed: allowance{fleet.WithBFD: restarted}},
		{target: "router", what: "FRR killed, started 5 s later", lasts: 5 * time.Second, strike: routerKilled(lab.FRR), allowed: allowance{fleet.Graceful: restarted}},
		{target: "router", what: "BIRD frozen for 400 ms", lasts: 400 * time.Millisecond, strike: routerFrozen(lab.BIRD), allowed: allowance{fleet.WithBFD: restarted}, seen: sessionsStay},
		{target: "router", what: "BIRD frozen for 30 s", lasts: long, short: frozenShort, strike: routerFrozen(lab.BIRD), allowed: allowance{fleet.WithBFD: restarted}},
		{target: "router", what: "FRR frozen for 30 s", lasts: long, strike: routerFrozen(lab.FRR), allowed: allowance{fleet.Graceful: restarted}},
		{target: "router", what: "BIRD killed every 2 s for 20 s", lasts: 20 * time.Second, short: 6 * time.Second, strike: routerLoop(lab.BIRD), allowed: allowance{fleet.WithBFD: looping}},
	}
}

var (
	// Nobody is left to answer for an address, and whoever knows it goes on: who asks anew is not answered. Owners are
	// chosen anew.
	unowned = cost{throughout: true, within: 2 * time.Second, breaks: true, moves: true, why: "who owned what was in the speakers"}
	// A router that begins anew has no route until its sessions are back: attempts follow each other by connectTime, 1 s.
	restarted = cost{within: 5 * time.Second, breaks: true, why: "no route until its sessions are back"}
	looping   = cost{throughout: true, within: 5 * time.Second, breaks: true, why: "no route until its sessions are back"}
)

// killAmidBurst kills the leader while it gives addresses to many new Services. All of them have theirs in the end, and
// are removed.
func killAmidBurst(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
	p, err := f.Leader(ctx)
	if err != nil {
		return nil, err
	}
	type made struct {
		services []fleet.Service
		err      error
	}
	burst := make(chan made, 1)
	prefix := fmt.Sprintf("burst-%x", r.Uint32())
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 45*time.Second)
		defer cancel()
		services, err := f.Expose(ctx, fleet.SegmentPool, prefix, 40)
		burst <- made{services, err}
	}()
	time.Sleep(time.Duration(r.IntN(150)) * time.Millisecond)
	return func(ctx context.Context) error {
		err := startAgain(p)
		b := <-burst
		seen := map[any]string{}
		for _, s := range b.services {
			for _, a := range s.Addresses() {
				if other := seen[a]; other != "" {
					err = errors.Join(err, fmt.Errorf("%s is given to %s and %s", a, other, s.Name))
				}
				seen[a] = s.Name
			}
		}
		var names []fleet.Service
		for i := range 40 {
			names = append(names, fleet.Service{Name: fmt.Sprintf("%s-%03d", prefix, i)})
		}
		return errors.Join(err, b.err, f.Remove(ctx, names...))
	}, p.Kill()
}

func router(f *fleet.Fleet, s lab.Software) *lab.Router {
	for _, r := range f.Routers {
		if r.Software == s {
			return r
		}
	}
	return nil
}

func routerKilled(s lab.Software) strike {
	return func(_ context.Context, f *fleet.Fleet, _ *rand.Rand) (func(context.Context) error, error) {
		r := router(f, s)
		return r.Start, r.Kill()
	}
}

func routerFrozen(s lab.Software) strike {
	return func(_ context.Context, f *fleet.Fleet, _ *rand.Rand) (func(context.Context) error, error) {
		r := router(f, s)
		return func(context.Context) error { return r.Thaw() }, r.Freeze()
	}
}

// sessionsStay checks that no node establishes a session with a router within 4 s: that those that a fault ended are back,
// and do not end again and again.
func sessionsStay(ctx context.Context, f *fleet.Fleet) error {
	n, err := f.Lab.Established(ctx, 4*time.Second)
	if err == nil && n != 0 {
		err = fmt.Errorf("sessions were established %v times more in 4 s", n)
	}
	return err
}

func routerLoop(s lab.Software) strike {
	return repeat(func(_ context.Context, f *fleet.Fleet, _ *rand.Rand) (func(context.Context) error, error) {
		r := router(f, s)
		return func(ctx context.Context) error { return errors.Join(r.Kill(), r.Start(ctx)) }, nil
	})
}
