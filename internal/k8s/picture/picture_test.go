package picture

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/page"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// TestStory looks on while a small cluster lives.
func TestStory(t *testing.T) {
	s := newScene()
	s.put(aPool("main", "192.0.2.1-192.0.2.9"), anAdvertisement("all"), aNode("node1"), aNode("node2"),
		aSpeaker("node1", "192.0.2.1"), aSpeaker("node2"), aService("web", "192.0.2.1"), aService("mail"))
	s.show()
	web := func() page.Address { return s.state.Services["default/web"].Addresses[0] }
	check(t, "web has", web(), page.Address{Address: "192.0.2.1", Pool: "main", Layer2: true, Owner: "node1", Since: millisAt(2), Cause: "Elected"})
	check(t, "mail is", s.state.Services["default/mail"], page.Service{Namespace: "default", Name: "mail", Status: page.Pending,
		Reason: "Exhausted", Message: "no address is left", Since: millisAt(1), Created: millisAt(0)})

	s.put(aService("mail", "192.0.2.2"))
	check(t, "a Service that gets its address is told alone", told(s.show()), []string{"service default/mail"})

	// node1 is lost: node2 takes over, and marks its object.
	taking := aSpeaker("node2", "192.0.2.1")
	taking.Status.Layer2.Addresses[0] = v1alpha1.Layer2Address{Address: "192.0.2.1", Since: at(9), Cause: v1alpha1.TakeoverLost, From: "node1"}
	taking.Status.Layer2.Takeovers = []v1alpha1.Takeover{{Time: metav1.NewMicroTime(at(9).Time), From: "node1", Cause: v1alpha1.TakeoverLost,
		Count: 1, Addresses: []string{"192.0.2.1"}, Duration: 312}}
	s.put(taking)
	s.show()
	check(t, "while both say that they own it, the one that took it last does", web(),
		page.Address{Address: "192.0.2.1", Pool: "main", Layer2: true, Owner: "node2", Since: millisAt(9), Cause: "Lost", From: "node1"})
	for _, took := range s.state.Takeovers {
		check(t, "the takeover", took, page.Takeover{Time: millisAt(9), Node: "node2", From: "node1", Cause: "Lost", Count: 1,
			Addresses: []string{"192.0.2.1"}, Duration: 312})
	}
	s.put(notReady(aSpeaker("node1"), "Lost"))
	s.show()
	check(t, "node1's speaker", s.state.Nodes["node1"].Speaker, page.Lost)
	check(t, "that is a problem", s.state.Problems["Speaker/node1/Ready"].Severity, page.Error)
	check(t, "takeovers", len(s.state.Takeovers), 1)

	// Its speaker is only restarted: node2 answers on its behalf.
	s.put(aSpeaker("node1", "192.0.2.1"), aSpeaker("node2"))
	s.show()
	standing := aSpeaker("node2")
	standing.Status.Layer2.Addresses = []v1alpha1.Layer2Address{{Address: "192.0.2.1", For: "node1"}}
	s.put(notReady(aSpeaker("node1"), "Stopped"), standing)
	s.show()
	check(t, "the stand-in is", web(), page.Address{Address: "192.0.2.1", Pool: "main", Layer2: true, Owner: "node1", StandIn: "node2"})

	s.remove(service, "default/web")
	check(t, "a Service that goes", told(s.show()), []string{"-service default/web"})
	other := aService("mail", "192.0.2.2")
	other.Spec.LoadBalancerClass = ptr.To("other")
	s.put(other)
	check(t, "a Service that is another's now goes, too", told(s.show()), []string{"-service default/mail"})
	if anew := s.anew(); !reflect.DeepEqual(anew, s.state) {
		t.Errorf("looked at anew\n%+v, told\n%+v", anew, s.state)
	}
}

