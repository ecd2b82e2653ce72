package v1alpha1_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/fairlead-lb/fairlead/internal/bgp"
)

const (
	minimalPeer    = "myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\n"
	unnumberedPeer = "myASN: 64512\ndynamicASN: external\ninterface: eth1\n"
)

func TestBGPPeerTakes(t *testing.T) {
	peer := definitions(t)["BGPPeer"]
	tests := []struct{ name, spec string }{
		{"the least", minimalPeer},
		{"an unnumbered peer", unnumberedPeer},
		{"the longest ASNs", "myASN: 4294967295\npeerASN: 4294967294\npeerAddress: 2001:db8::1"},
		{"everything of a MetalLB manifest", minimalPeer + `
			peerPort: 1179
			sourceAddress: 192.0.2.11
			holdTime: 1m30s
			keepaliveTime: 30s
			connectTime: 10s
			routerID: 192.0.2.11
			nodeSelectors: [{matchLabels: {rack: a}}]
			passwordSecret: {name: router-a}
			bfdProfile: fast
			enableGracefulRestart: true
			ebgpMultiHop: true
			vrf: red
			disableMP: false
			dualStackAddressFamily: true
			`},
		{"no hold time", minimalPeer + "holdTime: 0s"},
		{"another AS towards an external peer", minimalPeer + "localASN: 64600"},
		{"GTSM", minimalPeer + "ttlSecurity: {}"},
		{"GTSM over several hops", minimalPeer + "ttlSecurity: {hops: 3}"},
		{"GTSM of an unnumbered peer", unnumberedPeer + "ttlSecurity: {}"},
		{"an internal peer", "myASN: 64512\npeerASN: 64512\npeerAddress: 192.0.2.1"},
		{"an internal peer said otherwise", "myASN: 64512\ndynamicASN: internal\npeerAddress: 192.0.2.1"},
		{"a peer that connects", minimalPeer + "passive: true"},
		{"both families over IPv4", minimalPeer + "families: [IPv4, IPv6]"},
		{"IPv4 over IPv6, with an IPv6 next hop", "myASN: 64512\npeerASN: 64513\npeerAddress: 2001:db8::1\nfamilies: [IPv4]\nextendedNextHop: true"},
		{"no keepalives, whatever their time", minimalPeer + "holdTime: 0s\nkeepaliveTime: 10s"},
		{"a router on the node itself", "myASN: 64512\npeerASN: 64513\npeerAddress: 127.0.0.1\npassive: true"},
		{"empty words for a password, as a client in Go writes them", minimalPeer + `password: ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantRefusals(t, peer, tt.spec)
		})
	}
}

func TestBGPPeerRefuses(t *testing.T) {
	peer := definitions(t)["BGPPeer"]
	tests := []struct {
		name, spec string
		want       []string
	}{
		{
			"neither peerASN nor dynamicASN",
			"myASN: 64512\npeerAddress: 192.0.2.1",
			[]string{`spec: Invalid value: give either spec.peerASN or spec.dynamicASN, one of the two`},
		},
		{
			"both peerASN and dynamicASN",
			minimalPeer + "dynamicASN: external",
			[]string{`spec: Invalid value: give either spec.peerASN or spec.dynamicASN, one of the two`},
		},
		{
			"neither peerAddress nor interface",
			"myASN: 64512\npeerASN: 64513",
			[]string{`spec: Invalid value: give either spec.peerAddress or spec.interface, one of the two`},
		},
		{
			"both peerAddress and interface",
			minimalPeer + "interface: eth1",
			[]string{`spec: Invalid value: give either spec.peerAddress or spec.interface, one of the two`},
		},
		{
			"a peer address that is none",
			"myASN: 64512\npeerASN: 64513\npeerAddress: router-a",
			[]string{`spec.peerAddress: Invalid value: "router-a": "router-a" is not an IP address; give one such as 192.0.2.1 or 2001:db8::1`},
		},
		{
			"a source address of the other family",
			minimalPeer + "sourceAddress: 2001:db8::11",
			[]string{`spec: Invalid value: spec.sourceAddress and spec.peerAddress must be of one family`},
		},
		{
			"a hold time under 3 s, as RFC 4271 does",
			minimalPeer + "holdTime: 2s",
			[]string{`spec.holdTime: Invalid value: "2s": "2s" is not a hold time that BGP can have; give whole seconds from 3s to 65535s, or 0s for none`},
		},
		{
			"a hold time in parts of a second",
			minimalPeer + "holdTime: 3500ms",
			[]string{`spec.holdTime: Invalid value: "3500ms": "3500ms" is not a hold time that BGP can have; give whole seconds from 3s to 65535s, or 0s for none`},
		},
		{
			"a hold time without a unit",
			minimalPeer + `holdTime: "90"`,
			[]string{`spec.holdTime: Invalid value: "90": "90" is not a hold time that BGP can have; give whole seconds from 3s to 65535s, or 0s for none`},
		},
		{
			"a keepalive time as long as the hold time",
			minimalPeer + "holdTime: 30s\nkeepaliveTime: 30s",
			[]string{`spec: Invalid value: spec.keepaliveTime must be shorter than spec.holdTime, which is 90s unless given; a third of it is usual`},
		},
		{
			"a keepalive time of zero",
			minimalPeer + "keepaliveTime: 0s",
			[]string{`spec.keepaliveTime: Invalid value: "0s": "0s" is not a keepalive time that BGP can have; give whole seconds from 1s to 21845s`},
		},
		{
			"a connect time that is too long",
			minimalPeer + "connectTime: 24h",
			[]string{`spec.connectTime: Invalid value: "24h": "24h" is not a connect time; give whole seconds from 1s to 65535s`},
		},
		{
			"an IPv6 address as router ID",
			minimalPeer + "routerID: 2001:db8::1",
			[]string{`spec.routerID: Invalid value: "2001:db8::1": "2001:db8::1" is not a router ID; give one in the form of an IPv4 address, not 0.0.0.0`},
		},
		{
			"a local ASN towards an internal peer",
			"myASN: 64512\npeerASN: 64512\npeerAddress: 192.0.2.1\nlocalASN: 64600",
			[]string{`spec: Invalid value: spec.localASN is for eBGP sessions only, and this peer is internal; remove it`},
		},
		{
			"a local ASN that is the nodes' own",
			minimalPeer + "localASN: 64512",
			[]string{`spec: Invalid value: spec.localASN equals spec.myASN; remove it`},
		},
		{
			"GTSM and multi-hop at once",
			minimalPeer + "ttlSecurity: {hops: 2}\nebgpMultiHop: true",
			[]string{`spec: Invalid value: spec.ttlSecurity and spec.ebgpMultiHop exclude each other; for a peer several hops away set spec.ttlSecurity.hops`},
		},
		{
			"an unnumbered peer several hops away",
			unnumberedPeer + "ebgpMultiHop: true",
			[]string{`spec: Invalid value: a peer on spec.interface is one hop away; remove spec.ebgpMultiHop`},
		},
		{
			"a source address of an unnumbered session",
			unnumberedPeer + "sourceAddress: 2001:db8::11",
			[]string{`spec: Invalid value: a session on spec.interface uses the link-local addresses of the link; remove spec.sourceAddress`},
		},
		{
			"GTSM over several hops on a link",
			unnumberedPeer + "ttlSecurity: {hops: 2}",
			[]string{`spec: Invalid value: a peer on spec.interface is one hop away; remove spec.ttlSecurity.hops`},
		},
		{
			"a local ASN that is the router's",
			minimalPeer + "localASN: 64513",
			[]string{`spec: Invalid value: spec.localASN equals spec.peerASN, so that the session would be internal; set spec.myASN to that and remove spec.localASN`},
		},
		{
			"a keepalive time as long as the hold time that is not given",
			minimalPeer + "keepaliveTime: 90s",
			[]string{`spec: Invalid value: spec.keepaliveTime must be shorter than spec.holdTime, which is 90s unless given; a third of it is usual`},
		},
		{
			"a link-local address",
			"myASN: 64512\npeerASN: 64513\npeerAddress: fe80::1",
			[]string{`spec.peerAddress: Invalid value: "fe80::1": fe80::1 is a link-local address, which says nothing without its interface; give spec.interface in place of spec.peerAddress`},
		},
		{
			"a link-local address with its zone",
			"myASN: 64512\npeerASN: 64513\npeerAddress: fe80::1%eth1",
			[]string{`spec.peerAddress: Invalid value: "fe80::1%eth1": "fe80::1%eth1" is not an IP address; give one such as 192.0.2.1 or 2001:db8::1`},
		},
		{
			"a multicast address",
			"myASN: 64512\npeerASN: 64513\npeerAddress: 224.0.0.5",
			[]string{`spec.peerAddress: Invalid value: "224.0.0.5": 224.0.0.5 is not the address of one router`},
		},
		{
			"an IPv6 multicast address of the site",
			"myASN: 64512\npeerASN: 64513\npeerAddress: ff05::2",
			[]string{`spec.peerAddress: Invalid value: "ff05::2": ff05::2 is not the address of one router`},
		},
		{
			"no address",
			"myASN: 64512\npeerASN: 64513\npeerAddress: 0.0.0.0",
			[]string{`spec.peerAddress: Invalid value: "0.0.0.0": 0.0.0.0 is not the address of one router`},
		},
		{
			"a source address that is no node's",
			minimalPeer + "sourceAddress: 0.0.0.0",
			[]string{`spec.sourceAddress: Invalid value: "0.0.0.0": 0.0.0.0 is not an address that a node can connect from`},
		},
		{
			"a password in plain sight, which is not repeated",
			minimalPeer + "password: hunter2",
			[]string{`spec.password: Forbidden: a password is not given in plain sight; put it under the key password into a Secret of type kubernetes.io/basic-auth in Fairlead's namespace, and the Secret's name into spec.passwordSecret.name`},
		},
		{
			"a Secret of another namespace",
			minimalPeer + "passwordSecret: {name: router-a, namespace: metallb-system}",
			[]string{`spec.passwordSecret.namespace: Forbidden: the Secret is looked for in Fairlead's own namespace; put it there and remove the namespace here`},
		},
		{
			"IPv6 next hops for prefixes that are left out",
			minimalPeer + "families: [IPv6]\nextendedNextHop: true",
			[]string{`spec: Invalid value: spec.extendedNextHop is about IPv4 prefixes, which spec.families leaves out; add IPv4 there, or remove spec.extendedNextHop`},
		},
		{
			"families said twice",
			minimalPeer + "families: [IPv4]\ndualStackAddressFamily: true",
			[]string{`spec: Invalid value: spec.families says what spec.disableMP and spec.dualStackAddressFamily say; give spec.families alone`},
		},
		{
			"families said in contradiction",
			minimalPeer + "disableMP: true\ndualStackAddressFamily: true",
			[]string{`spec: Invalid value: spec.disableMP and spec.dualStackAddressFamily contradict each other; remove one`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantRefusals(t, peer, tt.spec, tt.want...)
		})
	}
}

