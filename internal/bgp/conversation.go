package bgp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// feedInterval is how often the hold timer of GoBGP is told at most that the router lives. The timer may fire so much
// too soon: so it is a small part of the shortest hold time, which is 3 s.
const feedInterval = 100 * time.Millisecond

// refreshInterval is the pace at which a router gets all routes again, however often it asks.
const refreshInterval = time.Second

// conversation is what passes between a router and the GoBGP server that stands for this node, on one connection:
// what goes through, what does not, and how far the session has come. It knows no clock and no socket.
//
// No UPDATE of the router goes through. So whatever it advertises, and however broken, costs nothing and changes
// nothing; GoBGP would keep it even where its policy rejects it. A KEEPALIVE stands in for it.
type conversation struct {
	peer  Peer
	state State
	// holdTime is the negotiated one, 0 for none.
	holdTime time.Duration
	router   open
	// families both sides have.
	families []lb.Family
	// greeted is true once GoBGP's OPEN has come by. The router's may come first.
	greeted bool
	// ready tells whose KEEPALIVE has come: the session is established with both.
	serverReady, routerReady bool
	fed                      time.Time
	// refreshed is when a ROUTE-REFRESH went through last, by family, and wanted that one has waited since.
	refreshed [2]time.Time
	wanted    [2]bool
}

// pass is what becomes of a message.
type pass struct {
	toServer, toRouter []byte
	// opened is true if it was the router's OPEN: it may go to the server, as toServer, once the session agrees.
	opened bool
	// established is true if it was what the session still needed.
	established bool
	// ended is why there is nothing more to say; toRouter holds the last words.
	ended string
}

func newConversation(p Peer) *conversation { return &conversation{peer: p, state: OpenSent} }

// gobgpHoldTime is the hold time that GoBGP works with: it cannot be told to have none.
func (p Peer) gobgpHoldTime() time.Duration {
	if p.HoldTime == 0 {
		return 90 * time.Second // RFC 4271 section 10
	}
	return p.HoldTime
}

// fromServer decides about a message of GoBGP's. The result may share m's octets.
func (c *conversation) fromServer(m message) pass {
	switch m.kind() {
	case kindOpen:
		if c.greeted {
			return pass{}
		}
		c.greeted = true
		m = slices.Clone(m)
		binary.BigEndian.PutUint16(m[headerLength+3:], uint16(c.peer.HoldTime/time.Second))
	case kindKeepalive:
		if c.state == OpenConfirm && !c.serverReady {
			c.serverReady = true
			return pass{toRouter: m, established: c.establish()}
		}
		if c.holdTime == 0 { // RFC 4271 section 4.4
			return pass{}
		}
	case kindUpdate:
		// GoBGP ends families that were not agreed on, too, where a router only helps others to restart.
		if f, ok := isEndOfRIB(m); ok && !slices.Contains(c.families, f) {
			return pass{}
		}
	case kindNotification:
		return pass{toRouter: m, ended: sentWords + parseNotification(m.body()).Error() + c.detail(m)}
	case kindRefresh:
		return pass{} // there is nothing to refresh
	}
	return pass{toRouter: m}
}

// detail adds what the numbers do not say.
func (c *conversation) detail(m message) string {
	if n := parseNotification(m.body()); n.code == openError && n.subcode == badPeerAS && c.router.asn != 0 {
		return fmt.Sprintf(": the router says AS %d, %d is configured", c.router.asn, c.peer.PeerASN)
	}
	return ""
}

// establish tells whether the session has become established just now.
func (c *conversation) establish() bool {
	if c.state != OpenConfirm || !c.serverReady || !c.routerReady {
		return false
	}
	c.state = Established
	return true
}

