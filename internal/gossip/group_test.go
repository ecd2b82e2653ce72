package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus"
)

// speaker is a Group that runs on a loopback address of its own.
type speaker struct {
	*Group
	name  string
	stop  context.CancelFunc
	ended chan error
	kicks chan struct{}
	seen  lb.GossipUpdate // all that was taken so far
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func loopback(i int) netip.Addr { return netip.AddrFrom4([4]byte{127, 0, 0, byte(i)}) }

func start(t *testing.T, i, port int, key string, peers ...netip.Addr) *speaker {
	t.Helper()
	s := &speaker{name: fmt.Sprint("n", i), ended: make(chan error, 1), kicks: make(chan struct{}, 1)}
	g, err := New(Config{
		Node: s.name, Address: loopback(i), Port: port, Key: []byte(key), Log: slog.New(slog.DiscardHandler),
		Metrics: prometheus.NewRegistry(),
		Kick: func() {
			select {
			case s.kicks <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Group = g
	g.SetPeers(peers)
	g.SetState(lb.NodeState{Interfaces: []lb.Interface{{Name: "eth0", Prefixes: []netip.Prefix{netip.PrefixFrom(loopback(i), 8)}}}})
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	go func() { s.ended <- g.Run(ctx) }()
	t.Cleanup(func() { s.quit(t) })
	return s
}

func (s *speaker) quit(t *testing.T) {
	if s.stop == nil {
		return
	}
	s.stop()
	s.stop = nil
	if err := <-s.ended; err != nil {
		t.Errorf("%s ended: %v", s.name, err)
	}
}

// await waits until what was taken so far satisfies a condition.
func (s *speaker) await(t *testing.T, what string, ok func(lb.GossipUpdate) bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		u := s.Take()
		s.seen.Joined = append(s.seen.Joined, u.Joined...)
		s.seen.Left = append(s.seen.Left, u.Left...)
		s.seen.Lost = append(s.seen.Lost, u.Lost...)
		s.seen.Claims = append(s.seen.Claims, u.Claims...)
		if ok(s.seen) {
			return
		}
		select {
		case <-s.kicks:
		case <-deadline:
			t.Fatalf("%s: %s did not come; seen %+v", s.name, what, s.seen)
		}
	}
}

func joined(names ...string) func(lb.GossipUpdate) bool {
	return func(u lb.GossipUpdate) bool {
		for _, n := range names {
			if !slices.ContainsFunc(u.Joined, func(s lb.NodeState) bool { return s.Node == n && len(s.Interfaces) == 1 }) {
				return false
			}
		}
		return true
	}
}

func TestGroup(t *testing.T) {
	port := freePort(t)
	all := []netip.Addr{loopback(1), loopback(2), loopback(3)}
	// a key of any length
	a := start(t, 1, port, "k", all...)
	b := start(t, 2, port, "k", all...)
	a.await(t, "n2", joined("n2"))
	b.await(t, "n1", joined("n1"))

	claim := lb.Claim{Address: netip.MustParseAddr("2001:db8::1"), Node: "n1", Epoch: 7, Standing: lb.Pending}
	a.Publish([]lb.Claim{claim})
	b.await(t, "n1's claim", func(u lb.GossipUpdate) bool { return slices.Contains(u.Claims, claim) })

	// who comes later hears all
	c := start(t, 3, port, "k", all...)
	c.await(t, "what the others know", func(u lb.GossipUpdate) bool { return slices.Contains(u.Claims, claim) })
	c.await(t, "n1 and n2", joined("n1", "n2"))
	a.await(t, "n3", joined("n3"))
	if got := a.Members(); !slices.Equal(got, []string{"n1", "n2", "n3"}) {
		t.Errorf("members %v", got)
	}

	c.quit(t)
	a.await(t, "n3's good-bye", func(u lb.GossipUpdate) bool { return slices.Contains(u.Left, "n3") })

	// who starts anew is believed at once, although its versions begin anew too
	c = start(t, 3, port, "k", all...)
	c.SetState(lb.NodeState{Interfaces: []lb.Interface{{Name: "eth1"}}})
	a.await(t, "n3's new state", func(u lb.GossipUpdate) bool {
		return slices.ContainsFunc(u.Joined, func(s lb.NodeState) bool {
			return s.Node == "n3" && len(s.Interfaces) == 1 && s.Interfaces[0].Name == "eth1"
		})
	})
}

func TestWrongKeyCannotJoin(t *testing.T) {
	port := freePort(t)
	all := []netip.Addr{loopback(1), loopback(2)}
	a := start(t, 1, port, "right", all...)
	b := start(t, 2, port, "wrong", all...)
	a.await(t, "itself", func(lb.GossipUpdate) bool { return slices.Equal(a.Members(), []string{"n1"}) })
	b.await(t, "itself", func(lb.GossipUpdate) bool { return slices.Equal(b.Members(), []string{"n2"}) })
	b.Publish([]lb.Claim{{Address: netip.MustParseAddr("192.0.2.1"), Node: "n2", Epoch: 9}})
	// three rounds of joining on both sides
	<-time.After(3 * joinInterval)
	for _, s := range []*speaker{a, b} {
		if m, u := s.Members(), s.Take(); len(m) != 1 || len(u.Joined)+len(u.Claims) > 0 || s.Joined() {
			t.Errorf("%s: members %v, update %+v, joined %v", s.name, m, u, s.Joined())
		}
	}
}

func TestForgetsNodesThatAreGone(t *testing.T) {
	tab := newTable("n0", 1)
	for i := range 10_000 {
		name := fmt.Sprint("n", i+1)
		tab.join(name)
		tab.merge(content{states: []lb.NodeState{{Node: name, Version: 1}}, suspicions: []lb.Suspicion{{Node: name, Version: 2}}})
		tab.leave(name)
		tab.part(name)
		tab.leave("nobody" + name)
	}
	if c := tab.all(); len(c.states) > 0 || len(tab.states) > 100 || len(tab.leaving) > 0 || len(tab.suspicions) > 100 {
		t.Errorf("hands on %d states, keeps %d, %d of them leaving, %d suspected", len(c.states), len(tab.states), len(tab.leaving), len(tab.suspicions))
	}
}

// A node with more interfaces than fit a packet is known to the others all the same.
func TestLargeState(t *testing.T) {
	port := freePort(t)
	all := []netip.Addr{loopback(1), loopback(2)}
	a, b := start(t, 1, port, "k", all...), start(t, 2, port, "k", all...)
	b.await(t, "n1", joined("n1"))
	a.await(t, "n2", joined("n2")) // whom it does not know it cannot tell, but by the regular exchange
	var many []lb.Interface
	for i := range 200 {
		many = append(many, lb.Interface{Name: fmt.Sprint("vlan", i), Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::1/64")}})
	}
	a.SetState(lb.NodeState{Interfaces: many})
	b.await(t, "200 interfaces", func(u lb.GossipUpdate) bool {
		return slices.ContainsFunc(u.Joined, func(s lb.NodeState) bool { return s.Node == "n1" && len(s.Interfaces) == len(many) })
	})
}

func TestEmptyKey(t *testing.T) {
	for _, key := range []string{"", " \n"} {
		if _, err := New(Config{Key: []byte(key)}); err == nil || !strings.Contains(err.Error(), "empty") {
			t.Errorf("key %q: %v", key, err)
		}
	}
}

func TestMerge(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.1")
	old, new := lb.Claim{Address: vip, Node: "n1", Epoch: 1}, lb.Claim{Address: vip, Node: "n2", Epoch: 2}
	for name, order := range map[string][]lb.Claim{"in order": {old, new}, "out of order": {new, old}, "again and again": {old, new, old, new}} {
		tab := newTable("n0", 1)
		for _, c := range order {
			tab.merge(content{claims: []lb.Claim{c}})
		}
		if got := tab.claims[vip]; got != new {
			t.Errorf("%s: %+v counts", name, got)
		}
	}
}

func TestEncoding(t *testing.T) {
	states := []lb.NodeState{{Node: "n1", Version: 3, Interfaces: []lb.Interface{
		{Name: "eth0", Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("2001:db8::1/64")}}, {Name: "eth1", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}}, Starting: true,
		Penalty: lb.Penalty{Value: 1500, At: time.UnixMilli(1e12), Reuse: time.UnixMilli(1e12 + 5)}}}
	suspicions := []lb.Suspicion{{Node: "n1", Version: 3, Silent: true, Unheard: 183 * time.Millisecond}, {Node: "n2", Version: 9}}
	offers := []lb.Offer{{Address: netip.MustParseAddr("192.0.2.9"), To: "n3", Epoch: 4}}
	claims := []lb.Claim{{Address: netip.MustParseAddr("192.0.2.9"), Epoch: 5}, {Address: netip.MustParseAddr("2001:db8::9"), Node: "n1", Epoch: 1, Standing: lb.Provisional}}
	b, err := encode(content{states: states, claims: claims, suspicions: suspicions, offers: offers})
	if err != nil {
		t.Fatal(err)
	}
	c, err := decode(b)
	if err != nil || fmt.Sprint(c.states) != fmt.Sprint(states) || !slices.Equal(c.claims, claims) || !slices.Equal(c.suspicions, suspicions) || !slices.Equal(c.offers, offers) {
		t.Errorf("decoded %+v %v", c, err)
	}
}

// What is said of claims at once fits a packet, whatever their names are, and all is said.
func TestClaimsFitPackets(t *testing.T) {
	long := strings.Repeat("n", 253)
	for _, c := range []lb.Claim{
		{Node: "n1"}, {Node: long}, {Node: long, Asking: true, Standing: lb.Provisional}, {Of: lb.Key{Namespace: "default", Name: "web"}},
		{Of: lb.Key{Namespace: long[:63], Name: long}},
	} {
		var claims []lb.Claim
		for a := netip.MustParseAddr("2001:db8::"); len(claims) < 100; a = a.Next() {
			c.Address, c.Epoch = a, maxCount
			claims = append(claims, c)
		}
		said := 0
		for _, list := range inMessages(claims, packetOctets) {
			b, err := encode(content{claims: list})
			if said += len(list); err != nil || len(b) > packetOctets {
				t.Errorf("%d like %+v take %d octets, %v", len(list), c, len(b), err)
			}
		}
		if said != len(claims) {
			t.Errorf("%d of %d are said", said, len(claims))
		}
	}
}

// memberlist hands out its own values, and writes to them whenever a member says that it is alive: what is read of
// them beside it is for the race detector to find.
func TestMembersAreReadWhileTheyChange(t *testing.T) {
	port := freePort(t)
	a := start(t, 1, port, "k", loopback(2))
	b := start(t, 2, port, "k", loopback(1))
	a.await(t, "n2", joined("n2"))
	b.await(t, "n1", joined("n1"))
	said := make(chan struct{})
	go func() {
		defer close(said)
		for range 20 {
			if err := b.list.Load().UpdateNode(10 * time.Second); err != nil { // says that it is alive
				t.Error(err)
				return
			}
		}
	}()
	for read := false; !read; {
		select {
		case <-said:
			read = true
		default:
		}
		if at := a.Addresses()["n2"]; at != loopback(2) {
			t.Fatalf("n2 is at %s", at)
		}
		if missing := a.missing(); len(missing) > 0 {
			t.Fatalf("misses %s", missing)
		}
		a.Publish([]lb.Claim{{Address: loopback(3), Node: "n1", Epoch: 1}})
		a.SetState(lb.NodeState{})
		a.Suspect("n2", false, 0)
		time.Sleep(time.Millisecond) // or there is no processor left for memberlist to say it on
	}
}