func TestBGPPeerRefusesByItsSchema(t *testing.T) {
	peer := definitions(t)["BGPPeer"]
	tests := []struct {
		name, spec, want string
		also             []string
	}{
		{"AS 0", "myASN: 0\npeerASN: 64513\npeerAddress: 192.0.2.1", `spec.myASN: Invalid value: 0: spec.myASN in body should be greater than or equal to 1`, nil},
		{"an ASN beyond 32 bits", "myASN: 4294967296\npeerASN: 64513\npeerAddress: 192.0.2.1", `spec.myASN: Invalid value: 4294967296: spec.myASN in body should be less than or equal to 4294967295`, nil},
		{"a port beyond 16 bits", minimalPeer + "peerPort: 65536", `spec.peerPort: Invalid value: 65536: spec.peerPort in body should be less than or equal to 65535`, nil},
		{"a mode that does not exist", "myASN: 64512\ndynamicASN: any\npeerAddress: 192.0.2.1", `spec.dynamicASN: Unsupported value: "any": supported values: "internal", "external"`, []string{unchecked}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantRefusals(t, peer, tt.spec, append([]string{tt.want}, tt.also...)...)
		})
	}
	t.Run("a field that does not exist", func(t *testing.T) {
		wantRefusals(t, peer, minimalPeer+"peerAsn: 64513", `unknown field "spec.peerAsn"`)
	})
}

