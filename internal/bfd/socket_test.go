package bfd

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// On a real socket: two nodes on the loopback interface find each other, and one that has gone, which answers with
// ICMP port unreachable, does not harm the session with the third.
func TestSockets(t *testing.T) {
	const port = 47957
	nodes := map[string]netip.Addr{}
	for _, n := range []string{"a", "b", "c"} {
		nodes[n] = netip.AddrFrom4([4]byte{127, 0, 83, n[0]})
	}
	events := map[string]chan Event{}
	stop := map[string]func(){}
	for name, local := range nodes {
		changed := make(chan Event, 16)
		events[name] = changed
		m, err := NewMesh(Config{
			Local: netip.AddrPortFrom(local, port), Key: []byte("k"), Timing: Timing{20 * time.Millisecond, 5},
			Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Changed: func(e Event) { changed <- e },
		})
		if err != nil {
			t.Fatal(err)
		}
		m.SetPeers(nodes) // itself is left out
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- m.Run(ctx) }()
		stop[name] = func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	expect := func(of, peer string, up bool) Event {
		t.Helper()
		select {
		case e := <-events[of]:
			if e.Up != up || peer != "" && e.Peer != peer {
				t.Fatalf("%s reported %+v", of, e)
			}
			return e
		case <-time.After(10 * time.Second):
			t.Fatalf("%s reported nothing", of)
		}
		return Event{}
	}
	for _, n := range []string{"a", "a", "b", "b", "c", "c"} {
		expect(n, "", true)
	}
	stop["c"]()
	for _, n := range []string{"a", "b"} {
		if e := expect(n, "c", false); e.Remote != AdministrativelyDown {
			t.Errorf("%s reported %+v", n, e)
		}
	}
	select {
	case e := <-events["a"]:
		t.Errorf("a reported %+v", e)
	case <-time.After(300 * time.Millisecond): // of real time: it is the kernel that is asked
	}
	stop["a"]()
	expect("b", "a", false)
	stop["b"]()
}

func TestSocketOptions(t *testing.T) {
	for _, tt := range []struct {
		name, local       string
		level, ttl, class int
	}{
		{"IPv4", "127.0.83.1:47960", unix.IPPROTO_IP, unix.IP_TTL, unix.IP_TOS},
		{"IPv6", "[::1]:47960", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_TCLASS},
	} {
		t.Run(tt.name, func(t *testing.T) {
			local := netip.MustParseAddrPort(tt.local)
			c, err := listen(local)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			fd := c.(*socket).fd
			for option, want := range map[int]int{tt.ttl: 255, tt.class: 0xc0} {
				if got, err := unix.GetsockoptInt(fd, tt.level, option); err != nil || got != want {
					t.Errorf("option %d is %d, %v, want %d", option, got, err, want)
				}
			}
			b := make([]byte, receiveOctets)
			if _, _, _, err := c.receive(b); !errors.Is(err, errNone) {
				t.Errorf("error %v of an empty socket", err)
			}
			sent := time.Now()
			if err := c.send([]byte("x"), local); err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond) // of real time: the kernel is to say when it came, not when it is read
			n, from, at, err := c.receive(b)
			if err != nil || n != 1 || from != local {
				t.Fatalf("received %d octets from %s, %v", n, from, err)
			}
			if age := at.Sub(sent); age < -time.Millisecond || age > 15*time.Millisecond {
				t.Errorf("came %s after it was sent", age)
			}
		})
	}
}

func TestAddressInUse(t *testing.T) {
	c, err := listen(netip.MustParseAddrPort("127.0.83.1:47958"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	m, err := NewMesh(Config{
		Local: netip.MustParseAddrPort("127.0.83.1:47958"), Key: []byte("k"), Timing: Fast,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Run(t.Context()); err == nil {
		t.Error("no error")
	}
}
