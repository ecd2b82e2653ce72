package main

import "testing"

func TestPercentFor(t *testing.T) {
	for _, tt := range []struct {
		name    string
		percent int
		live    uint64
		want    int
	}{
		{"small at first", frugal, 8 << 20, frugal},
		{"grows, not for long perhaps", frugal, 36 << 20, frugal},
		{"large", frugal, 50 << 20, swift},
		{"shrinks, not for long perhaps", swift, 36 << 20, swift},
		{"small again", swift, 31 << 20, frugal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := percentFor(tt.percent, tt.live); got != tt.want {
				t.Errorf("%d percent, want %d", got, tt.want)
			}
		})
	}
}
