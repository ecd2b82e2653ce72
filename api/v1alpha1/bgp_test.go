package v1alpha1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The kinds of BGP are refused as a whole. Their schema exists, so the tests below show it beside that
// refusal.
const (
	noBGP          = `spec: Forbidden: BGP is not supported by this release yet; advertise with an L2Advertisement`
	noBFD          = `spec: Forbidden: BGP, and BFD with it, is not supported by this release yet; remove this object`
	noCommunity    = `spec: Forbidden: BGP is not supported by this release yet; remove this object`
	minimalPeer    = "myASN: 64512\npeerASN: 64513\npeerAddress: 192.0.2.1\n"
	unnumberedPeer = "myASN: 64512\ndynamicASN: external\ninterface: eth1\n"
)

func TestBGPKindsAreNotSupportedYet(t *testing.T) {
	defs := definitions(t)
	tests := []struct{ kind, spec, want string }{
		{"BGPPeer", minimalPeer, noBGP},
		{"BGPAdvertisement", ``, noBGP},
		{"BFDProfile", ``, noBFD},
		{"Community", `communities: [{name: gold, value: "65000:100"}]`, noCommunity},
	}
	for _, tt := range tests {
		t.Run(tt.kind, func(t *testing.T) {
			wantRefusals(t, defs[tt.kind], tt.spec, tt.want)
		})
	}
}

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
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantRefusals(t, peer, tt.spec, noBGP)
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
			[]string{`spec: Invalid value: spec.keepaliveTime must be shorter than spec.holdTime, a third of it is usual`},
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
			wantRefusals(t, peer, tt.spec, append([]string{noBGP}, tt.want...)...)
		})
	}
}

func TestBGPPeerRefusesByItsSchema(t *testing.T) {
	peer := definitions(t)["BGPPeer"]
	tests := []struct{ name, spec, want, also string }{
		{"AS 0", "myASN: 0\npeerASN: 64513\npeerAddress: 192.0.2.1", `spec.myASN: Invalid value: 0: spec.myASN in body should be greater than or equal to 1`, noBGP},
		{"an ASN beyond 32 bits", "myASN: 4294967296\npeerASN: 64513\npeerAddress: 192.0.2.1", `spec.myASN: Invalid value: 4294967296: spec.myASN in body should be less than or equal to 4294967295`, noBGP},
		{"a port beyond 16 bits", minimalPeer + "peerPort: 65536", `spec.peerPort: Invalid value: 65536: spec.peerPort in body should be less than or equal to 65535`, noBGP},
		{"a mode that does not exist", "myASN: 64512\ndynamicASN: any\npeerAddress: 192.0.2.1", `spec.dynamicASN: Unsupported value: "any": supported values: "internal", "external"`, unchecked},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantRefusals(t, peer, tt.spec, tt.want, tt.also)
		})
	}
	t.Run("a password in plain sight", func(t *testing.T) {
		wantRefusals(t, peer, minimalPeer+"password: secret", `unknown field "spec.password"`, noBGP)
	})
}

func TestBGPAdvertisementCommunities(t *testing.T) {
	adv := definitions(t)["BGPAdvertisement"]
	for _, good := range []string{"65000:100", "0:0", "65535:65535", "large:4294967295:0:1", "no-export", "gold", "edge_v4.preferred"} {
		t.Run(good, func(t *testing.T) {
			wantRefusals(t, adv, `communities: ["`+good+`"]`, noBGP)
		})
	}
	for _, bad := range []string{"", "65000", "65536:1", "1:65536", "65000:1:2", "large:1:2", "large:4294967296:0:1", "a:b", "-gold", "no export", "99999999999:1"} {
		t.Run("not "+bad, func(t *testing.T) {
			wantRefusals(t, adv, `communities: ["`+bad+`"]`, noBGP,
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
			wantRefusals(t, adv, tt.spec, tt.want, noBGP)
		})
	}
}

func TestBFDProfile(t *testing.T) {
	bfd := definitions(t)["BFDProfile"]
	t.Run("takes MetalLB's defaults spelled out", func(t *testing.T) {
		wantRefusals(t, bfd, `{receiveInterval: 300, transmitInterval: 300, detectMultiplier: 3, echoInterval: 50, echoMode: false, passiveMode: false, minimumTtl: 254}`, noBFD)
	})
	t.Run("refuses the Echo function with its reason", func(t *testing.T) {
		wantRefusals(t, bfd, `echoMode: true`, noBFD,
			`spec.echoMode: Forbidden: spec.echoMode is not supported: Fairlead's BFD has no Echo function; remove it and shorten spec.transmitInterval and spec.receiveInterval instead`)
	})
	t.Run("refuses an interval that cannot be kept", func(t *testing.T) {
		wantRefusals(t, bfd, `transmitInterval: 5`,
			`spec.transmitInterval: Invalid value: 5: spec.transmitInterval in body should be greater than or equal to 10`, noBFD)
	})
}

func TestCommunity(t *testing.T) {
	community := definitions(t)["Community"]
	t.Run("takes standard and large values", func(t *testing.T) {
		wantRefusals(t, community, `communities: [{name: gold, value: "65000:100"}, {name: big, value: "large:65000:1:2"}]`, noCommunity)
	})
	t.Run("refuses an empty list", func(t *testing.T) {
		wantRefusals(t, community, `communities: []`, noCommunity, `spec.communities: Invalid value: spec.communities is empty; give at least one alias`)
	})
	t.Run("refuses a name twice", func(t *testing.T) {
		wantRefusals(t, community, `communities: [{name: gold, value: "65000:100"}, {name: gold, value: "65000:200"}]`,
			`spec.communities[1]: Duplicate value: {"name":"gold"}`, noCommunity)
	})
	t.Run("refuses a value that is an alias", func(t *testing.T) {
		wantRefusals(t, community, `communities: [{name: gold, value: silver}]`, noCommunity,
			`spec.communities[0].value: Invalid value: "silver": "silver" is not a community; give 65000:100 or large:65000:1:2`)
	})
	t.Run("refuses a name that reads as a value", func(t *testing.T) {
		wantRefusals(t, community, `communities: [{name: "65000:1", value: "65000:100"}]`, noCommunity,
			`spec.communities[0].name: Invalid value: "65000:1": "65000:1" is not a name for a community; give a letter, then letters, digits, dots, dashes and underscores`)
	})
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
