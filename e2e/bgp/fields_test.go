package bgp

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
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// field is a setting, and what a router shows of it. In texts, ROUTER4 and ROUTER6 are the router's addresses; NODE4
// and NODE6 those of the node that told it, on the nodes' segment.
type field struct {
	name string
	// peer is the BGPPeer's spec, advertisement the BGPAdvertisement's, besides further objects.
	peer, advertisement, objects string
	// router changes how the router speaks to each node: by default it waits, as an external neighbour of the family of
	// the peer's address.
	router func(*lab.Peer)
	v6     bool // the peer's address is of IPv6
	// only names the router that can show it; both if empty. nodes are those that are to have a session; all if nil.
	only  lab.Software
	nodes []string
	// want4 and want6 are the paths to the Service's prefixes, from each of tellers (all nodes if nil); empty for none.
	want4, want6 string
	tellers      []string
	// aggregates are the prefixes that are to be there instead of the Service's addresses themselves.
	aggregates []string
	state      func(lab.PeerState) error
}

// external is the path from a node to an external router.
const (
	external4 = "via NODE4 path [64512]"
	external6 = "via NODE6 path [64512]"
)

func both(p *lab.Peer)     { p.Families = []string{"IPv4", "IPv6"} }
func internal(p *lab.Peer) { p.ASN = routerASN }

