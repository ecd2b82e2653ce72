package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Software is what a router runs, from Debian's packages.
type Software string

// The routers that there are.
const (
	FRR  Software = "FRR"
	BIRD Software = "BIRD"
)

// Router is a host that forwards packets between the nodes' segment and the one beyond, and speaks BGP. It has no
// routes but what its neighbours tell it.
type Router struct {
	*Host
	Software Software
	// Its addresses on the segment beyond. A far router has no others: V4 and V6 are the same.
	Outside4, Outside6 netip.Addr
	// Processes are its daemons, in the order in which they start.
	Processes []*Process

	lab       *Lab
	directory string // configuration, sockets
	daemon    daemon
	speaks    BGP
}

// daemon is what differs between the routers' software.
type daemon interface {
	// processes describes the daemons.
	processes(r *Router) []*Process
	// files are the configuration, by the name of its file.
	files(r *Router, b BGP) map[string]string
	// ready returns nil once the daemons can be asked.
	ready(ctx context.Context, r *Router) error
	// reconfigure has running daemons read the files again; false if they have to be started again for that.
	reconfigure(ctx context.Context, r *Router) (bool, error)
	peer(ctx context.Context, r *Router, name string) (PeerState, error)
	paths(ctx context.Context, r *Router, prefix netip.Prefix) ([]Path, error)
	received(ctx context.Context, r *Router) (map[string]int, error)
}

// NewRouter adds a router that speaks to nobody yet. Its number, from 3 on, is the last part of its addresses on both
// segments. It stays until the lab ends.
func (l *Lab) NewRouter(name string, software Software) (*Router, error) {
	return l.newRouter(name, software, func(number int) (*Host, error) { return newHost(l.network, name, number) })
}

// NewFarRouter adds a router that is on the segment beyond only: the nodes reach it through other routers.
func (l *Lab) NewFarRouter(name string, software Software) (*Router, error) {
	return l.newRouter(name, software, func(number int) (*Host, error) { return newOutsideHost(l.network, name, number) })
}

func (l *Lab) newRouter(name string, software Software, newHost func(number int) (*Host, error)) (_ *Router, err error) {
	l.mu.Lock()
	number := numberRouters + len(l.routers)
	l.mu.Unlock()
	if number >= numberRouters+maxRouters {
		return nil, fmt.Errorf("adding the router %s: a lab has at most %d", name, maxRouters)
	}
	r := &Router{Software: software, lab: l, directory: l.path("routers/" + name)}
	if r.Host, err = newHost(number); err != nil {
		return nil, err
	}
	if err := r.prepare(number); err != nil {
		return nil, joinClose(err, r.ns)
	}
	l.mu.Lock()
	l.routers = append(l.routers, r)
	l.mu.Unlock()
	return r, nil
}

// forwarding are a router's settings.
var forwarding = append([]string{
	"net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1", "net/ipv6/conf/default/forwarding=1",
}, spreading...)

// spreading has a host spread connections over the next hops of a route, by addresses, protocol and ports (the fields
// 0x37), which Linux has since 5.14. Policy 1 is for the same, but takes the hash that comes with a packet where there
// is one: between namespaces that is a random number of the sender's socket, which changes when TCP repeats itself, and
// is the same at all routers on the way.
var spreading = []string{
	"net/ipv4/fib_multipath_hash_fields=55", "net/ipv6/fib_multipath_hash_fields=55",
	"net/ipv4/fib_multipath_hash_policy=3", "net/ipv6/fib_multipath_hash_policy=3",
}

// hashSeed tells routers' choices apart: two in a row that choose alike would send all connections of the first choice
// to the same second one. Linux has it since 6.11.
const hashSeed = "net/ipv4/fib_multipath_hash_seed"

// Seeded tells whether routers in a row choose next hops independently of each other.
func Seeded() bool {
	_, err := os.Stat("/proc/sys/" + hashSeed)
	return err == nil
}

