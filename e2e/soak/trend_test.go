package soak

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// sample is how much of something a process held at a time.
type sample struct {
	at    time.Time
	value float64
}

// bound is how much more a process may hold at the end than at the beginning and be called flat: so much, or so large a
// part of what it held, whichever is more.
type bound struct{ least, part float64 }

// trend is what becomes of something that a process holds.
type trend struct {
	first, last float64 // medians of the second and of the last quarter
	rise        float64 // by the slope of Theil and Sen, over all of the time
}

// trendOf needs no more than that most samples are right: neither a peak nor a collection of garbage between two of them
// changes it much. The first quarter is left out of the comparison, since caches fill in it.
func trendOf(list []sample) (x trend) {
	n := len(list)
	if n < 4 {
		return trend{}
	}
	x.first, x.last = median(values(list[n/4:n/2])), median(values(list[n-n/4:]))
	var slopes []float64
	for i, a := range list {
		for _, b := range list[i+1:] {
			if s := b.at.Sub(a.at).Seconds(); s > 0 {
				slopes = append(slopes, (b.value-a.value)/s)
			}
		}
	}
	x.rise = median(slopes) * list[n-1].at.Sub(list[0].at).Seconds()
	return x
}

// flat tells whether it does not grow: a leak goes on, so it shows between the quarters and in the slope, where something
// that is made once shows in one of them at most.
func (x trend) flat(b bound) bool {
	limit := max(b.least, b.part*x.first)
	return x.last-x.first <= limit || x.rise <= limit
}

func values(list []sample) (v []float64) {
	for _, s := range list {
		v = append(v, s.value)
	}
	return v
}

// median is the middle value, 0 of none.
func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func TestFlat(t *testing.T) {
	const n = 240 // 40 minutes, a sample each 10 s
	noise := rand.New(rand.NewPCG(1, 2))
	for _, test := range []struct {
		name  string
		value func(i int) float64
		flat  bool
	}{
		{"what never changes is flat", func(int) float64 { return 100 }, true},
		{"noise is flat", func(int) float64 { return 100 + 20*noise.NormFloat64() }, true},
		{"the saw of garbage collection is flat", func(i int) float64 { return 80 + float64(i%17)*3 }, true},
		{"peaks are flat", func(i int) float64 {
			if i%10 == 9 {
				return 500
			}
			return 100
		}, true},
		{"caches that fill in the first quarter are flat", func(i int) float64 { return 60 + 40*math.Min(1, float64(i)/(n/4)) }, true},
		{"a shrinking process is flat", func(i int) float64 { return 200 - float64(i)/3 }, true},
		{"a single step in the last quarter is flat", func(i int) float64 {
			if i > n*4/5 {
				return 130
			}
			return 100
		}, true},
		{"a leak is not, under the saw", func(i int) float64 { return 80 + float64(i%17)*3 + float64(i)/8 }, false},
		{"a leak is not, under noise", func(i int) float64 { return 100 + 10*noise.NormFloat64() + float64(i)/6 }, false},
		{"a leak in stairs is not", func(i int) float64 { return 100 + 12*math.Floor(float64(i)/60) }, false},
		{"a leak that begins late is not", func(i int) float64 { return 100 + math.Max(0, float64(i-n/2))/2 }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var list []sample
			for i := range n {
				list = append(list, sample{time.Unix(int64(10*i), 0), test.value(i)})
			}
			if x := trendOf(list); x.flat(bound{10, 0.1}) != test.flat {
				t.Errorf("%+v is taken for flat: %v", x, !test.flat)
			}
		})
	}
}

func (x trend) String() string {
	return fmt.Sprintf("%.1f to %.1f, rise %+.1f", x.first, x.last, x.rise)
}
