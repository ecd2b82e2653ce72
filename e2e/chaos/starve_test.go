package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

func init() { families = append(families, family{"starvation", starvationFaults}) }

const (
	// fiftieth is 2 ms of a processor in each 100 ms, hardly is 1 ms in each 500 ms.
	fiftieth, hardly = 0.02, 0.002
	// tenth starves what needs much: an API server with less answers no health check within its time.
	tenth = 0.1
	// starved is how long: all timeouts of the control plane but those of Leases pass meanwhile.
	starved = 15 * time.Second
)

var (
	// A speaker that stands still most of the time answers late. Others find that its node lives, and leave it what it
	// has, unless it is silent for longer than the grace.
	late = cost{within: 500 * time.Millisecond, throughout: true, breaks: true, moves: true, why: "the owner answers late, or is taken over from"}
	// Its packets come later than a router waits for them: 3 x 100 ms.
	tooLate = cost{breaks: true, why: "the router leaves the node"}
)

func starvationFaults() []fault {
	starvedSpeaker := allowance{fleet.OnSegment: late, fleet.WithBFD: tooLate}
	hardlyRunning := allowance{fleet.OnSegment: late, fleet.WithBFD: tooLate, fleet.Graceful: leftLate}
	restartedSpeaker := allowance{fleet.WithBFD: rerouted}
	return []fault{
		{target: "speaker", what: "has 2 % of a processor for 15 s", lasts: starved, short: brief, strike: starve(speakers(1), fiftieth), allowed: starvedSpeaker},
		{target: "speaker", what: "has 0.2 % of a processor for 15 s", lasts: starved, short: brief, strike: starve(speakers(1), hardly), allowed: hardlyRunning},
		{target: "controller", what: "the leader has 2 % of a processor for 15 s", lasts: starved, short: brief, strike: starve(leader, fiftieth), rest: 45 * time.Second},
		{target: "API server", what: "has 10 % of a processor for 15 s", lasts: starved, short: brief, strike: starve(program("kube-apiserver"), tenth), rest: 60 * time.Second},
		{target: "etcd", what: "has 2 % of a processor for 15 s", lasts: starved, short: brief, strike: starve(program("etcd"), fiftieth), rest: 60 * time.Second},
		{target: "node", what: "its programs share 20 % of a processor with 8 busy ones for 15 s", lasts: starved, short: brief, strike: busyNode, allowed: starvedSpeaker},

		{target: "speaker", what: "out of memory (killed by the kernel), started 2 s later", lasts: moment, strike: outOfMemory(speakers(1)), allowed: restartedSpeaker},
		{target: "controller", what: "the leader out of memory (killed by the kernel), started 2 s later", lasts: moment, strike: outOfMemory(leader), rest: 45 * time.Second},
		{target: "API server", what: "out of memory (killed by the kernel), started 2 s later", lasts: moment, strike: outOfMemory(program("kube-apiserver"))},
		{target: "etcd", what: "out of memory (killed by the kernel), started 2 s later", lasts: moment, strike: outOfMemory(program("etcd"))},

		{target: "speaker", what: "has no descriptors to spare for 15 s", lasts: starved, short: brief, strike: noDescriptors(speakers(1))},
		{target: "controller", what: "the leader has no descriptors to spare for 15 s", lasts: starved, short: brief, strike: noDescriptors(leader)},
		{target: "API server", what: "has no descriptors to spare for 15 s", lasts: starved, short: brief, strike: noDescriptors(program("kube-apiserver"))},
		{target: "speaker", what: "gets no further threads for 15 s", lasts: starved, short: brief, strike: noThreads(speakers(1)), allowed: restartedSpeaker},
		{target: "controller", what: "the leader gets no further threads for 15 s", lasts: starved, short: brief, strike: noThreads(leader), rest: 45 * time.Second},
	}
}

// limited puts what is chosen under limits, until the end. What could not live under them is started again then.
func limited(who victims, limits func(*lab.Process) (lab.Limits, error)) strike {
	return func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		list, err := who(ctx, f, r)
		if err != nil {
			return nil, err
		}
		var ends []func() error
		end := func(context.Context) error {
			var errs []error
			for _, e := range ends {
				errs = append(errs, e())
			}
			return errors.Join(errors.Join(errs...), each(list, startAgain))
		}
		for _, p := range list {
			x, err := limits(p)
			if err != nil {
				return end, err
			}
			e, err := f.Limit(x, p)
			if err != nil {
				return end, err
			}
			ends = append(ends, e)
		}
		return end, nil
	}
}

