package layer2

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// A node that is not heard may hear the claims of those who take its addresses over before it hears that it was lost,
// or find out. It must not insist on what it owned: nobody hears that now, but all do once its cable is mended.
func TestNotHeardAndNotTold(t *testing.T) {
	for _, nodes := range []int{2, 3, 5} {
		for _, tardy := range []time.Duration{20 * time.Millisecond, time.Second, time.Hour} {
			for _, lasts := range []time.Duration{500 * time.Millisecond, 8 * time.Second} {
				for seed := range uint64(2) {
					t.Run(fmt.Sprintf("%d nodes, for %s, told %s later, seed %d", nodes, lasts, tardy, seed), func(t *testing.T) {
						s := newEther(t, seed, nodes, 12, func(s *ether) { s.tardy = tardy })
						owned := 0
						for _, o := range s.owners() {
							if o == "n1" {
								owned++
							}
						}
						s.muffle("n1")
						s.run(lasts)
						if _, _, moves, movesOf := s.result(); moves != owned {
							t.Errorf("%d moves of %d addresses: %s", moves, owned, s.describe(movesOf))
						}
						s.tardy = 0
						s.mend("n1")
						s.run(20 * time.Second)
						longest, doubled, moves, movesOf := s.result()
						if moves != owned {
							t.Errorf("%d moves of %d addresses after it was heard again: %s", moves, owned, s.describe(movesOf))
						}
						if longest > 250*time.Millisecond || doubled > 120*time.Millisecond {
							t.Errorf("without service for %s, two answered for %s", longest, doubled)
						}
						s.owners()
					})
				}
			}
		}
	}
}

// An owner insists against a claim once somebody has answered it since the claim came: then it is heard.
func TestInsistsOnceItIsHeard(t *testing.T) {
	at := time.Unix(1000, 0)
	mine := ranked("a", "b", "c")
	claim := func(node string, epoch uint64) lb.Claim {
		return lb.Claim{Address: mine, Node: node, Epoch: epoch, Standing: lb.Pending}
	}
	const ms = time.Millisecond
	for name, test := range map[string]struct {
		do    func(e *Elector, decide func(time.Duration))
		owner string // whose claim counts in the end
		ours  bool   // this node answers
		waits []string
	}{
		"it waits, and goes on answering": {func(e *Elector, decide func(time.Duration)) {
			decide(0)
			decide(50 * ms)
		}, "b", true, []string{"b"}},
		"an answer from before the claim is none": {func(e *Elector, decide func(time.Duration)) {
			e.Contact(at)
			decide(0)
		}, "b", true, []string{"b"}},
		"it insists when an answer came": {func(e *Elector, decide func(time.Duration)) {
			decide(0)
			e.Contact(at.Add(ms))
			decide(ms)
		}, "a", true, nil},
		"it yields when nobody answers": {func(e *Elector, decide func(time.Duration)) {
			decide(0)
			e.Isolated(at.Add(60 * ms))
			decide(60 * ms)
		}, "b", false, nil},
		"an answer from before a second claim is none": {func(e *Elector, decide func(time.Duration)) {
			decide(0)
			e.Hear(claim("c", 3))
			e.Contact(at.Add(ms))
			decide(2 * ms)
		}, "c", true, []string{"c"}},
		"it follows what becomes a confirmed claim meanwhile": {func(e *Elector, decide func(time.Duration)) {
			decide(0)
			e.Hear(lb.Claim{Address: mine, Node: "b", Epoch: 2, Standing: lb.Confirmed})
			decide(ms)
		}, "b", false, nil},
		"a Service that ends meanwhile is waited for no more": {func(e *Elector, decide func(time.Duration)) {
			decide(0)
			e.RemoveVIP(mine)
			decide(ms)
		}, "b", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := one()
			e.Contact(at.Add(-time.Minute))
			e.SetVIP(VIP{Address: mine, Service: service(1), Scopes: []string{"all"}})
			e.Decide(at.Add(-time.Minute))
			e.Hear(claim("b", 2))
			var d Decision
			test.do(e, func(after time.Duration) { d = e.Decide(at.Add(after)) })
			x := e.vips[mine]
			if ours := x != nil && x.owns(); e.claim(mine).Node != test.owner || ours != test.ours || !slices.Equal(d.Unproven, test.waits) {
				t.Errorf("the claim of %s counts, answers: %v, waits because of %v", e.claim(mine).Node, ours, d.Unproven)
			}
			if insists := len(d.Claims) > 0; insists != (test.owner == "a") {
				t.Errorf("claims %v", d.Claims)
			}
		})
	}
}

// Where no question is on already, it asks at once whether it is heard: for as long as it waits, two may answer.
func TestAsksWhetherItIsHeard(t *testing.T) {
	insisting := func(t *testing.T, muffle bool) (s *ether, insists func() bool) {
		s = newEther(t, 1, 3, 1)
		mine, owner := s.vips[0], s.owners()[s.vips[0]]
		s.mute[owner] = muffle // and nobody has noticed it yet
		other := s.hosts["n0"]
		if owner == "n0" {
			other = s.hosts["n1"]
		}
		other.table.Publish([]lb.Claim{{Address: mine, Node: other.name, Epoch: 9, Standing: lb.Pending}})
		return s, func() bool {
			return s.hosts[owner].table.claims[mine] == lb.Claim{Address: mine, Node: owner, Epoch: 10, Standing: lb.Confirmed}
		}
	}
	t.Run("it is, and insists within milliseconds", func(t *testing.T) {
		s, insists := insisting(t, false)
		if s.run(6 * time.Millisecond); !insists() {
			t.Error("it does not insist")
		}
	})
	t.Run("it is not, and does not insist when it is later", func(t *testing.T) {
		s, insists := insisting(t, true)
		s.run(90 * time.Millisecond)
		clear(s.mute)
		if s.run(10 * time.Second); insists() {
			t.Error("it insists")
		}
	})
}
