package plugin

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// speakerOf is the Speaker of a node that serves, and answers for addresses: "192.0.2.1", or "192.0.2.1 for node2" on
// another's behalf.
func speakerOf(node string, addresses ...string) *v1alpha1.Speaker {
	l2 := &v1alpha1.Layer2Status{}
	for _, text := range addresses {
		a, of, stands := strings.Cut(text, " for ")
		l2.Addresses = append(l2.Addresses, v1alpha1.Layer2Address{Address: a, For: of, Interfaces: []string{"eth0"}})
		if stands {
			l2.StandingIn++
		} else {
			l2.Owned++
		}
	}
	return &v1alpha1.Speaker{ObjectMeta: metav1.ObjectMeta{Name: node}, Status: v1alpha1.SpeakerStatus{
		Interfaces: []v1alpha1.SpeakerInterface{{Name: "eth0", Addresses: []string{"192.0.2.250/24"}}}, Layer2: l2,
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Serving"}},
	}}
}

// gone is the same after the speaker was told to stop.
func gone(sp *v1alpha1.Speaker) *v1alpha1.Speaker {
	sp.Status = v1alpha1.SpeakerStatus{Conditions: []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "Stopped", Message: "told to stop"}}}
	return sp
}

// cutting leaves out of a Speaker's list all but the first addresses.
func cutting(sp *v1alpha1.Speaker, first int) *v1alpha1.Speaker {
	sp.Status.Layer2.Addresses, sp.Status.Layer2.Truncated = sp.Status.Layer2.Addresses[:first], true
	return sp
}

func nodes(names ...string) (list []*corev1.Node) {
	for _, name := range names {
		list = append(list, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}})
	}
	return list
}

func TestLeftOn(t *testing.T) {
	tests := []struct {
		name     string
		speakers []*v1alpha1.Speaker
		want     string
	}{
		{"nothing, of a node without a Speaker", nil, "0 []"},
		{"nothing, where others own all", []*v1alpha1.Speaker{speakerOf("node1"), speakerOf("node2", "192.0.2.1")}, "0 []"},
		{"what it owns, in order", []*v1alpha1.Speaker{speakerOf("node1", "192.0.2.10", "192.0.2.9", "2001:db8::1")}, "3 [192.0.2.9 192.0.2.10 2001:db8::1]"},
		{"not what it answers for on behalf of another", []*v1alpha1.Speaker{speakerOf("node1", "192.0.2.1", "192.0.2.2 for node2")}, "1 [192.0.2.1]"},
		{"what others answer for on its behalf, once", []*v1alpha1.Speaker{
			gone(speakerOf("node1")), speakerOf("node2", "192.0.2.1 for node1"), speakerOf("node3", "192.0.2.1 for node1", "192.0.2.2")}, "1 [192.0.2.1]"},
		{"all, of a list that is cut", []*v1alpha1.Speaker{cutting(speakerOf("node1", "192.0.2.1", "192.0.2.2"), 1)}, "2 [192.0.2.1]"},
		{"nothing that cannot be read", []*v1alpha1.Speaker{speakerOf("node1", "192.0.2.300")}, "1 []"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			left := LeftOn(tt.speakers, "node1")
			if got := fmt.Sprint(left.Owned, left.Addresses); got != tt.want {
				t.Errorf("left %s, want %s", got, tt.want)
			}
		})
	}
}

func local(svc *corev1.Service) *corev1.Service {
	svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	return svc
}

