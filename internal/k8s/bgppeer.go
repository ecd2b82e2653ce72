package k8s

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// What the custom resource definition gives where a BGPPeer is silent, for objects that did not pass through
// it.
const (
	defaultHoldTime    = 90 * time.Second
	defaultConnectTime = 10 * time.Second
	defaultPort        = 179
	// longestPassword is what the kernel takes (TCP_MD5SIG_MAXKEYLEN).
	longestPassword = 80
)

// BGPPeer is a BGPPeer as it was read: the speaker, the controller and the plugin go by the same rules.
type BGPPeer struct {
	Name    string
	Created time.Time
	// Profile is the name of the BFDProfile, Secret that of the Secret with the password; empty for none.
	Profile, Secret string
	// session is the same on all nodes; what the node adds is missing.
	session bgp.Peer
	nodes   []labels.Selector
}

// ReadBGPPeer reads a BGPPeer. The custom resource definition refuses what cannot be read, but an object may be
// older than the rule that refuses it.
func ReadBGPPeer(object *v1alpha1.BGPPeer) (*BGPPeer, error) {
	spec := &object.Spec
	p := &BGPPeer{Name: object.Name, Created: object.CreationTimestamp.Time, Profile: spec.BFDProfile}
	if spec.PasswordSecret != nil {
		p.Secret = spec.PasswordSecret.Name
	}
	var err error
	if p.nodes, err = CompileSelectors("nodeSelectors", spec.NodeSelectors); err != nil {
		return nil, err
	}
	s := &p.session
	*s = bgp.Peer{
		Name: object.Name, Interface: spec.Interface, Port: uint16(cmp.Or(spec.PeerPort, defaultPort)), VRF: spec.VRF,
		HoldTime: duration(spec.HoldTime, defaultHoldTime), KeepaliveTime: duration(spec.KeepaliveTime, 0),
		ConnectTime:     duration(spec.ConnectTime, defaultConnectTime),
		GracefulRestart: spec.EnableGracefulRestart, MultiHop: spec.EBGPMultiHop, Passive: spec.Passive,
		ExtendedNextHop: spec.ExtendedNextHop || spec.Interface != "",
	}
	if spec.TTLSecurity != nil {
		s.Hops = uint8(min(max(spec.TTLSecurity.Hops, 1), 254))
	}
	if err := readASNs(s, spec); err != nil {
		return nil, err
	}
	if err := readAddresses(s, spec); err != nil {
		return nil, err
	}
	s.Families = families(spec, s.Address)
	switch hold := s.HoldTime; {
	case spec.PeerPort < 0 || spec.PeerPort > 65535:
		return nil, fmt.Errorf("spec.peerPort: %d is no port", spec.PeerPort)
	case hold != 0 && hold < 3*time.Second || hold > 65535*time.Second || hold%time.Second != 0: // RFC 4271 section 4.2
		return nil, fmt.Errorf("spec.holdTime: %s is not a hold time that BGP can have", hold)
	case s.KeepaliveTime < 0 || s.ConnectTime <= 0:
		return nil, errors.New("spec.keepaliveTime or spec.connectTime is below 0")
	}
	return p, nil
}

// readASNs reads both sides' AS numbers. RFC 7705 would have both of the node's in the path; the router is to
// see one, as with FRR's "no-prepend replace-as".
func readASNs(s *bgp.Peer, spec *v1alpha1.BGPPeerSpec) error {
	asn := func(field string, n int64) (uint32, error) {
		if n < 0 || n > 1<<32-1 {
			return 0, fmt.Errorf("spec.%s: %d is no AS number", field, n)
		}
		return uint32(n), nil
	}
	mine, err := asn("myASN", spec.MyASN)
	if err != nil {
		return err
	}
	local, err := asn("localASN", spec.LocalASN)
	if err != nil {
		return err
	}
	if s.PeerASN, err = asn("peerASN", spec.PeerASN); err != nil {
		return err
	}
	switch {
	case mine == 0:
		return errors.New("spec.myASN is missing")
	case (s.PeerASN == 0) == (spec.DynamicASN == ""):
		return errors.New("give either spec.peerASN or spec.dynamicASN, one of the two")
	case spec.DynamicASN == v1alpha1.DynamicASNInternal:
		s.PeerASN = mine
	case spec.DynamicASN != "" && spec.DynamicASN != v1alpha1.DynamicASNExternal:
		return fmt.Errorf("spec.dynamicASN: %q is neither internal nor external", spec.DynamicASN)
	}
	s.ASN = cmp.Or(local, mine)
	return nil
}

