package lb

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"go4.org/netipx"
)

// Key names a namespaced object, a Service as a rule.
type Key struct{ Namespace, Name string }

// String returns "namespace/name".
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Less orders keys by namespace, then name.
func (k Key) Less(other Key) bool {
	if k.Namespace != other.Namespace {
		return k.Namespace < other.Namespace
	}
	return k.Name < other.Name
}

// ParseKey is the inverse of Key.String.
func ParseKey(s string) (Key, error) {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return Key{}, fmt.Errorf("%q is not of the form namespace/name", s)
	}
	return Key{namespace, name}, nil
}

// Family is an IP address family.
type Family uint8

const (
	IPv4 Family = iota
	IPv6
)

// Families are both families, in the order in which tables and statuses show them.
var Families = [...]Family{IPv4, IPv6}

// FamilyOf returns the family of an address. An IPv4-mapped IPv6 address counts as IPv4.
func FamilyOf(a netip.Addr) Family {
	if a.Unmap().Is4() {
		return IPv4
	}
	return IPv6
}

// String returns "IPv4" or "IPv6", as Kubernetes spells them.
func (f Family) String() string {
	if f == IPv4 {
		return "IPv4"
	}
	return "IPv6"
}

// FamilyPolicy says how many families a Service wants: Kubernetes' spec.ipFamilyPolicy.
type FamilyPolicy uint8

const (
	SingleStack FamilyPolicy = iota
	PreferDualStack
	RequireDualStack
)

// Selector selects by labels. Two that print alike select alike.
type Selector interface {
	Matches(labels map[string]string) bool
	String() string
}

// Pool is a set of addresses that the controller may assign.
type Pool struct {
	Name string
	// Created decides who gives way when two pools overlap: the younger; at the same age the one that
	// sorts later by name.
	Created time.Time
	// Ranges need neither order nor disjointness: their union counts, without Excluded.
	Ranges, Excluded []netipx.IPRange
	// AvoidBuggyIPs withholds IPv4 addresses that end in .0 and .255.
	AvoidBuggyIPs bool
	// OnRequest pools serve only Services that ask for the pool or for one of its addresses.
	OnRequest bool
	// Disabled pools give nothing new.
	Disabled bool

	// Priority ranks pools: the lowest number above zero goes first, 0 last.
	Priority int32
	// Namespaces and NamespaceSelectors say whose Services the pool is for: those of a namespace that one of
	// them names or selects, or all if both are empty. ServiceSelectors narrow it further.
	Namespaces         []string
	NamespaceSelectors []Selector
	ServiceSelectors   []Selector

	// Quota is how many of the pool's addresses the Services of one namespace may have; nil for no bound.
	Quota *int
	// Retention is how long a deleted Service's address waits for its return.
	Retention time.Duration
}

// Sharing says with whom a Service may share its addresses.
type Sharing struct {
	// Key is the same for Services that may share; empty for one that shares with nobody.
	Key string
	// Ports that the Service takes of its addresses. Two that share have none in common.
	Ports []Port
	// Backends stands for the Pods that answer: empty if any node may send on to any (externalTrafficPolicy
	// Cluster), else the same for Services of the same Pods. A node attracts an address for all who share it,
	// so they must agree on the nodes that can serve it.
	Backends string
}

// Port is a port of a Service.
type Port struct {
	Protocol string // as Kubernetes spells it: TCP, UDP, SCTP
	Number   uint16
}

// String returns "TCP/80" or the like.
func (p Port) String() string { return fmt.Sprintf("%s/%d", p.Protocol, p.Number) }

// ParseAddr parses one IP address as a user writes it. Zones and IPv4-mapped IPv6 addresses are refused:
// neither is an address that a Service can have.
func ParseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", s)
	case a.Zone() != "":
		return netip.Addr{}, fmt.Errorf("%q has a zone: write the address without it", s)
	case a.Is4In6():
		return netip.Addr{}, fmt.Errorf("%q is an IPv4-mapped IPv6 address: write %s", s, a.Unmap())
	}
	return a, nil
}

// ParseRange parses what an IPAddressPool lists: one address, a CIDR, or "first-last" with or without
// spaces around the dash. A CIDR with host bits set means its network.
func ParseRange(s string) (netipx.IPRange, error) {
	r, err := parseRange(strings.TrimSpace(s))
	if err != nil {
		return netipx.IPRange{}, err
	}
	for _, u := range unusable {
		if whole := netipx.RangeOfPrefix(u.prefix); r.Overlaps(whole) {
			return netipx.IPRange{}, fmt.Errorf("%q reaches %s, %s, which no Service can have", s, u.prefix, u.what)
		}
	}
	return r, nil
}

// unusable are the addresses that a Service cannot be reached at from another host.
var unusable = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "\"this network\""}, // RFC 1122 section 3.2.1.3
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("::/128"), "the unspecified address"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

func parseRange(s string) (netipx.IPRange, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		if err != nil || p.Addr().Is4In6() {
			return netipx.IPRange{}, fmt.Errorf("%q is not a CIDR: write an address, a slash and a prefix length, such as 192.0.2.0/24", s)
		}
		return netipx.RangeOfPrefix(p.Masked()), nil
	}
	first, last, isRange := strings.Cut(s, "-")
	if !isRange {
		a, err := ParseAddr(s)
		return netipx.IPRangeFrom(a, a), err
	}
	from, err := ParseAddr(first)
	if err != nil {
		return netipx.IPRange{}, fmt.Errorf("%q is not a range: %w", s, err)
	}
	to, err := ParseAddr(last)
	if err != nil {
		return netipx.IPRange{}, fmt.Errorf("%q is not a range: %w", s, err)
	}
	if FamilyOf(from) != FamilyOf(to) {
		return netipx.IPRange{}, fmt.Errorf("%q mixes %s and %s", s, FamilyOf(from), FamilyOf(to))
	}
	if to.Less(from) {
		return netipx.IPRange{}, fmt.Errorf("%q is reversed: write %s-%s", s, to, from)
	}
	return netipx.IPRangeFrom(from, to), nil
}