func (r *Router) prepare(number int) error {
	settings := slices.Clone(forwarding)
	if Seeded() {
		settings = append(settings, fmt.Sprintf("%s=%d", hashSeed, number))
	}
	if err := r.ns.sysctls(settings...); err != nil {
		return err
	}
	r.Outside4, r.Outside6 = outsideAddresses(number)
	if r.V4 != r.Outside4 {
		// The port's name has to fit into 15 characters.
		port := fmt.Sprintf("beyond%d", number)
		if err := r.lab.network.connect(r.lab.network.outside, port, r.ns, "eth1", outsideMAC(number)); err != nil {
			return err
		}
		if _, err := r.ns.configure("eth1", netip.PrefixFrom(r.Outside4, Outside4.Bits()), netip.PrefixFrom(r.Outside6, Outside6.Bits())); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(r.directory, 0o755); err != nil {
		return fmt.Errorf("preparing the router %s: %w", r.Name, err)
	}
	switch r.Software {
	case FRR:
		r.daemon = frr{}
		// FRR's daemons give up their rights and then make their sockets.
		if err := chown(r.directory, "frr"); err != nil {
			return fmt.Errorf("preparing the router %s: %w", r.Name, err)
		}
	case BIRD:
		r.daemon = bird{}
	default:
		return fmt.Errorf("preparing the router %s: %q is no software that the lab knows", r.Name, r.Software)
	}
	r.Processes = r.daemon.processes(r)
	return nil
}

func chown(path, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	return os.Chown(path, uid, gid)
}

// Speak has the router speak so and no more, and returns when its daemons answer. Sessions that are not configured
// otherwise than before stay, where the software can do that and runs: BIRD can.
func (r *Router) Speak(ctx context.Context, b BGP) error {
	r.speaks = b
	if err := r.writeFiles(); err != nil {
		return err
	}
	if r.Running() {
		switch done, err := r.daemon.reconfigure(ctx, r); {
		case err != nil:
			return fmt.Errorf("configuring %s: %w", r.Name, err)
		case done:
			return nil
		}
		if err := r.Kill(); err != nil {
			return err
		}
	}
	return r.Start(ctx)
}

func (r *Router) writeFiles() error {
	for name, text := range r.daemon.files(r, r.speaks) {
		if err := os.WriteFile(filepath.Join(r.directory, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("configuring %s: %w", r.Name, err)
		}
	}
	return nil
}

// Running tells whether all of the router's daemons run.
func (r *Router) Running() bool {
	for _, p := range r.Processes {
		if !p.Running() {
			return false
		}
	}
	return true
}

// Start starts the daemons, as they were configured last, and waits until they answer.
func (r *Router) Start(ctx context.Context) error {
	for _, p := range r.Processes {
		if p.Running() {
			continue
		}
		if err := p.Start(); err != nil {
			return err
		}
		// FRR's others wait a second for zebra where it does not listen yet.
		if err := r.awaitSocket(ctx, p); err != nil {
			return err
		}
	}
	return wait(ctx, r.Name+" to answer", func(ctx context.Context) (bool, error) {
		if !r.Running() {
			return false, errors.New("a daemon of it has ended")
		}
		err := r.daemon.ready(ctx, r)
		return err == nil, err
	})
}

// awaitSocket waits for the socket by which a daemon is asked.
func (r *Router) awaitSocket(ctx context.Context, p *Process) error {
	var ended error // of itself: waiting longer would not help
	err := wait(ctx, p.Name+" to listen", func(context.Context) (bool, error) {
		if !p.Running() {
			ended = fmt.Errorf("%s has ended: %s", p.Name, p.Tail(10))
			return true, nil
		}
		_, err := os.Stat(filepath.Join(r.directory, p.Program()+".vty"))
		return err == nil, nil
	})
	return errors.Join(err, ended)
}

// Kill ends the daemons at once (SIGKILL): connections are reset by the kernel, without a NOTIFICATION. The routes that
// they have made stay, as they do on a router whose control plane dies.
func (r *Router) Kill() error {
	var errs []error
	for _, p := range r.Processes {
		errs = append(errs, p.Kill())
		_ = os.Remove(filepath.Join(r.directory, p.Program()+".vty"))
	}
	return errors.Join(errs...)
}

// Freeze stops the daemons where they are: their connections stay open and nobody reads them.
func (r *Router) Freeze() error { return r.all((*Process).Freeze) }

// Thaw lets frozen daemons go on.
func (r *Router) Thaw() error { return r.all((*Process).Thaw) }

func (r *Router) all(do func(*Process) error) error {
	var errs []error
	for _, p := range r.Processes {
		errs = append(errs, do(p))
	}
	return errors.Join(errs...)
}

// Speaker is the process that speaks BGP.
func (r *Router) Speaker() *Process { return r.Processes[len(r.Processes)-1] }

// ask runs a program that asks the daemons.
func (r *Router) ask(ctx context.Context, name string, arguments ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return r.Run(ctx, name, arguments...)
}

// Link lays a cable between two hosts, with a link of this name at each end, whose addresses are the link-local ones
// of IPv6 alone.
func (l *Lab) Link(a *Host, linkA string, b *Host, linkB string) error {
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: linkA}, PeerName: linkB, PeerNamespace: netlink.NsFd(b.ns.fd)}
	if err := a.ns.nl.LinkAdd(veth); err != nil {
		return fmt.Errorf("laying a cable between %s and %s: %w", a.Name, b.Name, err)
	}
	_, errA := a.ns.configure(linkA)
	_, errB := b.ns.configure(linkB)
	return errors.Join(errA, errB)
}

