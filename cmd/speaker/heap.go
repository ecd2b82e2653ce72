package main

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// There is a speaker on every node, and most have little to remember: there a small heap is worth more than the time to
// keep it small. With thousands of Services it is the other way round.
const (
	frugal, swift = 30, 100 // how much garbage may wait, in percent of what lives
	small, large  = 32 << 20, 40 << 20
	heapInterval  = 10 * time.Second
)

// tendHeap has the garbage collector run as often as fits the heap, until ctx ends.
func tendHeap(ctx context.Context) error {
	tick := time.NewTicker(heapInterval)
	defer tick.Stop()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for percent := frugal; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		metrics.Read(live)
		if now := percentFor(percent, live[0].Value.Uint64()); now != percent {
			percent = now
			debug.SetGCPercent(percent)
		}
	}
}

// percentFor returns the percentage for a live heap of so many octets. Between small and large it stays as it is.
func percentFor(percent int, live uint64) int {
	switch {
	case live >= large:
		return swift
	case live < small:
		return frugal
	}
	return percent
}
