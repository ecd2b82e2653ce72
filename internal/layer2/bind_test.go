package layer2

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

func TestPlanBindings(t *testing.T) {
	on := func(name string) binding { return binding{vip4, name} }
	links := map[string]int{"eth0": 1, "eth1": 2}
	tests := []struct {
		name        string
		want, bound []binding
		present     map[binding]bindingState
		renew       bool
		todo        string
	}{
		{name: "nothing wanted, nothing to do", renew: true},
		{name: "puts what is wanted, in order", want: []binding{on("eth1"), on("eth0")}, todo: "add eth0, add eth1"},
		{name: "leaves it until it is time to renew", want: []binding{on("eth0")}, bound: []binding{on("eth0")},
			present: map[binding]bindingState{on("eth0"): bindOurs}},
		{name: "renews it then", want: []binding{on("eth0")}, bound: []binding{on("eth0")},
			present: map[binding]bindingState{on("eth0"): bindOurs}, renew: true, todo: "renew eth0"},
		{name: "renews at once what a process before left", want: []binding{on("eth0")},
			present: map[binding]bindingState{on("eth0"): bindOurs}, todo: "renew eth0"},
		{name: "leaves alone what that left and nobody wants", present: map[binding]bindingState{on("eth0"): bindOurs}, renew: true},
		{name: "puts again what somebody removed", want: []binding{on("eth0")}, bound: []binding{on("eth0")}, todo: "add eth0"},
		{name: "removes what is wanted no more", bound: []binding{on("eth0")},
			present: map[binding]bindingState{on("eth0"): bindOurs}, todo: "remove eth0"},
		{name: "or wanted elsewhere", want: []binding{on("eth1")}, bound: []binding{on("eth0")},
			present: map[binding]bindingState{on("eth0"): bindOurs}, todo: "remove eth0, add eth1"},
		{name: "forgets what has gone by itself", bound: []binding{on("eth0")}, todo: "forget eth0"},
		{name: "does not touch somebody else's", want: []binding{on("eth0")},
			present: map[binding]bindingState{on("eth0"): bindForeign}, renew: true, todo: "refuse eth0"},
		{name: "nor what has become somebody else's", bound: []binding{on("eth0")},
			present: map[binding]bindingState{on("eth0"): bindForeign}, todo: "forget eth0"},
		{name: "waits for an interface", want: []binding{on("gone")}, bound: []binding{on("gone")}, renew: true, todo: "forget gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set := func(list []binding) map[binding]bool {
				m := map[binding]bool{}
				for _, b := range list {
					m[b] = true
				}
				return m
			}
			var got []string
			for _, o := range planBindings(set(tt.want), set(tt.bound), tt.present, links, tt.renew) {
				got = append(got, fmt.Sprintf("%s %s", o.kind, o.name))
			}
			if s := strings.Join(got, ", "); s != tt.todo {
				t.Errorf("%q, want %q", s, tt.todo)
			}
		})
	}
}

// safeBuffer is a log.
type safeBuffer struct {
	ch chan struct{}
	b  bytes.Buffer
}

func newLog() (*safeBuffer, *slog.Logger) {
	b := &safeBuffer{ch: make(chan struct{}, 1)}
	return b, slog.New(slog.NewTextHandler(b, nil))
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.ch <- struct{}{}
	defer func() { <-b.ch }()
	return b.b.Write(p)
}

func (b *safeBuffer) count(text string) int {
	b.ch <- struct{}{}
	defer func() { <-b.ch }()
	return strings.Count(b.b.String(), text)
}

