package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"
)

// frr is FRRouting (Debian package frr): zebra, which writes the kernel's routes, bfdd and bgpd.
type frr struct{}

func (frr) processes(r *Router) (list []*Process) {
	for _, name := range []string{"zebra", "bfdd", "bgpd"} {
		file := func(suffix string) string { return filepath.Join(r.directory, name+suffix) }
		// The configuration's directory is also that of the sockets: nothing is shared with other routers. The vty
		// is reached by its socket alone.
		arguments := []string{
			name, "-f", file(".conf"), "-i", file(".pid"), "-z", filepath.Join(r.directory, "zserv.api"),
			"--vty_socket", r.directory, "-P", "0", "--log", "stdout",
		}
		if name == "bfdd" {
			arguments = append(arguments, "--bfdctl", filepath.Join(r.directory, "bfdd.sock"))
		}
		list = append(list, r.lab.newProcess(name+"-"+r.Name, r.Host, "/usr/lib/frr/"+name, arguments...))
	}
	return list
}

func (frr) files(r *Router, b BGP) map[string]string {
	return map[string]string{
		// Next hops are written into the routes themselves, so that the kernel tells of each change.
		"zebra.conf": "hostname " + r.Name + "\nno zebra nexthop kernel enable\n",
		"bfdd.conf":  "bfd\n profile lab\n  detect-multiplier 3\n  receive-interval 100\n  transmit-interval 100\n",
		"bgpd.conf":  bgpdConf(r, b),
	}
}

// ownPaths are those that begin at the router itself: no other AS is in them.
const ownPaths = "bgp as-path access-list own permit ^$\n"

func bgpdConf(r *Router, b BGP) string {
	var s strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&s, format+"\n", args...) }
	line("hostname %s", r.Name)
	if b.ASN == 0 {
		return s.String()
	}
	s.WriteString(ownPaths)
	line("router bgp %d", b.ASN)
	line(" bgp router-id %s", r.id())
	line(" no bgp ebgp-requires-policy")
	line(" no bgp default ipv4-unicast")
	line(" no bgp network import-check")
	line(" bgp bestpath as-path multipath-relax")
	line(" bgp log-neighbor-changes")
	for _, l := range b.Lines {
		line(" %s", l)
	}
	for _, n := range b.Peers {
		name, remote := n.Address.String(), "external"
		if n.ASN != 0 {
			remote = fmt.Sprint(n.ASN)
		}
		if n.Interface != "" {
			name = n.Interface
			line(" neighbor %s interface remote-as %s", name, remote)
		} else {
			line(" neighbor %s remote-as %s", name, remote)
		}
		set := func(format string, args ...any) { line(" neighbor "+name+" "+format, args...) }
		set("description %s", n.Name)
		set("timers connect 1")
		if !n.Active {
			set("passive")
		}
		if n.LocalAddress.IsValid() {
			set("update-source %s", n.LocalAddress)
		}
		if n.Port != 0 {
			set("port %d", n.Port)
		}
		if n.Password != "" {
			set("password %s", n.Password)
		}
		if n.Hops > 0 {
			set("ttl-security hops %d", n.Hops)
		}
		if n.MultiHop && n.ASN != b.ASN {
			set("ebgp-multihop 255")
		}
		if n.ExtendedNextHop && n.Interface == "" {
			set("capability extended-nexthop")
		}
		if n.Hold == 0 {
			n.Hold, n.Keepalive = 90*time.Second, 30*time.Second
		}
		set("timers %d %d", wholeSeconds(n.Keepalive), wholeSeconds(n.Hold))
		if n.BFD {
			set("bfd profile lab")
		}
		for _, l := range n.Lines {
			set("%s", l)
		}
	}
	for _, family := range []string{"IPv4", "IPv6"} {
		line(" address-family %s unicast", strings.ToLower(family))
		line("  maximum-paths 64\n  maximum-paths ibgp 64")
		for _, p := range b.Originate {
			if p.Addr().Is6() == (family == "IPv6") {
				line("  network %s", p)
			}
		}
		for _, n := range b.Peers {
			if !n.family(family) {
				continue
			}
			name := n.Interface
			if name == "" {
				name = n.Address.String()
			}
			line("  neighbor %s activate", name)
			if !b.Transit {
				line("  neighbor %s filter-list own out", name)
			}
		}
		line(" exit-address-family")
	}
	return s.String()
}

