package main

import (
	"github.com/fairlead-lb/fairlead/internal/bfd"
	"github.com/fairlead-lb/fairlead/internal/bgp"
)

// routers are the sessions with routers that the BGP engine needs, on bfd's.
type routers struct{ *bfd.Routers }

// Watch has a session beside the one with a peer.
func (r routers) Watch(peer string, t bgp.Target) {
	r.Routers.Watch(peer, bfd.RouterTarget{
		Remote: t.Remote, Local: t.Local, Device: t.Device, MultiHop: t.MultiHop, MinimumTTL: t.BFD.MinimumTTL,
		Receive: t.BFD.Receive, Transmit: t.BFD.Transmit, Multiplier: t.BFD.Multiplier, Passive: t.BFD.Passive,
	})
}

// Session returns what there is to see of the session beside the one with a peer.
func (r routers) Session(peer string) (bgp.BFDStatus, bool) {
	s, ok := r.Routers.Session(peer)
	if !ok {
		return bgp.BFDStatus{}, false
	}
	status := bgp.BFDStatus{State: s.State.String(), Interval: s.Interval, RemoteInterval: s.RemoteInterval, Detection: s.Detection}
	switch {
	case s.Trouble != nil:
		status.Diagnostic = s.Trouble.Error()
	case s.Diagnostic != 0:
		status.Diagnostic = s.Diagnostic.String()
	}
	return status, true
}

// tell tells the engine of a session that came up or went down, for each peer that it is beside. A router that
// ends its BFD session says nothing of the path (RFC 5882 section 4.1).
func tell(engine *bgp.Engine, e bfd.RouterEvent) {
	if e.AdminDown {
		return
	}
	for _, peer := range e.Peers {
		engine.DetectionChanged(peer, e.Up, e.Why())
	}
}
