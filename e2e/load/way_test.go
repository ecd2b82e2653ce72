package load

import (
	"context"
	"errors"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// approach is a way in a lab.
type approach struct {
	way
	from    *lab.Host
	targets []netip.AddrPort
}

// approaches are those of all ways. The last one, which a quick run does without, is what the others are compared with.
func approaches(ctx context.Context, f *fleet.Fleet) ([]approach, error) {
	list := []approach{{way: way{name: "layer 2"}, from: f.User}}
	for _, a := range fleet.Addresses(f.Layer2) {
		list[0].targets = append(list[0].targets, fleet.At(a))
	}
	for i, r := range f.Routers {
		x := approach{way: way{name: "BGP, " + string(r.Software), spreads: true}, from: f.Visitors[i]}
		for _, a := range fleet.Addresses(f.Routed) {
			x.targets = append(x.targets, fleet.At(a))
		}
		list = append(list, x)
	}
	if !*measure.Full {
		return list[:2], nil
	}
	port, err := nodePort(ctx, f)
	if err != nil {
		return nil, err
	}
	x := approach{way: way{name: "none", direct: true}, from: f.User}
	for _, n := range f.Nodes {
		x.targets = append(x.targets, netip.AddrPortFrom(n.V4, port), netip.AddrPortFrom(n.V6, port))
	}
	return append(list, x), nil
}

// nodePort makes a Service that each node answers for on a port of its own addresses.
func nodePort(ctx context.Context, f *fleet.Fleet) (uint16, error) {
	s := lab.BackedService("nodeport")
	s.Spec.Type, s.Spec.AllocateLoadBalancerNodePorts = corev1.ServiceTypeNodePort, nil
	s.Spec.Ports = s.Spec.Ports[:1]
	if err := f.Lab.Expose(ctx, s, f.Backend); err != nil {
		return 0, err
	}
	made, err := f.Kubernetes.CoreV1().Services(s.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	if err != nil {
		return 0, err
	}
	return uint16(made.Spec.Ports[0].NodePort), nil
}

// run is what came of a load.
type run struct {
	way
	notes
	events []taken
	again  int     // how often a node was taken down once more, since the machine's host took too much meanwhile
	crowd  float64 // of a processor, that the crowd has used
	cost   cost    // at rest, of everything else
}

const (
	// stolen is the part of all processors that their host may take in half a second: the users and what serves them need more
	// than half, and what they wait for then says nothing of who serves them.
	stolen = 0.25
	// attempts is how often a node is taken down for a figure.
	attempts = 3
)

// run has a crowd come this way while nodes are taken down and come back. What came while the machine's host took too much is left
// out, whatever it was, and the node is taken down again.
func (x approach) run(ctx context.Context, f *fleet.Fleet, c crowd, program [][]step) (r run, err error) {
	c.Targets, c.Nodes, c.Path = x.targets, map[netip.Addr]uint8{}, filepath.Join(f.Directory, "notes")
	for i, n := range f.Nodes {
		c.Nodes[n.V4], c.Nodes[n.V6] = uint8(i+1), uint8(i+1)
	}
	for _, t := range x.targets {
		if _, err := x.from.Await(ctx, "tcp", t); err != nil {
			return r, err
		}
	}
	a, err := c.assemble(x.from)
	if err != nil {
		return r, err
	}
	var events []taken
	err = func() error {
		// All ask once first, and those that keep a connection have it.
		if _, err := rest().take(ctx, f, a.begin, c.Think+c.Patience); err != nil {
			return err
		}
		for _, steps := range program {
			for attempt := 1; ; attempt++ {
				end := measure.Stolen(ctx)
				list, cost, err := takeAll(ctx, f, steps, a.begin, c.step())
				most, unknown := end()
				if err = errors.Join(err, unknown); err != nil {
					return err
				}
				if most > stolen && attempt < attempts {
					r.again++
					continue
				}
				events = append(events, list...)
				if steps[0].node == 0 {
					r.cost = cost
				}
				break
			}
		}
		return nil
	}()
	notes, used, end := a.disperse()
	if err == nil {
		err = end
	}
	if err != nil {
		return r, err
	}
	r.way, r.notes, r.crowd = x.way, notes, used
	// What is noted is from the crowd's begin on, which is a moment after its start.
	shift := notes.Begin.Sub(a.begin)
	for _, e := range events {
		r.events = append(r.events, taken{e.event, stretch{e.from - shift, e.at - shift, e.to - shift}})
	}
	return r, nil
}

// takeAll takes steps one after the other, and tells what everything cost meanwhile.
func takeAll(ctx context.Context, f *fleet.Fleet, steps []step, begin time.Time, each time.Duration) (list []taken, c cost, err error) {
	until, err := spent(f)
	if err != nil {
		return nil, c, err
	}
	for _, s := range steps {
		t, err := s.take(ctx, f, begin, each)
		if err != nil {
			return nil, c, err
		}
		list = append(list, t)
	}
	c, err = until.since(f)
	return list, c, err
}