// id is the router's BGP Identifier.
func (r *Router) id() netip.Addr { return r.V4 }

func (frr) vtysh(ctx context.Context, r *Router, commands ...string) (string, error) {
	arguments := []string{"--vty_socket", r.directory}
	for _, c := range commands {
		arguments = append(arguments, "-c", c)
	}
	return r.ask(ctx, "vtysh", arguments...)
}

// query asks for JSON.
func (f frr) query(ctx context.Context, r *Router, command string, into any) error {
	text, err := f.vtysh(ctx, r, command+" json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return fmt.Errorf("%s: %w in %q", command, err, text)
	}
	return nil
}

func (f frr) ready(ctx context.Context, r *Router) error {
	var none any
	if err := f.query(ctx, r, "show bfd peers", &none); err != nil {
		return err
	}
	return f.query(ctx, r, "show bgp summary", &none)
}

// reconfigure: what would bring a running bgpd in line with a file is a program of its own, in another package.
func (frr) reconfigure(context.Context, *Router) (bool, error) { return false, nil }

type frrPeer struct {
	State        string  `json:"bgpState"`
	UpMillis     int64   `json:"bgpTimerUpMsec"`
	ASN          uint32  `json:"remoteAs"`
	RouterID     string  `json:"remoteRouterId"`
	HoldMillis   int64   `json:"bgpTimerHoldTimeMsecs"`
	KeepMillis   int64   `json:"bgpTimerKeepAliveIntervalMsecs"`
	ResetBy      string  `json:"lastResetDueTo"`
	Notification string  `json:"lastNotificationReason"`
	Capabilities frrCaps `json:"neighborCapabilities"`
	Messages     struct {
		UpdatesReceived int `json:"updatesRecv"`
	} `json:"messageStats"`
	BFD struct {
		Status string `json:"status"`
	} `json:"peerBfdInfo"`
}

type frrCaps struct {
	Families        map[string]map[string]any `json:"multiprotocolExtensions"`
	ExtendedNextHop string                    `json:"extendedNexthop"`
	GracefulRestart string                    `json:"gracefulRestart"`
	GracefulCap     string                    `json:"gracefulRestartCapability"`
}

func (f frr) peer(ctx context.Context, r *Router, name string) (PeerState, error) {
	n, err := r.peerNamed(name)
	if err != nil {
		return PeerState{}, err
	}
	key := n.Interface
	if key == "" {
		key = n.Address.String()
	}
	text, err := f.vtysh(ctx, r, "show bgp neighbors "+key+" json")
	if err != nil {
		return PeerState{}, err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return PeerState{}, fmt.Errorf("%w in %q", err, text)
	}
	var s frrPeer
	if err := json.Unmarshal(all[key], &s); err != nil {
		return PeerState{}, fmt.Errorf("%w in %q", err, text)
	}
	received := func(what string) bool {
		return what == "advertisedAndReceived" || what == "received"
	}
	state := PeerState{
		State: s.State, Established: s.State == "Established", ASN: s.ASN, RouterID: s.RouterID,
		Hold: time.Duration(s.HoldMillis) * time.Millisecond, Keepalive: time.Duration(s.KeepMillis) * time.Millisecond,
		GracefulRestart: received(s.Capabilities.GracefulRestart) || received(s.Capabilities.GracefulCap),
		ExtendedNextHop: received(s.Capabilities.ExtendedNextHop),
		UpdatesReceived: s.Messages.UpdatesReceived, LastError: s.Notification, BFD: s.BFD.Status, Text: text,
	}
	if state.Established {
		state.Up = time.Duration(s.UpMillis) * time.Millisecond
	}
	if state.LastError == "" {
		state.LastError = s.ResetBy
	}
	for _, family := range []string{"IPv4", "IPv6"} {
		if both, _ := s.Capabilities.Families[strings.ToLower(family)+"Unicast"]["advertisedAndReceived"].(bool); both {
			state.Families = append(state.Families, family)
		}
	}
	return state, nil
}

