package picture

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	fairleadfake "github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned/fake"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/page"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
)

// watched is a Source whose watches run against client-go's fake, in a synctest bubble.
func watched(t *testing.T, core, fairlead []runtime.Object) (*Source, *k8s.Cluster) {
	c := &k8s.Cluster{Core: fake.NewSimpleClientset(core...), Fairlead: fairleadfake.NewSimpleClientset(fairlead...)}
	log := slog.New(slog.DiscardHandler)
	config := Config{
		Services: k8s.WatchServices(c, log), Pools: k8s.WatchPools(c, log), L2Advertisements: k8s.WatchL2Advertisements(c, log),
		BGPAdvertisements: k8s.WatchBGPAdvertisements(c, log), BGPPeers: k8s.WatchBGPPeers(c, log), BFDProfiles: k8s.WatchBFDProfiles(c, log),
		Communities: k8s.WatchCommunities(c, log), Speakers: k8s.WatchSpeakers(c, log), Nodes: k8s.WatchNodes(c, log),
		About: func() page.About { return page.About{Version: "v1"} },
	}
	s, err := NewSource(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, w := range []*k8s.Watch{config.Services, config.Pools, config.L2Advertisements, config.BGPAdvertisements, config.BGPPeers,
		config.BFDProfiles, config.Communities, config.Speakers, config.Nodes} {
		running.Go(func() { _ = w.Run(ctx) })
	}
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	time.Sleep(time.Second)
	synctest.Wait()
	return s, c
}

// TestWhatWatchesKeepIsEnough has watches, which keep only a part of each object, give the same picture as whole
// objects do.
func TestWhatWatchesKeepIsEnough(t *testing.T) {
	objects := func() (core, fairlead []runtime.Object) {
		n := aNode("node1")
		n.Annotations = map[string]string{v1alpha1.AnnotationDrain: "", "other": "x"}
		n.Labels = map[string]string{"rack": "1", corev1.LabelNodeExcludeBalancers: ""}
		n.Spec.Unschedulable = true
		n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeOutOfService}, {Key: "other"}}
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "NodeStatusUnknown", Message: "gone"},
			{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue, Message: "no route"}}
		p := aPool("main", "192.0.2.0/24")
		p.Status.IPv4 = &v1alpha1.PoolFamilyStatus{Total: "256", Assigned: 2, Available: "254", First: "192.0.2.0", Last: "192.0.2.255"}
		p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionNotAdvertised, Status: metav1.ConditionTrue, Reason: "r", Message: "m", LastTransitionTime: *at(1)}}
		sp := withSession(aSpeaker("node1", "192.0.2.1", "192.0.2.2"), "r1", v1alpha1.BGPSessionEstablished, 3)
		withSession(sp, "r2", v1alpha1.BGPSessionActive, 0)
		sp.Status.BGPSessions[0].BFDState, sp.Status.BGPSessions[0].Reason, sp.Status.BGPSessions[0].Message = "Up", v1alpha1.BGPSessionNoNextHop, "m"
		sp.Status.BGPSessions[1].LastErrorTime = at(5)
		l2 := sp.Status.Layer2
		l2.Addresses[0].From, l2.Addresses[1].For = "node2", "node3"
		l2.Truncated, l2.StandingIn = true, 1
		l2.SuppressedNodes = []v1alpha1.SuppressedNode{{Node: "node1", Penalty: 3, ReuseTime: *at(90)}}
		l2.Conflicts = []v1alpha1.AddressConflict{{Address: "192.0.2.1", HardwareAddress: "02:00:00:00:00:01", Interface: "eth0", Service: "default/web", Since: *at(1)}}
		l2.Takeovers = []v1alpha1.Takeover{{Time: metav1.NewMicroTime(at(9).Time), From: "node2", Cause: v1alpha1.TakeoverLost, Count: 2, Duration: 300}}
		svc := aService("web", "192.0.2.1")
		svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		return []runtime.Object{n, svc}, []runtime.Object{p, sp, anAdvertisement("all"), aBGPAdvertisement("all"), aPeer("r1", "198.51.100.1")}
	}
	synctest.Test(t, func(t *testing.T) {
		core, fairlead := objects()
		s, _ := watched(t, core, fairlead)
		got := s.Begin()

		scene := newScene()
		core, fairlead = objects()
		for _, o := range append(core, fairlead...) {
			scene.put(o.(metav1.Object))
		}
		want := scene.anew()
		for _, state := range []*page.State{got, want} { // when it was noted down is none of the objects'
			state.Usage["main"][0][0] = 0
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("of what the watches keep\n%+v, of the objects\n%+v", got, want)
		}
		if len(want.Conflicts)+len(want.Takeovers)+len(want.Problems) != 3 || len(want.Nodes["node1"].Holds) != 5 {
			t.Errorf("the test is of little worth: %+v", want)
		}
	})
}

func TestSourceNotesOnlyWhileSomebodyLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c := watched(t, []runtime.Object{aService("web")}, []runtime.Object{aPool("main", "192.0.2.0/24")})
		pools, services := c.Fairlead.FairleadV1alpha1().IPAddressPools(), c.Core.CoreV1().Services("default")
		assigned := func(n int64) {
			p := aPool("main", "192.0.2.0/24")
			p.Status.IPv4 = &v1alpha1.PoolFamilyStatus{Total: "256", Assigned: n}
			if _, err := pools.Update(t.Context(), p, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		noted := func() bool {
			select {
			case <-s.Changed():
				return true
			default:
				return false
			}
		}
		time.Sleep(time.Hour)
		assigned(7)
		if noted() || len(s.dirty) > 0 {
			t.Error("something was noted before anybody looked")
		}
		state := s.Begin()
		if steps := state.Usage["main"]; len(steps) != 2 || steps[0][1] != 0 || steps[1][1] != 7 || steps[1][0]-steps[0][0] < time.Hour.Milliseconds() {
			t.Errorf("the usage from before: %v", steps)
		}
		if about := s.About(); about.Version != "v1" || about.Started > state.Usage["main"][0][0] {
			t.Errorf("%+v, and the first step is of %d", about, state.Usage["main"][0][0])
		}
		if _, err := services.Update(t.Context(), aService("web", "192.0.2.1"), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !noted() {
			t.Fatal("a change was not noted")
		}
		c1 := s.Changes()
		state.Merge(c1)
		check(t, "told", told(c1), []string{"service default/web"})
		if err := pools.Delete(t.Context(), "main", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		state.Merge(s.Changes())
		if len(state.Pools)+len(state.Usage)+len(s.history.Of("main")) > 0 {
			t.Error("a pool that is gone is shown")
		}
		noted()
		s.End()
		if _, err := services.Update(t.Context(), aService("web"), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if noted() || len(s.dirty) > 0 || s.picture != nil {
			t.Error("something is kept though nobody looks any more")
		}
	})
}
