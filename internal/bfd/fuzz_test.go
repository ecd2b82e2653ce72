package bfd

import (
	"bytes"
	"testing"
	"time"
)

// FuzzReceive: an attacker without the key, who hears all and says what it likes, in the name of the peer and in its
// own: the session takes note of nothing that the peer has not just sent.
func FuzzReceive(f *testing.F) {
	const ( // what happens, by the first octet of a step modulo these; the second says how, or how long
		passing, lost, delayed, again, changed, reflected, made, quiet, steps = 0, 1, 2, 3, 4, 5, 6, 7, 8
	)
	f.Add([]byte{passing, 0, again, 0, changed, 7, reflected, 0, made, 0}, []byte{0x20, 0xc0, 3, 24})
	f.Add([]byte{quiet, 255, again, 0, again, 1, again, 2, passing, 0, again, 0, passing, 0}, []byte("garbage"))
	f.Add([]byte{lost, 0, lost, 0, again, 3, delayed, 0, passing, 0, again, 9, delayed, 1}, []byte{})
	p := somePacket()
	f.Add([]byte{made, 0, made, 1, quiet, 200, made, 2, passing, 0, made, 3}, p.appendTo(nil))
	f.Fuzz(func(t *testing.T, script, octets []byte) {
		x, y, now := corePair(t)
		victim := x.sorted[0]
		var taken, mine [][]byte // what the peer sent and was delivered, and what it was sent
		// attack delivers what must count for nothing.
		attack := func(what string, b []byte) {
			before, seen := *victim.session, victim.seen
			sent := victim.sent
			why, err := x.receive(y.local, b, now, now)
			if after := *victim.session; !same(before, after) || seen != victim.seen {
				t.Fatalf("%s counts: % x: from %+v to %+v", what, b, before, after)
			}
			if (err == nil) != (why == "") || victim.sent > sent+1 {
				t.Fatalf("%s: %q, %v, and %d answers", what, why, err, victim.sent-sent)
			}
		}
		for ; len(script) >= 2; script = script[2:] {
			how := int(script[1])
			now = now.Add(5 * time.Millisecond)
			x.advance(now, 0, 0)
			y.advance(now, 0, 0)
			for i := range x.out {
				mine = append(mine, bytes.Clone(x.out[i].octets[:]))
				_, _ = y.receive(x.local, x.out[i].octets[:], now, now)
			}
			x.out = x.out[:0]
			switch script[0] % steps {
			case changed: // before the peer's own comes
				if len(y.out) == 0 {
					y.send(y.sorted[0], y.sorted[0].session.packet())
				}
				for i := range y.out {
					b := bytes.Clone(y.out[i].octets[:])
					b[how%len(b)] ^= 1 << (how % 8)
					if _, err := x.receive(y.local, b, now, now); err == nil {
						t.Fatalf("a packet is taken with octet %d changed", how%len(b))
					}
					attack("a packet that was changed", b)
				}
			case lost:
				y.out = y.out[:0]
			}
			if script[0]%steps != delayed { // else it waits, for the next that passes
				for i := range y.out {
					b := bytes.Clone(y.out[i].octets[:])
					if _, err := x.receive(y.local, b, now, now); err == nil {
						taken = append(taken, b)
					}
				}
				y.out = y.out[:0]
			}
			switch script[0] % steps {
			case again:
				if len(taken) > 0 {
					attack("a recording", taken[how%len(taken)])
				}
			case reflected:
				if len(mine) > 0 {
					attack("our own packet", mine[how%len(mine)])
				}
			case made:
				attack("what somebody made", octets)
			case quiet:
				now = now.Add(time.Duration(how) * ms)
			}
		}
		// The peer is there all the same once it is heard again. What is on its way between sessions that have ended is
		// dropped.
		y.out = y.out[:0]
		for range 200 {
			now = now.Add(5 * time.Millisecond)
			for _, way := range [][2]*core{{x, y}, {y, x}} {
				way[0].advance(now, 0, 0)
				for i := range way[0].out {
					_, _ = way[1].receive(way[0].local, way[0].out[i].octets[:], now, now)
				}
				way[0].out = way[0].out[:0]
			}
		}
		if victim.session.state != Up {
			t.Errorf("is %s in the end", victim.session.state)
		}
	})
}

// FuzzTiming: what is read is within its bounds, and printed so that it is read again.
func FuzzTiming(f *testing.F) {
	for _, s := range []string{"fast", "relaxed", "100x3", "10x2", "10000x50", "9x2", "10001x2", "10x1", "10x51", "x", "1e2x3", "-10x3", "100x3x4", "4294967296x3", " 100x3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x, err := ParseTiming(s)
		if err != nil {
			return
		}
		if x.Interval < minInterval || x.Interval > maxInterval || x.Multiplier < minMultiplier || x.Multiplier > maxMultiplier {
			t.Errorf("%q is %+v", s, x)
		}
		if again, err := ParseTiming(x.String()); err != nil || again != x {
			t.Errorf("%q is printed as %q, which is %+v, %v", s, x, again, err)
		}
	})
}
