package gossip

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

func TestSuspicions(t *testing.T) {
	suspect := func(version uint64, silent bool) content {
		return content{suspicions: []lb.Suspicion{{Node: "n1", Version: version, Silent: silent}}}
	}
	state := func(version uint64) content { return content{states: []lb.NodeState{{Node: "n1", Version: version}}} }
	tests := []struct {
		name  string
		said  []content
		want  []lb.Suspicion // news
		still bool           // n1 is suspected in the end
	}{
		{"a suspicion is news", []content{state(3), suspect(3, false)}, []lb.Suspicion{{Node: "n1", Version: 3}}, true},
		{"again it is none", []content{state(3), suspect(3, false), suspect(3, false)}, []lb.Suspicion{{Node: "n1", Version: 3}}, true},
		{"that the kernel is silent too is news", []content{state(3), suspect(3, false), suspect(3, true), suspect(3, false)},
			[]lb.Suspicion{{Node: "n1", Version: 3}, {Node: "n1", Version: 3, Silent: true}}, true},
		{"one that was contradicted before it came is none", []content{state(4), suspect(3, true)}, nil, false},
		{"a later state contradicts", []content{state(3), suspect(3, false), state(4)}, []lb.Suspicion{{Node: "n1", Version: 3}}, false},
		{"the same state does not", []content{state(3), suspect(3, false), state(3)}, []lb.Suspicion{{Node: "n1", Version: 3}}, true},
		{"of a node whose state comes later", []content{suspect(3, false), state(3)}, []lb.Suspicion{{Node: "n1", Version: 3}}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tab := newTable("n0", 1)
			tab.join("n1")
			for _, c := range tt.said {
				tab.merge(c)
			}
			if got := tab.take().Suspicions; !slices.Equal(got, tt.want) {
				t.Errorf("news %+v, want %+v", got, tt.want)
			}
			if got := len(tab.all().suspicions) == 1; got != tt.still {
				t.Errorf("suspected in the end: %v", got)
			}
		})
	}
}

// Whoever is suspected contradicts at once, with a version that all others take for later.
func TestRefutation(t *testing.T) {
	tab := newTable("n0", 5)
	tab.setSelf(lb.NodeState{})
	if _, refuted := tab.merge(content{suspicions: []lb.Suspicion{{Node: "n0", Version: 9}}}); !refuted {
		t.Fatal("does not contradict")
	}
	if s, ok := tab.takeRefutation(); !ok || s.Version != 10 {
		t.Errorf("says %+v, %v", s, ok)
	}
	if _, refuted := tab.merge(content{suspicions: []lb.Suspicion{{Node: "n0", Version: 9}}}); refuted || len(tab.take().Suspicions) > 0 {
		t.Error("contradicts again what it has contradicted")
	}
	// also what is remembered of an earlier life
	if _, refuted := tab.merge(content{states: []lb.NodeState{{Node: "n0", Version: 20}}}); !refuted {
		t.Error("does not outdo its earlier life")
	}
}

func TestSeal(t *testing.T) {
	group := func(key string) *Group {
		return &Group{config: Config{Kick: func() {}}, table: newTable("n0", 1), seal: newSeal([]byte(key)), dropped: newDropped(), newer: newNewer()}
	}
	a, b, stranger := group("k"), group("k\n"), group("other")
	var addresses []netip.Addr
	address := netip.MustParseAddr("2001:db8::1")
	for i := range 100 {
		a.table.publish([]lb.Claim{{Address: address, Node: "node-with-a-name", Epoch: uint64(i + 1)}})
		addresses = append(addresses, address)
		address = address.Next()
	}
	payloads := a.Seal(append(addresses, netip.MustParseAddr("192.0.2.1")), 1400)
	for _, p := range payloads {
		if len(p) > 1400 {
			t.Errorf("a payload of %d octets", len(p))
		}
		if _, err := stranger.Open(p); err == nil {
			t.Error("believed without the key")
		}
		for i := range p {
			forged := slices.Clone(p)
			forged[i] ^= 1
			if _, err := b.Open(forged); err == nil {
				t.Fatalf("believed with octet %d changed", i)
			}
		}
		if beaten, err := b.Open(p); err != nil || len(beaten) > 0 {
			t.Error(beaten, err)
		}
	}
	if got := b.table.take().Claims; len(got) != len(addresses) || len(payloads) > 5 {
		t.Errorf("%d claims in %d payloads", len(got), len(payloads))
	}
	if len(stranger.table.take().Claims) > 0 {
		t.Error("a stranger's payload counted")
	}
}

// Each time that others hold this node for lost counts once, also if it had started anew before it heard of it.
func TestLosses(t *testing.T) {
	tab := newTable("n0", 100)
	tab.setSelf(lb.NodeState{})
	said := func(version uint64, silent bool) {
		tab.merge(content{suspicions: []lb.Suspicion{{Node: "n0", Version: version, Silent: silent}}})
	}
	said(7, true)
	said(7, true)
	said(8, false)
	if got := tab.take().Losses; got != 1 {
		t.Errorf("%d losses in an earlier life, want 1", got)
	}
	said(100, true)
	said(100, true)
	said(101, false)
	if got := tab.take().Losses; got != 1 {
		t.Errorf("%d losses, want 1", got)
	}
}

// For how long a suspected node was not heard is news when the suspicion is; who hears of the suspicion later would
// take it for too short.
func TestSuspicionsTellForHowLong(t *testing.T) {
	a, b := newTable("a", 1), newTable("b", 1)
	for _, tab := range []*table{a, b} {
		tab.merge(content{states: []lb.NodeState{{Node: "n1", Version: 3}}})
		tab.take()
	}
	said, ok := a.suspect("n1", false, 150*time.Millisecond)
	if !ok || said.Unheard != 150*time.Millisecond {
		t.Errorf("says %+v", said)
	}
	b.merge(content{suspicions: []lb.Suspicion{said}})
	if news := b.take().Suspicions; len(news) != 1 || news[0].Unheard != 150*time.Millisecond {
		t.Errorf("hears %+v", news)
	}
	for _, tab := range []*table{a, b} {
		if list := tab.all().suspicions; len(list) != 1 || list[0].Unheard != 0 {
			t.Errorf("tells later %+v", list)
		}
	}
}
