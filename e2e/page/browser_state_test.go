package page

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/page"
	"github.com/fairlead-lb/fairlead/internal/page/pagetest"
)

// madeUp is a cluster of 10 nodes and 3 routers in which node7 was lost 42 s ago, a foreign host uses an address, node3
// is drained, and 2 Services wait. What is made up more of are Services, in so many namespaces as a real cluster has.
func madeUp(services int) *page.State {
	now := time.Now()
	ago := func(d time.Duration) int64 { return now.Add(-d).UnixMilli() }
	s := page.NewState()
	s.About = page.About{Version: "v1.0.0", Controller: "fairlead-controller-7c9d5bd8f4-x2v6q", Leader: "fairlead-controller-7c9d5bd8f4-x2v6q", Leads: true, Started: ago(26 * time.Hour)}
	madeUpPools(s, services, ago)
	madeUpNodes(s, ago)
	madeUpServices(s, services, ago)
	for name, n := range s.Nodes {
		n.Owned = 0
		for _, service := range s.Services {
			for _, a := range service.Addresses {
				if a.Owner == name {
					n.Owned++
				}
			}
		}
		s.Nodes[name] = n
	}
	return s
}

func madeUpPools(s *page.State, services int, ago func(time.Duration) int64) {
	total := max(254, services+100)
	s.Pools["edge"] = page.Pool{Name: "edge", Ranges: []string{"198.51.100.0/24", "2001:db8:51::/64"}, Modes: []string{page.Layer2, page.BGP},
		IPv4: &page.Family{Total: strconv.Itoa(total), Assigned: int64(services - 26), Available: strconv.Itoa(total - services + 26), First: "198.51.100.1", Last: "198.51.100.254"},
		IPv6: &page.Family{Total: "18446744073709551616", Assigned: int64(services / 4), Available: "18446744073709551566", First: "2001:db8:51::", Last: "2001:db8:51::ffff:ffff:ffff:ffff"}}
	s.Pools["payments"] = page.Pool{Name: "payments", Ranges: []string{"203.0.113.16/28", "203.0.113.64-203.0.113.71"}, Modes: []string{page.BGP}, For: "the namespace payments",
		IPv4: &page.Family{Total: "24", Assigned: 24, Available: "0", First: "203.0.113.16", Last: "203.0.113.71"}}
	s.Pools["office"] = page.Pool{Name: "office", Ranges: []string{"192.0.2.200-192.0.2.250"}, Modes: []string{page.Layer2}, OnRequest: true,
		IPv4: &page.Family{Total: "51", Assigned: 0, Retained: 2, Available: "49", First: "192.0.2.200", Last: "192.0.2.250"}}
	var edge, payments []page.Step
	for i := range 48 {
		at := ago(24*time.Hour - time.Duration(i)*30*time.Minute)
		wave := []int{0, 2, 5, 9, 12, 14, 15, 15, 13, 10, 6, 3, 1}[i%13]
		edge = append(edge, page.Step{at, int64(max(0, services-26-48+i-wave)), int64(max(0, services/4-12+i/4))})
		payments = append(payments, page.Step{at, int64(min(24, 15+i/4)), 0})
	}
	edge = append(edge, page.Step{ago(90 * time.Second), int64(services - 26), int64(services / 4)})
	s.Usage["edge"], s.Usage["payments"], s.Usage["office"] = edge, payments, []page.Step{{ago(24 * time.Hour), 0, 0}}
}

const lostNode, drainedNode = "node7", "node3"

