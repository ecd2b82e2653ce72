package bfd

import (
	"math"
	"time"
)

// Who judges others by the clock has to know how far behind the clock he is himself (Lifeguard, Dadgar et al.
// 2018, "local health"). Two things follow from a timer that fires late. The judgement at hand is put off by as
// much: packets were late too where it was the whole machine that stood still. And for a while this node allows
// others more time, and asks as much of them: it sends late too.

const (
	// A machine that is never on time has to judge too: after it put off a verdict so often.
	patience = 3
	// halfLife of an observed lateness.
	halfLife = 5 * time.Second
)

// tardy tells whether a lateness is a good part of an interval: whether it could have made the difference.
func tardy(late, interval time.Duration) bool { return late > interval/4 }

// lateness remembers the worst recent lateness, which counts half as much after each halfLife.
type lateness struct {
	worst time.Duration
	at    time.Time
}

// observe takes note of a timer that fired late. Beyond what widen makes use of, it is forgotten at once.
func (l *lateness) observe(late time.Duration, t Timing, now time.Time) {
	late = min(late, time.Duration(most(t))*t.Interval)
	if tardy(late, t.Interval) && late > l.recent(now) {
		l.worst, l.at = late, now
	}
}

func (l *lateness) recent(now time.Time) time.Duration {
	if l.worst == 0 {
		return 0
	}
	return time.Duration(float64(l.worst) * math.Exp2(-float64(now.Sub(l.at))/float64(halfLife)))
}

// widen is how many intervals more than the multiplier says are granted, to others and by others: as many as
// this node has been late by, rounded, and at most so many that the detection time is three times as long.
func (l *lateness) widen(t Timing, now time.Time) uint8 {
	return uint8((l.recent(now) + t.Interval/2) / t.Interval)
}

func most(t Timing) int { return 2 * int(t.Multiplier) }
