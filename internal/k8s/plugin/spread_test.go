package plugin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestNewSpread(t *testing.T) {
	node := func(name string, weight int32, owned, here int) NodeLoad { return NodeLoad{name, weight, owned, here} }
	tests := []struct {
		name           string
		nodes          []NodeLoad
		moves, longest int
		text           string
	}{
		{"no node", nil, 0, 0, "main: no node may own its addresses"},
		{"even", []NodeLoad{node("b", 0, 2, 2), node("a", 0, 2, 2)}, 0, 0, "main: 4 addresses on 2 nodes: a 2, b 2"},
		{"as even as it gets", []NodeLoad{node("a", 0, 3, 3), node("b", 0, 2, 2)}, 0, 0, "main: 5 addresses on 2 nodes: a 3, b 2"},
		{"a node that has joined", []NodeLoad{node("a", 0, 100, 100), node("b", 0, 100, 100), node("c", 0, 0, 0)}, 66, 33,
			"main: 200 addresses on 3 nodes: a 100, b 100, c 0"},
		{"one below the mean though none is far above", []NodeLoad{node("a", 0, 3, 3), node("b", 0, 3, 3), node("c", 0, 1, 1)}, 1, 1,
			"main: 7 addresses on 3 nodes: a 3, b 3, c 1"},
		{"only what is of the advertisement moves", []NodeLoad{node("a", 0, 10, 2), node("b", 0, 0, 0)}, 2, 2, "main: 10 addresses on 2 nodes: a 10, b 0"},
		{"those of a lower weight give all away", []NodeLoad{node("a", 10, 1, 1), node("b", 0, 4, 3)}, 3, 3, "main: 5 addresses on 2 nodes: a 1, b 4"},
		{"one address", []NodeLoad{node("a", 0, 1, 1)}, 0, 0, "main: 1 address on 1 node: a 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSpread("main", tt.nodes)
			if s.Moves != tt.moves || s.Longest != tt.longest || s.String() != tt.text {
				t.Errorf("%d moves, %d of one node, %q; want %d, %d, %q", s.Moves, s.Longest, s, tt.moves, tt.longest, tt.text)
			}
		})
	}
	var many []NodeLoad
	for i := range 14 {
		many = append(many, node(fmt.Sprintf("n%02d", i), 0, 1, 1))
	}
	if got := newSpread("main", many).String(); !strings.HasSuffix(got, "n11 1, and 2 nodes more") {
		t.Error(got)
	}
}

// Nodes that may not own an address do not count, and those of other advertisements neither.
func TestSpreads(t *testing.T) {
	on := func(name string, pools ...string) *v1alpha1.L2Advertisement {
		return &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.L2AdvertisementSpec{IPAddressPools: pools}}
	}
	s := &Snapshot{
		Time: now, Pools: []*v1alpha1.IPAddressPool{pool("edge", "192.0.2.0/25"), pool("back", "192.0.2.128/25")},
		Advertisements: []*v1alpha1.L2Advertisement{on("main", "edge"), on("back", "back")},
		Nodes:          nodes("node1", "node2", "node3", "node4", "node5"),
		Services:       []*corev1.Service{service("shop", "a", "192.0.2.1"), service("shop", "b", "192.0.2.2"), service("shop", "c", "192.0.2.200")},
		Speakers: []*v1alpha1.Speaker{speakerOf("node1", "192.0.2.1", "192.0.2.2", "192.0.2.200"), speakerOf("node2"),
			speakerOf("node3"), gone(speakerOf("node4"))}, // node5 has none
	}
	setDrain(s.Nodes[2])
	spreads, err := Spreads(s, nil)
	if got := fmt.Sprint(spreads, err); got != "[back: 3 addresses on 2 nodes: node1 3, node2 0 main: 3 addresses on 2 nodes: node1 3, node2 0] <nil>" {
		t.Error(got)
	}
	if spreads[0].Moves != 1 || spreads[1].Moves != 1 {
		t.Errorf("%+v", spreads)
	}
	if _, err := Spreads(s, []string{"main", "mian"}); err == nil || err.Error() != "there is no L2Advertisement mian; kubectl get l2advertisements lists those that there are" {
		t.Error(err)
	}
}

func TestSettled(t *testing.T) {
	uneven := []Spread{newSpread("main", []NodeLoad{{"a", 0, 4, 4}, {"b", 0, 0, 0}})}
	better := []Spread{newSpread("main", []NodeLoad{{"a", 0, 3, 3}, {"b", 0, 1, 1}})}
	even := []Spread{newSpread("main", []NodeLoad{{"a", 0, 2, 2}, {"b", 0, 2, 2}})}
	steps := []struct {
		name    string
		after   time.Duration
		spreads []Spread
		changed bool
		over    string
	}{
		{"the first look", 0, uneven, true, ""},
		{"nothing yet", 9 * time.Second, uneven, false, ""},
		{"a move", 9 * time.Second, better, true, ""},
		{"nothing for almost 10 s", 10*time.Second - 1, better, false, ""},
		{"nothing for 10 s", 1, better, false, "Nothing has moved for 10s: the rest stays, as no other node that has room may own it."},
		{"all moved", time.Second, even, true, "The addresses are spread evenly."},
	}
	var x settled
	at := now
	for _, s := range steps {
		at = at.Add(s.after)
		if changed, over := x.see(s.spreads, at); changed != s.changed || over != s.over {
			t.Errorf("%s: changed %t, over %q", s.name, changed, over)
		}
	}
	if got := foresee(uneven); got != "About 2 addresses are to move; each move breaks the connections through the address. A node gives away one address a second: it takes about 2s." {
		t.Error(got)
	}
	if got := foresee(even); got != "The addresses are spread evenly: nothing is to move." {
		t.Error(got)
	}
}