func TestBGPAdvertisementCommunities(t *testing.T) {
	adv := definitions(t)["BGPAdvertisement"]
	for _, good := range []string{"65000:100", "0:0", "65535:65535", "large:4294967295:0:1", "no-export", "gold", "edge_v4.preferred"} {
		t.Run(good, func(t *testing.T) {
			wantRefusals(t, adv, `communities: ["`+good+`"]`)
		})
	}
	for _, bad := range []string{"", "65000", "65536:1", "1:65536", "65000:1:2", "large:1:2", "large:4294967296:0:1", "a:b", "-gold", "no export", "99999999999:1"} {
		t.Run("not "+bad, func(t *testing.T) {
			wantRefusals(t, adv, `communities: ["`+bad+`"]`,
				`spec.communities[0]: Invalid value: "`+bad+`": "`+bad+`" is not a community; give 65000:100, large:65000:1:2, a well-known name such as no-export, or an alias`)
		})
	}
}

func TestBGPAdvertisementRefusesByItsSchema(t *testing.T) {
	adv := definitions(t)["BGPAdvertisement"]
	tests := []struct{ spec, want string }{
		{`aggregationLength: 33`, `spec.aggregationLength: Invalid value: 33: spec.aggregationLength in body should be less than or equal to 32`},
		{`aggregationLengthV6: 0`, `spec.aggregationLengthV6: Invalid value: 0: spec.aggregationLengthV6 in body should be greater than or equal to 1`},
		{`localPref: 4294967296`, `spec.localPref: Invalid value: 4294967296: spec.localPref in body should be less than or equal to 4294967295`},
	}
	for _, tt := range tests {
		t.Run(tt.spec, func(t *testing.T) {
			wantRefusals(t, adv, tt.spec, tt.want)
		})
	}
}

