package lab

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWhoHas(t *testing.T) {
	ctx, l := sharedLab(t)
	client := l.Client(1)
	for _, test := range []struct {
		name    string
		address netip.Addr
		want    []net.HardwareAddr
	}{
		{"a node's own v4 address", l.Node(1).V4, []net.HardwareAddr{l.Node(1).MAC}},
		{"a node's own v6 address", l.Node(1).V6, []net.HardwareAddr{l.Node(1).MAC}},
		{"a v4 address nobody has", netip.MustParseAddr("192.0.2.250"), nil},
		{"a v6 address nobody has", netip.MustParseAddr("2001:db8::2ff"), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := client.Answerers(ctx, test.address, 200*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(test.want) || len(got) == 1 && got[0].String() != test.want[0].String() {
				t.Errorf("%v answered, want %v", got, test.want)
			}
		})
	}
}

// Two nodes with one address: what WhoHas is there to see.
func TestWhoHasSeesEveryAnswer(t *testing.T) {
	ctx, l := sharedLab(t)
	for _, address := range []netip.Addr{netip.MustParseAddr("192.0.2.240"), netip.MustParseAddr("2001:db8::240")} {
		for _, n := range l.Nodes {
			if err := n.ns.addAddress(n.eth0, single(address)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := n.ns.removeAddress(n.eth0, single(address)); err != nil {
					t.Error(err)
				}
			})
		}
		// A new v6 address answers once the kernel has joined its solicited-node group, a moment later.
		var names map[string]bool
		err := wait(ctx, "node1 and node2 to answer for "+address.String(), func(ctx context.Context) (bool, error) {
			answers, err := l.Client(1).WhoHas(ctx, address, 100*time.Millisecond)
			names = map[string]bool{}
			for _, a := range answers {
				if a.MAC.String() != a.Source.String() {
					t.Errorf("%s answers for %s", a.Source, a.MAC)
				}
				names[l.HostByMAC(a.MAC).Name] = true
			}
			return names["node1"] && names["node2"], err
		})
		if err != nil || len(names) != 2 {
			t.Errorf("%v answered: %v", names, err)
		}
	}
}

func TestNeighborCache(t *testing.T) {
	ctx, l := sharedLab(t)
	client, node := l.Client(1), l.Node(1)
	deploy(ctx, t, l, Backend{Name: "cache", Node: "node1", HostNetwork: true})
	for _, ip := range []netip.Addr{node.V4, node.V6} {
		if err := client.FlushNeighbor(ip); err != nil {
			t.Fatal(err)
		}
		if n, found, err := client.Neighbor(ip); err != nil || found {
			t.Fatalf("after the flush: %+v, %v", n, err)
		}
		if _, err := client.Ask(ctx, "tcp", netip.AddrPortFrom(ip, BackendPort)); err != nil {
			t.Fatal(err)
		}
		n, found, err := client.Neighbor(ip)
		if err != nil || !found {
			t.Fatalf("no entry for %s: %v", ip, err)
		}
		if n.MAC.String() != node.MAC.String() || n.State&(unix.NUD_REACHABLE|unix.NUD_DELAY|unix.NUD_STALE) == 0 {
			t.Errorf("%+v (%s), want %s", n, n.State, node.MAC)
		}
	}
}

// hasRouter tells whether a host is a router or has one for its default route.
func (l *Lab) hasRouter(h *Host) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Contains(l.outside, h) || slices.ContainsFunc(l.routers, func(r *Router) bool { return r.Host == h })
}

func TestNoWayOut(t *testing.T) {
	ctx, l := sharedLab(t)
	for _, h := range l.hosts() {
		for _, address := range []string{"198.51.100.1:53", "[2001:db8:ffff::1]:53"} {
			if l.hasRouter(h) {
				continue // it is there to have routes, to the lab's other hosts
			}
			if conn, err := h.DialContext(ctx, "udp", address); err == nil {
				conn.Close()
				t.Errorf("%s has a route to %s", h.Name, address)
			}
		}
		links, err := h.Run(ctx, "ip", "-br", "link")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(links) {
			name, _, _ := strings.Cut(strings.Fields(line)[0], "@")
			if name != "lo" && name != "eth0" && name != "pods0" && (name != "eth1" || !l.hasRouter(h)) {
				t.Errorf("%s has the link %s", h.Name, name)
			}
		}
	}
}
