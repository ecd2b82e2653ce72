package bgp

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// detector is a BFD that does what it is told.
type detector struct {
	mu       sync.Mutex
	watching map[string]Target
}

func (d *detector) Watch(peer string, t Target) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.watching[peer] = t
}

func (d *detector) Unwatch(peer string) { d.mu.Lock(); defer d.mu.Unlock(); delete(d.watching, peer) }

func (d *detector) Session(peer string) (BFDStatus, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, ok := d.watching[peer]
	return BFDStatus{State: "Up", Interval: t.BFD.Transmit}, ok
}

func (d *detector) target(peer string) Target {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.watching[peer]
}

func TestBFD(t *testing.T) {
	r := restarting(newRouter(t, "192.0.2.2", 64513, lb.IPv4)).listen()
	d := &detector{watching: map[string]Target{}}
	s := newSpeaker(t, func(c *Config) { c.Detector = d })
	p := peerAt("tor", "192.0.2.2", 64513)
	p.GracefulRestart = true
	p.BFD = &BFD{Profile: "fast", Receive: 100 * time.Millisecond, Transmit: 100 * time.Millisecond, Multiplier: 3}
	s.SetPeer(p)
	c := r.next()
	if st := s.established("tor"); st.BFD == nil || st.BFD.State != "Up" {
		t.Errorf("the status is %+v", st)
	}
	want := Target{Remote: r.address, Local: netip.MustParseAddr("192.0.2.1"), BFD: *p.BFD}
	if got := d.target("tor"); got != want {
		t.Errorf("what is watched is %+v", got)
	}
	// Its timing is live.
	slow := *p.BFD
	slow.Transmit = time.Second
	p.BFD = &slow
	s.SetPeer(p)
	s.until("tor", "another timing", func(st SessionStatus) bool { return st.BFD.Interval == time.Second })
	// It ends the session at once, graceful restart or not, and BGP does not wait for it.
	start := time.Now()
	s.DetectionChanged("tor", false, "Control Detection Time Expired")
	c.says("notification Cease, BFD Down")
	if took := time.Since(start); took > 500*time.Millisecond {
		t.Errorf("it took %v", took)
	}
	s.error("tor", "BFD: Control Detection Time Expired")
	r.next()
	s.until("tor", "established again", func(st SessionStatus) bool { return st.State == Established && st.Established == 2 })
	s.DetectionChanged("tor", true, "")
	p.BFD = nil
	s.SetPeer(p)
	s.until("tor", "no BFD", func(st SessionStatus) bool { return st.BFD == nil })
	if st := s.session("tor"); st.Established != 2 || st.State != Established {
		t.Errorf("the status is %+v", st)
	}
}

// An edit that resets the session and takes BFD away does so at once, whether the session comes up again or not.
func TestAResetTakesBFDAway(t *testing.T) {
	r := restarting(newRouter(t, "192.0.2.2", 64513, lb.IPv4)).listen()
	d := &detector{watching: map[string]Target{}}
	s := newSpeaker(t, func(c *Config) { c.Detector = d })
	p := peerAt("tor", "192.0.2.2", 64513)
	p.GracefulRestart = true
	p.BFD = &BFD{Receive: 100 * time.Millisecond, Transmit: 100 * time.Millisecond, Multiplier: 3}
	s.SetPeer(p)
	r.next()
	s.established("tor")
	r.listener.Close()
	p.BFD, p.HoldTime = nil, 30*time.Second
	s.SetPeer(p)
	s.until("tor", "no BFD", func(st SessionStatus) bool { return st.State != Established && st.BFD == nil })
}
