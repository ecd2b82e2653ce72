package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// BGP is what a router speaks, in words for what FRR and BIRD both have.
type BGP struct {
	ASN   uint32
	Peers []Peer
	// Originate are prefixes that the router tells all of its neighbours, as its own.
	Originate []netip.Prefix
	// Transit has the router tell each neighbour what it has from the others. Without it they hear of Originate only.
	Transit bool
	// Further lines, of FRR's "router bgp" block or of BIRD's file.
	Lines []string
}

// Peer is a neighbour of a router. Without more it has both the families of its address and no other, waits to be
// connected to, and holds 90 s.
type Peer struct {
	// Name is BIRD's name of the protocol, and a description in FRR.
	Name string
	// Address of the neighbour, or the Interface on which it is the only one (unnumbered).
	Address   netip.Addr
	Interface string
	ASN       uint32 // 0 for any other than the router's
	// LocalAddress is what the router speaks from; any if invalid.
	LocalAddress netip.Addr
	// Port is the neighbour's, LocalPort where the router listens for it (BIRD alone); 179 if 0.
	Port, LocalPort uint16
	Password        string
	// Hops is how far away the neighbour may be, under GTSM (RFC 5082); MultiHop allows any distance without.
	Hops     uint8
	MultiHop bool
	// Active has the router connect, too.
	Active bool
	// Families are "IPv4" and "IPv6"; that of the address if nil, or both on an interface.
	Families        []string
	ExtendedNextHop bool
	Hold, Keepalive time.Duration
	BFD             bool // 100 ms x 3
	// Lines are further ones of the neighbour: in FRR after "neighbor X", in BIRD of the protocol.
	Lines []string
}

// family tells whether the neighbour has a family.
func (n Peer) family(name string) bool {
	switch {
	case n.Families != nil:
		return slices.Contains(n.Families, name)
	case n.Interface != "":
		return true
	}
	return (name == "IPv6") == n.Address.Is6()
}

// PeerState is what a router says of a neighbour.
type PeerState struct {
	State       string // of RFC 4271; BIRD says Down for a session that it does not want
	Established bool
	Up          time.Duration // since it was Established
	ASN         uint32
	RouterID    string
	Hold        time.Duration // negotiated
	Keepalive   time.Duration
	Families    []string // both sides offered
	// What the neighbour offers.
	GracefulRestart bool
	ExtendedNextHop bool
	// UpdatesReceived counts UPDATE messages where the software does (FRR), and prefixes told where it does not (BIRD).
	UpdatesReceived int
	LastError       string
	BFD             string // state of the session beside it; empty without one
	Text            string // all that the router says
}

// Path is one way to a prefix, as a router has it from a neighbour.
type Path struct {
	Neighbor    string // address of who said so
	NextHop     netip.Addr
	ASPath      []uint32
	LocalPref   int // -1 if there is none
	Communities []string
	Large       []string
	Stale       bool
}

func (p Path) String() string {
	s := fmt.Sprintf("via %s path %v", p.NextHop, p.ASPath)
	if p.LocalPref >= 0 {
		s += fmt.Sprintf(" localpref %d", p.LocalPref)
	}
	if len(p.Communities) > 0 {
		s += fmt.Sprintf(" communities %v", p.Communities)
	}
	if len(p.Large) > 0 {
		s += fmt.Sprintf(" large %v", p.Large)
	}
	if p.Stale {
		s += " stale"
	}
	return s
}

// Peer is what the router says of a neighbour, by the name it was given.
func (r *Router) Peer(ctx context.Context, name string) (PeerState, error) {
	s, err := r.daemon.peer(ctx, r, name)
	if err != nil {
		return s, fmt.Errorf("asking %s about its neighbour %s: %w", r.Name, name, err)
	}
	return s, nil
}

// Paths are the ways that the router has to exactly this prefix, by next hop.
func (r *Router) Paths(ctx context.Context, prefix netip.Prefix) ([]Path, error) {
	paths, err := r.daemon.paths(ctx, r, prefix)
	if err != nil {
		return nil, fmt.Errorf("asking %s about %s: %w", r.Name, prefix, err)
	}
	slices.SortFunc(paths, func(a, b Path) int { return a.NextHop.Compare(b.NextHop) })
	return paths, nil
}

// Received is how many prefixes the router has from each neighbour, by name.
func (r *Router) Received(ctx context.Context) (map[string]int, error) {
	counts, err := r.daemon.received(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("asking %s what it has received: %w", r.Name, err)
	}
	return counts, nil
}

// Command asks the router in its own words: of vtysh, or of birdc.
func (r *Router) Command(ctx context.Context, command string) (string, error) {
	if r.Software == FRR {
		return frr{}.vtysh(ctx, r, command)
	}
	return bird{}.birdc(ctx, r, command)
}

// peerNamed is a neighbour by its name.
func (r *Router) peerNamed(name string) (Peer, error) {
	for _, n := range r.speaks.Peers {
		if n.Name == name {
			return n, nil
		}
	}
	return Peer{}, fmt.Errorf("it has no neighbour %q", name)
}

// numbers are those of an AS path. What is not a number, such as a set, is left out.
func numbers(path string) []uint32 {
	var list []uint32
	for _, f := range strings.Fields(path) {
		if n, err := strconv.ParseUint(f, 10, 32); err == nil {
			list = append(list, uint32(n))
		}
	}
	return list
}

func wholeSeconds(d time.Duration) int { return int(d / time.Second) }
