package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// bird is the BIRD Internet Routing Daemon (Debian package bird2), one process.
type bird struct{}

func (bird) processes(r *Router) []*Process {
	return []*Process{r.lab.newProcess("bird-"+r.Name, r.Host, "/usr/sbin/bird", "bird", "-f",
		"-c", filepath.Join(r.directory, "bird.conf"), "-s", bird{}.socket(r), "-P", filepath.Join(r.directory, "bird.pid"))}
}

func (bird) socket(r *Router) string { return filepath.Join(r.directory, "bird.vty") }

func (bird) files(r *Router, b BGP) map[string]string {
	return map[string]string{"bird.conf": birdConf(r, b)}
}

// birdHead is what comes before the neighbours. RFC 8326, section 3.2, has the receiver set the local preference to 0;
// FRR does it by itself, BIRD is told.
const birdHead = `log stderr all;
router id %s;
timeformat protocol "%%s";
timeformat route "%%s";
protocol device { scan time 1; }
protocol kernel kernel4 { merge paths on limit 64; ipv4 { import none; export where source = RTS_BGP; }; }
protocol kernel kernel6 { merge paths on limit 64; ipv6 { import none; export where source = RTS_BGP; }; }
protocol bfd {
  interface "*" { min rx interval 100 ms; min tx interval 100 ms; multiplier 3; };
  multihop { min rx interval 100 ms; min tx interval 100 ms; multiplier 3; };
}
filter import_all { if (65535, 0) ~ bgp_community then bgp_local_pref = 0; accept; }
`

func birdConf(r *Router, b BGP) string {
	var s strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&s, format+"\n", args...) }
	line(birdHead, r.id())
	for _, l := range b.Lines {
		line("%s", l)
	}
	for i, family := range []string{"ipv4", "ipv6"} {
		line("protocol static own%s { %s;", family, family)
		for _, p := range b.Originate {
			if p.Addr().Is6() == (i == 1) {
				line("  route %s blackhole;", p)
			}
		}
		line("}")
	}
	export := "where source = RTS_STATIC"
	if b.Transit {
		export = "where source ~ [RTS_STATIC, RTS_BGP]"
	}
	for _, n := range b.Peers {
		line("protocol bgp %s {", birdSymbol(n.Name))
		local := ""
		if n.LocalAddress.IsValid() {
			local = n.LocalAddress.String() + " "
		}
		if n.LocalPort != 0 {
			local += fmt.Sprintf("port %d ", n.LocalPort)
		}
		line("  local %sas %d;", local, b.ASN)
		remote := "external"
		if n.ASN != 0 {
			remote = fmt.Sprintf("as %d", n.ASN)
		}
		if n.Port != 0 {
			remote = fmt.Sprintf("port %d %s", n.Port, remote)
		}
		if n.Interface != "" {
			line("  neighbor range fe80::/10 %s;\n  interface \"%s\";\n  dynamic name \"%s_\";\n  dynamic name digits 0;", remote, n.Interface, birdSymbol(n.Name))
		} else {
			line("  neighbor %s %s;", n.Address, remote)
		}
		if n.MultiHop || n.Hops > 1 {
			hops := 64
			if n.Hops > 1 {
				hops = int(n.Hops)
			}
			line("  multihop %d;", hops)
		} else if n.Interface == "" {
			line("  direct;")
		}
		if n.Hops > 0 {
			line("  ttl security on;")
		}
		if n.Password != "" {
			line("  password \"%s\";", n.Password)
		}
		if !n.Active {
			line("  passive on;")
		}
		if n.Hold == 0 {
			n.Hold, n.Keepalive = 90*time.Second, 30*time.Second
		}
		line("  hold time %d;\n  keepalive time %d;", wholeSeconds(n.Hold), wholeSeconds(n.Keepalive))
		if n.BFD {
			line("  bfd on;")
		}
		// What failed once is tried again soon.
		line("  connect delay time 1;\n  connect retry time 1;\n  error wait time 1, 2;")
		for _, l := range n.Lines {
			line("  %s", l)
		}
		for _, family := range []string{"IPv4", "IPv6"} {
			if !n.family(family) {
				continue
			}
			next := ""
			if family == "IPv4" && (n.ExtendedNextHop || n.Interface != "") {
				next = " extended next hop on;"
			}
			line("  %s { import filter import_all; export %s;%s };", strings.ToLower(family), export, next)
		}
		line("}")
	}
	return s.String()
}

