package controller

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
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
