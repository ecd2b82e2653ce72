package layer2

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestTakeoversAreOneEntry(t *testing.T) {
	at := time.Unix(1e9, 0)
	one := func(n int, after time.Duration, from string, cause Cause, took time.Duration) Takeover {
		return Takeover{Time: at.Add(after), From: from, Cause: cause, Count: 1, Addresses: []netip.Addr{address(n)}, Duration: took}
	}
	tests := []struct {
		name string
		took []Takeover
		want []string // from, cause, count, number of addresses, duration
	}{
		{"of one node by one cause at a time, and as long as the last of them took", []Takeover{
			one(1, 0, "b", Lost, 180*time.Millisecond), one(2, 3*time.Millisecond, "b", Lost, 183*time.Millisecond),
		}, []string{"b Lost 2 2 183ms"}},
		{"not of two nodes", []Takeover{one(1, 0, "b", Lost, 0), one(2, 0, "c", Lost, 0)}, []string{"b Lost 1 1 0s", "c Lost 1 1 0s"}},
		{"not by two causes", []Takeover{one(1, 0, "b", Moved, 0), one(2, 0, "b", Rebalanced, 0)}, []string{"b Moved 1 1 0s", "b Rebalanced 1 1 0s"}},
		{"not after more than a second", []Takeover{one(1, 0, "b", Moved, 0), one(2, 1001*time.Millisecond, "b", Moved, 0)}, []string{"b Moved 1 1 0s", "b Moved 1 1 0s"}},
		{"though there was another meanwhile", []Takeover{one(1, 0, "b", Lost, 0), one(2, 0, "c", Lost, 0), one(3, time.Second, "b", Lost, 0)},
			[]string{"b Lost 2 2 0s", "c Lost 1 1 0s"}},
		{"of which the first addresses are kept", func() (all []Takeover) {
			for i := range 40 {
				all = append(all, one(i+1, 0, "b", Left, 0))
			}
			return all
		}(), []string{"b Left 40 16 0s"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var list []Takeover
			for _, x := range tt.took {
				list = withTakeover(list, x)
			}
			var got []string
			for _, x := range list {
				got = append(got, fmt.Sprintf("%s %s %d %d %s", x.From, x.Cause, x.Count, len(x.Addresses), x.Duration))
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
	var list []Takeover
	for i := range 100 {
		list = withTakeover(list, one(1, time.Duration(i)*time.Minute, "b", Lost, 0))
	}
	if len(list) != mostTakeovers || !list[len(list)-1].Time.Equal(at.Add(99*time.Minute)) {
		t.Errorf("of 100 takeovers, the last %d are kept, the very last is of %v", len(list), list[len(list)-1].Time)
	}
}

// What a speaker says of a takeover is what the client saw.
func TestTakeoverFromALostNode(t *testing.T) {
	for seed := range uint64(5) {
		s := newEther(t, seed, 4, 12)
		lost := len(ownedIn(s.owners(), "n1"))
		s.cut("n1")
		s.run(5 * time.Second)
		gap, _, _, _ := s.result()
		count, longest := 0, time.Duration(0)
		for _, name := range []string{"n0", "n2", "n3"} {
			status := s.hosts[name].engine.Status()
			for _, x := range status.Takeovers {
				if x.From != "n1" || x.Cause != Lost || x.Reason != "" {
					t.Errorf("seed %d: %s took over %+v", seed, name, x)
				}
				count += x.Count
				longest = max(longest, x.Duration)
				for _, a := range x.Addresses {
					if o := status.Owned[a]; o.From != "n1" || o.Cause != Lost || o.Since.Sub(x.Time).Abs() > time.Second {
						t.Errorf("seed %d: %s owns %s: %+v", seed, name, a, o)
					}
				}
			}
			for a, o := range status.Owned {
				if o.From == "" && o.Cause != Elected {
					t.Errorf("seed %d: %s owns %s from nobody: %+v", seed, name, a, o)
				}
			}
		}
		if count != lost {
			t.Errorf("seed %d: %d addresses taken over, want %d", seed, count, lost)
		}
		if (longest - gap).Abs() > 10*time.Millisecond {
			t.Errorf("seed %d: the speakers say %s, the client was without service for %s", seed, longest, gap)
		}
	}
}

// An address that is moved was answered for all the time, and the takeover says why.
func TestTakeoverFromADrainedNode(t *testing.T) {
	s := newEther(t, 1, 3, 12)
	moved := len(ownedIn(s.owners(), "n1"))
	for _, name := range s.names {
		s.hosts[name].engine.Update(func(e *Elector) { e.Drain("n1", "drained") })
		s.kick(s.hosts[name])
	}
	s.run(5 * time.Second)
	count := 0
	for _, name := range []string{"n0", "n2"} {
		for _, x := range s.hosts[name].engine.Status().Takeovers {
			if x.From != "n1" || x.Cause != Moved || x.Reason != "drained" || x.Duration != 0 {
				t.Errorf("%s took over %+v", name, x)
			}
			count += x.Count
		}
	}
	if count != moved || moved == 0 {
		t.Errorf("%d of %d addresses were taken over", count, moved)
	}
	if got := s.hosts["n1"].engine.Status(); len(got.Takeovers) > 0 || len(got.Owned) > 0 {
		t.Errorf("the drained node took over %+v and owns %v", got.Takeovers, got.Owned)
	}
}

// A speaker that restarts goes on with what its node owns: it takes nothing over.
func TestTakeoverNotByARestart(t *testing.T) {
	s := newEther(t, 1, 3, 12)
	s.kill("n1")
	s.run(3 * time.Second)
	s.restart("n1")
	s.run(5 * time.Second)
	status := s.hosts["n1"].engine.Status()
	if len(status.Takeovers) > 0 || len(status.Owned) == 0 {
		t.Errorf("took over %+v, owns %d", status.Takeovers, len(status.Owned))
	}
	for a, o := range status.Owned {
		if o.Cause != Resumed || o.Since.IsZero() {
			t.Errorf("%s: %+v", a, o)
		}
	}
}

func TestLastHeard(t *testing.T) {
	now := time.Unix(1e9, 0)
	ago := func(ms int) time.Time { return now.Add(-time.Duration(ms) * time.Millisecond) }
	lost := func(tell func(h *Health)) time.Duration {
		h := NewHealth(15 * time.Second)
		h.Serves("b", 1)
		h.Askable("b", true)
		tell(h)
		for range 10 {
			h.Heard(now) // by others
			f := h.Decide(now, 0)
			if len(f.Lost) > 0 {
				return ago(0).Sub(f.LastHeard["b"])
			}
			now = now.Add(askInterval)
		}
		t.Fatal("it is not lost")
		return 0
	}
	tests := []struct {
		name string
		tell func(h *Health)
		want time.Duration
	}{
		{"is when its session said so", func(h *Health) { h.Miss("b", now); h.LastHeard("b", ago(150)) }, 150 * time.Millisecond},
		{"is the last of what several speakers say", func(h *Health) {
			h.Suspect("b", 1, false, now)
			h.LastHeard("b", ago(180))
			h.LastHeard("b", ago(150))
			h.LastHeard("b", ago(170))
		}, 150 * time.Millisecond},
		{"is when its kernel answered, if that was later", func(h *Health) {
			h.Answered("b", ago(20))
			h.Miss("b", now)
			h.LastHeard("b", ago(150))
		}, 20 * time.Millisecond},
		{"is when it was suspected where nobody says", func(h *Health) { h.Suspect("b", 1, false, now) }, 0},
		{"is not what was said before it was heard again", func(h *Health) {
			h.Miss("b", ago(900))
			h.LastHeard("b", ago(1000))
			h.Serves("b", 2)
			h.Suspect("b", 2, false, now)
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			began := now
			// less what it took to find out
			if got := lost(tt.tell) - now.Sub(began); got != tt.want {
				t.Errorf("heard %s before it was suspected, want %s", got, tt.want)
			}
		})
	}
}

func TestTakeoverReasonsDoNotSplit(t *testing.T) {
	list := withTakeover(nil, Takeover{From: "b", Cause: Moved, Count: 1, Reason: "no interface in the subnet of 192.0.2.1"})
	list = withTakeover(list, Takeover{From: "b", Cause: Moved, Count: 1, Reason: "no interface in the subnet of 192.0.2.2"})
	if len(list) != 1 || !strings.HasSuffix(list[0].Reason, "192.0.2.1") {
		t.Errorf("%+v", list)
	}
}

func ownedIn(owners map[netip.Addr]string, node string) (list []netip.Addr) {
	for a, owner := range owners {
		if owner == node {
			list = append(list, a)
		}
	}
	return list
}

// A frame with a claim may be lost. In a large group nothing else is sure to bring the claim before it is confirmed.
func TestTheSegmentIsToldTwiceOfAClaimInALargeGroup(t *testing.T) {
	s := newEther(t, 1, 4, 12)
	for _, h := range s.hosts {
		for i := range fewNodes {
			h.engine.elector.node(nodeName(i)) // that take no part
		}
	}
	lost := ownedIn(s.owners(), "n1")
	s.sealed = nil
	s.cut("n1")
	s.run(time.Second)
	told := map[netip.Addr]int{}
	for _, claims := range s.sealed {
		for _, c := range claims {
			told[c.Address]++
		}
	}
	for _, a := range lost {
		if told[a] != 2 {
			t.Errorf("the segment was told %d times who has %s now", told[a], a)
		}
	}
}
