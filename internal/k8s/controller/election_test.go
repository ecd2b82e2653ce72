package controller

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

func elect(identity string) func(*Config) {
	return func(c *Config) { c.LeaderElect, c.Identity = true, identity }
}

func (w *world) leader() string {
	w.t.Helper()
	lease, err := w.core.CoordinationV1().Leases("fairlead-system").Get(w.t.Context(), LeaseName, metav1.GetOptions{})
	w.must(err)
	if lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

func TestElection(t *testing.T) {
	scenario(t, "one decides, and hands over at once when it stops", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		_, stopFirst := w.run(elect("first"))
		_, stopSecond := w.run(elect("second"))
		defer stopSecond()
		w.service("web")
		w.settle()
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		stopFirst()
		if l := w.leader(); l != "" {
			t.Errorf("the Lease is not given back: %q has it", l)
		}
		w.writes()
		time.Sleep(5 * time.Second)
		w.service("db")
		w.settle()
		w.expect("db", "192.0.2.201 Assigned: 192.0.2.201 from pool edge")
		if got := w.writes(); len(got) != 2 { // db and the pool
			t.Errorf("writes after the handover: %v", got)
		}
	})

	scenario(t, "without the API server a leader stops deciding, and starts anew when it is back", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.service("web")
		var gone atomic.Bool
		w.core.PrependReactor("*", "leases", func(clienttesting.Action) (bool, runtime.Object, error) {
			return gone.Load(), nil, errors.New("connection refused")
		})
		_, stop := w.run(elect("only"))
		defer stop()
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")

		gone.Store(true)
		time.Sleep(time.Minute)
		w.writes()
		w.service("db")
		w.edit("web", func(s *corev1.Service) { s.Status.LoadBalancer.Ingress = nil })
		time.Sleep(time.Minute)
		if got := w.writes(); len(got) > 0 {
			t.Errorf("writes without the lead: %v", got)
		}
		w.edit("web", showing("192.0.2.205")) // what another leader did meanwhile
		gone.Store(false)
		time.Sleep(time.Minute)
		w.expect("web", "192.0.2.205 Assigned: 192.0.2.205 from pool edge")
		w.expect("db", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
	})
}

func TestLockIsHeldByItsOwnClockOnly(t *testing.T) {
	scenario(t, "a former leader that was frozen knows without being told", func(t *testing.T, _ *world) {
		l := &lock{}
		if l.held() {
			t.Error("held before it was acquired")
		}
		now := time.Now()
		l.renewed.Store(&now)
		if !l.held() {
			t.Error("not held after it was acquired")
		}
		time.Sleep(renewDeadline)
		if l.held() {
			t.Error("held when it was not renewed in time")
		}
	})
}

func TestLeaseIsGivenBackAfterTheLastWrite(t *testing.T) {
	scenario(t, "also when client-go gives it back, because it could not be renewed in time", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		var gone, writing atomic.Bool
		var renewed, released atomic.Pointer[time.Time]
		w.core.PrependReactor("update", "leases", func(action clienttesting.Action) (bool, runtime.Object, error) {
			now := time.Now()
			if *action.(clienttesting.UpdateAction).GetObject().(*coordinationv1.Lease).Spec.HolderIdentity != "" {
				if gone.Load() {
					return true, nil, errors.New("connection refused")
				}
				renewed.Store(&now)
				return false, nil, nil
			}
			if writing.Load() {
				t.Error("given back while a write is under way")
			}
			released.CompareAndSwap(nil, &now)
			return false, nil, nil
		})
		_, stop := w.run(elect("only"))
		defer stop()
		time.Sleep(time.Minute)
		gone.Store(true)
		w.refuse(func(kind, _ string) error {
			if kind == "ipaddresspools" {
				writing.Store(true)
				time.Sleep(writeTimeout - time.Millisecond)
				writing.Store(false)
			}
			return nil
		})
		time.Sleep(time.Until(renewed.Load().Add(renewDeadline - time.Second/2)))
		w.service("web") // and with it a write to the pool
		time.Sleep(time.Second)
		if !writing.Load() || released.Load() != nil {
			t.Fatal("the write has not begun while the Lease is ours")
		}
		time.Sleep(10 * time.Second)
		if released.Load() == nil {
			t.Fatal("not given back")
		}
		w.writes()
		w.service("db")
		time.Sleep(10 * time.Second)
		if got := w.writes(); len(got) > 0 {
			t.Errorf("writes after it was given back: %v", got)
		}
	})
}

// paperLock is a Lease in memory. Its version is not checked.
type paperLock struct {
	record resourcelock.LeaderElectionRecord
}

func (p *paperLock) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	return &p.record, nil, nil
}
func (p *paperLock) Update(_ context.Context, r resourcelock.LeaderElectionRecord) error {
	p.record = r
	return nil
}
func (p *paperLock) Create(ctx context.Context, r resourcelock.LeaderElectionRecord) error {
	return p.Update(ctx, r)
}
func (p *paperLock) RecordEvent(string) {}
func (p *paperLock) Identity() string   { return "me" }
func (p *paperLock) Describe() string   { return "paper" }

func TestRelease(t *testing.T) {
	me, another := resourcelock.LeaderElectionRecord{HolderIdentity: "me"}, resourcelock.LeaderElectionRecord{HolderIdentity: "another"}
	tests := []struct {
		name  string
		found resourcelock.LeaderElectionRecord
		left  string
	}{
		{"ours is given back", me, ""},
		{"another's, taken over while we were frozen, is left alone", another, "another"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			paper := &paperLock{}
			l := &lock{Interface: paper}
			l.end = func() {
				if l.held() || paper.record != tt.found {
					t.Errorf("the term ends with the Lease held: %v, of %q", l.held(), paper.record.HolderIdentity)
				}
			}
			if err := l.Create(t.Context(), me); err != nil || !l.held() {
				t.Fatalf("not held after it was acquired: %v", err)
			}
			paper.record = tt.found
			if _, _, err := l.Get(t.Context()); err != nil {
				t.Fatal(err)
			}
			err := l.Update(t.Context(), resourcelock.LeaderElectionRecord{})
			if (err == nil) != (tt.left == "") || paper.record.HolderIdentity != tt.left {
				t.Errorf("release: %v, leaves it to %q", err, paper.record.HolderIdentity)
			}
			if l.held() {
				t.Error("held after it was given back")
			}
		})
	}
}
