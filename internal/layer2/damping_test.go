package layer2

import (
	"math"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

func TestPenalty(t *testing.T) {
	start := time.Unix(0, 0)
	for name, test := range map[string]struct {
		losses []time.Duration
		figure float64 // after the last loss
		until  time.Duration
	}{
		"one loss suppresses nothing":                          {[]time.Duration{0}, 1000, 0},
		"two at once are exactly at the cutoff":                {[]time.Duration{0, 0}, 2000, 0},
		"two half a minute apart do not reach it":              {[]time.Duration{0, 30 * time.Second}, 1840.9, 0},
		"three in a minute do, for some minutes":               {[]time.Duration{0, 30 * time.Second, time.Minute}, 2548, time.Minute + 211738*time.Millisecond},
		"three with a half-life between them never do":         {[]time.Duration{0, 2 * time.Minute, 4 * time.Minute}, 1750, 0},
		"a loss while suppressed prolongs it below the cutoff": {[]time.Duration{0, 0, 0, 210 * time.Second}, 1891.9, 370185 * time.Millisecond},
		"a loss at the time of reuse starts anew":              {[]time.Duration{0, 0, 0, 4 * time.Minute}, 1750, 0},
		"the ceiling bounds it to ten minutes after the last":  {repeat(100), ceiling, 99*time.Second + maxSuppress},
	} {
		t.Run(name, func(t *testing.T) {
			var p penalty
			var last time.Time
			for _, d := range test.losses {
				last = start.Add(d)
				p.add(last)
			}
			if got := p.figure(last); math.Abs(got-test.figure) > 1 {
				t.Errorf("penalty %.1f, want %.1f", got, test.figure)
			}
			if test.until == 0 {
				if p.suppressed(last) {
					t.Errorf("suppressed until %v", p.reuse.Sub(start))
				}
				return
			}
			if got := p.reuse.Sub(start); (got - test.until).Abs() > 50*time.Millisecond {
				t.Errorf("suppressed until %v, want %v", got, test.until)
			}
			if got := p.figure(p.reuse); math.Abs(got-reuseLimit) > 0.01 || p.suppressed(p.reuse) || !p.suppressed(p.reuse.Add(-1)) {
				t.Errorf("penalty %.2f at the time of reuse", got)
			}
		})
	}
}

func repeat(n int) (seconds []time.Duration) {
	for i := range n {
		seconds = append(seconds, time.Duration(i)*time.Second)
	}
	return seconds
}

func TestPenaltySurvivesAClockThatGoesBack(t *testing.T) {
	var p penalty
	p.add(time.Unix(1000, 0))
	p.add(time.Unix(0, 0))
	if got := p.figure(time.Unix(0, 0)); got != 2000 {
		t.Errorf("penalty %v", got)
	}
}

func TestDamping(t *testing.T) {
	at := time.Unix(0, 0)
	theirs := ranked("b", "a", "c")
	e := one()
	flap := func(name string, lost bool) {
		for range 3 {
			e.Part(name, lost, at)
			e.Part(name, lost, at) // told twice, lost once
			e.Join(name, segment)
		}
	}
	flap("c", false)
	if d := e.Damped(at); len(d) > 0 {
		t.Errorf("a node that says good-bye is suppressed: %+v", d)
	}
	flap("b", true)
	d := e.Damped(at)
	if len(d) != 1 || d[0].Node != "b" || d[0].Penalty != 3000 || d[0].Reuse != at.Add(4*time.Minute) {
		t.Fatalf("suppressed: %+v", d)
	}
	e.SetVIP(VIP{Address: theirs, Service: service(1), Scopes: []string{"all"}})
	decision := e.Decide(at)
	if got := e.ownerOf(theirs); got == "b" {
		t.Error("a node that flaps was chosen although there are others")
	}
	for !decision.Wake.IsZero() && decision.Wake.Before(d[0].Reuse) {
		decision = e.Decide(decision.Wake)
	}
	if !decision.Wake.Equal(d[0].Reuse) {
		t.Errorf("wakes at %v, reuse is at %v", decision.Wake, d[0].Reuse)
	}
	if e.Decide(d[0].Reuse); len(e.Damped(d[0].Reuse)) > 0 {
		t.Error("suppressed for ever")
	}

	// Where no other node is left, it is chosen at once.
	e = one()
	flap("b", true)
	e.Bar("a", "drained")
	e.Bar("c", "drained")
	e.SetVIP(VIP{Address: theirs, Service: service(1), Scopes: []string{"all"}})
	e.Decide(at)
	if got := e.ownerOf(theirs); got != "b" {
		t.Errorf("owner %q", got)
	}

	// What a node says of itself counts with all others, also with those who missed its losses.
	e, other := one(), one()
	for range 3 {
		e.Penalize("a", at)
	}
	other.SetPenalty("a", e.Penalty("a"), at)
	other.SetPenalty("b", lb.Penalty{Value: 1e6, At: at.Add(time.Hour), Reuse: at.Add(24 * time.Hour)}, at.Add(-2*maxSuppress)) // by a wrong clock
	other.SetPenalty("a", lb.Penalty{}, at)                                                                                     // its speaker has started anew, and forgot
	for _, x := range []*Elector{e, other} {
		if d := x.Damped(at.Add(time.Minute)); len(d) != 1 || d[0].Node != "a" || d[0].Penalty > 3000 {
			t.Errorf("suppressed: %+v", d)
		}
	}
}