func TestModes(t *testing.T) {
	s := newScene()
	labelled := aService("shop", "192.0.2.2")
	labelled.Labels = map[string]string{"tier": "gold"}
	gold := aBGPAdvertisement("gold", "r1")
	gold.Spec.ServiceSelectors = []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"tier": "gold"}}}
	s.put(aPool("main", "192.0.2.0/24"), aPool("other", "198.51.100.0/24"), anAdvertisement("lan", "main"), gold,
		aService("web", "192.0.2.1"), labelled, aService("far", "198.51.100.1"), aService("foreign", "203.0.113.1"))
	s.show()
	for name, want := range map[string]page.Address{
		"web":     {Address: "192.0.2.1", Pool: "main", Layer2: true},
		"shop":    {Address: "192.0.2.2", Pool: "main", Layer2: true, Routes: []string{"gold"}},
		"far":     {Address: "198.51.100.1", Pool: "other"},
		"foreign": {Address: "203.0.113.1"},
	} {
		check(t, name, s.state.Services["default/"+name].Addresses[0], want)
	}
	check(t, "main", s.state.Pools["main"].Modes, []string{page.Layer2, page.BGP})
	check(t, "other", s.state.Pools["other"].Modes, []string{page.BGP})

	wider := anAdvertisement("lan")
	wider.Generation = 2
	s.put(wider)
	s.show()
	check(t, "far, once the advertisement is for all pools", s.state.Services["default/far"].Addresses[0].Layer2, true)

	stated := aPool("main", "192.0.2.0/24")
	stated.Status.IPv4 = &v1alpha1.PoolFamilyStatus{Total: "256", Assigned: 2, Available: "254"}
	s.put(stated)
	check(t, "a pool whose status alone changes", told(s.show()), []string{"pool main"})
}

func TestSessions(t *testing.T) {
	s := newScene()
	s.put(aPool("main", "192.0.2.0/24"), aBGPAdvertisement("all"), aBGPAdvertisement("one", "r2"), aPeer("r1", "198.51.100.1"), aPeer("r2", "198.51.100.2"),
		aNode("node1"), aNode("node2"), aNode("node3"),
		withSession(withSession(aSpeaker("node1"), "r1", v1alpha1.BGPSessionEstablished, 5), "r2", v1alpha1.BGPSessionActive, 0),
		withSession(aSpeaker("node2"), "r2", v1alpha1.BGPSessionEstablished, 5))
	s.show()
	for key, want := range map[string]page.Session{
		"node1/r1": {Node: "node1", Peer: "r1", State: "Established", Since: millisAt(3), Prefixes: 5},
		"node1/r2": {Node: "node1", Peer: "r2", State: "Active", Since: millisAt(4), LastError: "connection refused"},
		"node3/r1": {Node: "node3", Peer: "r1"}, // no speaker there yet
	} {
		check(t, key, s.state.Sessions[key], want)
	}
	check(t, "nodes that advertise", fmt.Sprint(s.state.Routes["all"].Nodes, s.state.Routes["one"].Nodes), "2 1")

	down := withSession(aSpeaker("node2"), "r2", v1alpha1.BGPSessionActive, 0)
	s.put(down)
	check(t, "one session's end is told, no Service", told(s.show()), []string{"session node2/r2", "route all", "route one"})
	check(t, "nodes that advertise then", fmt.Sprint(s.state.Routes["all"].Nodes, s.state.Routes["one"].Nodes), "1 0")

	elsewhere := aPeer("r2", "198.51.100.2")
	elsewhere.Generation = 2
	elsewhere.Spec.NodeSelectors = []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"rack": "2"}}}
	s.put(elsewhere, aSpeaker("node2"))
	s.show()
	if _, still := s.state.Sessions["node2/r2"]; still {
		t.Error("a session that is not to be is there")
	}
	labelled := aNode("node3")
	labelled.Labels = map[string]string{"rack": "2"}
	s.put(labelled)
	s.show()
	check(t, "the peer selects node3", s.state.Sessions["node3/r2"], page.Session{Node: "node3", Peer: "r2"})
	s.remove(node, "node1")
	s.show()
	check(t, "of a node that is gone", s.state.Sessions["node1/r1"].Stale, true)
	s.remove(speaker, "node1")
	s.show()
	if _, still := s.state.Sessions["node1/r1"]; still {
		t.Error("a session of a node that nobody knows is there")
	}
	if anew := s.anew(); !reflect.DeepEqual(anew, s.state) {
		t.Errorf("looked at anew\n%+v, told\n%+v", anew, s.state)
	}
}