func readAddresses(s *bgp.Peer, spec *v1alpha1.BGPPeerSpec) (err error) {
	parse := func(field, text string, to *netip.Addr) {
		if text != "" && err == nil {
			if *to, err = lb.ParseAddr(text); err != nil {
				err = fmt.Errorf("spec.%s: %w", field, err)
			}
		}
	}
	parse("peerAddress", spec.PeerAddress, &s.Address)
	parse("sourceAddress", spec.SourceAddress, &s.Source)
	parse("routerID", spec.RouterID, &s.RouterID)
	switch {
	case err != nil:
		return err
	case s.Address.IsValid() == (s.Interface != ""):
		return errors.New("give either spec.peerAddress or spec.interface, one of the two")
	case s.Address.Is6() && s.Address.IsLinkLocalUnicast():
		return fmt.Errorf("spec.peerAddress: %s is link-local; give spec.interface instead", s.Address)
	case s.Address.IsUnspecified() || s.Address.IsMulticast():
		return fmt.Errorf("spec.peerAddress: %s is no router's address", s.Address)
	case s.Source.IsValid() && s.Interface != "":
		return errors.New("a session on spec.interface uses the link-local addresses of the link; remove spec.sourceAddress")
	case s.Source.IsValid() && lb.FamilyOf(s.Source) != lb.FamilyOf(s.Address):
		return errors.New("spec.sourceAddress and spec.peerAddress must be of one family")
	case s.RouterID.IsValid() && (!s.RouterID.Is4() || s.RouterID.IsUnspecified()):
		return fmt.Errorf("spec.routerID: %s is not a router ID", s.RouterID)
	}
	return nil
}

// families are those to exchange, IPv4 first. Without a word it is that of the router's address, as with
// spec.disableMP, and both where there is none.
func families(spec *v1alpha1.BGPPeerSpec, address netip.Addr) (list []lb.Family) {
	for _, f := range lb.Families {
		given := slices.Contains(spec.Families, v1alpha1.AddressFamily(f.String()))
		if given || len(spec.Families) == 0 && (spec.DualStackAddressFamily || !address.IsValid() || f == lb.FamilyOf(address)) {
			list = append(list, f)
		}
	}
	return list
}

func duration(d *metav1.Duration, without time.Duration) time.Duration {
	if d == nil {
		return without
	}
	return d.Duration
}

// Selects tells whether a node with these labels is to have a session with the peer.
func (p *BGPPeer) Selects(nodeLabels labels.Set) bool {
	return len(p.nodes) == 0 || slices.ContainsFunc(p.nodes, func(s labels.Selector) bool { return s.Matches(nodeLabels) })
}

// On returns the session that a node has with the peer, without password and BFD. Addresses are the node's
// InternalIPs.
func (p *BGPPeer) On(node string, addresses []netip.Addr) bgp.Peer {
	s := p.session
	s.Families = slices.Clone(s.Families)
	for _, a := range addresses {
		if f := lb.FamilyOf(a); !s.NextHops[f].IsValid() {
			s.NextHops[f] = a
		}
	}
	if !s.RouterID.IsValid() {
		s.RouterID = routerID(node, s.NextHops[lb.IPv4])
	}
	return s
}