func TestBFDProfile(t *testing.T) {
	bfd := definitions(t)["BFDProfile"]
	t.Run("takes MetalLB's defaults spelled out", func(t *testing.T) {
		wantRefusals(t, bfd, `{receiveInterval: 300, transmitInterval: 300, detectMultiplier: 3, echoInterval: 50, echoMode: false, passiveMode: false, minimumTtl: 254}`)
	})
	t.Run("refuses the Echo function with its reason", func(t *testing.T) {
		wantRefusals(t, bfd, `echoMode: true`,
			`spec.echoMode: Forbidden: spec.echoMode is not supported: Fairlead's BFD has no Echo function; remove it and shorten spec.transmitInterval and spec.receiveInterval instead`)
	})
	t.Run("refuses an interval that cannot be kept", func(t *testing.T) {
		wantRefusals(t, bfd, `transmitInterval: 5`,
			`spec.transmitInterval: Invalid value: 5: spec.transmitInterval in body should be greater than or equal to 10`)
	})
}

func TestCommunity(t *testing.T) {
	community := definitions(t)["Community"]
	t.Run("takes standard and large values", func(t *testing.T) {
		wantRefusals(t, community, `communities: [{name: gold, value: "65000:100"}, {name: big, value: "large:65000:1:2"}]`)
	})
	t.Run("refuses an empty list", func(t *testing.T) {
		wantRefusals(t, community, `communities: []`, `spec.communities: Invalid value: spec.communities is empty; give at least one alias`)
	})
	t.Run("refuses a name twice", func(t *testing.T) {
		wantRefusals(t, community, `communities: [{name: gold, value: "65000:100"}, {name: gold, value: "65000:200"}]`,
			`spec.communities[1]: Duplicate value: {"name":"gold"}`)
	})
	t.Run("refuses a value that is an alias", func(t *testing.T) {
		wantRefusals(t, community, `communities: [{name: gold, value: silver}]`,
			`spec.communities[0].value: Invalid value: "silver": "silver" is not a community; give 65000:100 or large:65000:1:2`)
	})
	t.Run("refuses a name that reads as a value", func(t *testing.T) {
		wantRefusals(t, community, `communities: [{name: "65000:1", value: "65000:100"}]`,
			`spec.communities[0].name: Invalid value: "65000:1": "65000:1" is not a name for a community; give a letter, then letters, digits, dots, dashes and underscores`)
	})
}