// starve gives each of them a part of a processor.
func starve(who victims, cpu float64) strike {
	return limited(who, func(*lab.Process) (lab.Limits, error) { return lab.Limits{CPU: cpu}, nil })
}

// noThreads leaves each of them the threads that it has. A Go program that needs another one ends.
func noThreads(who victims) strike {
	return limited(who, func(p *lab.Process) (lab.Limits, error) {
		n, err := p.Threads()
		return lab.Limits{Threads: n}, err
	})
}

// outOfMemory lets the kernel end what is chosen, since it may have nothing more. From then on it may have all again.
func outOfMemory(who victims) strike {
	return func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		list, err := who(ctx, f, r)
		if err != nil {
			return nil, err
		}
		enough, err := f.Limit(lab.Limits{Memory: 4096}, list...)
		if err != nil {
			return nil, err
		}
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		for _, p := range list {
			err = errors.Join(err, exhaust(limited, f, p))
		}
		return func(context.Context) error { return each(list, startAgain) }, errors.Join(err, enough())
	}
}

// exhaust has a process that may have no more memory do something until that ends it. At rest one lives on what it has for long.
func exhaust(ctx context.Context, f *fleet.Fleet, p *lab.Process) error {
	for {
		var asking sync.WaitGroup
		for range 50 {
			asking.Go(func() { _, _ = letsIn(ctx, f, p) })
		}
		asking.Wait()
		select {
		case <-p.Ended():
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%s lives without memory", p.Name)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// noDescriptors leaves each of them no descriptor for a connection more.
func noDescriptors(who victims) strike {
	return func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		list, err := who(ctx, f, r)
		if err != nil {
			return nil, err
		}
		var ends []func() error
		for _, p := range list {
			lets := true
			for try := 0; try < 5 && lets && err == nil; try++ { // what it has closed meanwhile is to spare again
				var e func() error
				if e, err = p.SpareDescriptors(0); err == nil {
					ends = append([]func() error{e}, ends...) // the first limit is the last to be restored
					lets, err = letsIn(ctx, f, p)
				}
			}
			if err == nil && lets {
				err = fmt.Errorf("%s has a descriptor to spare", p.Name)
			}
		}
		return func(context.Context) error {
			var errs []error
			for _, e := range ends {
				errs = append(errs, e())
			}
			return errors.Join(errors.Join(errs...), each(list, startAgain))
		}, err
	}
}

// letsIn tells whether a process answers over a new connection. One that cannot accept it leaves it to the kernel.
func letsIn(ctx context.Context, f *fleet.Fleet, p *lab.Process) (bool, error) {
	port := lab.SpeakerHTTPPort
	if i := slices.Index(f.Controllers, p); i >= 0 {
		port = lab.ControllerHTTPPort + i
	} else if p == f.Process("kube-apiserver") {
		port = 6443
	}
	conn, err := p.Host.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return false, err
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n") // to which TLS has an answer, too
	if err := errors.Join(err, conn.SetReadDeadline(time.Now().Add(time.Second))); err != nil {
		return false, err
	}
	_, err = conn.Read(make([]byte, 1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return true, nil
}

// busyNode has a node's speaker and kube-proxy share little with programs that take all they get. Its kernel, which
// forwards, is not concerned.
func busyNode(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
	n := one(r, f.Nodes)
	var busy []*lab.Process
	for i := range 8 {
		name := fmt.Sprintf("busy%d-%s", i+1, n.Name)
		p := f.Process(name)
		if p == nil {
			p = f.Program(name, n.Host, "/bin/sh", "sh", "-c", "while :; do :; done")
		}
		busy = append(busy, p)
	}
	release, err := f.Limit(lab.Limits{CPU: 0.2}, append([]*lab.Process{n.Speaker, n.KubeProxy}, busy...)...)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return errors.Join(each(busy, (*lab.Process).Kill), release()) }, each(busy, startAgain)
}
