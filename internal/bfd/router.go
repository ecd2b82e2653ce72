package bfd

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// RouterTarget is a router to watch, and how.
type RouterTarget struct {
	// Remote is the router. Where it is link-local it has a zone, or Device is the interface.
	Remote netip.Addr
	// Local is this node's address; invalid for the kernel's choice.
	Local netip.Addr
	// Device to bind to, an interface or a VRF; empty for none.
	Device string
	// MultiHop says that the router may be several hops away (RFC 5883), and MinimumTTL how low the TTL of its
	// packets may have become. Else it is on this link (RFC 5881), and the TTL has to be 255.
	MultiHop   bool
	MinimumTTL uint8
	// Receive is Required Min RX Interval, Transmit Desired Min TX Interval, Multiplier Detect Mult of RFC 5880
	// section 4.1: 10 ms to 60 s, and at least 2.
	Receive, Transmit time.Duration
	Multiplier        uint8
	// Passive waits for the router's first packet (RFC 5880 section 6.1).
	Passive bool
}

// RouterEvent is a session that came up or went down.
type RouterEvent struct {
	// Peers share the session; sorted.
	Peers []string
	Up    bool
	// AdminDown is true where the router said that it ends the session, which tells nothing about the path
	// (RFC 5882 section 4.1).
	AdminDown bool
	// Diagnostic is why the session went down, Remote what the router said of itself last.
	Diagnostic, Remote Diagnostic
	// Detection is how long the router had been silent when it was given up, zero if it was not for that.
	Detection time.Duration
	At        time.Time
}

// Why says in words why a session went down.
func (e RouterEvent) Why() string {
	switch {
	case e.Up:
		return ""
	case e.Diagnostic == ControlDetectionExpired:
		return fmt.Sprintf("the router was silent for %s", e.Detection.Round(time.Millisecond))
	case e.AdminDown:
		return "the router ended its BFD session"
	case e.Remote == ControlDetectionExpired:
		return "the router does not hear this node any more"
	}
	return fmt.Sprintf("the router's BFD session went down (%s)", e.Remote)
}

// RouterStatus is what there is to see of a session.
type RouterStatus struct {
	// Peers share the session; sorted.
	Peers         []string
	Remote, Local netip.Addr
	MultiHop      bool
	// Trouble is why this node cannot have the session as it is; nil if it can.
	Trouble                      error
	State, RemoteState           State
	Since                        time.Time
	Diagnostic, RemoteDiagnostic Diagnostic
	// Interval is what this node sends in, RemoteInterval what the router does, before jitter.
	Interval, RemoteInterval time.Duration
	// Detection is how long the router may be silent; zero while it is not heard.
	Detection      time.Duration
	Sent, Received uint64
}

const (
	minRouterInterval, maxRouterInterval = 10 * time.Millisecond, time.Minute
	// idleRouter is Desired Min TX Interval of a session that is not Up, RFC 5880 section 6.8.3.
	idleRouter = time.Second
	singleHop  = 255 // RFC 5881 section 5
)

func (t RouterTarget) timers() timers { return timers{t.Transmit, t.Receive, t.Multiplier} }

// routerKey is what a session is one of: section 3 of RFC 5881, and section 4.1 of RFC 5882.
type routerKey struct {
	remote   netip.Addr // with a zone where it is link-local
	local    netip.Addr // without one
	device   string
	multiHop bool
}

// channel is what a socket receives packets of.
type channel struct {
	v6, multiHop bool
	device       string
}

func (k routerKey) channel() channel { return channel{k.remote.Is6(), k.multiHop, k.device} }

// Ports of RFC 5881 section 4 and RFC 5883 section 5.
func (c channel) port() uint16 {
	if c.multiHop {
		return 4784
	}
	return 3784
}

func (c channel) String() string {
	s := fmt.Sprintf("UDP port %d of IPv4", c.port())
	if c.v6 {
		s = fmt.Sprintf("UDP port %d of IPv6", c.port())
	}
	if c.device != "" {
		s += " on " + c.device
	}
	return s
}

// key returns the key of a target, or why there can be no session.
func (t RouterTarget) key() (k routerKey, err error) {
	k = routerKey{t.Remote.Unmap(), t.Local.Unmap().WithZone(""), t.Device, t.MultiHop}
	for _, i := range []time.Duration{t.Receive, t.Transmit} {
		if i < minRouterInterval || i > maxRouterInterval {
			return k, fmt.Errorf("an interval of %s is not between %s and %s", i, minRouterInterval, maxRouterInterval)
		}
	}
	switch {
	case t.Multiplier < minMultiplier:
		return k, fmt.Errorf("a multiplier of %d is less than %d", t.Multiplier, minMultiplier)
	case !k.remote.IsValid() || k.remote.IsUnspecified() || k.remote.IsMulticast():
		return k, fmt.Errorf("%s is no address of a router", k.remote)
	case k.local.IsValid() && k.local.Is4() != k.remote.Is4():
		return k, fmt.Errorf("%s and %s are not of one family", k.local, k.remote)
	case k.local.IsValid() && k.local == k.remote.WithZone(""):
		return k, fmt.Errorf("%s is this node's own address", k.local)
	}
	if linkLocal := k.remote.Is6() && k.remote.IsLinkLocalUnicast(); linkLocal && k.remote.Zone() == "" {
		if k.remote = k.remote.WithZone(k.device); k.device == "" {
			return k, errors.New("a link-local address needs an interface")
		}
	} else if !linkLocal {
		k.remote = k.remote.WithZone("")
	}
	return k, nil
}
