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

// Strikes of many faults: a choice of victims, and what is done to them.

type (
	strike = func(context.Context, *fleet.Fleet, *rand.Rand) (func(context.Context) error, error)
	end    = func(context.Context) error
	// victims chooses processes.
	victims func(context.Context, *fleet.Fleet, *rand.Rand) ([]*lab.Process, error)
)

// one draws one of a list.
func one[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// some draws n of a list, in the order of the draw.
func some[T any](r *rand.Rand, n int, list []T) (drawn []T) {
	for _, i := range r.Perm(len(list))[:n] {
		drawn = append(drawn, list[i])
	}
	return drawn
}

// speakers draws n of them.
func speakers(n int) victims {
	return func(_ context.Context, f *fleet.Fleet, r *rand.Rand) (list []*lab.Process, _ error) {
		for _, node := range some(r, n, f.Nodes) {
			list = append(list, node.Speaker)
		}
		return list, nil
	}
}

func allSpeakers(_ context.Context, f *fleet.Fleet, _ *rand.Rand) (list []*lab.Process, _ error) {
	for _, node := range f.Nodes {
		list = append(list, node.Speaker)
	}
	return list, nil
}

func leader(ctx context.Context, f *fleet.Fleet, _ *rand.Rand) ([]*lab.Process, error) {
	p, err := f.Leader(ctx)
	return []*lab.Process{p}, err
}

func controllers(_ context.Context, f *fleet.Fleet, _ *rand.Rand) ([]*lab.Process, error) {
	return f.Controllers, nil
}

// program is the process of the control plane with this name.
func program(name string) victims {
	return func(_ context.Context, f *fleet.Fleet, _ *rand.Rand) ([]*lab.Process, error) {
		return []*lab.Process{f.Process(name)}, nil
	}
}

// kubeProxy draws one node's.
func kubeProxy(_ context.Context, f *fleet.Fleet, r *rand.Rand) ([]*lab.Process, error) {
	return []*lab.Process{one(r, f.Nodes).KubeProxy}, nil
}

// each does something to every process of a list.
func each(list []*lab.Process, do func(*lab.Process) error) error {
	var errs []error
	for _, p := range list {
		errs = append(errs, do(p))
	}
	return errors.Join(errs...)
}

// startAgain starts what does not run. What another fault has started meanwhile runs already.
func startAgain(p *lab.Process) error {
	if p.Running() {
		return nil
	}
	return p.Start()
}

// kill kills processes and starts them again at the end.
func kill(who victims) strike { return ended(who, (*lab.Process).Kill) }

// stop asks processes to end, as a kubelet does, and starts them again at the end.
func stop(who victims) strike {
	return ended(who, func(p *lab.Process) error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		return p.Stop(ctx)
	})
}

func ended(who victims, how func(*lab.Process) error) strike {
	return func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		list, err := who(ctx, f, r)
		if err == nil {
			err = each(list, how)
		}
		return func(context.Context) error { return each(list, startAgain) }, err
	}
}

// freeze stops processes where they are, and wakes them at the end.
func freeze(who victims) strike {
	return func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		list, err := who(ctx, f, r)
		if err == nil {
			err = each(list, (*lab.Process).Freeze)
		}
		return func(context.Context) error { return each(list, (*lab.Process).Thaw) }, err
	}
}

// loopEvery is how often a loop restarts what it restarts.
const loopEvery = 2 * time.Second

// loop kills processes again and again, as one does that crashes soon after its start, until the end.
func loop(who victims) strike {
	return repeat(func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		list, err := who(ctx, f, r)
		return func(context.Context) error {
			return errors.Join(each(list, (*lab.Process).Kill), each(list, startAgain))
		}, err
	})
}

// repeat has what a strike returns done again and again until the end.
func repeat(s strike) strike {
	return func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		do, err := s(ctx, f, r)
		if err != nil {
			return do, err
		}
		stop, done := make(chan struct{}), make(chan error, 1)
		go func() {
			for {
				if err := do(ctx); err != nil {
					done <- err
					return
				}
				select {
				case <-time.After(loopEvery):
				case <-stop:
					done <- nil
					return
				}
			}
		}()
		return func(context.Context) error { close(stop); return <-done }, nil
	}
}

// hosts chooses hosts.
type hosts func(context.Context, *fleet.Fleet, *rand.Rand) ([]*lab.Host, error)

