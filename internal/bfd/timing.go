package bfd

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Timing is how often a node sends, and how many packets in a row must be missing until it counts as silent:
// Desired Min TX Interval, Required Min RX Interval and Detect Mult of RFC 5880 section 4.1.
type Timing struct {
	Interval   time.Duration
	Multiplier uint8
}

// The presets, by name. A node is found silent after 100 to 150 ms, or after 600 to 900 ms.
var (
	Fast    = Timing{Interval: 50 * time.Millisecond, Multiplier: 3}
	Relaxed = Timing{Interval: 300 * time.Millisecond, Multiplier: 3}
)

const (
	minInterval, maxInterval = 10 * time.Millisecond, 10 * time.Second
	// One lost packet is not a failure.
	minMultiplier, maxMultiplier = 2, 50
)

// ParseTiming reads a preset's name, or the interval in milliseconds and the multiplier: "100x3".
func ParseTiming(s string) (Timing, error) {
	switch s {
	case "fast":
		return Fast, nil
	case "relaxed":
		return Relaxed, nil
	}
	interval, multiplier, ok := strings.Cut(s, "x")
	i, err := strconv.ParseUint(interval, 10, 32)
	m, err2 := strconv.ParseUint(multiplier, 10, 8)
	if !ok || err != nil || err2 != nil {
		return Timing{}, fmt.Errorf("%q is not fast, relaxed or an interval in milliseconds and a multiplier, like 100x3", s)
	}
	t := Timing{time.Duration(i) * time.Millisecond, uint8(m)}
	return t, t.validate()
}

func (t Timing) validate() error {
	switch {
	case t.Interval < minInterval || t.Interval > maxInterval:
		return fmt.Errorf("an interval of %s is not between %s and %s", t.Interval, minInterval, maxInterval)
	case t.Multiplier < minMultiplier || t.Multiplier > maxMultiplier:
		return fmt.Errorf("a multiplier of %d is not between %d and %d", t.Multiplier, minMultiplier, maxMultiplier)
	}
	return nil
}

func (t Timing) timers() timers { return timers{t.Interval, t.Interval, t.Multiplier} }

// String is the inverse of ParseTiming.
func (t Timing) String() string {
	switch t {
	case Fast:
		return "fast"
	case Relaxed:
		return "relaxed"
	}
	return fmt.Sprintf("%dx%d", t.Interval.Milliseconds(), t.Multiplier)
}
