package layer2

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAnnouncer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		type sent struct {
			address netip.Addr
			at      time.Duration
		}
		var mu sync.Mutex
		var kept []sent
		a := NewAnnouncer(func(address netip.Addr) {
			mu.Lock()
			defer mu.Unlock()
			kept = append(kept, sent{address, time.Since(begin)})
		})
		// take returns what was sent since it was last called, up to now.
		take := func() []sent {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			taken := kept
			kept = nil
			return taken
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()

		a.Start(address(1))
		time.Sleep(10 * time.Second)
		log := take()
		want := []time.Duration{0, 100 * time.Millisecond, 500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond, 7500 * time.Millisecond}
		if len(log) != len(want) {
			t.Fatalf("a takeover was announced %d times in 10 s, want %d: %v", len(log), len(want), log)
		}
		for i, at := range want {
			if log[i].at != at {
				t.Errorf("announcement %d after %s, want %s", i, log[i].at, at)
			}
		}

		time.Sleep(time.Hour)
		log = take()
		if n := len(log); n < 48 || n > 80 {
			t.Errorf("refreshed %d times in an hour, want about 60", n)
		}
		for i := 1; i < len(log); i++ {
			if pause := log[i].at - log[i-1].at; pause < 45*time.Second || pause > 75*time.Second {
				t.Errorf("refreshed after %s", pause)
			}
		}

		a.Stop(address(1))
		a.Stop(address(2)) // never started
		time.Sleep(time.Hour)
		if log := take(); len(log) > 0 {
			t.Errorf("announced after the end: %v", log)
		}

		// the second burst of an address begins anew
		a.Start(address(3))
		time.Sleep(time.Minute)
		take()
		a.Start(address(3))
		if log := take(); len(log) != 1 {
			t.Errorf("announced %d times at once", len(log))
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