func TestBinder(t *testing.T) {
	a := plug(t, "a12", 2)
	carriers(t, "a12")
	vips := []netip.Addr{netip.MustParseAddr("192.0.2.212"), netip.MustParseAddr("2001:db8:2::212")}
	log, logger := newLog()
	start := func(lifetime time.Duration) (*Binder, func()) {
		b := NewBinder(logger)
		b.lifetime, b.pace = lifetime, 50*time.Millisecond
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		return b, func() {
			cancel()
			check(t, <-done)
		}
	}
	bound := func(vip netip.Addr) bool {
		present, _, err := bindings()
		check(t, err)
		return present[binding{vip, "a12"}] == bindOurs
	}
	b, stop := start(time.Second)
	var may atomic.Bool
	may.Store(true)
	b.Holds = may.Load
	links := must(Links())
	for _, vip := range vips {
		b.Set(vip, []string{"a12", "no-such-interface"})
	}
	for _, vip := range vips {
		until(t, vip.String(), func() bool { return bound(vip) })
	}
	if got := must(Links()); !sameLink(got[0], links[0]) {
		t.Errorf("%v: what is bound is news to all speakers, before it was %v", got, links)
	}
	// The client reaches it, and nothing of this node is sent from it by itself.
	for i, vip := range vips {
		conn := must(net.ListenPacket([]string{"udp4", "udp6"}[i], ":0"))
		defer conn.Close()
		port := uint16(conn.LocalAddr().(*net.UDPAddr).Port)
		if got := a.resolve(vip); got != a.mac() {
			t.Errorf("%s is at %q", vip, got)
		}
		a.inside(func() error {
			c, err := net.Dial("udp", netip.AddrPortFrom(vip, port).String())
			if err == nil {
				_, err = c.Write([]byte("to " + vip.String()))
				c.Close()
			}
			return err
		})
		buffer := make([]byte, 100)
		check(t, conn.SetReadDeadline(time.Now().Add(5*time.Second)))
		if n, _, err := conn.ReadFrom(buffer); err != nil || string(buffer[:n]) != "to "+vip.String() {
			t.Errorf("%q, %v", buffer[:n], err)
		}
		for _, to := range []string{"192.0.2.2:9", "[2001:db8:2::2]:9"} {
			out := must(net.Dial("udp", to))
			if from := netip.MustParseAddrPort(out.LocalAddr().String()).Addr(); from == vip {
				t.Errorf("%s is asked from %s", to, from)
			}
			out.Close()
		}
	}
	// It is put again when somebody removes it, and removed at once when it is not wanted.
	l := must(netlink.LinkByName("a12"))
	check(t, netlink.AddrDel(l, kernelAddress(vips[0], l.Attrs().Index, 0)))
	until(t, "the address again", func() bool { return bound(vips[0]) })
	b.Unset(vips[0])
	until(t, "the end", func() bool { return !bound(vips[0]) })
	// A permanent address is somebody else's.
	foreign := must(netlink.ParseAddr(vips[0].String() + "/32"))
	check(t, netlink.AddrAdd(l, foreign))
	b.Set(vips[0], []string{"a12"})
	until(t, "the report", func() bool { return log.count("left alone") > 0 })
	time.Sleep(3 * b.pace)
	b.Unset(vips[0])
	time.Sleep(3 * b.pace)
	if present, _, _ := bindings(); present[binding{vips[0], "a12"}] != bindForeign || log.count("left alone") != 1 {
		t.Errorf("somebody else's address: %v, reported %d times", present, log.count("left alone"))
	}
	check(t, netlink.AddrDel(l, foreign))
	// renewed for longer than it lives; what is there when the process ends lasts a little, and then goes
	b.Set(vips[0], []string{"a12"})
	for _, vip := range vips {
		until(t, vip.String(), func() bool { return bound(vip) })
	}
	for began := time.Now(); time.Since(began) < 1300*time.Millisecond; time.Sleep(20 * time.Millisecond) {
		if !bound(vips[0]) || !bound(vips[1]) {
			t.Fatal("an address was not renewed")
		}
	}
	stop()
	ended := time.Now()
	if !bound(vips[0]) || !bound(vips[1]) {
		t.Error("gone with the process: a restart would break connections")
	}
	// the next one finds it, and goes on, but may not for long
	b, stop = start(3 * time.Second)
	defer stop()
	b.Holds = may.Load
	b.Set(vips[0], []string{"a12"})
	until(t, "the end of what nobody renews", func() bool { return !bound(vips[1]) })
	t.Logf("%s gone after %s", vips[1], time.Since(ended))
	if !bound(vips[0]) {
		t.Error("what is wanted is gone")
	}
	may.Store(false)
	check(t, netlink.AddrDel(l, kernelAddress(vips[0], l.Attrs().Index, 0)))
	time.Sleep(3 * b.pace)
	if bound(vips[0]) {
		t.Error("put there by who may not speak for it")
	}
	may.Store(true)
	until(t, "the address again", func() bool { return bound(vips[0]) })
	check(t, netlink.LinkDel(l))
	time.Sleep(3 * b.pace)
	if n := log.count("level="); n != 1 {
		t.Errorf("%d messages", n)
	}
}