// The rule has the names of internal/bgp, which are IANA's.
func TestCommunityRefusesWellKnownNames(t *testing.T) {
	community := definitions(t)["Community"]
	known := 0
	for _, name := range []string{
		"graceful-shutdown", "accept-own", "route-filter-translated-v4", "route-filter-v4", "route-filter-translated-v6", "route-filter-v6",
		"llgr-stale", "no-llgr", "accept-own-nexthop", "standby-pe", "blackhole", "no-export", "no-advertise", "no-export-subconfed",
		"no-peer", "nopeer", "gold", "NO_EXPORT", "no-export2",
	} {
		var want []string
		if _, _, _, err := bgp.ParseCommunity(name); err == nil {
			known++
			want = []string{fmt.Sprintf(`spec.communities[0].name: Invalid value: %q: "%s" is the name of a well-known community, and means that without an alias; give another name`, name, name)}
		}
		wantRefusals(t, community, `communities: [{name: "`+name+`", value: "65000:100"}]`, want...)
	}
	if known != 16 {
		t.Errorf("internal/bgp knows %d of them", known)
	}
}

func TestBFDProfileDefaults(t *testing.T) {
	bfd := definitions(t)["BFDProfile"]
	want := map[string]any{"receiveInterval": int64(300), "transmitInterval": int64(300), "detectMultiplier": int64(3), "minimumTtl": int64(254)}
	obj := decode(t, manifest("BFDProfile", ""))
	bfd.setDefaults(obj)
	if diff := cmp.Diff(want, obj["spec"]); diff != "" {
		t.Errorf("spec with defaults (-want +got):\n%s", diff)
	}
}

// A table of peers is read in a terminal of 80 columns. kubectl puts three spaces between columns.
func TestBGPColumnsFitATerminal(t *testing.T) {
	widest := map[string]string{
		"Ready": "False", "Address": "198.51.100.254", "ASN": "4200000001", "Nodes": "100", "Established": "100", "Age": "100d",
		"Pools": `["edge-v4","edge-v6"]`, "Peers": `["tor-a","tor-b"]`, "Names": "gold silver", "In-Use": "False",
		"Transmit": "60000", "Receive": "60000", "Multiplier": "255", "Interfaces": `["eth1"]`,
	}
	const name = "rack-12-a"
	defs := definitions(t)
	for _, kind := range []string{"BGPPeer", "BGPAdvertisement", "BFDProfile", "Community", "L2Advertisement"} {
		line := name
		for _, c := range defs[kind].crd.Spec.AdditionalPrinterColumns {
			if c.Priority == 0 {
				if widest[c.Name] == "" {
					t.Errorf("%s: how wide is %s?", kind, c.Name)
				}
				line += fmt.Sprintf("   %-*s", len(c.Name), widest[c.Name])
			}
		}
		if len(line) > 80 {
			t.Errorf("a %s takes %d columns", kind, len(line))
		}
	}
}
