package controller

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestStanding(t *testing.T) {
	peers := kinds["BGPPeer"].gvr
	prepare := func(t *testing.T, w *world, nodes int) {
		peer := bgpPeerAt("router", "192.0.2.1")
		peer.ResourceVersion, peer.Generation = w.next(), 1
		w.must(w.fairlead.Tracker().Create(peers, peer, ""))
		for i := range nodes {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("node-", i), ResourceVersion: w.next()}}
			w.must(w.core.Tracker().Create(nodesGVR, node, ""))
			w.must(w.speaker(node.Name, func(s *v1alpha1.SpeakerStatus) {}))
		}
	}
	session := func(w *world, node, state string) {
		w.must(w.speaker(fmt.Sprint("node-", node), func(s *v1alpha1.SpeakerStatus) {
			s.BGPSessions = []v1alpha1.BGPSessionStatus{is("router", v1alpha1.BGPSessionState(state), "")}
		}))
	}
	peer := func(w *world) *v1alpha1.BGPPeer {
		o, err := w.fairlead.Tracker().Get(peers, "", "router")
		w.must(err)
		return o.(*v1alpha1.BGPPeer)
	}

	scenario(t, "a thousand sessions that come up are few writes", func(t *testing.T, w *world) {
		prepare(t, w, 1000)
		_, stop := w.run()
		defer stop()
		w.writes()
		for i := range 1000 {
			session(w, fmt.Sprint(i), "Established")
			time.Sleep(5 * time.Millisecond)
		}
		w.settle()
		if n := len(w.writes()); n > 7 {
			t.Errorf("%d writes in 5 s", n)
		}
		if s := peer(w).Status; s.Nodes != 1000 || s.Established != 1000 {
			t.Errorf("%d of %d nodes", s.Established, s.Nodes)
		}
		if told := w.events("router"); len(told) > 0 {
			t.Errorf("events: %q", told)
		}
	})

	scenario(t, "nothing is written while nothing changes, nor after a restart", func(t *testing.T, w *world) {
		prepare(t, w, 3)
		session(w, "1", "Established")
		_, stop := w.run()
		w.writes()
		for range 20 { // counters, or our own status
			session(w, "1", "Established")
			o := peer(w).DeepCopy()
			o.ResourceVersion = w.next()
			w.must(w.fairlead.Tracker().Update(peers, o, ""))
			w.settle()
		}
		stop()
		_, stop = w.run()
		defer stop()
		if got := w.writes(); len(got) > 0 {
			t.Errorf("writes: %v", got)
		}
	})

	scenario(t, "a status that somebody edits is mended", func(t *testing.T, w *world) {
		prepare(t, w, 1)
		session(w, "0", "Established")
		_, stop := w.run()
		defer stop()
		o := peer(w).DeepCopy()
		o.ResourceVersion, o.Status = w.next(), v1alpha1.BGPPeerStatus{Established: 7}
		w.must(w.fairlead.Tracker().Update(peers, o, ""))
		w.settle()
		if s := peer(w).Status; s.Established != 1 || len(s.Conditions) != 1 {
			t.Errorf("status is %+v", s)
		}
	})

	scenario(t, "one file with an advertisement, then its peer and its pool, is no cause for alarm", func(t *testing.T, w *world) {
		_, stop := w.run()
		defer stop()
		a := &v1alpha1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: "routes", ResourceVersion: w.next(), Generation: 1}}
		a.Spec.IPAddressPools, a.Spec.Peers = []string{"edge"}, []string{"router"}
		w.must(w.fairlead.Tracker().Create(kinds["BGPAdvertisement"].gvr, a, ""))
		time.Sleep(time.Second)
		w.pool("edge", "198.51.100.0/24")
		prepare(t, w, 0)
		w.settle()
		if told := w.events("routes"); len(told) > 0 {
			t.Errorf("events: %q", told)
		}
	})

	scenario(t, "a pool that only a BGPAdvertisement selects is advertised", func(t *testing.T, w *world) {
		w.must(w.fairlead.Tracker().Delete(advertisementsGVR, "", "all"))
		a := &v1alpha1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: "routes", ResourceVersion: w.next(), Generation: 1}}
		w.must(w.fairlead.Tracker().Create(kinds["BGPAdvertisement"].gvr, a, ""))
		w.pool("edge", "198.51.100.0/24")
		_, stop := w.run()
		defer stop()
		w.must(w.fairlead.Tracker().Delete(kinds["BGPAdvertisement"].gvr, "", "routes"))
		time.Sleep(time.Second)
		w.expectEvents("edge")
		w.settle()
		w.expectEvents("edge", "Warning NotAdvertised: no advertisement selects this pool: its addresses are assigned, and nobody answers for them")
	})

	scenario(t, "a pool that gets other labels may be what an advertisement selects", func(t *testing.T, w *world) {
		a := &v1alpha1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: "routes", ResourceVersion: w.next(), Generation: 1}}
		a.Spec.IPAddressPoolSelectors = []v1alpha1.LabelSelector{inRack("a")}
		w.must(w.fairlead.Tracker().Create(kinds["BGPAdvertisement"].gvr, a, ""))
		w.pool("edge", "198.51.100.0/24")
		_, stop := w.run()
		defer stop()
		w.settle()
		ready := func() string {
			o, err := w.fairlead.Tracker().Get(kinds["BGPAdvertisement"].gvr, "", "routes")
			w.must(err)
			c := o.(*v1alpha1.BGPAdvertisement).Status.Conditions
			if len(c) != 1 {
				return fmt.Sprint(c)
			}
			return c[0].Reason
		}
		if got := ready(); got != reasonUnknownPool {
			t.Errorf("before: %s", got)
		}
		o, err := w.fairlead.Tracker().Get(poolsGVR, "", "edge")
		w.must(err)
		pool := o.(*v1alpha1.IPAddressPool).DeepCopy()
		pool.ResourceVersion, pool.Labels = w.next(), map[string]string{"rack": "a"}
		w.must(w.fairlead.Tracker().Update(poolsGVR, pool, ""))
		w.settle()
		if got := ready(); got != reasonReady {
			t.Errorf("after: %s", got)
		}
	})

	scenario(t, "a status that the API server refuses is tried ever more slowly", func(t *testing.T, w *world) {
		w.refuse(func(kind, name string) error {
			if kind == "bgppeers" {
				return fmt.Errorf("no")
			}
			return nil
		})
		prepare(t, w, 1)
		_, stop := w.run()
		defer stop()
		w.writes()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		tries := slices.DeleteFunc(w.writes(), func(s string) bool { return !strings.HasPrefix(s, "bgppeers") })
		if n := len(tries); n < 10 || n > 100 {
			t.Errorf("%d tries in ten minutes", n)
		}
		w.refuse(nil)
		time.Sleep(time.Minute)
		if len(peer(w).Status.Conditions) == 0 {
			t.Error("nothing was written in the end")
		}
	})
}
