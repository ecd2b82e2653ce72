package layer2

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus"
)

// fakeGroup is gossip that a test speaks.
type fakeGroup struct {
	mu     sync.Mutex
	joined bool
	news   lb.GossipUpdate
	claims []lb.Claim
	offers []lb.Offer
}

func (g *fakeGroup) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (g *fakeGroup) Joined() bool                  { g.mu.Lock(); defer g.mu.Unlock(); return g.joined }
func (g *fakeGroup) Asked() bool                   { return true }
func (g *fakeGroup) Silence() (time.Time, bool)    { return time.Time{}, false }
func (g *fakeGroup) SetState(lb.NodeState)         {}
func (g *fakeGroup) Contact() time.Time            { return time.Time{} }
func (g *fakeGroup) Offer(o []lb.Offer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.offers = append(g.offers, o...)
}
func (g *fakeGroup) Suspect(string, bool, time.Duration) {}
func (g *fakeGroup) Rest(string, bool)                   {}
func (g *fakeGroup) Refresh() bool                       { return false }

func (g *fakeGroup) Addresses() map[string]netip.Addr  { return nil }
func (g *fakeGroup) Seal([]netip.Addr, int) [][]byte   { return nil }
func (g *fakeGroup) Open([]byte) ([]netip.Addr, error) { return nil, nil }
func (g *fakeGroup) Publish(c []lb.Claim) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.claims = append(g.claims, c...)
}
func (g *fakeGroup) Take() lb.GossipUpdate {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := g.news
	g.news = lb.GossipUpdate{}
	return n
}
func (g *fakeGroup) tell(e *Engine, f func(*fakeGroup)) {
	g.mu.Lock()
	f(g)
	g.mu.Unlock()
	e.Kick()
	synctest.Wait()
}

// engineTest runs an engine of node a, without sockets, beside a group of a and b.
func engineTest(t *testing.T, body func(t *testing.T, e *Engine, g *fakeGroup)) {
	synctest.Test(t, func(t *testing.T) {
		e := NewEngine(Config{Node: "a", RestartGrace: 15 * time.Second, Log: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry())})
		// interfaces that the responder does not know: nothing is opened
		e.elector.Join("a", segment)
		e.elector.SetScope(everywhere("a", "b", "c"))
		g := &fakeGroup{}
		e.group, e.sessions, e.binder = g, noSessions{}, nothingBound{}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { e.loop(ctx, make(chan struct{})); close(done) }()
		body(t, e, g)
		cancel()
		<-done
		e.responder.Close()
	})
}

func setVIP(e *Engine, a netip.Addr) {
	e.Update(func(e *Elector) { e.SetVIP(VIP{Address: a, Service: service(1), Scopes: []string{"all"}}) })
	synctest.Wait()
}

func TestEngineWaitsForOthers(t *testing.T) {
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		setVIP(e, address(1))
		time.Sleep(joinGrace - time.Millisecond)
		synctest.Wait()
		if e.Owns(address(1)) {
			t.Fatal("decided before it heard what the others know")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if !e.Owns(address(1)) {
			t.Fatal("did not decide alone though nobody answered")
		}
		if c := g.claims; len(c) != 1 || c[0].Standing != lb.Provisional {
			t.Errorf("claims %+v: whoever is alone may be cut off", c)
		}
	})
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		setVIP(e, address(1))
		g.tell(e, func(g *fakeGroup) {
			g.joined = true
			g.news.Claims = []lb.Claim{{Address: address(1), Node: "b", Epoch: 3}}
			g.news.Joined = []lb.NodeState{{Node: "b", Interfaces: segment}}
		})
		if e.Owns(address(1)) || len(g.claims) > 0 {
			t.Errorf("claimed what b has: %+v", g.claims)
		}
	})
}

// Whoever shows the state is told of it, also where there is nothing to own.
func TestEngineTellsItsState(t *testing.T) {
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		var seen []State
		e.Update(func(*Elector) { e.Changed = func([]Change) { seen = append(seen, e.State()) } }) // in the loop
		time.Sleep(joinGrace)
		synctest.Wait()
		g.tell(e, func(g *fakeGroup) { g.joined = true })
		if !slices.Equal(seen, []State{Alone, Serving}) {
			t.Errorf("told of %v", seen)
		}
	})
}

func TestEngineDoubtsLosses(t *testing.T) {
	start := func(e *Engine, g *fakeGroup) {
		setVIP(e, address(1))
		g.tell(e, func(g *fakeGroup) {
			g.joined = true
			g.news.Claims = []lb.Claim{{Address: address(1), Node: "b", Epoch: 3}}
			g.news.Joined = []lb.NodeState{{Node: "b", Interfaces: segment}, {Node: "c", Interfaces: segment}}
		})
		e.Update(func(e *Elector) { e.Bar("c", "not here") }) // so that only a can take over
		g.tell(e, func(g *fakeGroup) { g.news.Lost = []string{"b"} })
	}
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		start(e, g)
		time.Sleep(doubt / 2)
		g.tell(e, func(g *fakeGroup) { g.news.Joined = []lb.NodeState{{Node: "b", Interfaces: segment}} })
		time.Sleep(time.Minute)
		synctest.Wait()
		if e.Owns(address(1)) {
			t.Error("took over from a node that contradicted its death")
		}
	})
	engineTest(t, func(t *testing.T, e *Engine, g *fakeGroup) {
		var lost []string
		e.Lost = func(name string) { lost = append(lost, name) }
		start(e, g)
		time.Sleep(doubt)
		synctest.Wait()
		if !e.Owns(address(1)) || !slices.Equal(lost, []string{"b"}) {
			t.Errorf("owns: %v, lost %v", e.Owns(address(1)), lost)
		}
		// a takeover by majority is confirmed in time, without anything happening
		time.Sleep(confirmAfter)
		synctest.Wait()
		if n := len(g.claims); n != 2 || g.claims[0].Standing != lb.Pending || g.claims[1].Standing != lb.Confirmed {
			t.Errorf("claims %+v", g.claims)
		}
	})
}