func TestOwnersThatAreNotListed(t *testing.T) {
	s := newScene()
	cut := aSpeaker("node1", "192.0.2.1")
	cut.Status.Layer2.Owned, cut.Status.Layer2.Truncated = 2, true
	s.put(aPool("main", "192.0.2.0/24"), anAdvertisement("all"), aNode("node1"), cut, aService("one", "192.0.2.1"), aService("two", "192.0.2.2"))
	s.show()
	check(t, "two's owner", s.state.Services["default/two"].Addresses[0].Unlisted, true)
	check(t, "one's owner", s.state.Services["default/one"].Addresses[0].Unlisted, false)
	s.put(aSpeaker("node1", "192.0.2.1", "192.0.2.2"))
	s.show()
	check(t, "two's owner, once it is listed", s.state.Services["default/two"].Addresses[0].Owner, "node1")
}

// TestChangesLeadWhereALookAnewDoes does things at random, and holds what a viewer has been told against what one sees
// who begins to look.
func TestChangesLeadWhereALookAnewDoes(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 7))
		s := newScene()
		address := func() string { return fmt.Sprintf("192.0.2.%d", r.IntN(12)) }
		nodeName := func() string { return fmt.Sprintf("node%d", r.IntN(4)) }
		generation := int64(1)
		do := []func(){
			func() {
				svc := aService(fmt.Sprint("s", r.IntN(10)), []string{address(), address()}[:r.IntN(3)]...)
				if r.IntN(2) == 0 {
					svc.Labels = map[string]string{"tier": "gold"}
				}
				s.put(svc)
			},
			func() { s.remove(service, fmt.Sprint("default/s", r.IntN(10))) },
			func() {
				p := aPool(fmt.Sprint("p", r.IntN(2)), v1alpha1.AddressRange(address()+"/30"))
				generation++
				p.Generation = generation
				p.Labels = map[string]string{"a": fmt.Sprint(r.IntN(2))}
				p.Status.IPv4 = &v1alpha1.PoolFamilyStatus{Total: "4", Assigned: int64(r.IntN(5))}
				p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionExhausted, Status: metav1.ConditionTrue, Message: fmt.Sprint(r.IntN(3))}}
				s.put(p)
			},
			func() { s.remove(pool, fmt.Sprint("p", r.IntN(2))) },
			func() {
				a := anAdvertisement(fmt.Sprint("a", r.IntN(2)), []string{"p0", "p1"}[:r.IntN(3)]...)
				generation++
				a.Generation = generation
				s.put(a)
			},
			func() { s.remove(l2Advertisement, fmt.Sprint("a", r.IntN(2))) },
			func() {
				a := aBGPAdvertisement(fmt.Sprint("b", r.IntN(2)), []string{"r0", "r1"}[:r.IntN(3)]...)
				generation++
				a.Generation = generation
				a.Spec.ServiceSelectors = []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"tier": "gold"}}}[:r.IntN(2)]
				a.Spec.NodeSelectors = []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"rack": "1"}}}[:r.IntN(2)]
				s.put(a)
			},
			func() { s.remove(bgpAdvertisement, fmt.Sprint("b", r.IntN(2))) },
			func() {
				p := aPeer(fmt.Sprint("r", r.IntN(2)), fmt.Sprintf("198.51.100.%d", 1+r.IntN(2)))
				generation++
				p.Generation = generation
				p.Spec.NodeSelectors = []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"rack": "1"}}}[:r.IntN(2)]
				s.put(p)
			},
			func() { s.remove(bgpPeer, fmt.Sprint("r", r.IntN(2))) },
			func() {
				n := aNode(nodeName())
				n.Labels = map[string]string{"rack": fmt.Sprint(r.IntN(2))}
				n.Spec.Unschedulable = r.IntN(2) == 0
				s.put(n)
			},
			func() { s.remove(node, nodeName()) },
			func() {
				sp := aSpeaker(nodeName(), []string{address(), address(), address()}[:r.IntN(4)]...)
				for i := range sp.Status.Layer2.Addresses {
					a := &sp.Status.Layer2.Addresses[i]
					a.Since = at(r.IntN(3))
					if r.IntN(3) == 0 {
						a.For = nodeName()
					}
				}
				sp.Status.Layer2.Truncated = r.IntN(3) == 0
				sp.Status.Layer2.SuppressedNodes = []v1alpha1.SuppressedNode{{Node: nodeName(), Penalty: int32(r.IntN(3)), ReuseTime: *at(50)}}[:r.IntN(2)]
				sp.Status.Layer2.Conflicts = []v1alpha1.AddressConflict{{Address: address(), Since: *at(1)}}[:r.IntN(2)]
				for range r.IntN(3) {
					sp.Status.Layer2.Takeovers = append(sp.Status.Layer2.Takeovers, v1alpha1.Takeover{
						Time: metav1.NewMicroTime(at(r.IntN(9)).Time), From: nodeName(), Count: 1})
				}
				for _, peer := range []string{"r0", "r1"} {
					if r.IntN(2) == 0 {
						withSession(sp, peer, []v1alpha1.BGPSessionState{v1alpha1.BGPSessionEstablished, v1alpha1.BGPSessionActive}[r.IntN(2)], 3)
					}
				}
				if r.IntN(4) == 0 {
					notReady(sp, []string{"Lost", "Stopped", "Alone"}[r.IntN(3)])
				}
				s.put(sp)
			},
			func() { s.remove(speaker, nodeName()) },
		}
		for step := range 300 {
			do[r.IntN(len(do))]()
			if r.IntN(3) > 0 {
				continue
			}
			s.show()
			if want := s.anew(); !reflect.DeepEqual(s.state, want) {
				t.Fatalf("seed %d, step %d: told\n%+v, looked at anew\n%+v", seed, step, s.state, want)
			}
		}
	}
}

