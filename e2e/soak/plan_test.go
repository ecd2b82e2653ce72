package soak

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A day is drawn before it begins: lanes of steps that go on beside each other, so that a Service is made while a node is
// drained. The same seed and length draw the same steps, and for each the same number from which it draws its victims.

// step is one thing that people do.
type step struct {
	at   time.Duration // at the earliest: a lane does one thing after another
	act  string
	seed uint64
}

func (s step) rand() *rand.Rand { return rand.New(rand.NewPCG(s.seed, 0)) }

// Lanes, and how far apart their steps are, on average.
const (
	servicePace   = time.Second
	endpointPace  = 4 * time.Second
	operationPace = 15 * time.Second
)

// upgrades are what comes a number of times and at its time. Who is restarted last is then watched for the rest of the
// run, which is most of it: memory is flat or not in a process that lives.
func upgrades(length time.Duration) (list []step) {
	part := func(percent int, act string) {
		list = append(list, step{at: length * time.Duration(percent) / 100, act: act})
	}
	part(4, "speakers")
	part(12, "controllers")
	if length >= 10*time.Minute {
		part(18, "controllers")
		part(24, "controllers")
	}
	part(60, "API server")
	return list
}

// settledPart is the part of the run after which no process is restarted any more, in percent.
const settledPart = 33

// plan draws a lane: steps about pace apart, each act as often as any other.
func plan(seed uint64, lane uint64, length, pace time.Duration, acts []string, fixed ...step) []step {
	r := rand.New(rand.NewPCG(seed, lane))
	list := slices.Clone(fixed)
	var deck []string
	for at := pace; at < length; at += pace/2 + time.Duration(r.Int64N(int64(pace))) {
		if len(deck) == 0 {
			deck = slices.Clone(acts)
			r.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		}
		list = append(list, step{at: at, act: deck[0]})
		deck = deck[1:]
	}
	slices.SortStableFunc(list, func(a, b step) int { return int(a.at - b.at) })
	for i := range list {
		list[i].seed = r.Uint64()
	}
	return list
}

func TestPlan(t *testing.T) {
	acts := []string{"a", "b", "c"}
	draw := func(seed, lane uint64) []step {
		return plan(seed, lane, time.Hour, operationPace, acts, upgrades(time.Hour)...)
	}
	if !slices.Equal(draw(7, 1), draw(7, 1)) {
		t.Error("the same seed draws other steps")
	}
	for _, other := range [][]step{draw(8, 1), draw(7, 2)} {
		if slices.Equal(draw(7, 1), other) {
			t.Error("another seed, or another lane, draws the same steps")
		}
	}
	count := map[string]int{}
	for i, s := range draw(7, 1) {
		count[s.act]++
		if i > 0 && s.at < draw(7, 1)[i-1].at {
			t.Errorf("step %d is before the one before it", i)
		}
	}
	if want := int(time.Hour/operationPace) / 3; count["a"] < want*4/5 || count["a"] > want*6/5 {
		t.Errorf("an act comes %d times, want about %d", count["a"], want)
	}
	if got := fmt.Sprint(count["speakers"], count["controllers"], count["API server"], max(count["a"], count["b"], count["c"])-min(count["a"], count["b"], count["c"])); got != "1 3 1 1" && got != "1 3 1 0" {
		t.Errorf("speakers, controllers, API server, and how uneven the others are: %s", got)
	}
	for _, s := range upgrades(time.Hour) {
		if s.act != "API server" && s.at >= time.Hour*settledPart/100 {
			t.Errorf("%s are restarted at %s, when memory is watched already", s.act, s.at)
		}
	}
}
