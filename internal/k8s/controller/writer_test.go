package controller

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWrites(t *testing.T) {
	scenario(t, "a conflict is tried again at once", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200")
		_, stop := w.run()
		defer stop()
		conflicts := 0
		w.refuse(func(kind, name string) error {
			if kind != "services" || conflicts > 0 {
				return nil
			}
			conflicts++
			// someone else was faster
			svc, err := w.core.Tracker().Get(servicesGVR, "default", name)
			w.must(err)
			changed := svc.(*corev1.Service).DeepCopy()
			changed.ResourceVersion = w.next()
			w.must(w.core.Tracker().Update(servicesGVR, changed, "default"))
			return nil
		})
		w.service("web")
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		w.expectEvents("web", "Normal AddressAssigned: assigned 192.0.2.200 from pool edge")
	})

	scenario(t, "what fails is tried again, ever less often, and told once", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200")
		_, stop := w.run()
		defer stop()
		w.refuse(func(kind, name string) error {
			if kind == "services" {
				return errors.New("connection refused")
			}
			return nil
		})
		w.service("web")
		w.writes()
		time.Sleep(time.Minute)
		if n := strings.Count(fmt.Sprint(w.writes()), "services web"); n < 5 || n > 30 {
			t.Errorf("%d tries in a minute", n)
		}
		w.refuse(nil)
		time.Sleep(11 * time.Second)
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		w.expectEvents("web", "Normal AddressAssigned: assigned 192.0.2.200 from pool edge")
	})

	scenario(t, "1,000 Services at once: no duplicate, one write and one event each", func(t *testing.T, w *world) {
		w.pool("edge", "198.18.0.0/16")
		_, stop := w.run()
		defer stop()
		w.writes()
		for i := range 1000 {
			w.service(fmt.Sprintf("web-%d", i))
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		seen := map[string]bool{}
		for i := range 1000 {
			ingress := w.get(fmt.Sprintf("web-%d", i)).Status.LoadBalancer.Ingress
			if len(ingress) != 1 || seen[ingress[0].IP] {
				t.Fatalf("web-%d has %v", i, ingress)
			}
			seen[ingress[0].IP] = true
		}
		services, pools := 0, 0
		for _, write := range w.writes() {
			if strings.HasPrefix(write, "services") {
				services++
			} else {
				pools++
			}
		}
		if services != 1000 || pools > 6 {
			t.Errorf("%d writes to Services and %d to the pool", services, pools)
		}
		events, err := w.core.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
		w.must(err)
		if len(events.Items) != 1000 {
			t.Errorf("%d events", len(events.Items))
		}
		if got := w.getPool("edge").Status.IPv4.Assigned; got != 1000 {
			t.Errorf("the pool says that %d addresses are assigned", got)
		}
	})
}

func TestPools(t *testing.T) {
	scenario(t, "the first status is written at once, the next one after a second", func(t *testing.T, w *world) {
		_, stop := w.run()
		defer stop()
		w.pool("edge", "192.0.2.200-192.0.2.208")
		synctest.Wait()
		if s := w.getPool("edge").Status; s.IPv4 == nil || s.IPv4.Total != "9" || s.IPv4.Assigned != 0 || s.IPv4.First != "192.0.2.200" || s.IPv6 != nil {
			t.Errorf("status = %+v", s)
		}
		w.service("web")
		synctest.Wait()
		if s := w.getPool("edge").Status; s.IPv4.Assigned != 0 {
			t.Errorf("two writes within a second")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s := w.getPool("edge").Status; s.IPv4.Assigned != 1 || s.IPv4.Available != "8" {
			t.Errorf("status a second later = %+v", s.IPv4)
		}
	})

	scenario(t, "of two that overlap the younger says so, until it is over", func(t *testing.T, w *world) {
		w.pool("old", "192.0.2.200-192.0.2.203")
		w.age()
		w.pool("young", "192.0.2.202-192.0.2.205")
		_, stop := w.run()
		defer stop()
		const conflict = "192.0.2.202-192.0.2.203 belongs to pool old, which is older; this pool works with the rest of its addresses"
		w.expectEvents("old")
		w.expectEvents("young", "Warning Conflicting: "+conflict)
		if total := w.getPool("young").Status.IPv4.Total; total != "2" {
			t.Errorf("the younger pool has %s addresses", total)
		}
		w.pool("old", "192.0.2.200-192.0.2.201")
		w.settle()
		w.expectEvents("young", "Warning Conflicting: "+conflict, "Normal ConflictResolved: all addresses of this pool are its own again")
		if total := w.getPool("young").Status.IPv4.Total; total != "4" {
			t.Errorf("the younger pool has %s addresses after the conflict", total)
		}
		w.writes()
		time.Sleep(time.Hour)
		if got := w.writes(); len(got) > 0 {
			t.Errorf("writes while nothing changes: %v", got)
		}
	})
}

func TestNotAdvertised(t *testing.T) {
	scenario(t, "a pool that no advertisement selects any more says so, until one does", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.203")
		_, stop := w.run()
		defer stop()
		generation := int64(1)
		narrow := func(pools ...string) {
			generation++
			a := &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "all", Generation: generation, ResourceVersion: w.next()}}
			a.Spec.IPAddressPools = pools
			w.must(w.fairlead.Tracker().Update(advertisementsGVR, a, ""))
			w.settle()
		}
		w.service("web")
		synctest.Wait() // its count in the pool's status is due in between
		narrow("other")
		w.settle()
		const dark = "no advertisement selects this pool: its addresses are assigned, and nobody answers for them"
		w.expectEvents("edge", "Warning NotAdvertised: "+dark)
		narrow()
		w.expectEvents("edge", "Warning NotAdvertised: "+dark, "Normal Advertised: an advertisement selects this pool")
	})
}
