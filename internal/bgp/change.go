package bgp

import (
	"slices"
	"strings"
)

// Change is what an edit of a peer asks of its session.
type Change struct {
	// Reset is why the session must be closed and opened anew, in words ("hold time changed"); empty if it need not.
	Reset string
	// Bridged is true if graceful restart can keep the router forwarding over the reset: both ends stay who they
	// are, so close without Cease. Else the router would keep routes of a session that never comes back.
	Bridged bool
	// Attempts is true if the next attempt to connect is another one, and when; a connection that is there stays.
	Attempts bool
	// Routes is true if next hops may differ: advertise anew those that do.
	Routes bool
	// BFD is true if the timing of the BFD session, or whether there is one, differs.
	BFD bool
}

// need is what a field's difference asks for.
type need uint8

const (
	// needElsewhere: it is a session with somebody else, or one that the router takes for that.
	needElsewhere need = iota
	// needAnew: it is fixed when a session is opened.
	needAnew
	needAttempts
	needRoutes
	needDetection
)

// peerFields are those of Peer, and what it takes to follow a change of each. Words are for logs.
var peerFields = []struct {
	words   string
	need    need
	differs func(a, b *Peer) bool
}{
	{"name", needElsewhere, func(a, b *Peer) bool { return a.Name != b.Name }},
	{"address", needElsewhere, func(a, b *Peer) bool { return a.Address != b.Address }},
	{"interface", needElsewhere, func(a, b *Peer) bool { return a.Interface != b.Interface }},
	{"port", needElsewhere, func(a, b *Peer) bool { return a.Port != b.Port }},
	{"source address", needElsewhere, func(a, b *Peer) bool { return a.Source != b.Source }},
	{"VRF", needElsewhere, func(a, b *Peer) bool { return a.VRF != b.VRF }},

	// These are in OPEN (RFC 4271 section 4.2, RFC 5492).
	{"AS number", needAnew, func(a, b *Peer) bool { return a.ASN != b.ASN }},
	{"router's AS number", needAnew, func(a, b *Peer) bool { return a.PeerASN != b.PeerASN }},
	{"router ID", needAnew, func(a, b *Peer) bool { return a.RouterID != b.RouterID }},
	{"hold time", needAnew, func(a, b *Peer) bool { return a.HoldTime != b.HoldTime }},
	{"graceful restart", needAnew, func(a, b *Peer) bool { return a.GracefulRestart != b.GracefulRestart }},
	{"families", needAnew, func(a, b *Peer) bool { return !slices.Equal(a.Families, b.Families) }},
	// GoBGP takes it when OPEN comes in.
	{"keepalive time", needAnew, func(a, b *Peer) bool { return a.KeepaliveTime != b.KeepaliveTime }},
	// These are of the TCP connection. Its key and TTL could be changed under it; but then a session that cannot be
	// opened any more, since the router was not changed, would show that only after the hold time.
	{"password", needAnew, func(a, b *Peer) bool { return a.Password != b.Password }},
	{"multi-hop", needAnew, func(a, b *Peer) bool { return a.MultiHop != b.MultiHop }},
	{"TTL security", needAnew, func(a, b *Peer) bool { return a.Hops != b.Hops }},

	{"passive", needAttempts, func(a, b *Peer) bool { return a.Passive != b.Passive }},
	{"connect time", needAttempts, func(a, b *Peer) bool { return a.ConnectTime != b.ConnectTime }},

	// GoBGP offers the capability of RFC 8950 always, so the routes are all there is to it.
	{"extended next hop", needRoutes, func(a, b *Peer) bool { return a.ExtendedNextHop != b.ExtendedNextHop }},
	{"next hops", needRoutes, func(a, b *Peer) bool { return a.NextHops != b.NextHops }},

	// RFC 5880 section 6.8.3: by a Poll Sequence, the session stays.
	{"BFD", needDetection, func(a, b *Peer) bool { return !equalBFD(a.BFD, b.BFD) }},
}

// Equal tells whether two peers make the same session in every respect.
func (p Peer) Equal(other Peer) bool {
	for _, f := range peerFields {
		if f.differs(&p, &other) {
			return false
		}
	}
	return true
}

// ChangeOf returns what it takes to make the session of one peer that of another of the same name. Nothing, the
// zero value, if they are equal. A reset takes in all that the other fields ask for besides.
func ChangeOf(before, after Peer) Change {
	var c Change
	var why []string
	same := true
	for _, f := range peerFields {
		if !f.differs(&before, &after) {
			continue
		}
		switch f.need {
		case needElsewhere:
			same = false
			why = append(why, f.words)
		case needAnew:
			why = append(why, f.words)
		case needAttempts:
			c.Attempts = true
		case needRoutes:
			c.Routes = true
		case needDetection:
			c.BFD = true
		}
	}
	if len(why) > 0 {
		c.Reset = strings.Join(why, ", ") + " changed"
		// RFC 4724 section 4.2: the router keeps the routes if graceful restart was agreed on, and drops them when
		// the session comes back without it.
		c.Bridged = same && before.GracefulRestart && after.GracefulRestart
	}
	return c
}

func equalBFD(a, b *BFD) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
