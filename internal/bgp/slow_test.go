package bgp

import (
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"golang.org/x/sys/unix"
	"net"
)

// A router that goes on saying that it lives, but reads nothing any more.
func TestARouterThatTakesNothingIn(t *testing.T) {
	r := newRouter(t, "192.0.2.2", 64513, lb.IPv4)
	r.holdTime = 4
	r.listen(func(l *net.ListenConfig) {
		l.Control = func(_, _ string, raw syscall.RawConn) error {
			return control(raw, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) })
		}
	})
	other := newRouter(t, "192.0.2.3", 64514, lb.IPv4)
	other.silent = true
	other.listen()
	s := newSpeaker(t)
	s.SetPeer(peerAt("tor", "192.0.2.2", 64513))
	s.SetPeer(peerAt("spine", "192.0.2.3", 64514))
	c := r.next()
	since := s.established("spine").Since
	s.established("tor")
	c.stall()
	go func() {
		for t.Context().Err() == nil {
			c.send(bgp.NewBGPKeepAliveMessage())
			time.Sleep(500 * time.Millisecond)
		}
	}()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const size = 500
	changes := 0
	why := ""
	for round := uint32(0); why == "" && time.Since(since) < time.Minute; round++ {
		for i := range size {
			a := serviceAddress(i)
			s.SetOrigins(a, []Origin{{Prefix: netip.PrefixFrom(a, 32), Attributes: Attributes{Communities: []Community{Community(round)}}}})
			changes++
		}
		time.Sleep(time.Millisecond)
		why = s.session("tor").LastError
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d changes; the heap went from %d to %d KiB", changes, before.HeapAlloc>>10, after.HeapAlloc>>10)
	if want := "the router took nothing in for 4s"; why != want {
		t.Errorf("its end was %q, not %q", why, want)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	if st := s.session("spine"); st.State != Established || st.Since != since {
		t.Errorf("the other session is %+v", st)
	}
}
