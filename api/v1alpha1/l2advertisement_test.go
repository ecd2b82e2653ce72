package v1alpha1_test

import (
	"fmt"
	"path"
	"testing"
	"unicode/utf8"
)

func TestL2AdvertisementTakes(t *testing.T) {
	l2 := definitions(t)["L2Advertisement"]
	tests := []struct{ name, spec string }{
		{"no spec, as MetalLB does", ``},
		{"an empty spec", `{}`},
		{"pools by name", `ipAddressPools: [edge, public]`},
		{"pools by label", `ipAddressPoolSelectors: [{matchLabels: {zone: edge}}]`},
		{"Services and nodes by label", `
			serviceSelectors: [{matchLabels: {app.kubernetes.io/part-of: shop}}]
			nodeSelectors:
			- matchLabels: {kubernetes.io/hostname: node-1}
			- matchExpressions:
			  - {key: node-role.kubernetes.io/edge, operator: Exists}
			  - {key: topology.kubernetes.io/zone, operator: NotIn, values: [a, ""]}
			`},
		{"an empty selector, which selects all", `nodeSelectors: [{}]`},
		{"interfaces by name", `interfaces: [eth0, enp3s0f1np1, br-lan, eth0.100, vlan_7]`},
		{"interfaces by glob", `interfaces: ["eth*", "en?", "bond[0-9]", "eth[02-4]", "eth[^0]", "*", "enp*s*f[0-9]*"]`},
		{"preferred nodes", `
			preferredNodeSelectors:
			- {weight: 100, preference: {matchLabels: {rack: "1"}}}
			- {weight: 1, preference: {matchExpressions: [{key: uplink, operator: In, values: [fast, faster]}]}}
			`},
		{"the address bound to the owner's interfaces", `bindAddress: true`},
		{"preferred nodes and bindAddress, where they say nothing", `{preferredNodeSelectors: [], bindAddress: false}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantRefusals(t, l2, tt.spec)
		})
	}
}

func TestL2AdvertisementRefuses(t *testing.T) {
	l2 := definitions(t)["L2Advertisement"]
	tests := []struct {
		name, spec string
		want       []string
	}{
		{
			"a preference without a weight",
			`preferredNodeSelectors: [{preference: {}}]`,
			[]string{`spec.preferredNodeSelectors[0].weight: Required value`, unchecked},
		},
		{
			"a preference without a selector",
			`preferredNodeSelectors: [{weight: 10}]`,
			[]string{`spec.preferredNodeSelectors[0].preference: Required value`, unchecked},
		},
		{
			"weights out of bounds",
			`preferredNodeSelectors: [{weight: 0, preference: {}}, {weight: 101, preference: {}}]`,
			[]string{
				`spec.preferredNodeSelectors[0].weight: Invalid value: 0: spec.preferredNodeSelectors[0].weight in body should be greater than or equal to 1`,
				`spec.preferredNodeSelectors[1].weight: Invalid value: 101: spec.preferredNodeSelectors[1].weight in body should be less than or equal to 100`,
			},
		},
		{
			"a preference whose operator lacks values",
			`preferredNodeSelectors: [{weight: 10, preference: {matchExpressions: [{key: rack, operator: In}]}}]`,
			[]string{`spec.preferredNodeSelectors[0].preference.matchExpressions[0]: Invalid value: operator In compares rack with values; give at least one`},
		},
		{
			"an interface twice",
			`interfaces: [eth0, eth0]`,
			[]string{`spec.interfaces[1]: Duplicate value: "eth0"`},
		},
		{
			"an interface name that Linux would not take",
			`interfaces: [eth0, enp0s31f6-backup]`,
			[]string{`spec.interfaces[1]: Invalid value: "enp0s31f6-backup": "enp0s31f6-backup" is longer than the 15 characters that an interface name can have`},
		},
		{
			"a label key that is none",
			`nodeSelectors: [{matchLabels: {"zone:": edge, good: edge}}]`,
			[]string{`spec.nodeSelectors[0].matchLabels: Invalid value: "zone:" is not a label key; write name or prefix/name, such as example.com/role`},
		},
		{
			"a label value that is none",
			`nodeSelectors: [{matchLabels: {zone: "a b"}}]`,
			[]string{`spec.nodeSelectors[0].matchLabels[zone]: Invalid value: "a b": "a b" is not a label value; write letters, digits, dashes, underscores and dots, with a letter or digit at both ends`},
		},
		{
			"an operator without values",
			`nodeSelectors: [{matchExpressions: [{key: zone, operator: In}]}]`,
			[]string{`spec.nodeSelectors[0].matchExpressions[0]: Invalid value: operator In compares zone with values; give at least one`},
		},
		{
			"values that an operator does not take",
			`nodeSelectors: [{matchExpressions: [{key: zone, operator: Exists, values: [a]}]}]`,
			[]string{`spec.nodeSelectors[0].matchExpressions[0]: Invalid value: operator Exists of zone takes no values; remove them, or use In or NotIn`},
		},
		{
			"an unknown operator",
			`nodeSelectors: [{matchExpressions: [{key: zone, operator: Equals, values: [a]}]}]`,
			[]string{
				`spec.nodeSelectors[0].matchExpressions[0].operator: Unsupported value: "Equals": supported values: "In", "NotIn", "Exists", "DoesNotExist"`,
				unchecked,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantRefusals(t, l2, tt.spec, tt.want...)
		})
	}
}

func TestL2AdvertisementRefusesInterfacesThatAreNoGlobs(t *testing.T) {
	l2 := definitions(t)["L2Advertisement"]
	for _, pattern := range []string{"", " ", "eth 0", "a/b", "eth[", "eth]", "eth[]", "eth[a-]", "eth[-a]", "eth0:1", "eth[[0]]", `eth\*`} {
		t.Run(pattern, func(t *testing.T) {
			wantRefusals(t, l2, fmt.Sprintf("interfaces: [%q]", pattern), fmt.Sprintf(
				`spec.interfaces[0]: Invalid value: %q: "%s" is not an interface name or glob; write a name such as eth0, or one with *, ? or [0-9] for any of several`,
				pattern, pattern))
		})
	}
}

// The speaker matches with path.Match, which must take whatever was let through.
func FuzzInterfacePattern(f *testing.F) {
	l2 := definitions(f)["L2Advertisement"]
	for _, seed := range []string{"eth0", "eth*", "en[0-9]", "en[^a-c]?", "en[a-]", "[^]", "[a^]", "[a-b-c]", "[z-a]", "[!a]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		if !utf8.ValidString(pattern) {
			return // JSON holds no such string
		}
		obj := decode(t, manifest("L2Advertisement", ""))
		obj["spec"] = map[string]any{"interfaces": []any{pattern}}
		refusals, _ := l2.admit(t, obj)
		if len(refusals) > 0 {
			return
		}
		if _, err := path.Match(pattern, "eth0"); err != nil {
			t.Errorf("%q passed validation, but path.Match: %v", pattern, err)
		}
	})
}