func (b bird) birdc(ctx context.Context, r *Router, command string) (string, error) {
	text, err := r.ask(ctx, "birdc", append([]string{"-s", b.socket(r)}, strings.Fields(command)...)...)
	switch {
	case strings.Contains(text, "Network not found"):
		return "", nil // which birdc takes for a failure
	case err != nil || strings.Contains(text, "syntax error"):
		return text, errors.Join(err, fmt.Errorf("%s: %s", command, text))
	}
	return text, nil
}

func (b bird) ready(ctx context.Context, r *Router) error {
	text, err := b.birdc(ctx, r, "show status")
	if err == nil && !strings.Contains(text, "Daemon is up and running") {
		err = errors.New(text)
	}
	return err
}

func (b bird) reconfigure(ctx context.Context, r *Router) (bool, error) {
	text, err := b.birdc(ctx, r, "configure")
	if err == nil && !strings.Contains(text, "Reconfigur") {
		err = errors.New(text)
	}
	return true, err
}

// protocol is the name by which BIRD knows a neighbour: on an interface it makes one of it when somebody connects.
func (bird) protocol(n Peer) string {
	if n.Interface != "" {
		return birdSymbol(n.Name) + "_1"
	}
	return birdSymbol(n.Name)
}

// birdSymbol is a name that is none of BIRD's own words.
func birdSymbol(name string) string { return "peer_" + strings.ReplaceAll(name, "-", "_") }

func (b bird) peer(ctx context.Context, r *Router, name string) (PeerState, error) {
	n, err := r.peerNamed(name)
	if err != nil {
		return PeerState{}, err
	}
	text, err := b.birdc(ctx, r, "show protocols all "+b.protocol(n))
	if err != nil {
		return PeerState{}, err
	}
	s := parseBirdProtocol(text)
	if n.BFD && s.Established {
		sessions, err := b.birdc(ctx, r, "show bfd sessions")
		if err != nil {
			return s, err
		}
		for l := range strings.Lines(sessions) {
			if f := strings.Fields(l); len(f) > 2 && (f[0] == n.Address.String() || n.Interface != "" && f[1] == n.Interface) {
				s.BFD = f[2]
			}
		}
	}
	return s, nil
}

var birdSince = regexp.MustCompile(`(?m)^\S+ +BGP +\S+ +up +(\d+)`)

// parseBirdProtocol reads `show protocols all` of one neighbour. Its lines are "words: value"; what the neighbour can do
// follows "Neighbor capabilities", indented more.
func parseBirdProtocol(text string) PeerState {
	s := PeerState{Text: text}
	section, extension := "", ""
	var announced [2][]string // families, by us and by the neighbour
	for l := range strings.Lines(text) {
		trimmed := strings.TrimSpace(l)
		indent := len(l) - len(strings.TrimLeft(l, " "))
		key, value, _ := strings.Cut(trimmed, ":")
		value = strings.TrimSpace(value)
		if indent <= 4 {
			section = ""
		}
		if strings.HasSuffix(trimmed, "capabilities") {
			section = strings.Fields(trimmed)[0]
			continue
		}
		switch {
		case section != "" && indent == 6:
			extension = trimmed
			if section == "Neighbor" {
				s.GracefulRestart = s.GracefulRestart || trimmed == "Graceful restart"
				s.ExtendedNextHop = s.ExtendedNextHop || trimmed == "Extended next hop"
			}
		case section != "":
			if extension == "Multiprotocol" && key == "AF announced" {
				side := 0
				if section == "Neighbor" {
					side = 1
				}
				announced[side] = strings.Fields(value)
			}
		case key == "BGP state":
			s.State, s.Established = value, value == "Established"
		case key == "Neighbor AS":
			n, _ := strconv.ParseUint(value, 10, 32)
			s.ASN = uint32(n)
		case key == "Neighbor ID":
			s.RouterID = value
		case key == "Hold timer":
			s.Hold = birdTimer(value)
		case key == "Keepalive timer":
			s.Keepalive = birdTimer(value)
		case key == "Last error":
			s.LastError = value
		case key == "Import updates":
			n, _ := strconv.Atoi(strings.Fields(value)[0])
			s.UpdatesReceived += n
		}
	}
	for _, family := range []string{"IPv4", "IPv6"} {
		name := strings.ToLower(family)
		if contains(announced[0], name) && contains(announced[1], name) {
			s.Families = append(s.Families, family)
		}
	}
	if m := birdSince.FindStringSubmatch(text); m != nil && s.Established {
		since, _ := strconv.ParseInt(m[1], 10, 64)
		s.Up = time.Since(time.Unix(since, 0))
	}
	return s
}

