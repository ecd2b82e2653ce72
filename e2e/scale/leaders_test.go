package scale

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// TestLeaderKilledTwice makes 500 Services while three controllers run, and kills the one that leads twice.
func TestLeaderKilledTwice(t *testing.T) {
	const n = 500
	ctx, w := start(t, 2*time.Minute, lab.Config{Controllers: 3})
	o := w.observe(ctx, t)
	killed := make(chan error, 1)
	go func() { killed <- w.killLeaders(ctx, o, n/5, n/2) }()
	began := time.Now()
	w.burst(ctx, t, map[string]made{}, 0, n)
	if err := <-killed; err != nil {
		t.Fatal(err)
	}
	o.await(ctx, t, n)
	all := time.Since(began)
	time.Sleep(2 * time.Second) // for what the last leader would change
	moved, shared := o.atTheEnd(t, n)
	t.Logf("%d Services, the leader of three controllers killed twice: all have an address after %s; %d had more than one, %d addresses were shared",
		n, all.Round(time.Millisecond), moved, shared)
	if moved+shared > 0 {
		t.Errorf("%d Services had more than one address, %d addresses had more than one Service", moved, shared)
	}
}

// killLeaders kills the leader each time that so many Services have an address.
func (w *world) killLeaders(ctx context.Context, o *observer, at ...int) error {
	for _, n := range at {
		for {
			o.mu.Lock()
			served := o.served
			o.mu.Unlock()
			if served >= n {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("waiting for %d addresses: %w", n, ctx.Err())
			}
			time.Sleep(5 * time.Millisecond)
		}
		leader, err := w.leader(ctx)
		if err != nil {
			return err
		}
		if err := leader.Kill(); err != nil {
			return err
		}
	}
	return nil
}

// leader is the controller that holds the Lease: its identity ends with its HTTP address.
func (w *world) leader(ctx context.Context) (*lab.Process, error) {
	lease, err := w.core.CoordinationV1().Leases(lab.ProductNamespace).Get(ctx, "fairlead-controller", metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	holder := ptr.Deref(lease.Spec.HolderIdentity, "")
	if _, text, err := net.SplitHostPort(holder); err == nil {
		if port, err := strconv.Atoi(text); err == nil && port >= lab.ControllerHTTPPort && port-lab.ControllerHTTPPort < len(w.Controllers) {
			return w.Controllers[port-lab.ControllerHTTPPort], nil
		}
	}
	return nil, errors.New("nobody's Lease: " + holder)
}

// TestTwoLeaders lets two controllers decide at once, as a leader that has been frozen and its successor may
// for a moment. One is frozen again and again, between what it decides and what it writes; in the end it is
// the only one.
func TestTwoLeaders(t *testing.T) {
	const n = 200
	ctx, w := start(t, 2*time.Minute, lab.Config{Controllers: 2, ControllerArgs: []string{"--leader-elect=false"}})
	o := w.observe(ctx, t)
	steady, late := w.Controllers[0], w.Controllers[1]
	end := make(chan struct{})
	frozen := make(chan error, 1)
	go func() { frozen <- freezeUntil(end, late) }()
	w.burst(ctx, t, map[string]made{}, 0, n)
	close(end)
	if err := <-frozen; err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // for what they do to each other
	together := o.updated()
	if err := steady.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	o.await(ctx, t, n)
	w.settle(ctx, t, o)
	moved, shared := o.atTheEnd(t, n)
	t.Logf("%d Services, two controllers that both decide, of which one wrote %d statuses and the other %d: %d updates until one stopped, %d after; %d Services had more than one address, %d addresses more than one Service",
		n, written(t, steady), written(t, late), together, o.updated()-together, moved, shared)
}

// written is how many addresses a controller says that it has written.
func written(t *testing.T, p *lab.Process) int {
	log, err := p.Log()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(log, `msg="assigned `)
}

// freezeUntil lets a process run for a moment and freezes it for a moment until end is closed. It runs then.
func freezeUntil(end <-chan struct{}, p *lab.Process) error {
	for {
		if err := p.Freeze(); err != nil {
			return err
		}
		time.Sleep(30 * time.Millisecond)
		if err := p.Thaw(); err != nil {
			return err
		}
		select {
		case <-end:
			return nil
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// settle waits until no Service has changed for two seconds.
func (w *world) settle(ctx context.Context, t *testing.T, o *observer) {
	t.Helper()
	for before := -1; before != o.updated(); time.Sleep(2 * time.Second) {
		if before = o.updated(); ctx.Err() != nil {
			t.Fatal("Services change all the time")
		}
	}
}