// routerID is a node's BGP Identifier: its IPv4 address, else one derived from its name. Any that is not 0 and
// that no other router of the AS has will do (RFC 6286).
func routerID(node string, address netip.Addr) netip.Addr {
	if address.IsValid() {
		return address
	}
	sum := sha256.Sum256([]byte(node))
	id := [4]byte(sum[:4])
	id[0] |= 1 // not 0
	return netip.AddrFrom4(id)
}

// sameSession tells whether two peers would be one session on a node: the router could not tell them apart. A
// source address that is not given may be the other's.
func (p *BGPPeer) sameSession(q *BGPPeer) bool {
	a, b := &p.session, &q.session
	return a.Address == b.Address && a.Interface == b.Interface && a.VRF == b.VRF && a.Port == b.Port &&
		(a.Source == b.Source || !a.Source.IsValid() || !b.Source.IsValid())
}

// BGPPeersByAge sorts peers by their age and then by name, the oldest first.
func BGPPeersByAge(peers []*BGPPeer) {
	slices.SortFunc(peers, func(x, y *BGPPeer) int {
		return cmp.Or(x.Created.Compare(y.Created), strings.Compare(x.Name, y.Name))
	})
}

// BGPPeersOn returns which of the peers, given by age, a node with these labels has sessions with; and of
// each other that selects the node, by name, the older one that is the same session there.
func BGPPeersOn(byAge []*BGPPeer, nodeLabels labels.Set) (sessions []*BGPPeer, conflicts map[string]string) {
	conflicts = map[string]string{}
	for _, p := range byAge {
		if !p.Selects(nodeLabels) {
			continue
		}
		if i := slices.IndexFunc(sessions, p.sameSession); i >= 0 {
			conflicts[p.Name] = sessions[i].Name
		} else {
			sessions = append(sessions, p)
		}
	}
	return sessions, conflicts
}

// Runs tells whether a speaker says that it runs, and nobody says that it was lost. Whether it takes part in gossip,
// as its condition Ready tells, is nothing to its BGP sessions.
func Runs(s *v1alpha1.Speaker) bool {
	c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionReady)
	return c != nil && (c.Status == metav1.ConditionTrue || c.Reason != "Stopped" && c.Reason != "Lost")
}

// BFD returns the timing that a BFDProfile gives.
func BFD(object *v1alpha1.BFDProfile) bgp.BFD {
	or := func(n *int32, without, least, most int32) int32 {
		if n == nil {
			return without
		}
		return min(max(*n, least), most)
	}
	milliseconds := func(n *int32) time.Duration { return time.Duration(or(n, 300, 10, 60000)) * time.Millisecond }
	spec := &object.Spec
	return bgp.BFD{
		Profile: object.Name, Receive: milliseconds(spec.ReceiveInterval), Transmit: milliseconds(spec.TransmitInterval),
		Multiplier: uint8(or(spec.DetectMultiplier, 3, 2, 255)), Passive: spec.PassiveMode, MinimumTTL: uint8(or(spec.MinimumTTL, 254, 1, 254)),
	}
}

// Password returns the key of TCP MD5 that a Secret holds. The error says what is wrong with the Secret, and
// nothing of what is in it.
func Password(secret *corev1.Secret) (bgp.Password, error) {
	// A line break at the end is what is left of a file; no router's configuration could have it.
	password := strings.TrimRight(string(secret.Data[corev1.BasicAuthPasswordKey]), "\r\n")
	switch {
	case secret.Type != corev1.SecretTypeBasicAuth:
		return "", fmt.Errorf("Secret %s is not of type %s", secret.Name, corev1.SecretTypeBasicAuth)
	case password == "":
		return "", fmt.Errorf("Secret %s has no key %s, or an empty one", secret.Name, corev1.BasicAuthPasswordKey)
	case len(password) > longestPassword:
		return "", fmt.Errorf("Secret %s: the key %s is longer than the %d bytes that TCP MD5 can have", secret.Name, corev1.BasicAuthPasswordKey, longestPassword)
	}
	return bgp.Password(password), nil
}
