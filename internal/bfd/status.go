package bfd

import (
	"net/netip"
	"time"
)

// Event is a session that came up or went down.
type Event struct {
	Peer string
	Up   bool
	// Detection is how long the peer had been silent when it was given up.
	Detection time.Duration
	At        time.Time
	// Diagnostic is why the session went down: ControlDetectionExpired if the peer is silent, NeighborSignaledDown
	// if it said so itself.
	Diagnostic Diagnostic
	// Remote is what the peer said of itself last. With NeighborSignaledDown: AdministrativelyDown if it stops or
	// wants no session any more, ControlDetectionExpired if it is this node that it misses, else it has restarted.
	Remote Diagnostic
}

// SessionStatus is what there is to see of a session.
type SessionStatus struct {
	Peer                         string
	Address                      netip.Addr
	State, RemoteState           State
	Since                        time.Time
	Diagnostic, RemoteDiagnostic Diagnostic
	// Interval is what this node sends in, RemoteInterval what the peer does, before jitter.
	Interval, RemoteInterval time.Duration
	// Detection is how long the peer may be silent; zero while it is not heard.
	Detection      time.Duration
	Sent, Received uint64
}

func (c *core) statuses() []SessionStatus {
	list := make([]SessionStatus, 0, len(c.sorted))
	for _, p := range c.sorted {
		s := p.session
		status := SessionStatus{
			Peer: p.name, Address: p.address.Addr(), State: s.state, RemoteState: s.remoteState, Since: s.since,
			Diagnostic: s.diagnostic, RemoteDiagnostic: s.remoteDiagnostic, Interval: s.period(),
			Sent: p.sent, Received: p.received,
		}
		if s.remote != 0 {
			status.RemoteInterval, status.Detection = s.accepted(), s.detection()
		}
		list = append(list, status)
	}
	return list
}