func TestWouldStick(t *testing.T) {
	everywhere := &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "main"}}
	base := func() *Snapshot {
		return &Snapshot{
			Time: now, Pools: []*v1alpha1.IPAddressPool{pool("edge", "192.0.2.0/24")}, Advertisements: []*v1alpha1.L2Advertisement{everywhere},
			Nodes: nodes("node1", "node2"), Services: []*corev1.Service{service("shop", "web", "192.0.2.1")},
			Speakers: []*v1alpha1.Speaker{speakerOf("node1", "192.0.2.1"), speakerOf("node2")},
		}
	}
	tests := []struct {
		name   string
		change func(*Snapshot)
		want   string
	}{
		{"nothing, where another node may own it", func(*Snapshot) {}, ""},
		{"all, on a single node", func(s *Snapshot) { s.Nodes, s.Speakers = s.Nodes[:1], s.Speakers[:1] },
			"192.0.2.1 (shop/web) has nowhere to go and stays: there is no other node"},
		{"what the other node's speaker cannot take", func(s *Snapshot) { gone(s.Speakers[1]) },
			"192.0.2.1 (shop/web) has nowhere to go and stays: node2: its speaker is not ready: Stopped: told to stop"},
		{"what has no endpoint elsewhere", func(s *Snapshot) { local(s.Services[0]) },
			"192.0.2.1 (shop/web) has nowhere to go and stays: node2: no ready endpoint of the Service on the node (externalTrafficPolicy: Local)"},
		{"what only a drained node could take", func(s *Snapshot) { setDrain(s.Nodes[1]) },
			"192.0.2.1 (shop/web) has nowhere to go and stays: node2: annotation fairlead.dev/drain"},
		{"the same if it is drained already", func(s *Snapshot) { setDrain(s.Nodes[0]); setDrain(s.Nodes[1]) },
			"192.0.2.1 (shop/web) has nowhere to go and stays: node2: annotation fairlead.dev/drain"},
		{"nothing that can be told without the Nodes", func(s *Snapshot) { s.Nodes, s.Unread = nil, []string{"Nodes"} }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := base()
			tt.change(s)
			drained := Drained(firstNode(s))
			var got []string
			for _, x := range WouldStick(s, "node1") {
				got = append(got, x.String())
			}
			if text := strings.Join(got, "\n"); text != tt.want {
				t.Errorf("got  %s\nwant %s", text, tt.want)
			}
			if Drained(firstNode(s)) != drained {
				t.Error("the snapshot's Node was changed")
			}
		})
	}
}

func firstNode(s *Snapshot) *corev1.Node {
	if len(s.Nodes) == 0 {
		return &corev1.Node{}
	}
	return s.Nodes[0]
}

// Beyond what the speakers list, an owner is unknown and not nobody, and the loads are right all the same.
func TestListsThatAreCut(t *testing.T) {
	s := &Snapshot{
		Time: now, Pools: []*v1alpha1.IPAddressPool{pool("edge", "192.0.2.0/24")}, Nodes: nodes("node1", "node2", "node3"),
		Advertisements: []*v1alpha1.L2Advertisement{{ObjectMeta: metav1.ObjectMeta{Name: "main"}}},
	}
	var addresses []string
	for i := range 9 {
		a := fmt.Sprintf("192.0.2.%d", i+1)
		s.Services = append(s.Services, service("shop", "web"+a, a))
		if i > 0 {
			addresses = append(addresses, a)
		}
	}
	s.Speakers = []*v1alpha1.Speaker{cutting(speakerOf("node1", addresses...), 2), speakerOf("node2", "192.0.2.1"), speakerOf("node3")}
	o := Owners(s)
	var owners []string
	for _, row := range o.Rows {
		owners = append(owners, row.owner())
	}
	if got := strings.Join(owners, " "); got != "node2 node1 node1 ? ? ? ? ? ?" {
		t.Errorf("owners %s", got)
	}
	if got := strings.Join(o.Incomplete, ""); got != "node1 lists only 2 of the 8 addresses that it answers for" {
		t.Errorf("incomplete: %s", got)
	}
	var loads []string
	for _, v := range newSegment(s).verdicts(o.Rows[0].address) {
		loads = append(loads, fmt.Sprint(v.Node, " ", v.May, " ", v.Owned, " ", v.Why))
	}
	if got := loads[2]; !strings.HasPrefix(got, "node1 later 8 owns 8 addresses of at most 4") {
		t.Errorf("verdicts %q", loads)
	}
}
