package bfd

import (
	"net/netip"
	"testing"
	"time"
)

// corePair returns two nodes whose session is up, without clock and socket.
func corePair(tb testing.TB) (x, y *core, now time.Time) {
	now = start
	cores := [2]*core{}
	for i, n := range []string{"a", "b"} {
		cores[i] = &core{
			local: addressPortOf(n), secret: []byte("k"), timing: Fast, random: random, jitter: func() float64 { return 0 },
			peers: map[netip.Addr]*peer{},
		}
	}
	x, y = cores[0], cores[1]
	x.setPeers(peersOf("b"), now)
	y.setPeers(peersOf("a"), now)
	for range 100 {
		now = now.Add(20 * time.Millisecond)
		exchange(tb, x, y, now)
		exchange(tb, y, x, now)
	}
	if x.sorted[0].session.state != Up {
		tb.Fatal("not up")
	}
	x.events, y.events = nil, nil
	return x, y, now
}

func exchange(tb testing.TB, x, y *core, now time.Time) {
	x.advance(now, 0, 0)
	for i := range x.out {
		if _, err := y.receive(x.local, x.out[i].octets[:], now, now); err != nil {
			tb.Fatal(err)
		}
	}
	x.out = x.out[:0]
}

func TestVerdictWaitsForEmptySocket(t *testing.T) {
	for _, tt := range []struct {
		name     string
		received int
		failed   bool
		again    time.Duration
	}{
		{"all was read", readAtOnce - 1, true, lookOften},
		{"more may wait", readAtOnce, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, _, now := corePair(t)
			now = now.Add(time.Second)
			x.advance(now, 0, tt.received)
			if failed := len(x.events) > 0; failed != tt.failed {
				t.Errorf("failed %v", failed)
			}
			if again := x.next(now).Sub(now); again != tt.again {
				t.Errorf("looks again after %s", again)
			}
		})
	}
}

func TestNothingToWakeFor(t *testing.T) {
	x, _, now := corePair(t)
	if at := x.next(now); !at.After(now) || at.After(now.Add(lookEvery)) {
		t.Errorf("wakes after %s", at.Sub(now))
	}
	x.setPeers(nil, now)
	if at := x.next(now); !at.IsZero() {
		t.Errorf("wakes after %s without a session", at.Sub(now))
	}
}
