package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
)

// The ways to a Service, as Effects have them.
const (
	OnSegment = "layer 2"
	WithBFD   = "BGP, BFD"
	Graceful  = "BGP, graceful restart"
	Direct    = "direct" // to the backend itself, beside everything of Fairlead's
)

// Ways are those through Fairlead.
var Ways = []string{OnSegment, WithBFD, Graceful}

// Config is what a fleet is made of. The zero value is three nodes, one controller, and twelve Services for each mode.
type Config struct {
	Nodes          int // 3 if 0
	Controllers    int // 1 if 0
	Layer2, Routed int // Services; 12 if 0
	// AllBFD has both routers detect by BFD, without graceful restart.
	AllBFD bool
	// BFDInterval is how far apart BFD's packets are, of which three may be missed; 100 ms if 0. The routers take it over.
	BFDInterval time.Duration
	// Binaries is the directory of the product's programs: build/ of the repository if empty.
	Binaries string
	// Lab is what else the lab is made of. The first four Clients are the fleet's, the others the caller's; those of the
	// controllers come last and are not counted.
	Lab lab.Config
}

// Fleet is a lab and what is in it.
type Fleet struct {
	*lab.Lab
	Fairlead versioned.Interface

	// Hosts on the segment. User asks for what is measured, Backend answers, behind every Service, Watcher asks the
	// segment who has what, Stranger is for what is done to it.
	User, Backend, Watcher, Stranger *lab.Host
	// Routers and, beyond each, its visitor: BIRD's and FRR's.
	Routers  []*lab.Router
	Visitors []*lab.Host
	Visitor  *lab.Host // the first

	// The Services that stay.
	Layer2, Routed []Service

	config Config
	server io.Closer
}

// clients is how many hosts of the segment the fleet itself needs.
const clients = 4

// AS numbers of the nodes and of the routers.
const (
	NodesASN  = 64512
	RouterASN = 64500
)

// Pools are those of the fleet. The first 118 IPv4 addresses of the segment are for hosts.
const Pools = `
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: segment}
spec: {addresses: ["192.0.2.120-192.0.2.229", "2001:db8::1:0/112"]}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: segment}
spec: {ipAddressPools: [segment]}
---
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: routed}
spec: {addresses: ["198.51.100.0/24", "2001:db8:51::/64"], avoidBuggyIPs: true}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPAdvertisement
metadata: {name: routed}
spec: {ipAddressPools: [routed]}
`

// profile is how sessions with BFD detect.
const profile = `---
apiVersion: fairlead.dev/v1alpha1
kind: BFDProfile
metadata: {name: routers}
spec: {transmitInterval: %[1]d, receiveInterval: %[1]d, detectMultiplier: 3}
`

// The fleet's pools by name.
const (
	SegmentPool = "segment"
	RoutedPool  = "routed"
)

// Start starts a fleet and returns when all is settled. On failure nothing is left running.
func Start(ctx context.Context, c Config) (_ *Fleet, err error) {
	c.Nodes = cmp.Or(c.Nodes, 3)
	c.Layer2, c.Routed = cmp.Or(c.Layer2, 12), cmp.Or(c.Routed, 12)
	config := c.Lab
	config.Storage = true
	config.Nodes, config.Controllers = c.Nodes, cmp.Or(c.Controllers, 1)
	config.Clients = max(config.Clients, clients) + config.Controllers
	if c.Binaries == "" {
		root, err := lab.Root()
		if err != nil {
			return nil, err
		}
		c.Binaries = filepath.Join(root, "build")
	}
	config.ControllerBinary, config.SpeakerBinary = filepath.Join(c.Binaries, "controller"), filepath.Join(c.Binaries, "speaker")
	for _, path := range []string{config.ControllerBinary, config.SpeakerBinary} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w: run `make build` first", err)
		}
	}
	f := &Fleet{config: c}
	if f.Lab, err = lab.Start(ctx, config); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Stop()
		}
	}()
	if err := f.moveControllers(ctx); err != nil {
		return nil, err
	}
	f.User, f.Backend, f.Watcher, f.Stranger = f.Client(1), f.Client(2), f.Client(3), f.Client(4)
	if f.server, err = f.Backend.Serve(lab.BackendPort); err != nil {
		return nil, err
	}
	if f.Fairlead, err = versioned.NewForConfig(f.RESTConfig()); err != nil {
		return nil, fmt.Errorf("making a client for Fairlead's objects: %w", err)
	}
	if err := f.Apply(ctx, fmt.Appendf(nil, Pools+profile, cmp.Or(c.BFDInterval, 100*time.Millisecond).Milliseconds())); err != nil {
		return nil, err
	}
	if err := f.startRouters(ctx); err != nil {
		return nil, err
	}
	if f.Layer2, err = f.Expose(ctx, SegmentPool, "layer2", c.Layer2); err != nil {
		return nil, err
	}
	if f.Routed, err = f.Expose(ctx, RoutedPool, "routed", c.Routed); err != nil {
		return nil, err
	}
	if _, err := f.Settled(ctx); err != nil {
		return nil, err
	}
	return f, nil
}