var fields = []field{
	{
		name: "eBGP over IPv4 has the IPv4 prefix, and that alone",
		peer: "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4", want4: external4,
		state: func(s lab.PeerState) error {
			if s.Hold != 90*time.Second || s.ASN != nodesASN || s.GracefulRestart {
				return fmt.Errorf("hold time %s, AS %d, graceful restart %v", s.Hold, s.ASN, s.GracefulRestart)
			}
			return families(s, "IPv4")
		},
	},
	{
		name: "eBGP over IPv6 has the IPv6 prefix, and that alone", v6: true,
		peer: "myASN: 64512, peerASN: 64500, peerAddress: \"ROUTER6\"", want6: external6,
		state: func(s lab.PeerState) error { return families(s, "IPv6") },
	},
	{
		name: "families: both over an IPv4 session", router: both,
		peer:  "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4, families: [IPv4, IPv6]",
		want4: external4, want6: external6,
		state: func(s lab.PeerState) error { return families(s, "IPv4", "IPv6") },
	},
	{
		name: "dualStackAddressFamily: both over an IPv6 session", router: both, v6: true,
		peer:  "myASN: 64512, peerASN: 64500, peerAddress: \"ROUTER6\", dualStackAddressFamily: true",
		want4: external4, want6: external6,
		state: func(s lab.PeerState) error { return families(s, "IPv4", "IPv6") },
	},
	{
		name: "disableMP: the family of the session alone, whatever the router offers", router: both,
		peer: "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4, disableMP: true", want4: external4,
		state: func(s lab.PeerState) error { return families(s, "IPv4") },
	},
	{
		name: "families: IPv4 alone over IPv6", v6: true, router: func(p *lab.Peer) { p.Families = []string{"IPv4"} },
		peer: "myASN: 64512, peerASN: 64500, peerAddress: \"ROUTER6\", families: [IPv4]", want4: external4,
	},
	{
		name: "extendedNextHop: IPv4 prefixes via IPv6", v6: true, router: func(p *lab.Peer) { both(p); p.ExtendedNextHop = true },
		peer:  "myASN: 64512, peerASN: 64500, peerAddress: \"ROUTER6\", families: [IPv4, IPv6], extendedNextHop: true",
		want4: "via NODE6 path [64512]", want6: external6,
		state: func(s lab.PeerState) error {
			if !s.ExtendedNextHop {
				return errors.New("it does not offer extended next hops")
			}
			return nil
		},
	},
	{
		name: "iBGP has an empty path and the default local preference", router: internal,
		peer: "myASN: 64500, peerASN: 64500, peerAddress: ROUTER4", want4: "via NODE4 path [] localpref 100",
	},
	{
		name: "localPref reaches an internal router", router: internal, advertisement: "localPref: 250",
		peer: "myASN: 64500, peerASN: 64500, peerAddress: ROUTER4", want4: "via NODE4 path [] localpref 250",
	},
	{
		name: "localASN takes the place of myASN", router: func(p *lab.Peer) { p.ASN = 64999 },
		peer:  "myASN: 64512, localASN: 64999, peerASN: 64500, peerAddress: ROUTER4",
		want4: "via NODE4 path [64999]",
	},
	{
		name: "an AS number of four octets", router: func(p *lab.Peer) { p.ASN = 4200000512 },
		peer: "myASN: 4200000512, peerASN: 64500, peerAddress: ROUTER4", want4: "via NODE4 path [4200000512]",
	},
	{
		name: "dynamicASN external learns the router's", peer: "myASN: 64512, dynamicASN: external, peerAddress: ROUTER4", want4: external4,
	},
	{
		name: "dynamicASN internal takes the nodes'", router: internal,
		peer: "myASN: 64500, dynamicASN: internal, peerAddress: ROUTER4", want4: "via NODE4 path [] localpref 100",
	},
	{
		name:          "communities: standard, large, well-known and by alias",
		peer:          "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4",
		advertisement: `communities: ["65000:100", "large:64512:1:2", no-export, edge, wide]`,
		objects: `
apiVersion: fairlead.dev/v1alpha1
kind: Community
metadata: {name: names}
spec: {communities: [{name: edge, value: "65000:200"}, {name: wide, value: "large:4200000000:7:8"}]}
`,
		want4: external4 + " communities [65000:100 65000:200 65535:65281] large [64512:1:2 4200000000:7:8]",
	},
	{
		name: "passwordSecret: TCP MD5", router: func(p *lab.Peer) { p.Password = "correct-horse" },
		peer: "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4, passwordSecret: {name: router}", objects: secret("correct-horse"),
		want4: external4,
	},
	{
		name: "passwordSecret over IPv6", v6: true, router: func(p *lab.Peer) { p.Password = "correct-horse" },
		peer: "myASN: 64512, peerASN: 64500, peerAddress: \"ROUTER6\", passwordSecret: {name: router}", objects: secret("correct-horse"),
		want6: external6,
	},
	{
		name: "ttlSecurity: a router that takes TTL 255 alone", router: func(p *lab.Peer) { p.Hops = 1 },
		peer: "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4, ttlSecurity: {}", want4: external4,
	},
	{
		name: "ttlSecurity over IPv6", router: func(p *lab.Peer) { p.Hops = 1 }, v6: true,
		peer: "myASN: 64512, peerASN: 64500, peerAddress: \"ROUTER6\", ttlSecurity: {hops: 1}", want6: external6,
	},
	{
		name: "passive: the router connects", router: func(p *lab.Peer) { p.Active = true },
		peer: "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4, passive: true", want4: external4,
	},
	{
		name: "passive on a port of its own, with a password", router: func(p *lab.Peer) { p.Active, p.Port, p.Password = true, 1790, "correct-horse" },
		peer:    "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4, passive: true, peerPort: 1790, passwordSecret: {name: router}",
		objects: secret("correct-horse"), want4: external4,
	},
	{
		name: "passive over IPv6 with ttlSecurity", v6: true, router: func(p *lab.Peer) { p.Active, p.Hops = true, 1 },
		peer: "myASN: 64512, peerASN: 64500, peerAddress: \"ROUTER6\", passive: true, ttlSecurity: {}", want6: external6,
	},
	{
		name: "peerPort", only: lab.BIRD, router: func(p *lab.Peer) { p.LocalPort = 1790 },
		peer: "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4, peerPort: 1790", want4: external4,
	},
	{
		name: "holdTime and keepaliveTime", peer: "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4, holdTime: 9s, keepaliveTime: 2s",
		want4: external4,
		state: func(s lab.PeerState) error {
			if s.Hold != 9*time.Second {
				return fmt.Errorf("the hold time is %s", s.Hold)
			}
			return nil
		},
	},
	{
		name: "holdTime 0s: no keepalives", peer: "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4, holdTime: 0s", want4: external4,
		state: func(s lab.PeerState) error {
			if s.Hold != 0 {
				return fmt.Errorf("the hold time is %s", s.Hold)
			}
			return nil
		},
	},
	{
		name: "routerID, on one node by nodeSelectors", nodes: []string{"node2"}, tellers: []string{"node2"},
		peer:  "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4, routerID: 192.0.2.222, nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node2}}]",
		want4: external4,
		state: func(s lab.PeerState) error {
			if s.RouterID != "192.0.2.222" {
				return fmt.Errorf("the BGP Identifier is %s", s.RouterID)
			}
			return nil
		},
	},
	{
		name:  "enableGracefulRestart is offered, both families",
		peer:  "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4, enableGracefulRestart: true, families: [IPv4, IPv6]",
		want4: external4, want6: external6, router: both,
		state: func(s lab.PeerState) error {
			if !s.GracefulRestart {
				return errors.New("it does not offer graceful restart")
			}
			return nil
		},
	},
	{
		name: "vrf: bound to a device", peer: "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4, vrf: eth0", want4: external4,
	},
	{
		name: "aggregation: the aggregates, and no address by itself", router: both,
		peer:          "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4, families: [IPv4, IPv6]",
		advertisement: "aggregationLength: 24, aggregationLengthV6: 64",
		aggregates:    []string{"198.51.100.0/24", "2001:db8:51::/64"}, want4: external4, want6: external6,
	},
	{
		name: "nodeSelectors of the advertisement", tellers: []string{"node1", "node3"},
		peer:          "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4",
		advertisement: "nodeSelectors: [{matchExpressions: [{key: kubernetes.io/hostname, operator: NotIn, values: [node2]}]}]",
		want4:         external4,
	},
	{
		name: "serviceSelectors that select the Service", peer: "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4",
		advertisement: "serviceSelectors: [{matchLabels: {app: field}}]", want4: external4,
	},
	{
		name: "serviceSelectors that do not", peer: "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4",
		advertisement: "serviceSelectors: [{matchLabels: {app: another}}]",
	},
	{
		name: "ipAddressPools that it is not of", peer: "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4",
		advertisement: "ipAddressPools: [many]",
	},
	{
		name: "peers that name another", peer: "myASN: 64512, peerASN: 64500, peerAddress: ROUTER4", advertisement: "peers: [another]",
	},
}