func TestServiceOf(t *testing.T) {
	bare := aService("web")
	bare.Status.Conditions = nil
	partly := aService("web", "192.0.2.1")
	partly.Status.Conditions[0].Status, partly.Status.Conditions[0].Reason = metav1.ConditionFalse, "NoPool"
	local := aService("web", "192.0.2.1")
	local.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	inherited := aService("web", "192.0.2.1")
	inherited.Status.Conditions = nil
	for _, tt := range []struct {
		name string
		svc  *corev1.Service
		want string // status, reason, local, number of addresses
	}{
		{"one that has what it asks for", aService("web", "192.0.2.1", "2001:db8::1"), "assigned Assigned false 2"},
		{"one that has nothing", aService("web"), "pending Exhausted false 0"},
		{"one that has one address of two", partly, "partial NoPool false 1"},
		{"one that nobody has looked at", bare, "pending Undecided false 0"},
		{"one that has another's address, which nobody has looked at", inherited, "partial Undecided false 1"},
		{"one that keeps clients' addresses", local, "assigned Assigned true 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene()
			s.put(tt.svc)
			s.show()
			got := s.state.Services["default/web"]
			check(t, "shown", fmt.Sprint(got.Status, " ", got.Reason, " ", got.Local, " ", len(got.Addresses)), tt.want)
		})
	}
}