type frrPath struct {
	ASPath struct {
		String string `json:"string"`
	} `json:"aspath"`
	LocalPref   *int           `json:"locPrf"`
	Stale       bool           `json:"stale"`
	Communities frrCommunities `json:"community"`
	Large       frrCommunities `json:"largeCommunity"`
	NextHops    []frrNextHop   `json:"nexthops"`
	Peer        struct {
		ID string `json:"peerId"`
	} `json:"peer"`
}

type frrCommunities struct {
	String string `json:"string"`
}

type frrNextHop struct {
	IP    netip.Addr `json:"ip"`
	Scope string     `json:"scope"`
}

// wellKnown are the communities that FRR shows by name, as numbers (IANA, BGP Well-known Communities).
var wellKnown = map[string]string{
	"graceful-shutdown": "65535:0", "accept-own": "65535:1", "llgr-stale": "65535:6", "no-llgr": "65535:7",
	"blackhole": "65535:666", "no-export": "65535:65281", "no-advertise": "65535:65282",
	"local-AS": "65535:65283", "no-peer": "65535:65284", "internet": "0:0",
}

func (f frr) paths(ctx context.Context, r *Router, prefix netip.Prefix) ([]Path, error) {
	var answer struct {
		Paths []frrPath `json:"paths"`
	}
	family := "ipv4"
	if prefix.Addr().Is6() {
		family = "ipv6"
	}
	if err := f.query(ctx, r, fmt.Sprintf("show bgp %s unicast %s", family, prefix), &answer); err != nil {
		return nil, err
	}
	var list []Path
	for _, p := range answer.Paths {
		path := Path{Neighbor: p.Peer.ID, ASPath: numbers(p.ASPath.String), LocalPref: -1, Stale: p.Stale, Large: strings.Fields(p.Large.String)}
		if p.LocalPref != nil {
			path.LocalPref = *p.LocalPref
		}
		for _, c := range strings.Fields(p.Communities.String) {
			if number, ok := wellKnown[c]; ok {
				c = number
			}
			path.Communities = append(path.Communities, c)
		}
		// An IPv6 next hop may come with a link-local one beside it (RFC 2545, section 3).
		for _, n := range p.NextHops {
			if !path.NextHop.IsValid() || n.Scope == "global" {
				path.NextHop = n.IP
			}
		}
		list = append(list, path)
	}
	return list, nil
}

func (f frr) received(ctx context.Context, r *Router) (map[string]int, error) {
	var families map[string]struct {
		Peers map[string]struct {
			Received int `json:"pfxRcd"`
		} `json:"peers"`
	}
	if err := f.query(ctx, r, "show bgp summary", &families); err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, n := range r.speaks.Peers {
		key := n.Interface
		if key == "" {
			key = n.Address.String()
		}
		for _, f := range families {
			counts[n.Name] += f.Peers[key].Received
		}
	}
	return counts, nil
}

var errNotEstablished = errors.New("the session is not Established")

// AwaitEstablished waits until the router has a session with each of these neighbours.
func (r *Router) AwaitEstablished(ctx context.Context, names ...string) error {
	for _, name := range names {
		what := fmt.Sprintf("a session of %s with %s", r.Name, name)
		err := wait(ctx, what, func(ctx context.Context) (bool, error) {
			s, err := r.Peer(ctx, name)
			if err == nil && !s.Established {
				err = fmt.Errorf("%w but %s: %s", errNotEstablished, s.State, s.LastError)
			}
			return err == nil, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
