//go:build kind

package kind

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
)

// routing is a router on the segment that runs FRR, and a visitor on a network behind it.
type routing struct {
	container string
	V4, V6    netip.Addr   // the router's, on the segment
	Peers     []netip.Addr // the nodes
	Password  string
	// GracefulRestart has the router keep routes of a speaker that is gone.
	GracefulRestart bool
	// For the manifest: the pool whose addresses the router is told.
	Routed4, Routed6 string

	behind4, behind6 netip.Prefix
	visitor          client
	nodes            map[netip.Addr]string
	addresses        []netip.Addr // of a Service that the router is told
}

// route sees to a router with a session to each node, and a Service whose addresses it is told.
func (w *world) route(t testing.TB, gracefulRestart bool) {
	t.Helper()
	if w.routing == nil {
		w.routing = w.startRouter(t)
	}
	w.routing.GracefulRestart = gracefulRestart
	apply(t, "bgp.yaml", w.routing)
	w.routing.addresses = w.serve(t, serviceOf{Name: "routed", Pool: "routed"})
	w.routing.awaitHops(t, w.workers...)
	// An edit may reset the sessions, and FRR itself does once BFD runs (FRRouting/frr issue 17337): only then is
	// each what it says.
	eventually(t, 30*time.Second, "all sessions are established, with BFD", func() error {
		if s := get[v1alpha1.BGPPeer](t, "bgppeer", "e2e").Status; int(s.Established) != len(w.all()) || s.Nodes != s.Established {
			return fmt.Errorf("%d of %d are established", s.Established, s.Nodes)
		}
		for _, speaker := range get[v1alpha1.SpeakerList](t, "speakers").Items {
			for _, s := range speaker.Status.BGPSessions {
				if s.BFDState != v1alpha1.BFDSessionUp || s.GracefulRestart != gracefulRestart {
					return fmt.Errorf("the session of %s is %+v", speaker.Name, s)
				}
			}
		}
		return nil
	})
	w.routing.awaitHops(t, w.workers...)
}

// startRouter lives as long as all steps together.
func (w *world) startRouter(t testing.TB) *routing {
	t.Helper()
	r := &routing{
		container: w.kind.prefix + "-router", Password: "e2e-password", nodes: map[netip.Addr]string{},
		Routed4: w.segment.Routed4.String(), Routed6: w.segment.Routed6.String(),
	}
	image, behind, visitor := env(t, "E2E_KIND_ROUTER_IMAGE"), w.kind.prefix+"-behind", w.kind.prefix+"-visitor"
	remove := func() { _, _ = command(context.Background(), "", "docker", "network", "rm", behind) }
	remove()
	w.t.Cleanup(remove)
	// The host is no router between the two networks, and must not translate what it only switches.
	docker(t, "network", "create", "--label", "fairlead-e2e", "--opt", "com.docker.network.bridge.enable_ip_masquerade=false",
		"--ipv6", "--subnet", "2001:db8:3::/64", behind)
	options := []string{"--privileged", "--entrypoint", "sleep"}
	for _, s := range []string{
		"net.ipv4.ip_forward=1", "net.ipv4.fib_multipath_hash_policy=1", // by ports too: connections, not hosts
		"net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.all.forwarding=1", "net.ipv6.fib_multipath_hash_policy=1",
	} {
		options = append(options, "--sysctl", s)
	}
	start(w.t, r.container, w.kind.network, image, options, []string{"infinity"})
	docker(t, "network", "connect", behind, r.container)
	r.V4, r.V6 = addressesOn(t, r.container, w.kind.network)
	near4, near6 := addressesOn(t, r.container, behind)
	for _, c := range inspect(t, behind).IPAM.Config {
		if c.Subnet.Addr().Is4() {
			r.behind4 = c.Subnet
		} else {
			r.behind6 = c.Subnet
		}
	}
	r.visitor = startClient(w.t, visitor, behind, w.image)
	for _, via := range []netip.Addr{near4, near6} {
		docker(t, "run", "--rm", "--privileged", "--network", "container:"+visitor, "--entrypoint", "ip", image,
			family(via), "route", "replace", "default", "via", via.String())
	}
	for _, node := range w.all() {
		v4, v6 := addressesOn(t, node, w.kind.network)
		r.Peers = append(r.Peers, v4)
		r.nodes[v4], r.nodes[v6] = node, node
	}
	r.teachNodes(t, w.all())
	r.startFRR(t)
	return r
}

func family(a netip.Addr) string {
	if a.Is4() {
		return "-4"
	}
	return "-6"
}

// startFRR runs the daemons without FRR's own start scripts, which differ between its images.
func (r *routing) startFRR(t testing.TB) {
	t.Helper()
	must(t, fill(t, "frr.conf", r), "docker", "exec", "--interactive", r.container, "sh", "-euc", `
		install -d -o frr -g frr /run/frr /etc/frr
		cat >/etc/frr/frr.conf
		chown frr:frr /etc/frr/frr.conf
		: >/etc/frr/vtysh.conf
		for daemon in zebra bfdd bgpd; do /usr/lib/frr/$daemon --daemon --config_file /dev/null; done
		vtysh -b`)
}

// teachNodes has nodes answer through the router to who is behind it, as if it was their default gateway.
func (r *routing) teachNodes(t testing.TB, nodes []string) {
	t.Helper()
	for _, n := range nodes {
		for _, to := range []struct {
			prefix netip.Prefix
			via    netip.Addr
		}{{r.behind4, r.V4}, {r.behind6, r.V6}} {
			docker(t, "exec", n, "ip", family(to.via), "route", "replace", to.prefix.String(), "via", to.via.String())
		}
	}
}

// kernel is what the router's kernel has for an address: a line for each next hop.
func (r *routing) kernel(address netip.Addr) (string, error) {
	prefix := netip.PrefixFrom(address, address.BitLen())
	return command(context.Background(), "", "docker", "exec", r.container, "ip", family(address), "route", "show", prefix.String())
}

// awaitHops waits until these nodes, and no others, are next hops to the addresses in the router's kernel. IPv6
// next hops may be link-local, which are counted.
func (r *routing) awaitHops(t testing.TB, nodes ...string) {
	t.Helper()
	eventually(t, 30*time.Second, "the router's next hops are "+strings.Join(nodes, ", "), func() error {
		var failures []error
		for _, a := range r.addresses {
			text, err := r.kernel(a)
			var hops, named []string
			for fields := strings.Fields(text); len(fields) > 1; fields = fields[1:] {
				if via, err := netip.ParseAddr(fields[1]); fields[0] == "via" && err == nil {
					hops = append(hops, via.String())
					if n := r.nodes[via]; n != "" {
						named = append(named, n)
					}
				}
			}
			slices.Sort(named)
			if len(hops) != len(nodes) || len(named) > 0 && !slices.Equal(named, slices.Sorted(slices.Values(nodes))) {
				failures = append(failures, fmt.Errorf("%s: %q", a, text), err)
			}
		}
		return errors.Join(failures...)
	})
}

// noRoutes fails if the router still has a route.
func (r *routing) noRoutes(t testing.TB) {
	t.Helper()
	took := eventually(t, 10*time.Second, "the router has no routes", func() error {
		for _, a := range r.addresses {
			if text, err := r.kernel(a); text != "" || err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
		return nil
	})
	t.Logf("the router has no route %.1f s later", took.Seconds())
}
