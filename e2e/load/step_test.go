package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// step is something that is done to a node under load.
type step struct {
	event
	do func(context.Context) error
}

// The names of events, as the table has them, in its order.
const (
	atRest      = "at rest"
	cableCut    = "a node's cable is cut at the switch"
	cableMended = "the cable is mended"
	poweredOff  = "a node is powered off"
	poweredOn   = "it is powered on"
	drained     = "a node is drained"
	drainedOff  = "the drained node is powered off"
	drainedOn   = "it is powered on, and its drain ended"
)

var order = []string{atRest, cableCut, cableMended, drained, drainedOff, drainedOn, poweredOff, poweredOn}

func rest() step { return step{event{name: atRest}, func(context.Context) error { return nil }} }

// kinds are the ways in which the node with this number goes and comes back.
var kinds = []func(f *fleet.Fleet, i uint8) []step{
	func(f *fleet.Fleet, i uint8) []step {
		n := f.Node(int(i))
		return []step{
			{event{name: cableCut, node: i, down: true}, func(context.Context) error { return f.Cut(n.Host, lab.SwitchSide) }},
			{event{name: cableMended, node: i, back: true}, func(context.Context) error { return f.Restore(n.Host) }},
		}
	},
	func(f *fleet.Fleet, i uint8) []step {
		n := f.Node(int(i))
		return []step{
			{event{name: drained, node: i, leaves: true}, func(ctx context.Context) error { return drain(ctx, f, n, `"maintenance"`) }},
			{event{name: drainedOff, node: i}, func(context.Context) error { return n.PowerOff() }},
			{event{name: drainedOn, node: i, back: true}, func(ctx context.Context) error {
				return errors.Join(n.PowerOn(ctx), drain(ctx, f, n, "null"))
			}},
		}
	},
	func(f *fleet.Fleet, i uint8) []step {
		n := f.Node(int(i))
		return []step{
			{event{name: poweredOff, node: i, down: true}, func(context.Context) error { return n.PowerOff() }},
			{event{name: poweredOn, node: i, back: true}, n.PowerOn},
		}
	},
}

// program is what is done under load: each node goes in each way and comes back, one after the other; in a quick run one
// node in each of two ways.
func program(f *fleet.Fleet) [][]step {
	list := [][]step{{rest()}}
	for k, kind := range kinds {
		for i := range f.Nodes {
			if *measure.Full || i == k && k < 2 {
				list = append(list, kind(f, uint8(i+1)))
			}
		}
	}
	return list
}

// drain sets or takes away a node's annotation.
func drain(ctx context.Context, f *fleet.Fleet, n *lab.Node, value string) error {
	_, err := f.Kubernetes.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType,
		fmt.Appendf(nil, `{"metadata": {"annotations": {%q: %s}}}`, fleet.DrainAnnotation, value), metav1.PatchOptions{})
	return err
}

// settling is how long it may take until all is settled after a node is back.
const settling = 30 * time.Second

// before is how long before its event a step begins: longer than a request is under way.
const before = 100 * time.Millisecond

// take takes a step, and returns when its time is over and, where a node came back, all is settled.
func (s step) take(ctx context.Context, f *fleet.Fleet, begin time.Time, lasts time.Duration) (taken, error) {
	from := time.Now()
	if err := lab.Pause(ctx, before); err != nil {
		return taken{}, err
	}
	at := time.Now()
	if err := s.do(ctx); err != nil {
		return taken{}, fmt.Errorf("%s: %w", s.name, err)
	}
	if err := lab.Pause(ctx, lasts-time.Since(at)); err != nil {
		return taken{}, err
	}
	if s.back {
		limited, cancel := context.WithTimeout(ctx, settling)
		defer cancel()
		if _, err := f.Settled(limited); err != nil {
			return taken{}, fmt.Errorf("%s: all is not settled: %w", s.name, err)
		}
	}
	return taken{s.event, stretch{from.Sub(begin), at.Sub(begin), time.Since(begin)}}, nil
}
