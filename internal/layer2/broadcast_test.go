package layer2

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestReadClaim(t *testing.T) {
	frame := claimFrame(theirMAC, []byte("claims"))
	longest := claimFrame(theirMAC, bytes.Repeat([]byte("x"), MaxBroadcast))
	if len(longest) > ethernetLength+1500 {
		t.Errorf("a frame of %d octets", len(longest))
	}
	tests := []struct {
		name  string
		frame []byte
		want  Verdict
		text  string
	}{
		{"claims, without the padding", frame, Heard, "claims"},
		{"the longest", longest, Heard, strings.Repeat("x", MaxBroadcast)},
		{"our own, come back", edit(frame, 6, ourMAC...), Ignored, ""},
		{"our own, by another interface", edit(frame, 6, secondMAC...), Ignored, ""},
		{"another host's", edit(frame, 0, theirMAC...), Ignored, ""},
		{"a length that lies", edit(frame, ethernetLength, 0, 47), Malformed, ""},
		{"a length beyond all frames", edit(longest, ethernetLength, 255, 255), Malformed, ""},
		{"nothing", edit(frame, ethernetLength, 0, 0), Malformed, ""},
		{"a group as the sender", edit(frame, 6, ethernet.Broadcast...), Malformed, ""},
		{"another protocol", edit(frame, 12, 8, 6), Malformed, ""},
		{"a truncated frame", frame[:15], Malformed, ""},
		{"an empty frame", nil, Malformed, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if payload, got := readClaim(tt.frame, ourLink); got != tt.want || string(payload) != tt.text {
				t.Errorf("%s %q, want %s %q", got, payload, tt.want, tt.text)
			}
		})
	}
}

// What the first release's speakers put around claims, in its octets; what is in them, package gossip pins. Speakers of
// two releases hear each other on the segment (docs/upgrade.md).
func TestClaimFrameOfTheFirstRelease(t *testing.T) {
	want := append(net.HardwareAddr{255, 255, 255, 255, 255, 255}, theirMAC...)
	want = append(want, 0x88, 0xb5, 0, 6)
	want = append(want, "claims"...)
	if got := claimFrame(theirMAC, []byte("claims")); !bytes.HasPrefix(got, want) {
		t.Errorf("% x, want % x", got, want)
	}
}

func TestBucket(t *testing.T) {
	b := bucket{rate: 10, size: 3}
	now := time.Now()
	for _, s := range []struct {
		name  string
		after time.Duration
		want  time.Duration
	}{
		{"the first of a burst", 0, 0},
		{"the second", 0, 0},
		{"the last: the next has to wait", 0, 100 * time.Millisecond},
		{"after half of that", 50 * time.Millisecond, 150 * time.Millisecond},
		{"after a long time it is full, and no more", time.Hour, 0},
		{"the second again", time.Hour, 0},
		{"the last again", time.Hour, 100 * time.Millisecond},
	} {
		if got := b.take(now.Add(s.after)).Round(time.Millisecond); got != s.want {
			t.Errorf("%s: wait %s, want %s", s.name, got, s.want)
		}
	}
}

func TestBroadcast(t *testing.T) {
	a := plug(t, "a11", 2)
	r, m := newTestResponder(t)
	heard := make(chan string, 2*claimBurst)
	r.Heard = func(iface string, payload []byte) { heard <- iface + " " + string(payload) }
	r.SetLinks(carriers(t, "a11"))
	far, l := a.raw(claimEtherType)

	r.Broadcast([]string{"a11", "no-such-interface"}, []byte("ours"))
	buffer := make([]byte, 2048)
	n := must(far.read(buffer))
	if payload, verdict := readClaim(buffer[:n], link{hardwareAddr: l.HardwareAddr}); verdict != Heard || string(payload) != "ours" || !same(buffer[:6], ethernet.Broadcast) {
		t.Errorf("%s %q", verdict, payload)
	}
	r.Broadcast([]string{"a11"}, make([]byte, MaxBroadcast))
	if n := must(far.read(buffer)); n != ethernetLength+2+MaxBroadcast {
		t.Errorf("%d octets", n)
	}
	r.Broadcast([]string{"a11"}, make([]byte, MaxBroadcast+1))
	r.Broadcast([]string{"a11"}, nil)

	check(t, far.send(claimFrame(l.HardwareAddr, []byte("theirs"))))
	if got := <-heard; got != "a11 theirs" {
		t.Errorf("heard %q", got)
	}
	// A flood is for the kernel to drop.
	garbage := claimFrame(l.HardwareAddr, []byte("garbage"))
	began := time.Now()
	const flood = claimBurst + 3000
	for sent := 0; sent < flood; {
		if far.send(garbage) == nil { // it may have to wait for the link
			sent++
		}
	}
	time.Sleep(50 * time.Millisecond)
	if n, most := len(heard), claimBurst+claimRate*time.Since(began).Seconds()+1; float64(n) > most || n == 0 {
		t.Errorf("%d of %d were handed on, want at most %v", n, flood, most)
	}
	r.SetLinks(must(Links()))
	if testutil.ToFloat64(m.drops.WithLabelValues("claim")) < 1000 {
		t.Error("the kernel's drops are not counted")
	}
}

// Where a third of 2,000 nodes is lost each of the others claims some addresses, at one time, and says so in a frame or
// two; a few seconds later it says that its claims are confirmed.
func TestClaimsOfAllHeirsAreRead(t *testing.T) {
	now := time.Unix(0, 0)
	b := bucket{rate: claimRate, size: claimBurst}
	for range 2 {
		for i := range 2 * 1_333 {
			if wait := b.take(now); wait > 0 {
				t.Fatalf("after %d frames reading waits for %v", i+1, wait)
			}
		}
		now = now.Add(confirmAfter)
	}
}