func madeUpNodes(s *page.State, ago func(time.Duration) int64) {
	for i := range 3 {
		name := []string{"tor-a", "tor-b", "wan"}[i]
		s.Peers[name] = page.Peer{Name: name, Address: []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"}[i], ASN: []string{"64513", "64513", "64520"}[i], MyASN: "64512", Nodes: 10, Established: 9}
	}
	for i := 1; i <= 10; i++ {
		name := fmt.Sprintf("node%d", i)
		n := page.Node{Name: name, Ready: true, Speaker: page.Running, Version: "v1.0.0", Members: 9}
		for p := range s.Peers {
			session := page.Session{Node: name, Peer: p, State: "Established", Since: ago(time.Duration(i*7+20) * time.Hour), Prefixes: 174}
			if p == "tor-a" || p == "tor-b" {
				session.BFD = "Up"
			}
			if name == "node9" && p == "wan" {
				session = page.Session{Node: name, Peer: p, State: "Active", Since: ago(11 * time.Minute), LastError: "connecting to 2001:db8::1: connection refused", LastErrorTime: ago(11 * time.Minute)}
			}
			if name == lostNode {
				session.Stale = true
			}
			s.Sessions[name+"/"+p] = session
		}
		switch name {
		case lostNode:
			n.Ready, n.Why = false, "Kubelet stopped posting node status."
			n.Speaker, n.SpeakerWhy, n.Members = page.Lost, "not heard by the other speakers since the node was lost", 0
			n.Suppressed = &page.Suppression{Until: ago(-14 * time.Minute), Penalty: 2710, By: []string{"node1", "node2", "node4"}}
		case drainedNode:
			n.Holds = []page.Hold{{Kind: page.Draining, Why: "annotation fairlead.dev/drain"}, {Kind: page.Cordoned, Why: "kubectl cordon"}}
		}
		s.Nodes[name] = n
	}
	routes := []string{"tor-a", "tor-b"}
	s.Routes["everything"] = page.Route{Nodes: 8, Peers: routes}
	takeover := func(age time.Duration, node, from, cause, reason string, count, duration int, first int) {
		t := page.Takeover{Time: ago(age), Node: node, From: from, Cause: cause, Reason: reason, Count: count, Duration: duration}
		for i := range min(count, 16) {
			t.Addresses = append(t.Addresses, fmt.Sprintf("198.51.100.%d", first+i*9))
		}
		s.Takeovers[fmt.Sprintf("%s@%d", node, t.Time)] = t
	}
	takeover(42*time.Second, "node2", lostNode, "Lost", "", 9, 187, 7)
	takeover(42*time.Second-30*time.Millisecond, "node10", lostNode, "Lost", "", 8, 211, 12)
	takeover(43*time.Second, "node5", lostNode, "Lost", "", 7, 204, 15)
	takeover(19*time.Minute, "node8", drainedNode, "Moved", "drained", 12, 0, 3)
	takeover(19*time.Minute-200*time.Millisecond, "node1", drainedNode, "Moved", "drained", 11, 0, 4)
	takeover(3*time.Hour+12*time.Minute, lostNode, "node4", "Left", "the speaker was upgraded", 2, 0, 30)
	takeover(5*time.Hour+2*time.Minute, "node6", "node2", "Rebalanced", "", 5, 0, 41)
	takeover(9*time.Hour, "node4", "node1", "Settled", "both had announced it", 1, 340, 60)
	takeover(26*time.Hour, "node2", lostNode, "Lost", "", 20, 196, 5)
	s.Conflicts["198.51.100.44@node6"] = page.Conflict{Address: "198.51.100.44", Node: "node6", Interface: "eth0", HardwareAddress: "52:54:00:9f:11:3c", Service: "shop/web-43", Since: ago(6 * time.Minute)}
	s.Problems["BGPPeer/wan/Ready"] = page.Problem{Kind: "BGPPeer", Name: "wan", Severity: page.Warning, Reason: "NoBFDProfile", Message: "bfdProfile fast: there is no such BFDProfile; the sessions are without BFD", Since: ago(2 * time.Hour)}
}

func madeUpServices(s *page.State, services int, ago func(time.Duration) int64) {
	namespaces := []string{"shop", "shop", "media", "monitoring", "payments", "default", "ci", "media"}
	kinds := []string{"web", "api", "cache", "queue", "edge", "mail", "dns"}
	waits := 2
	for i := range services {
		service := page.Service{Namespace: namespaces[i%len(namespaces)], Name: fmt.Sprintf("%s-%d", kinds[i%len(kinds)], i), Status: page.Assigned, Reason: "Assigned",
			Created: ago(time.Duration(i+1) * 41 * time.Minute), Since: ago(time.Duration(i+1) * 41 * time.Minute), Local: i%11 == 0}
		owner := fmt.Sprintf("node%d", i%10+1)
		pool, address := "edge", net.IPv4(198, 51, byte(100+(i+1)/256), byte(i+1)).String()
		from, since, cause := "", service.Since, "Elected"
		if owner == lostNode || owner == drainedNode {
			from, cause = owner, "Lost"
			since = ago(42 * time.Second)
			if owner == drainedNode {
				cause, since = "Moved", ago(19*time.Minute)
			}
			owner = []string{"node2", "node10", "node5", "node8", "node1"}[i/10%5]
			if from == drainedNode && i < 30 {
				owner, from = drainedNode, ""
			}
		}
		a := page.Address{Address: address, Pool: pool, Layer2: true, Owner: owner, Since: since, From: from, Cause: cause}
		if service.Namespace == "payments" && i/8 < 24 {
			a = page.Address{Address: fmt.Sprintf("203.0.113.%d", 16+i/8), Pool: "payments", Routes: []string{"everything"}}
		}
		service.Message = fmt.Sprintf("%s from pool %s", a.Address, a.Pool)
		service.Addresses = []page.Address{a}
		if i%4 == 1 {
			v6 := a
			v6.Address = fmt.Sprintf("2001:db8:51::%x", i+1)
			service.Addresses = append(service.Addresses, v6)
		}
		if service.Namespace == "payments" && i/8 >= 22 && waits > 0 {
			waits--
			service.Status, service.Reason, service.Addresses = page.Pending, "PoolExhausted", nil
			service.Message = "pool payments: exhausted, 24 of 24 IPv4 addresses in use"
			service.Since = ago(time.Duration(8+waits*3) * time.Minute)
		}
		if i == 77 {
			service.Status, service.Reason = page.Partial, "FamilyMissing"
			service.Message = "198.51.100.78 from pool edge; nothing more, as the Service asks for IPv6 from pool office, which has no IPv6 addresses"
		}
		s.Services[service.Namespace+"/"+service.Name] = service
	}
}

// calm is a cluster in which nothing is wrong.
func calm() *page.State {
	s := madeUp(40)
	s.Conflicts, s.Problems = map[string]page.Conflict{}, map[string]page.Problem{}
	delete(s.Pools, "payments")
	for key, session := range s.Sessions {
		session.Stale, session.State, session.LastError = false, "Established", ""
		s.Sessions[key] = session
	}
	for name, n := range s.Nodes {
		s.Nodes[name] = page.Node{Name: name, Ready: true, Speaker: page.Running, Version: n.Version, Members: 10, Owned: n.Owned}
	}
	for key, service := range s.Services {
		if service.Status != page.Assigned {
			delete(s.Services, key)
		}
	}
	return s
}

// serve serves a state as the controller does, and returns its source and origin.
func serve(t testing.TB, state *page.State) (*pagetest.Source, string) {
	t.Helper()
	source := pagetest.New(state)
	origin, _ := serveAt(t, source, "127.0.0.1:0")
	return source, origin
}

// serveAt serves a source until stop is called.
func serveAt(t testing.TB, source *pagetest.Source, address string) (origin string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := page.New(source)
	mux := http.NewServeMux()
	mux.Handle(page.Path, p)
	server := &http.Server{Handler: mux}
	var tasks sync.WaitGroup
	tasks.Go(func() { _ = p.Run(ctx) })
	tasks.Go(func() { _ = server.Serve(listener) })
	stop = sync.OnceFunc(func() {
		cancel()
		server.Close()
		tasks.Wait()
	})
	t.Cleanup(stop)
	return "http://" + listener.Addr().String(), stop
}
