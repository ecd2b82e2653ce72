package lab

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// serving has the cp host serve the lab's port for the length of the test.
func serving(t *testing.T, l *Lab) (*Host, []netip.AddrPort) {
	t.Helper()
	h := l.CP
	server, err := h.Serve(BackendPort)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return h, []netip.AddrPort{netip.AddrPortFrom(h.V4, BackendPort), netip.AddrPortFrom(h.V6, BackendPort)}
}

func TestHeldConnections(t *testing.T) {
	ctx, l := sharedLab(t)
	server, to := serving(t, l)
	for _, a := range to {
		held, err := l.Client(1).Hold(ctx, a, 5, 10*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		asked := func(context.Context) (bool, error) {
			r := held.Result()
			return r.Echoes >= 20 || len(r.Broken) > 0, nil
		}
		if err := wait(ctx, "four answers in each connection", asked); err != nil {
			t.Error(err)
		}
		if r := held.Stop(); r.Connections != 5 || r.Echoes < 20 || len(r.Broken) > 0 || r.Slowest == 0 || r.Slowest > time.Second {
			t.Errorf("%+v", r)
		}
	}
	t.Run("break when the other end does not answer", func(t *testing.T) {
		held, err := l.Client(1).Hold(ctx, to[0], 3, 10*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Cut(server, SwitchSide); err != nil {
			t.Fatal(err)
		}
		time.Sleep(heldTimeout + 200*time.Millisecond)
		if err := l.Restore(server); err != nil {
			t.Fatal(err)
		}
		if r := held.Stop(); len(r.Broken) != 3 || r.Slowest < heldTimeout {
			t.Errorf("%+v", r)
		}
	})
}

func TestSweepFindsTheSilentOne(t *testing.T) {
	ctx, l := sharedLab(t)
	_, to := serving(t, l)
	silent := netip.AddrPortFrom(l.Node(1).V4, 9)
	sweep, err := l.Client(1).Sweep(ctx, append(to, silent), 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	sweep.Forget()
	time.Sleep(500 * time.Millisecond)
	gaps := sweep.Stop()
	for _, a := range to {
		if g := gaps[a]; g.Open || g.Duration() > 200*time.Millisecond {
			t.Errorf("%s was silent for %s", a, g)
		}
	}
	if g := gaps[silent]; !g.Open || g.Duration() < 500*time.Millisecond {
		t.Errorf("%s was silent for %s", silent, g)
	}
}

func TestWatchSeesEveryAnswerer(t *testing.T) {
	ctx, l := sharedLab(t)
	first, second := l.Node(1), l.Node(2)
	begin := time.Now()
	watch, err := l.Client(1).Watch(ctx, 20*time.Millisecond, first.V4, first.V6)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	// The second node has the address of the first as well.
	if _, err := second.Run(ctx, "ip", "address", "add", first.V4.String()+"/32", "dev", "eth0"); err != nil {
		t.Fatal(err)
	}
	both := time.Now()
	time.Sleep(200 * time.Millisecond)
	if _, err := second.Run(ctx, "ip", "address", "del", first.V4.String()+"/32", "dev", "eth0"); err != nil {
		t.Fatal(err)
	}
	if err := watch.Stop(); err != nil {
		t.Error(err)
	}
	seen := map[int]int{}
	for _, r := range watch.Rounds(first.V4, begin) {
		if n := len(r.MACs); r.At.Before(both.Add(-50*time.Millisecond)) || r.At.After(both) {
			seen[n]++
		}
	}
	if seen[1] < 5 || seen[2] < 5 {
		t.Errorf("rounds by the number of those that answered: %v", seen)
	}
	if owners := watch.Owners(first.V6, begin); len(owners) != 1 || owners[0].String() != first.MAC.String() {
		t.Errorf("%s was answered for by %v", first.V6, owners)
	}
}

func TestBlockedPorts(t *testing.T) {
	ctx, l := sharedLab(t)
	server, to := serving(t, l)
	client := l.Client(1)
	ask := func(network string, a netip.AddrPort) bool {
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		_, err := client.Ask(ctx, network, a)
		return err == nil
	}
	all := func(want bool) {
		t.Helper()
		for _, a := range to {
			for _, network := range []string{"tcp", "udp"} {
				if got := ask(network, a); got != want {
					t.Errorf("%s over %s answers: %v, want %v", a, network, got, want)
				}
			}
		}
	}
	all(true)
	if err := l.Block(ctx, []*Host{client}, []*Host{server}, BackendPort); err != nil {
		t.Fatal(err)
	}
	all(false)
	if macs, err := client.Answerers(ctx, server.V6, 200*time.Millisecond); err != nil || len(macs) != 1 {
		t.Errorf("%v answer for %s: %v", macs, server.V6, err)
	}
	for range 2 {
		if err := l.Unblock(ctx, client, server); err != nil {
			t.Fatal(err)
		}
	}
	all(true)
}

func TestStormIsAsFastAsAsked(t *testing.T) {
	ctx, l := sharedLab(t)
	for _, address := range []netip.Addr{netip.MustParseAddr("192.0.2.199"), netip.MustParseAddr("2001:db8::ffff")} {
		ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		sent, err := l.Client(1).Storm(ctx, 2000, []netip.Addr{address})
		cancel()
		if err != nil || sent < 400 || sent > 800 {
			t.Errorf("asked for %s %d times: %v", address, sent, err)
		}
	}
}

func TestBurn(t *testing.T) {
	_, l := sharedLab(t)
	end, err := l.Burn(1)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	if used, err := l.Process("burn1").CPUTime(); err != nil || used < 20*time.Millisecond {
		t.Errorf("the loop used %s: %v", used, err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	if l.Process("burn1").Running() {
		t.Error("the loop goes on")
	}
}