// families checks those that both sides offered.
func families(s lab.PeerState, want ...string) error {
	if !slices.Equal(s.Families, want) {
		return fmt.Errorf("both have the families %v, want %v", s.Families, want)
	}
	return nil
}

// secret is the Secret of a password.
func secret(password string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: router, namespace: %s}
type: kubernetes.io/basic-auth
stringData: {username: "", password: %s}
`, lab.ProductNamespace, password)
}

// Each field, as each router shows it.
func TestFields(t *testing.T) {
	each(t, 4*time.Minute, func(ctx context.Context, t *testing.T, w *world, r *lab.Router) {
		service := w.service(ctx, t, "field")
		for _, f := range fields {
			if f.only != "" && f.only != r.Software {
				continue
			}
			t.Run(f.name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(ctx, 25*time.Second)
				defer cancel()
				w.showField(ctx, t, r, service, f)
			})
		}
	})
}

func (w *world) showField(ctx context.Context, t *testing.T, r *lab.Router, service [2]netip.Prefix, f field) {
	begin := time.Now()
	family := "IPv4"
	if f.v6 {
		family = "IPv6"
	}
	speaks := w.speaks(f.router, family)
	if err := r.Speak(ctx, speaks); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.clean(ctx); err != nil {
			t.Error(err)
		}
		// The next field starts from nothing.
		measure.Eventually(ctx, t, "the end of the sessions", 5*time.Second, func() error {
			for _, name := range names(speaks) {
				if s, err := r.Peer(ctx, name); err != nil || s.Established {
					return fmt.Errorf("%s is %s: %v", name, s.State, err)
				}
			}
			return nil
		})
	})
	spec := strings.NewReplacer("ROUTER4", r.V4.String(), "ROUTER6", r.V6.String()).Replace(f.peer)
	w.apply(ctx, t, `%s
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPPeer
metadata: {name: router}
spec: {%s}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPAdvertisement
metadata: {name: field}
spec: {%s}
`, f.objects, spec, f.advertisement)
	nodes := f.nodes
	if nodes == nil {
		nodes = []string{"node1", "node2", "node3"}
	}
	for i, p := range speaks.Peers {
		if !slices.Contains(nodes, w.Nodes[i].Name) {
			if s, err := r.Peer(ctx, p.Name); err != nil || s.Established {
				t.Errorf("%s has a session, and should not: %s, %v", p.Name, s.State, err)
			}
			continue
		}
		if err := r.AwaitEstablished(ctx, p.Name); err != nil {
			s, _ := r.Peer(context.Background(), p.Name)
			t.Fatalf("%v\n%s", err, s.Text)
		}
		s, err := r.Peer(ctx, p.Name)
		if err != nil {
			t.Fatal(err)
		}
		if f.state != nil {
			if err := f.state(s); err != nil {
				t.Errorf("%s says of %s: %v\n%s", r.Name, p.Name, err, s.Text)
			}
		}
	}
	w.showPaths(ctx, t, r, service, f)
	t.Logf("shown after %s", time.Since(begin).Round(10*time.Millisecond))
}

// showPaths waits until the router has the paths that a field is to bring, or no path if it brings none.
func (w *world) showPaths(ctx context.Context, t *testing.T, r *lab.Router, service [2]netip.Prefix, f field) {
	t.Helper()
	tellers := f.tellers
	if tellers == nil {
		tellers = []string{"node1", "node2", "node3"}
	}
	if f.want4 == "" && f.want6 == "" {
		measure.Pause(ctx, t, 500*time.Millisecond) // for what must not come
	}
	for i, want := range []string{f.want4, f.want6} {
		prefix := service[i]
		if f.aggregates != nil {
			none(ctx, t, r, prefix)
			prefix = netip.MustParsePrefix(f.aggregates[i])
		}
		if want == "" {
			none(ctx, t, r, prefix)
			continue
		}
		var all []string
		for _, name := range tellers {
			n := w.NodeNamed(name)
			all = append(all, strings.NewReplacer("NODE4", n.V4.String(), "NODE6", n.V6.String()).Replace(want))
		}
		measure.Eventually(ctx, t, fmt.Sprintf("%s at %s", prefix, r.Name), 5*time.Second, func() error {
			got, err := shown(ctx, r, prefix, strings.Contains(want, "localpref"))
			if err == nil && !slices.Equal(got, all) {
				err = fmt.Errorf("it has\n %s\nwant\n %s", strings.Join(got, "\n "), strings.Join(all, "\n "))
			}
			return err
		})
	}
}

// shown are a router's paths to a prefix as text. From external neighbours there is no local preference on the wire;
// routers make one.
func shown(ctx context.Context, r *lab.Router, prefix netip.Prefix, preference bool) (list []string, err error) {
	paths, err := r.Paths(ctx, prefix)
	for _, p := range paths {
		if !preference {
			p.LocalPref = -1
		}
		slices.Sort(p.Communities)
		list = append(list, p.String())
	}
	return list, err
}

// none fails if the router has a path to a prefix.
func none(ctx context.Context, t *testing.T, r *lab.Router, prefix netip.Prefix) {
	t.Helper()
	if got, err := shown(ctx, r, prefix, false); err != nil || len(got) > 0 {
		t.Errorf("%s has %v to %s: %v", r.Name, got, prefix, err)
	}
}

// The password in the Secret changes, and the router's with it: the session comes back with the new one. A Secret that
// goes does not take a session along.
func TestPasswordRotation(t *testing.T) {
	each(t, time.Minute, func(ctx context.Context, t *testing.T, w *world, r *lab.Router) {
		prefix := w.service(ctx, t, "field")[0]
		if err := w.Kubernetes.CoreV1().Secrets(lab.ProductNamespace).Delete(ctx, "router", metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err) // that of another test
		}
		password := func(p string) lab.BGP { return w.speaks(func(n *lab.Peer) { n.Password = p }, "IPv4") }
		if err := r.Speak(ctx, password("first-of-all")); err != nil {
			t.Fatal(err)
		}
		w.peer(ctx, t, "router", fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s, passwordSecret: {name: router}, connectTime: 1s", r.V4))
		w.says(ctx, t, "node1", "router", "the Secret is missing", func(s v1alpha1.BGPSessionStatus) bool {
			return s.Reason == v1alpha1.BGPSessionNoSecret && s.State != v1alpha1.BGPSessionEstablished
		})
		w.apply(ctx, t, "%s", secret("first-of-all"))
		routed(ctx, t, r, 3, prefix)
		w.apply(ctx, t, "%s", secret("second-to-none"))
		changed := time.Now()
		if err := r.Speak(ctx, password("second-to-none")); err != nil {
			t.Fatal(err)
		}
		if err := r.AwaitEstablished(ctx, names(password(""))...); err != nil {
			t.Fatal(err)
		}
		t.Logf("all sessions have the new password %s after it changed", time.Since(changed).Round(10*time.Millisecond))
		routed(ctx, t, r, 3, prefix)
	})
}

// A router that is several hops away: with ebgpMultiHop, internal without a word, and with TTL security.
func TestMultiHop(t *testing.T) {
	ctx, w := start(t, 2*time.Minute)
	w.through(t, w.routers[lab.FRR])
	if err := w.routers[lab.FRR].Speak(ctx, lab.BGP{ASN: 64501}); err != nil {
		t.Fatal(err)
	}
	if err := w.LeadOutside(w.far.Host, w.routers[lab.FRR]); err != nil {
		t.Fatal(err)
	}
	prefix := w.service(ctx, t, "field")
	for _, test := range []struct {
		name, peer string
		router     func(*lab.Peer)
		v6         bool
		want       string
	}{
		{"ebgpMultiHop", "peerASN: 64500, ebgpMultiHop: true", func(p *lab.Peer) { p.MultiHop = true }, false, external4},
		{"ebgpMultiHop over IPv6", "peerASN: 64500, ebgpMultiHop: true", func(p *lab.Peer) { p.MultiHop = true }, true, external6},
		{"an internal router", "peerASN: 64512", func(p *lab.Peer) { p.MultiHop = true }, false, "via NODE4 path [] localpref 100"},
		{"ttlSecurity of two hops", "peerASN: 64500, ttlSecurity: {hops: 2}", func(p *lab.Peer) { p.Hops = 2 }, false, external4},
	} {
		t.Run(test.name, func(t *testing.T) {
			address, family := w.far.V4, "IPv4"
			if test.v6 {
				address, family = w.far.V6, "IPv6"
			}
			speaks := w.speaks(test.router, family)
			if strings.Contains(test.peer, "peerASN: 64512") {
				speaks.ASN = nodesASN
			}
			if err := w.far.Speak(ctx, speaks); err != nil {
				t.Fatal(err)
			}
			w.peer(ctx, t, "far", fmt.Sprintf("myASN: 64512, peerAddress: %q, %s", address, test.peer))
			if err := w.far.AwaitEstablished(ctx, names(speaks)...); err != nil {
				t.Fatal(err)
			}
			f := field{want4: test.want}
			if test.v6 {
				f = field{want6: test.want}
			}
			w.showPaths(ctx, t, w.far, prefix, f)
			if err := w.clean(ctx); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("an external one without a word is not reached", func(t *testing.T) {
		speaks := w.speaks(func(p *lab.Peer) { p.MultiHop = true }, "IPv4")
		if err := w.far.Speak(ctx, speaks); err != nil {
			t.Fatal(err)
		}
		w.peer(ctx, t, "far", fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s", w.far.V4))
		measure.Pause(ctx, t, 2*time.Second)
		if s, err := w.far.Peer(ctx, "node1"); err != nil || s.Established {
			t.Errorf("it is %s: %v", s.State, err)
		}
		w.says(ctx, t, "node1", "far", "why there is no session", func(s v1alpha1.BGPSessionStatus) bool { return s.LastError != "" })
	})
}

// sourceAddress: an address of the node other than that which the kernel would take.
func TestSourceAddress(t *testing.T) {
	each(t, time.Minute, func(ctx context.Context, t *testing.T, w *world, r *lab.Router) {
		prefix := w.service(ctx, t, "field")[0]
		node := w.Node(1)
		source := netip.MustParseAddr("192.0.2.91")
		if _, err := node.Run(ctx, "ip", "address", "add", source.String()+"/24", "dev", "eth0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_, _ = node.Run(context.Background(), "ip", "address", "del", source.String()+"/24", "dev", "eth0")
		})
		if err := r.Speak(ctx, lab.BGP{ASN: routerASN, Peers: []lab.Peer{{Name: "source", Address: source, ASN: nodesASN}}}); err != nil {
			t.Fatal(err)
		}
		w.peer(ctx, t, "router", fmt.Sprintf(
			"myASN: 64512, peerASN: 64500, peerAddress: %s, sourceAddress: %s, nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node1}}]", r.V4, source))
		if err := r.AwaitEstablished(ctx, "source"); err != nil {
			t.Fatal(err)
		}
		measure.Eventually(ctx, t, "the path", 5*time.Second, func() error {
			got, err := shown(ctx, r, prefix, false)
			if want := []string{"via 192.0.2.91 path [64512]"}; err == nil && !slices.Equal(got, want) {
				err = fmt.Errorf("%v, want %v", got, want)
			}
			return err
		})
	})
}

// An unnumbered session over a cable between a node and a router: nobody has said any address.
func TestUnnumbered(t *testing.T) {
	each(t, time.Minute, func(ctx context.Context, t *testing.T, w *world, r *lab.Router) {
		prefixes := w.service(ctx, t, "field")
		node := w.Node(1)
		if err := w.Link(node.Host, "rack0", r.Host, "rack0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Unlink(r.Host, "rack0") })
		speaks := lab.BGP{ASN: routerASN, Peers: []lab.Peer{{Name: "node1", Interface: "rack0", ASN: nodesASN}}}
		if r.Software == lab.BIRD {
			speaks.Lines = []string{lab.Advertising("rack0")}
		}
		if err := r.Speak(ctx, speaks); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		w.peer(ctx, t, "router", "myASN: 64512, peerASN: 64500, interface: rack0, nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node1}}]")
		if err := r.AwaitEstablished(ctx, "node1"); err != nil {
			t.Fatal(err)
		}
		t.Logf("established after %s", time.Since(begin).Round(10*time.Millisecond))
		s, err := r.Peer(ctx, "node1")
		if err != nil || !s.ExtendedNextHop || families(s, "IPv4", "IPv6") != nil {
			t.Errorf("%+v: %v", s, err)
		}
		for _, p := range prefixes {
			measure.Eventually(ctx, t, "a link-local next hop to "+p.String(), 5*time.Second, func() error {
				hops, err := r.NextHops(p)
				if err == nil && (len(hops) != 1 || !hops[0].IsLinkLocalUnicast()) {
					err = fmt.Errorf("it has %v", hops)
				}
				return err
			})
		}
		w.established(ctx, t, "router", "node1")
		// Packets take that way.
		for _, p := range prefixes {
			if _, err := w.visitor.Await(ctx, "tcp", at(p)); err != nil {
				t.Error(err)
			}
		}
	})
}