func nodes(n int) hosts {
	return func(_ context.Context, f *fleet.Fleet, r *rand.Rand) (list []*lab.Host, _ error) {
		for _, node := range some(r, n, f.Nodes) {
			list = append(list, node.Host)
		}
		return list, nil
	}
}

func leadersHost(ctx context.Context, f *fleet.Fleet, _ *rand.Rand) ([]*lab.Host, error) {
	p, err := f.Leader(ctx)
	if err != nil {
		return nil, err
	}
	return []*lab.Host{p.Host}, nil
}

func controlPlane(_ context.Context, f *fleet.Fleet, _ *rand.Rand) ([]*lab.Host, error) {
	return []*lab.Host{f.CP}, nil
}

// cut does something to hosts' cables, and mends them at the end.
func cut(who hosts, how func(*lab.Lab, *lab.Host) error) strike {
	return func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		list, err := who(ctx, f, r)
		if err != nil {
			return nil, err
		}
		var errs []error
		for _, h := range list {
			errs = append(errs, how(f.Lab, h))
		}
		mend := func(context.Context) error {
			var errs []error
			for _, h := range list {
				errs = append(errs, f.Restore(h))
			}
			return errors.Join(errs...)
		}
		return mend, errors.Join(errs...)
	}
}

func bothWays(l *lab.Lab, h *lab.Host) error { return l.Cut(h, lab.SwitchSide) }
func carrier(l *lab.Lab, h *lab.Host) error  { return l.Cut(h, lab.HostSide) }

// flap cuts and mends a host's cable by turns until the end.
func flap(who hosts, how func(*lab.Lab, *lab.Host) error) strike {
	s := repeat(func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		list, err := who(ctx, f, r)
		down := false
		return func(context.Context) error {
			var errs []error
			for _, h := range list {
				if down {
					errs = append(errs, f.Restore(h))
				} else {
					errs = append(errs, how(f.Lab, h))
				}
			}
			down = !down
			return errors.Join(errs...)
		}, err
	})
	return func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		end, err := s(ctx, f, r)
		return func(ctx context.Context) error {
			err := end(ctx)
			for _, n := range f.Nodes {
				err = errors.Join(err, f.Restore(n.Host))
			}
			return err
		}, err
	}
}

// ownPorts are those on which speakers speak to each other.
var ownPorts = []uint16{7956, 7957}

// blocked has two groups of hosts drop what speakers say to each other.
func blocked(groups func(*fleet.Fleet, *rand.Rand) (a, b []*lab.Host)) strike {
	return func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		a, b := groups(f, r)
		return unblock(f), f.Block(ctx, a, b, ownPorts...)
	}
}

func unblock(f *fleet.Fleet) end {
	return func(ctx context.Context) error {
		for _, n := range f.Nodes {
			if err := f.Unblock(ctx, n.Host); err != nil {
				return err
			}
		}
		return nil
	}
}

// oneFromOthers are one node, drawn, and the others.
func oneFromOthers(f *fleet.Fleet, r *rand.Rand) (a, b []*lab.Host) {
	for i, node := range some(r, len(f.Nodes), f.Nodes) {
		if i == 0 {
			a = append(a, node.Host)
		} else {
			b = append(b, node.Host)
		}
	}
	return a, b
}

// unhearing has one node, drawn, drop what other speakers say to it, while they hear what it says.
func unhearing(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
	a, b := oneFromOthers(f, r)
	return dropInput(ctx, a, b)
}

// unheardByOthers has the others drop what one node's speaker says.
func unheardByOthers(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
	a, b := oneFromOthers(f, r)
	return dropInput(ctx, b, a)
}

const oneWayTable = "lab-one-way"

// dropInput has hosts drop what comes to or from the speakers' ports from other hosts. What they send themselves passes.
func dropInput(ctx context.Context, at, from []*lab.Host) (func(context.Context) error, error) {
	rules := "table inet " + oneWayTable + " { chain input { type filter hook input priority -300;\n"
	for _, h := range from {
		for _, source := range []string{"ip saddr " + h.V4.String(), "ip6 saddr " + h.V6.String()} {
			rules += fmt.Sprintf("%s th dport { 7956, 7957 } drop\n%[1]s th sport { 7956, 7957 } drop\n", source)
		}
	}
	run := func(ctx context.Context, command string) error {
		var errs []error
		for _, h := range at {
			_, err := h.Run(ctx, "nft", command)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}
	return func(ctx context.Context) error {
		return run(ctx, "add table inet "+oneWayTable+"; delete table inet "+oneWayTable)
	}, run(ctx, rules+"}; }")
}