// birdTimer is what a timer is set to: "71.093/90" says how much is left of 90 s.
func birdTimer(text string) time.Duration {
	_, whole, _ := strings.Cut(text, "/")
	seconds, _ := strconv.ParseFloat(whole, 64)
	return time.Duration(seconds * float64(time.Second))
}

func contains(list []string, s string) bool {
	for _, e := range list {
		if e == s {
			return true
		}
	}
	return false
}

// birdPath begins a path in `show route all`; the protocol and "(100s)", s for stale, are of interest.
var birdPath = regexp.MustCompile(`^\S* +unicast \[(\S+) [^\]]*\].*\((\d+)(s?)(?:/[^)]*)?\)`)

func (b bird) paths(ctx context.Context, r *Router, prefix netip.Prefix) ([]Path, error) {
	text, err := b.birdc(ctx, r, fmt.Sprintf("show route %s all", prefix))
	if err != nil {
		return nil, err
	}
	return parseBirdRoute(text), nil
}

func parseBirdRoute(text string) (list []Path) {
	var p *Path
	for l := range strings.Lines(text) {
		if m := birdPath.FindStringSubmatch(l); m != nil {
			list = append(list, Path{Neighbor: m[1], LocalPref: -1, Stale: m[3] != ""})
			p = &list[len(list)-1]
			continue
		}
		key, value, ok := strings.Cut(strings.TrimSpace(l), ": ")
		if p == nil || !ok {
			continue
		}
		switch key {
		case "BGP.next_hop":
			// Global first, and a link-local one beside it (RFC 2545, section 3).
			p.NextHop, _ = netip.ParseAddr(strings.Fields(value)[0])
		case "BGP.as_path":
			p.ASPath = numbers(value)
		case "BGP.local_pref":
			if n, err := strconv.Atoi(value); err == nil {
				p.LocalPref = n
			}
		case "BGP.community":
			p.Communities = birdCommunities(value)
		case "BGP.large_community":
			p.Large = birdCommunities(value)
		}
	}
	return list
}

var birdCommunity = regexp.MustCompile(`\(([^)]*)\)`)

// birdCommunities are "(65000,1) (65000,2)" in the notation of everybody else.
func birdCommunities(text string) (list []string) {
	for _, m := range birdCommunity.FindAllStringSubmatch(text, -1) {
		list = append(list, strings.ReplaceAll(strings.ReplaceAll(m[1], " ", ""), ",", ":"))
	}
	return list
}

var (
	birdName     = regexp.MustCompile(`(?m)^(\S+) +BGP `)
	birdImported = regexp.MustCompile(`Routes: +(\d+) imported`)
)

func (b bird) received(ctx context.Context, r *Router) (map[string]int, error) {
	text, err := b.birdc(ctx, r, "show protocols all")
	if err != nil {
		return nil, err
	}
	counts, names := map[string]int{}, map[string]string{}
	for _, n := range r.speaks.Peers {
		counts[n.Name] = 0
		names[b.protocol(n)] = n.Name
	}
	name := ""
	for l := range strings.Lines(text) {
		if !strings.HasPrefix(l, " ") {
			name = ""
			if m := birdName.FindStringSubmatch(l); m != nil {
				name = names[m[1]]
			}
		}
		if m := birdImported.FindStringSubmatch(l); m != nil && name != "" {
			n, _ := strconv.Atoi(m[1])
			counts[name] += n
		}
	}
	return counts, nil
}

// Advertising are lines of a BIRD router by which it says on an interface that it is a router (RFC 4861, section 6.2),
// as FRR does of itself on the interfaces of unnumbered neighbours. It offers itself to nobody as a default router.
func Advertising(link string) string {
	return fmt.Sprintf(`protocol radv { interface "%s" { min ra interval 3; max ra interval 4; default lifetime 0; }; }`, link)
}
