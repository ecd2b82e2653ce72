package gossip

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// dial opens a stream to a speaker's port from a loopback address. One that is turned away at once is nil.
func dial(t *testing.T, from, to netip.Addr, port int) *net.TCPConn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}, Timeout: time.Second}
	c, err := d.Dial("tcp", netip.AddrPortFrom(to, uint16(port)).String())
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		return nil
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// open counts the streams that the other side has not closed.
func open(streams []*net.TCPConn) int {
	var n atomic.Int32
	var reading sync.WaitGroup
	for _, c := range streams {
		if c == nil {
			continue
		}
		reading.Go(func() {
			_ = c.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				n.Add(1)
			}
		})
	}
	reading.Wait()
	return int(n.Load())
}

// Whoever reaches the port can open streams, and say little or much. He must not fill the memory with them, nor take
// their place from the speakers.
func TestStreamsOfStrangers(t *testing.T) {
	port := freePort(t)
	a := start(t, 1, port, "key", loopback(2))
	a.await(t, "a group of its own", func(lb.GossipUpdate) bool { return a.list.Load() != nil })
	stranger := loopback(9)

	t.Run("few are open at a time", func(t *testing.T) {
		var silent []*net.TCPConn
		for range 100 {
			silent = append(silent, dial(t, stranger, loopback(1), port))
		}
		if n := open(silent); n > strangersAtOnce {
			t.Errorf("%d of 100 are open", n)
		}
		if n := testutil.ToFloat64(a.dropped); n < 100-strangersAtOnce {
			t.Errorf("%v are counted", n)
		}
	})
	t.Run("a speaker gets in all the same", func(t *testing.T) {
		for range 20 {
			dial(t, stranger, loopback(1), port)
		}
		b := start(t, 2, port, "key", loopback(1))
		b.await(t, "a join", func(lb.GossipUpdate) bool { return b.list.Load() != nil && len(b.Members()) == 2 })
		a.await(t, "the other", func(lb.GossipUpdate) bool { return len(a.Members()) == 2 })
	})
	t.Run("much is not read", func(t *testing.T) {
		var c *net.TCPConn
		for deadline := time.Now().Add(3 * streamTimeout); ; { // until those above are over
			if c = dial(t, stranger, loopback(1), port); open([]*net.TCPConn{c}) == 1 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("no stream of a stranger is let in any more")
			}
		}
		if err := c.SetWriteBuffer(64 << 10); err != nil { // as much as it may take is not for long
			t.Fatal(err)
		}
		if _, err := c.Write(binary.BigEndian.AppendUint32([]byte{10}, 20<<20)); err != nil {
			t.Fatal(err)
		}
		sent, some := 0, make([]byte, 64<<10)
		for begin := time.Now(); time.Since(begin) < time.Second; {
			n, err := c.Write(some)
			if sent += n; err != nil {
				break
			}
		}
		if sent > strangerOctets+6<<20 { // and what the kernel's buffers take
			t.Errorf("%d octets were taken", sent)
		}
	})
}