// fromRouter decides about a message of the router's.
func (c *conversation) fromRouter(m message, now time.Time) pass {
	switch k := m.kind(); {
	case k == kindNotification:
		return pass{ended: receivedWords + parseNotification(m.body()).Error()}
	case k == kindOpen && c.state == OpenSent:
		return c.routersOpen(m)
	case c.state == OpenSent:
		return c.refuse(notification{code: fsmError, subcode: 1})
	case k == kindOpen:
		return c.refuse(notification{code: fsmError, subcode: map[State]uint8{OpenConfirm: 2, Established: 3}[c.state]})
	case k == kindKeepalive && !c.routerReady:
		c.routerReady, c.fed = true, now
		return pass{toServer: slices.Concat(keepaliveMessage, c.endsOfRIB()), established: c.establish()}
	case !c.routerReady:
		return c.refuse(notification{code: fsmError, subcode: 2})
	case k == kindRefresh:
		if f, ok := refreshFamily(m); ok && slices.Contains(c.families, f) {
			c.wanted[f] = true
		}
	}
	return pass{toServer: c.feed(now)}
}

func (c *conversation) routersOpen(m message) pass {
	o, err := parseOpen(m.body())
	if err != nil {
		return c.refuse(err.(notification))
	}
	c.router, c.families = o, common(c.peer.Families, o.families)
	switch {
	case o.asn == 0:
		return c.refuse(notification{code: openError, subcode: badPeerAS}, ": the router says AS 0") // RFC 7607
	case c.peer.PeerASN == 0 && o.asn == c.peer.ASN:
		return c.refuse(notification{code: openError, subcode: badPeerAS},
			fmt.Sprintf(": the router says AS %d, which is this node's; it is to be another", o.asn))
	case len(c.families) == 0:
		// RFC 5492 section 5: with the capabilities that are missed.
		var missed []byte
		for _, f := range c.peer.Families {
			missed = append(missed, capabilityMultiprotocol, 4, 0, byte(afiOf(f)), 0, safiUnicast)
		}
		return c.refuse(notification{openError, unsupportedCapability, missed},
			fmt.Sprintf(": the router has none of the families %v", c.peer.Families))
	}
	c.state = OpenConfirm
	ours := uint16(c.peer.HoldTime / time.Second)
	c.holdTime = time.Duration(min(ours, o.holdTime)) * time.Second
	theirs := o.holdTime
	if theirs == 0 {
		theirs = uint16(c.peer.gobgpHoldTime() / time.Second)
	}
	return pass{toServer: o.message(theirs), opened: true}
}

// endsOfRIB are the markers that GoBGP waits for after a restart, in which it defers its routes. The routes of this
// node depend on none of the router's, so there is nothing to wait for.
func (c *conversation) endsOfRIB() (b []byte) {
	if !c.peer.GracefulRestart || !c.router.restart {
		return nil
	}
	for _, f := range c.families {
		b = append(b, endOfRIB(f)...)
	}
	return b
}

// feed tells the server that the router lives, if that is not long known.
func (c *conversation) feed(now time.Time) []byte {
	if now.Sub(c.fed) < feedInterval {
		return nil
	}
	c.fed = now
	return keepaliveMessage
}

// refreshes asks the server for the routes that the router wants again, if it did not just get them. It is to be
// called, while waiting says so, whenever the router takes in what it is sent: what waits for it is in memory.
func (c *conversation) refreshes(now time.Time) (b []byte) {
	for i, wanted := range c.wanted {
		if wanted && now.Sub(c.refreshed[i]) >= refreshInterval {
			c.wanted[i], c.refreshed[i] = false, now
			b = append(b, newMessage(kindRefresh, []byte{0, byte(afiOf(lb.Family(i))), 0, safiUnicast})...)
		}
	}
	return b
}

// waiting tells whether a router is still to get what it asked for.
func (c *conversation) waiting() bool { return slices.Contains(c.wanted[:], true) }

// refuse ends the conversation with a notification.
func (c *conversation) refuse(n notification, detail ...string) pass {
	words := sentWords + n.Error()
	for _, d := range detail {
		words += d
	}
	return pass{toRouter: n.message(), ended: words}
}
