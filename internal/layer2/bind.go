//go:build linux

package layer2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// bindLifetime is how long an address stays on an interface without this process: as long as a node keeps
	// its addresses whose speaker is gone.
	bindLifetime = 15 * time.Second
	// bindPace is the pace of renewal: three may fail.
	bindPace = 4 * time.Second
)

// Binder keeps addresses on interfaces for as long as it runs, and for bindLifetime after: the kernel removes by
// itself what is not renewed, so that nothing is left of a process that was killed, and a speaker that is
// restarted finds its addresses in place.
type Binder struct {
	// Holds tells whether this node may speak for its addresses: nil is always. While it may not, nothing is
	// renewed. To be set before Run.
	Holds func() bool

	log      *slog.Logger
	lifetime time.Duration
	pace     time.Duration
	kick     chan struct{}
	mu       sync.Mutex
	want     map[netip.Addr][]string

	// of Run alone
	bound    map[binding]bool   // put there by this process
	reported map[binding]string // the last failure
}

// binding is an address on an interface.
type binding struct {
	address netip.Addr
	name    string
}

func (a binding) compare(b binding) int {
	return cmp.Or(a.address.Compare(b.address), cmp.Compare(a.name, b.name))
}

// NewBinder returns a binder without addresses.
func NewBinder(log *slog.Logger) *Binder {
	return &Binder{
		Holds: func() bool { return true }, log: log, lifetime: bindLifetime, pace: bindPace, kick: make(chan struct{}, 1),
		want: map[netip.Addr][]string{}, bound: map[binding]bool{}, reported: map[binding]string{},
	}
}

// Set has an address put on exactly these interfaces.
func (b *Binder) Set(address netip.Addr, interfaces []string) {
	b.mu.Lock()
	b.want[address] = slices.Clone(interfaces)
	b.mu.Unlock()
	b.wake()
}

// Unset has an address removed from the interfaces that Set had it put on.
func (b *Binder) Unset(address netip.Addr) {
	b.mu.Lock()
	delete(b.want, address)
	b.mu.Unlock()
	b.wake()
}

func (b *Binder) wake() {
	select {
	case b.kick <- struct{}{}:
	default:
	}
}

// Run puts, renews and removes addresses until ctx ends. It leaves them: a restart moves nothing, and what is not
// Set again soon goes by itself.
func (b *Binder) Run(ctx context.Context) error {
	renew := time.NewTicker(b.pace)
	defer renew.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.kick:
			b.turn(false)
		case <-renew.C:
			b.turn(true)
		}
	}
}

func (b *Binder) turn(renew bool) {
	want := map[binding]bool{}
	b.mu.Lock()
	for address, interfaces := range b.want {
		for _, name := range interfaces {
			want[binding{address, name}] = true
		}
	}
	b.mu.Unlock()
	if len(want)+len(b.bound) == 0 {
		return
	}
	holds := b.Holds()
	present, links, err := bindings()
	if err != nil {
		b.log.Error("addresses on interfaces are not kept up", "error", err)
		return
	}
	maps.DeleteFunc(b.reported, func(x binding, _ string) bool { return !want[x] })
	for _, o := range planBindings(want, b.bound, present, links, renew) {
		if !holds && (o.kind == addBinding || o.kind == renewBinding) {
			continue
		}
		b.apply(o, links[o.name])
	}
}

func (b *Binder) apply(o bindOperation, index int) {
	var err error
	switch o.kind {
	case forgetBinding:
		delete(b.bound, o.binding)
		return
	case refuseBinding:
		delete(b.bound, o.binding)
		err = errForeign
	case removeBinding:
		delete(b.bound, o.binding)
		err = netlink.AddrDel(nil, kernelAddress(o.address, index, b.lifetime))
	case addBinding:
		b.bound[o.binding] = true
		err = netlink.AddrAdd(nil, kernelAddress(o.address, index, b.lifetime))
	case renewBinding:
		b.bound[o.binding] = true
		err = netlink.AddrReplace(nil, kernelAddress(o.address, index, b.lifetime))
	}
	// Gone meanwhile, or there already: the next turn sees it.
	if err == nil || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EEXIST) {
		delete(b.reported, o.binding)
		return
	}
	if text := err.Error(); b.reported[o.binding] != text {
		b.reported[o.binding] = text
		level := slog.LevelError
		if errors.Is(err, unix.EPERM) {
			level = slog.LevelDebug // MayBind told before, once for all addresses
		}
		b.log.Log(context.Background(), level, "cannot keep an address on an interface", "operation", o.kind, "vip", o.address, "interface", o.name, "error", err)
	}
}

var errForeign = errors.New("somebody else has put it there, it is left alone")

// bindings returns the addresses on this node's interfaces, and the interfaces' indices.
func bindings() (present map[binding]bindingState, links map[string]int, err error) {
	all, err := consistently(netlink.LinkList)
	if err != nil {
		return nil, nil, fmt.Errorf("listing interfaces: %w", err)
	}
	names, links := map[int]string{}, map[string]int{}
	for _, l := range all {
		names[l.Attrs().Index], links[l.Attrs().Name] = l.Attrs().Name, l.Attrs().Index
	}
	addresses, err := consistently(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, unix.AF_UNSPEC) })
	if err != nil {
		return nil, nil, fmt.Errorf("listing addresses: %w", err)
	}
	present = map[binding]bindingState{}
	for _, a := range addresses {
		ip, ok := netip.AddrFromSlice(a.IP)
		if ones, bits := a.Mask.Size(); ok {
			b := binding{ip.Unmap(), names[a.LinkIndex]}
			if present[b] != bindForeign {
				present[b] = bindForeign
				if temporary(ones, bits, a.Flags) {
					present[b] = bindOurs
				}
			}
		}
	}
	return present, links, nil
}

// kernelAddress is an address as Binder puts it on an interface. It is never chosen as a source by itself: IPv6
// takes no deprecated address where there is another (RFC 6724 section 5, rule 3), and IPv4, which does not look
// at that, none whose scope is the host. Duplicate address detection would delay it, and has no sense here:
// whether the address is free was decided before.
func kernelAddress(address netip.Addr, index int, lifetime time.Duration) *netlink.Addr {
	a := &netlink.Addr{
		IPNet:     &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(address.BitLen(), address.BitLen())},
		LinkIndex: index, Flags: unix.IFA_F_NODAD | unix.IFA_F_NOPREFIXROUTE, ValidLft: int(lifetime / time.Second),
	}
	if address.Is4() {
		a.Scope = unix.RT_SCOPE_HOST
	}
	return a
}

// temporary tells whether an address on an interface is of the kind that Binder puts there: of one host,
// deprecated, and not there for ever. So is one of DHCPv6 that was not renewed in time, but for duplicate address
// detection, of which IPv4 knows nothing.
func temporary(ones, bits, flags int) bool {
	return ones == bits && flags&unix.IFA_F_DEPRECATED != 0 && flags&unix.IFA_F_PERMANENT == 0 && (bits == 32 || flags&unix.IFA_F_NODAD != 0)
}
