package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// mesh is one router that others, which play nodes, tell of the same two addresses.
func mesh(ctx context.Context, t *testing.T, l *Lab, software Software) (hub *Router, nodes []*Router) {
	t.Helper()
	service := []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32"), netip.MustParsePrefix("2001:db8:51::1/128")}
	name := strings.ToLower(string(software))
	hub, err := l.NewRouter("hub-"+name, software)
	if err != nil {
		t.Fatal(err)
	}
	hubSpeaks := BGP{ASN: 64500}
	for i, software := range []Software{FRR, BIRD} {
		n, err := l.NewRouter(fmt.Sprintf("%s-%d", name, i), software)
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
		for _, families := range []struct {
			name      string
			hub, node netip.Addr
		}{{"v4", hub.V4, n.V4}, {"v6", hub.V6, n.V6}} {
			hubSpeaks.Peers = append(hubSpeaks.Peers, Peer{Name: fmt.Sprintf("n%d%s", i, families.name), Address: families.node, ASN: 64512, BFD: true})
		}
		err = n.Speak(ctx, BGP{ASN: 64512, Originate: service, Peers: []Peer{
			{Name: "v4", Address: hub.V4, ASN: 64500, Active: true, BFD: true},
			{Name: "v6", Address: hub.V6, ASN: 64500, Active: true, BFD: true},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := hub.Speak(ctx, hubSpeaks); err != nil {
		t.Fatal(err)
	}
	if err := hub.AwaitEstablished(ctx, "n0v4", "n0v6", "n1v4", "n1v6"); err != nil {
		t.Fatal(err)
	}
	return hub, nodes
}

func TestRoutersSpeakBGP(t *testing.T) {
	for _, software := range []Software{FRR, BIRD} {
		t.Run(string(software), func(t *testing.T) {
			ctx, l := sharedLab(t)
			begin := time.Now()
			hub, nodes := mesh(ctx, t, l, software)
			t.Logf("established after %s", time.Since(begin).Round(time.Millisecond))
			for _, prefix := range []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32"), netip.MustParsePrefix("2001:db8:51::1/128")} {
				want := []netip.Addr{nodes[0].V4, nodes[1].V4}
				if prefix.Addr().Is6() {
					want = []netip.Addr{nodes[0].V6, nodes[1].V6}
				}
				watch, err := hub.WatchRoutes(prefix)
				if err != nil {
					t.Fatal(err)
				}
				// Where FRR is told a link-local next hop beside the global one, it prefers that.
				err = wait(ctx, fmt.Sprintf("two next hops to %s", prefix), func(context.Context) (bool, error) {
					events := watch.Events()
					last := events[len(events)-1].NextHops
					return len(last) == 2, fmt.Errorf("it is via %v", last)
				})
				if err != nil {
					t.Error(err)
				}
				if err := watch.Stop(); err != nil {
					t.Error(err)
				}
				paths, err := hub.Paths(ctx, prefix)
				if err != nil || len(paths) != 2 {
					t.Fatalf("%v: %v", paths, err)
				}
				for i, p := range paths {
					if p.NextHop != want[i] || !slices.Equal(p.ASPath, []uint32{64512}) {
						t.Errorf("%s, want it via %s", p, want[i])
					}
				}
			}
			counts, err := hub.Received(ctx)
			if err != nil || counts["n0v4"] != 1 || counts["n1v6"] != 1 || len(counts) != 4 {
				t.Errorf("received %v: %v", counts, err)
			}
			for _, name := range []string{"n0v4", "n0v6", "n1v4", "n1v6"} {
				err := wait(ctx, "BFD to be up", func(ctx context.Context) (bool, error) {
					s, err := hub.Peer(ctx, name)
					return strings.EqualFold(s.BFD, "up"), err
				})
				if err != nil {
					t.Error(err)
				}
				s, err := hub.Peer(ctx, name)
				if err != nil || s.ASN != 64512 || s.Hold <= 0 || s.Keepalive <= 0 || len(s.Families) != 1 || !s.GracefulRestart || s.UpdatesReceived == 0 {
					t.Errorf("%+v: %v", s, err)
				}
			}
			spread(ctx, t, l, hub, nodes)
			cutOne(ctx, t, l, hub, nodes)
			for _, r := range append(nodes, hub) {
				if err := r.Kill(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// spread has a client beyond the router connect to a service address often; each of the nodes gets some.
func spread(ctx context.Context, t *testing.T, l *Lab, hub *Router, nodes []*Router) {
	t.Helper()
	client, err := l.NewOutsideClient("beyond-"+hub.Name, hub)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"198.51.100.1", "2001:db8:51::1"} {
		for _, n := range nodes {
			if _, err := n.Run(ctx, "ip", "address", "add", address, "dev", "lo", "nodad"); err != nil {
				t.Fatal(err)
			}
			if err := l.LeadOutside(n.Host, hub); err != nil {
				t.Fatal(err)
			}
			listener, err := n.Listen(ctx, "tcp", net.JoinHostPort(address, "80"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { listener.Close() })
			go func() {
				for {
					c, err := listener.Accept()
					if err != nil {
						return
					}
					_, _ = io.WriteString(c, n.Name)
					c.Close()
				}
			}()
		}
		seen := map[string]int{}
		for range 60 {
			c, err := client.DialContext(ctx, "tcp", net.JoinHostPort(address, "80"))
			if err != nil {
				t.Fatal(err)
			}
			name, _ := io.ReadAll(c)
			c.Close()
			seen[string(name)]++
		}
		if len(seen) != 2 || seen[nodes[0].Name] < 10 || seen[nodes[1].Name] < 10 {
			t.Errorf("%s was answered by %v", address, seen)
		}
	}
}

// cutOne cuts a node's cable: by BFD the router forgets it soon.
func cutOne(ctx context.Context, t *testing.T, l *Lab, hub *Router, nodes []*Router) {
	t.Helper()
	prefix := netip.MustParsePrefix("198.51.100.1/32")
	watch, err := hub.WatchRoutes(prefix)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	cut := time.Now()
	if err := l.Cut(nodes[1].Host, SwitchSide); err != nil {
		t.Fatal(err)
	}
	at, err := watch.Await(ctx, prefix, cut, nodes[0].V4)
	if took := at.Sub(cut); err != nil || took > time.Second {
		t.Errorf("the next hop went after %s: %v", took, err)
	} else {
		t.Logf("the next hop went after %s", took.Round(time.Millisecond))
	}
	if err := l.Restore(nodes[1].Host); err != nil {
		t.Fatal(err)
	}
}

func TestUnnumberedRouters(t *testing.T) {
	ctx, l := sharedLab(t)
	a, err := l.NewRouter("unnumbered-frr", FRR)
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.NewRouter("unnumbered-bird", BIRD)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Link(a.Host, "rack0", b.Host, "rack0"); err != nil {
		t.Fatal(err)
	}
	prefix := netip.MustParsePrefix("198.51.100.7/32")
	if err := a.Speak(ctx, BGP{ASN: 64500, Originate: []netip.Prefix{prefix}, Peers: []Peer{{Name: "other", Interface: "rack0", Active: true}}}); err != nil {
		t.Fatal(err)
	}
	if err := b.Speak(ctx, BGP{ASN: 64512, Lines: []string{Advertising("rack0")}, Peers: []Peer{{Name: "other", Interface: "rack0"}}}); err != nil {
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(ctx, 12*time.Second)
	defer cancel()
	if err := a.AwaitEstablished(limited, "other"); err != nil {
		said, _ := b.Command(ctx, "show protocols all")
		heard, _ := a.Command(ctx, "show interface rack0")
		t.Fatalf("%v\n%s\n%s", err, said, heard)
	}
	err = wait(ctx, "an IPv4 prefix with an IPv6 next hop", func(ctx context.Context) (bool, error) {
		hops, err := b.NextHops(prefix)
		return len(hops) == 1 && hops[0].Is6(), err
	})
	if err != nil {
		t.Error(err)
	}
	for _, r := range []*Router{a, b} {
		s, err := r.Peer(ctx, "other")
		if err != nil || !s.Established || !s.ExtendedNextHop || len(s.Families) != 2 {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if err := errors.Join(a.Kill(), b.Kill()); err != nil {
		t.Error(err)
	}
	if err := l.Unlink(a.Host, "rack0"); err != nil {
		t.Error(err)
	}
}
