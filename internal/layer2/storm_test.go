package layer2

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
)

const (
	stormVariable = "LAYER2_TEST_STORM" // the frames that this process is to send, in hexadecimal
	stormRate     = 10000               // per second
	stormTime     = 4 * time.Second
)

// sendStorm sends frames on the interface far, at stormRate.
func sendStorm(frames string) {
	var list [][]byte
	for f := range strings.SplitSeq(frames, " ") {
		list = append(list, must(hex.DecodeString(f)))
	}
	far := must(netlink.LinkByName("far")).Attrs()
	s := must(openSocket(Link{Interface: lb.Interface{Name: "far", HardwareAddr: far.HardwareAddr}, Index: far.Index}, 0, []bpf.Instruction{drop}))
	began, sent := time.Now(), 0
	for time.Since(began) < stormTime {
		for float64(sent) < time.Since(began).Seconds()*stormRate {
			_ = s.send(list[sent%len(list)]) // a timeout, where the machine is busy
			sent++
		}
		time.Sleep(time.Millisecond)
	}
}

// BenchmarkStorm says what 10,000 frames a second cost a process that answers for 1,000 addresses of each
// family: cpu% is the share of a core, of the process and of the kernel on its behalf. Run with -benchtime 1x.
func BenchmarkStorm(b *testing.B) {
	a := plug(b, "storm", 2)
	r, m := newTestResponder(b)
	r.SetLinks(carriers(b, "storm"))
	var vips []netip.Addr
	for i := range uint32(1000) {
		vips = append(vips, address4(0xc612_0000+3*i), address6(0x1000_0000+3*i))
	}
	before := resident(b)
	for _, vip := range vips {
		r.Own(vip, []string{"storm"}, nil)
	}
	time.Sleep(100 * time.Millisecond)
	b.Logf("%d addresses in %d KiB", len(vips), resident(b)-before)
	_, l := a.raw(arpType)
	request := func(targets ...netip.Addr) (frames [][]byte) {
		for _, target := range targets {
			frames = append(frames, arpFrame(arp.OperationRequest, l.HardwareAddr, their4, zeroMAC, target, ethernet.Broadcast))
		}
		return frames
	}
	foreign := request(address4(0xc612_0001), address4(0x0a00_0001), address4(0xc612_0002), address4(0xc000_0207))
	ours := request(vips[0], vips[2], vips[1998])
	for _, x := range []struct {
		name   string
		frames [][]byte
		before func()
	}{
		{name: "silence"},
		{name: "requests for other addresses", frames: foreign},
		{name: "the same while probing", frames: foreign, before: func() {
			check(b, r.Probe(Target{"storm", l.HardwareAddr, netip.MustParseAddr("192.0.2.2")}))
		}},
		{name: "requests for our addresses", frames: ours},
		{name: "another host's announcements of ours", frames: announceARP(vips[0], link{hardwareAddr: l.HardwareAddr}, l.HardwareAddr)},
		{name: "forged claims", frames: [][]byte{claimFrame(l.HardwareAddr, make([]byte, 400))}},
		{name: "requests for other addresses without a filter", frames: foreign, before: func() {
			check(b, r.ports["storm"].arp.attach([]bpf.Instruction{accept}))
		}},
	} {
		b.Run(x.name, func(b *testing.B) {
			for b.Loop() {
				r.probers.setLinks(nil)
				r.probers.setLinks(r.links)
				if x.before != nil {
					x.before()
				}
				used, answered := cpu(), m.count("arp", Answered)
				began := time.Now()
				if x.frames == nil {
					time.Sleep(stormTime)
				} else {
					var list []string
					for _, f := range x.frames {
						list = append(list, hex.EncodeToString(f))
					}
					cmd := exec.Command("/proc/self/exe")
					cmd.Env = append(os.Environ(), stormVariable+"="+strings.Join(list, " "))
					cmd.Stderr = os.Stderr
					a.inside(cmd.Start)
					check(b, cmd.Wait())
				}
				b.ReportMetric(100*(cpu()-used).Seconds()/time.Since(began).Seconds(), "cpu%")
				b.ReportMetric((m.count("arp", Answered)-answered)/time.Since(began).Seconds(), "answers/s")
				b.ReportMetric(0, "ns/op")
			}
		})
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the memory of this process in KiB.
func resident(tb testing.TB) int {
	tb.Helper()
	var pages, kept int
	_ = must(fmt.Sscan(string(must(os.ReadFile("/proc/self/statm"))), &pages, &kept))
	return kept * os.Getpagesize() / 1024
}
