package bfd

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Two sessions whose packets are lost at times, and whose timers are edited at any time: whenever packets have passed
// for a while both are Up, and while all do neither goes down; and no Poll Sequence goes on for ever.
func TestEditsAndLossInAnyOrder(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		some := func() timers {
			i := []time.Duration{20, 100, 300, 1000, 5000}
			return timers{i[random.IntN(len(i))] * time.Millisecond, i[random.IntN(len(i))] * time.Millisecond, uint8(2 + random.IntN(4))}
		}
		now := start
		n := uint32(0)
		ids := func() uint32 { n++; return n }
		sides := [2]*session{newSession(some(), idleRouter, ids, now), newSession(some(), idleRouter, ids, now)}
		sides[1].setPassive(random.IntN(2) == 0)
		type flight struct {
			to int
			p  packet
			at time.Time
		}
		var air []flight
		lossy, until := true, now.Add(time.Second)
		steps := 0
		good := now // since when all packets pass
		for now.Before(start.Add(10 * time.Minute)) {
			if steps++; steps > 3_000_000 {
				t.Fatalf("seed %d: no end at %v, until %v: %+v and %+v", seed, now.Sub(start), until.Sub(start), sides[0], sides[1])
			}
			// To the next thing that happens.
			next := until
			for _, s := range sides {
				next = sooner(next, s.next())
			}
			for _, f := range air {
				next = sooner(next, f.at)
			}
			if next.After(now) { // what is due long since is due now
				now = next
			}
			var arrived []flight
			rest := air[:0]
			for _, f := range air {
				if f.at.After(now) {
					rest = append(rest, f)
				} else {
					arrived = append(arrived, f)
				}
			}
			air = rest
			for _, f := range arrived {
				sides[f.to].receive(&f.p, now)
			}
			for i, s := range sides {
				before := s.state
				var out []packet
				if last, failed := s.judge(now, 0); failed {
					out = append(out, last)
				}
				if p, ok := s.transmit(now, 0, jitterOf(random.Float64())); ok {
					out = append(out, p)
				}
				if before == Up && s.state != Up && !lossy && now.Sub(good) > time.Minute {
					t.Fatalf("seed %d: side %d went down (%s) at %v although all packets pass: %+v and %+v",
						seed, i, s.diagnostic, now.Sub(start), s, sides[1-i])
				}
				for _, p := range out {
					if !lossy || random.IntN(3) == 0 {
						air = append(air, flight{1 - i, p, now.Add(time.Millisecond)})
					}
				}
			}
			if now.Before(until) {
				continue
			}
			switch {
			case lossy:
				lossy, good, until = false, now, now.Add(2*time.Minute)
			case now.Sub(good) < 3*time.Minute && random.IntN(4) > 0: // edits while all packets pass
				sides[random.IntN(2)].retime(some())
				until = now.Add(time.Duration(random.IntN(30000)) * time.Millisecond)
			default:
				if now.Sub(good) > 2*time.Minute {
					for i, s := range sides {
						if s.state != Up {
							t.Fatalf("seed %d: side %d is %s at %v: %+v", seed, i, s.state, now.Sub(start), s)
						}
					}
				}
				lossy, until = true, now.Add(time.Duration(random.IntN(20000))*time.Millisecond)
				sides[random.IntN(2)].retime(some())
			}
		}
		// No poll is left once nothing changes.
		lossy = false
		end := now.Add(2 * time.Minute)
		for now.Before(end) {
			next := end
			for _, s := range sides {
				next = sooner(next, s.next())
			}
			if next.After(now) { // what is due long since is due now
				now = next
			}
			for i, s := range sides {
				s.judge(now, 0)
				if p, ok := s.transmit(now, 0, 1); ok {
					sides[1-i].receive(&p, now)
				}
			}
		}
		for i, s := range sides {
			if s.state != Up || s.poll || s.again {
				t.Fatalf("seed %d: side %d is %s, its Poll Sequence %v: %+v", seed, i, s.state, s.poll, s)
			}
		}
	}
}