// Stop ends everything.
func (f *Fleet) Stop() {
	if f.server != nil {
		_ = f.server.Close()
	}
	f.Lab.Stop()
}

// moveControllers gives each controller a host of its own, the last of the clients: the lab has them beside the API server,
// where nothing can come between.
func (f *Fleet) moveControllers(ctx context.Context) error {
	hosts := f.Clients[len(f.Clients)-len(f.Controllers):]
	for _, p := range f.Controllers {
		if err := p.Stop(ctx); err != nil {
			return err
		}
	}
	for i, p := range f.Controllers {
		p.Host = hosts[i]
		if err := p.Start(); err != nil {
			return err
		}
	}
	return nil
}

// Leader is the controller that leads.
func (f *Fleet) Leader(ctx context.Context) (*lab.Process, error) {
	for i, p := range f.Controllers {
		text, err := page(ctx, p.Host, lab.ControllerHTTPPort+i, "/metrics")
		if err == nil && lab.Sum(text, "fairlead_controller_leader", "") == 1 {
			return p, nil
		}
	}
	return nil, errors.New("no controller leads")
}

// startRouters starts both routers, with a session with each node over which both families go, and leads each node's way
// back to a visitor through the visitor's router: what befalls one router is of no concern to the other's visitor.
func (f *Fleet) startRouters(ctx context.Context) error {
	for _, s := range []lab.Software{lab.BIRD, lab.FRR} {
		fast := s == lab.BIRD || f.config.AllBFD
		name := map[lab.Software]string{lab.BIRD: "bird", lab.FRR: "frr"}[s]
		r, err := f.NewRouter(name, s)
		if err != nil {
			return err
		}
		v, err := f.NewOutsideClient("beyond-"+name, r)
		if err != nil {
			return err
		}
		f.Routers, f.Visitors = append(f.Routers, r), append(f.Visitors, v)
		speaks := lab.BGP{ASN: RouterASN}
		for _, n := range f.Nodes {
			p := lab.Peer{Name: n.Name, Address: n.V4, ASN: NodesASN, Families: []string{"IPv4", "IPv6"}, BFD: fast}
			if !fast {
				p.Hold, p.Keepalive = holdTime, holdTime/3
			}
			speaks.Peers = append(speaks.Peers, p)
			for _, way := range [][2]netip.Addr{{v.V4, r.V4}, {v.V6, r.V6}} {
				if _, err := n.Run(ctx, "ip", "route", "replace", netip.PrefixFrom(way[0], way[0].BitLen()).String(), "via", way[1].String()); err != nil {
					return err
				}
			}
		}
		if err := r.Speak(ctx, speaks); err != nil {
			return err
		}
		detection := "bfdProfile: routers"
		if !fast {
			detection = fmt.Sprintf("enableGracefulRestart: true, holdTime: %s, keepaliveTime: %s", holdTime, holdTime/3)
		}
		err = f.Apply(ctx, fmt.Appendf(nil, `
apiVersion: fairlead.dev/v1alpha1
kind: BGPPeer
metadata: {name: %s}
spec: {myASN: %d, peerASN: %d, peerAddress: %s, families: [IPv4, IPv6], connectTime: 1s, %s}
`, name, NodesASN, RouterASN, r.V4, detection))
		if err != nil {
			return err
		}
	}
	f.Visitor = f.Visitors[0]
	return nil
}

// Way is by which way a router's visitor comes.
func (f *Fleet) Way(r *lab.Router) string {
	if r.Software == lab.FRR && !f.config.AllBFD {
		return Graceful
	}
	return WithBFD
}

// Dead names the processes that should run and do not.
func (f *Fleet) Dead() error {
	var errs []error
	for _, p := range f.Processes() {
		if !p.Running() && p.Ended() != nil && p.Program() != "sh" { // of those that were ever started; sh is Burn's
			errs = append(errs, fmt.Errorf("%s does not run", p.Name))
		}
	}
	return errors.Join(errs...)
}