// Unlink takes away a cable of Link.
func (l *Lab) Unlink(a *Host, link string) error {
	veth, err := a.ns.nl.LinkByName(link)
	if err == nil {
		err = a.ns.nl.LinkDel(veth)
	}
	if err != nil {
		return fmt.Errorf("taking %s of %s away: %w", link, a.Name, err)
	}
	return nil
}

// NewOutsideClient adds a host on the segment beyond the routers; everything else it reaches through these routers. Its
// number, from 101 on, is the last part of its addresses. It stays until the lab ends.
func (l *Lab) NewOutsideClient(name string, via ...*Router) (*Host, error) {
	l.mu.Lock()
	number := numberClients + len(l.outside)
	l.mu.Unlock()
	h, err := newOutsideHost(l.network, name, number)
	if err != nil {
		return nil, err
	}
	if err := h.ns.sysctls(spreading...); err != nil {
		return nil, joinClose(err, h.ns)
	}
	if err := l.LeadOutside(h, via...); err != nil {
		return nil, joinClose(err, h.ns)
	}
	l.mu.Lock()
	l.outside = append(l.outside, h)
	l.mu.Unlock()
	return h, nil
}

// LeadOutside makes these routers the next hops of a host's default routes, in place of those that it had. A host of the
// nodes' segment reaches the segment beyond by it, and one there everything else.
func (l *Lab) LeadOutside(h *Host, via ...*Router) error {
	for _, v6 := range []bool{false, true} {
		route := &netlink.Route{LinkIndex: h.eth0.Attrs().Index, Protocol: unix.RTPROT_STATIC, Dst: networkOf(netip.PrefixFrom(netip.IPv4Unspecified(), 0))}
		if v6 {
			route.Dst = networkOf(netip.PrefixFrom(netip.IPv6Unspecified(), 0))
		}
		var hops []*netlink.NexthopInfo
		for _, r := range via {
			hops = append(hops, &netlink.NexthopInfo{LinkIndex: h.eth0.Attrs().Index, Gw: r.addressOn(h.bridge, v6).AsSlice()})
		}
		switch len(hops) {
		case 0:
			return fmt.Errorf("leading %s outside: no router is given", h.Name)
		case 1:
			route.Gw = hops[0].Gw
		default:
			route.LinkIndex, route.MultiPath = 0, hops
		}
		if err := h.ns.nl.RouteReplace(route); err != nil {
			return fmt.Errorf("leading %s outside: %w", h.Name, err)
		}
	}
	return nil
}

// addressOn is the router's address on a segment.
func (r *Router) addressOn(bridge *netlink.Bridge, v6 bool) netip.Addr {
	switch outside := bridge == r.lab.network.outside; {
	case outside && v6:
		return r.Outside6
	case outside:
		return r.Outside4
	case v6:
		return r.V6
	}
	return r.V4
}
