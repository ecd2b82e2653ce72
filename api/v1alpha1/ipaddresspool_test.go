package v1alpha1_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIPAddressPoolTakesAddresses(t *testing.T) {
	pool := definitions(t)["IPAddressPool"]
	tests := []struct{ name, addresses string }{
		{"one address", `["198.51.100.7"]`},
		{"one IPv6 address", `["2001:db8::7"]`},
		{"a CIDR", `["198.51.100.0/24"]`},
		{"an IPv6 CIDR", `["2001:db8:0:1::/64"]`},
		{"a CIDR of one address", `["198.51.100.7/32", "2001:db8::7/128"]`},
		{"a CIDR with host bits, as its network", `["198.51.100.7/24", "2001:db8::7/64"]`},
		{"a range", `["198.51.100.10-198.51.100.20"]`},
		{"a range with spaces around the dash", `["198.51.100.10 - 198.51.100.20", "198.51.100.30- 198.51.100.40"]`},
		{"a range of one address", `["198.51.100.10-198.51.100.10"]`},
		{"a range across octets", `["198.51.100.250-198.51.101.5"]`},
		{"a range whose text is not in order", `["198.51.100.9-198.51.100.10"]`},
		{"an IPv6 range", `["2001:db8::10-2001:db8::20"]`},
		{"an IPv6 range whose text is not in order", `["2001:db8::9-2001:db8::10"]`},
		{"an IPv6 range between compressed and full forms", `["2001:db8::ffff-2001:0db8:0000:0000:0000:0000:0001:0000"]`},
		{"an IPv6 range from :: in the middle to :: at the end", `["2001:db8::1-2001:db8:1::"]`},
		{"an IPv6 range in both cases", `["2001:DB8::A-2001:db8::f"]`},
		{"one IPv6 address in two forms as a range", `["2001:db8::1-2001:DB8:0:0::1"]`},
		{"both families", `["198.51.100.0/24", "2001:db8::/64"]`},
		{"unique local and private addresses", `["10.0.0.0/8", "192.168.1.240-192.168.1.250", "fd00::/64"]`},
		{"IPv4 link-local addresses", `["169.254.100.0/24"]`},
		{"an IPv6 address with a dotted end", `["64:ff9b::198.51.100.7"]`},
		{"the neighbours of refused ones", `["1.0.0.0", "126.255.255.255", "128.0.0.0", "223.255.255.255", "255.255.255.254", "::2", "fe7f::1", "fec0::1", "feff::1"]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantRefusals(t, pool, "addresses: "+tt.addresses)
		})
	}
}

func TestIPAddressPoolRefusesAddresses(t *testing.T) {
	pool := definitions(t)["IPAddressPool"]
	tests := []struct {
		name, addresses string
		want            []string
	}{
		{
			"an empty list",
			`[]`,
			[]string{`spec.addresses: Invalid value: spec.addresses is empty; give at least one address, CIDR or range`},
		},
		{
			"no list",
			`null`,
			[]string{`spec.addresses: Required value`, unchecked},
		},
		{
			"an address twice",
			`["198.51.100.7", "198.51.100.7"]`,
			[]string{`spec.addresses[1]: Duplicate value: "198.51.100.7"`},
		},
		{
			"garbage beside good ones, which it names alone",
			`["198.51.100.0/24", "nonsense", "2001:db8::/64"]`,
			[]string{`spec.addresses[1]: Invalid value: "nonsense": "nonsense" is not an address, CIDR or range; write one such as 198.51.100.7, 198.51.100.0/24 or 198.51.100.10-198.51.100.20`},
		},
		{
			"mixed families",
			`["198.51.100.1-2001:db8::1"]`,
			[]string{`"198.51.100.1-2001:db8::1" begins in one address family and ends in the other; write a range for each`},
		},
		{
			"mixed families, the other way",
			`["2001:db8::1 - 198.51.100.1"]`,
			[]string{`"2001:db8::1 - 198.51.100.1" begins in one address family and ends in the other; write a range for each`},
		},
		{
			"a reversed range",
			`["198.51.100.20 - 198.51.100.10"]`,
			[]string{`"198.51.100.20 - 198.51.100.10" is reversed; write 198.51.100.10-198.51.100.20`},
		},
		{
			"a reversed range whose text is in order",
			`["198.51.100.10-198.51.100.9"]`,
			[]string{`"198.51.100.10-198.51.100.9" is reversed; write 198.51.100.9-198.51.100.10`},
		},
		{
			"a reversed IPv6 range",
			`["2001:db8::b-2001:DB8::A"]`,
			[]string{`"2001:db8::b-2001:DB8::A" is reversed; write 2001:DB8::A-2001:db8::b`},
		},
		{
			"a reversed IPv6 range with :: at different places",
			`["2001:db8:1::-2001:db8::ffff"]`,
			[]string{`"2001:db8:1::-2001:db8::ffff" is reversed; write 2001:db8::ffff-2001:db8:1::`},
		},
		{
			"an IPv4-mapped address",
			`["::ffff:198.51.100.7"]`,
			[]string{`"::ffff:198.51.100.7" is an IPv4-mapped IPv6 address; write the IPv4 address by itself, such as 198.51.100.7`},
		},
		{
			"an IPv4-mapped address in hex, in full",
			`["0000:0:0:0:0:FFFF:c633:6407"]`,
			[]string{`"0000:0:0:0:0:FFFF:c633:6407" is an IPv4-mapped IPv6 address; write the IPv4 address by itself, such as 198.51.100.7`},
		},
		{
			"an IPv4-mapped CIDR",
			`["::ffff:198.51.100.0/120"]`,
			[]string{`"::ffff:198.51.100.0/120" is an IPv4-mapped IPv6 address; write the IPv4 address by itself, such as 198.51.100.7`},
		},
		{
			"an IPv4-mapped end",
			`["::ffff:198.51.100.1-::ffff:198.51.100.9"]`,
			[]string{`"::ffff:198.51.100.1-::ffff:198.51.100.9" is an IPv4-mapped IPv6 address; write the IPv4 address by itself, such as 198.51.100.7`},
		},
		{
			"a zone",
			`["fe80::1%eth0"]`,
			[]string{`"fe80::1%eth0" has a zone, and an address of a pool belongs to no interface; remove the zone, from the percent sign on`},
		},
		{
			"a zone with a dash",
			`["2001:db8::1%br-lan"]`,
			[]string{`"2001:db8::1%br-lan" has a zone, and an address of a pool belongs to no interface; remove the zone, from the percent sign on`},
		},
		{
			"the unspecified address",
			`["0.0.0.0"]`,
			[]string{`"0.0.0.0" has addresses of "this network", 0.0.0.0/8, which no Service can have; leave them out`},
		},
		{
			"the unspecified IPv6 address at the start of a range",
			`["::-::5"]`,
			[]string{
				`"::-::5" has the unspecified address, ::, which no Service can have; leave it out`,
			},
		},
		{
			"loopback addresses",
			`["127.0.0.1-127.0.0.9"]`,
			[]string{`"127.0.0.1-127.0.0.9" has loopback addresses, 127.0.0.0/8, which never leave a host; leave them out`},
		},
		{
			"the IPv6 loopback address, in full",
			`["0:0:0:0:0:0:0:1"]`,
			[]string{`"0:0:0:0:0:0:0:1" has loopback addresses, ::1, which never leave a host; leave them out`},
		},
		{
			"a CIDR around the loopback addresses",
			`["126.0.0.0/7"]`,
			[]string{`"126.0.0.0/7" has loopback addresses, 127.0.0.0/8, which never leave a host; leave them out`},
		},
		{
			"multicast addresses",
			`["239.1.0.0/16"]`,
			[]string{`"239.1.0.0/16" has multicast addresses, 224.0.0.0/4, which no Service can have; leave them out`},
		},
		{
			"a range into the multicast addresses",
			`["223.255.255.250-224.0.0.5"]`,
			[]string{`"223.255.255.250-224.0.0.5" has multicast addresses, 224.0.0.0/4, which no Service can have; leave them out`},
		},
		{
			"IPv6 multicast addresses",
			`["ff02::1"]`,
			[]string{`"ff02::1" has multicast addresses, ff00::/8, which no Service can have; leave them out`},
		},
		{
			"IPv6 link-local addresses",
			`["fe80::1-fe80::9"]`,
			[]string{`"fe80::1-fe80::9" has link-local addresses, fe80::/10, which no router forwards; use global or unique local ones`},
		},
		{
			"a CIDR with the broadcast address",
			`["255.255.255.0/24"]`,
			[]string{`"255.255.255.0/24" has the broadcast address, 255.255.255.255, which no Service can have; leave it out`},
		},
		{
			"every IPv4 address, each reason by itself",
			`["0.0.0.0/0"]`,
			[]string{
				`"0.0.0.0/0" has addresses of "this network", 0.0.0.0/8, which no Service can have; leave them out`,
				`"0.0.0.0/0" has loopback addresses, 127.0.0.0/8, which never leave a host; leave them out`,
				`"0.0.0.0/0" has multicast addresses, 224.0.0.0/4, which no Service can have; leave them out`,
				`"0.0.0.0/0" has the broadcast address, 255.255.255.255, which no Service can have; leave it out`,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []string
			for _, w := range tt.want {
				if value, _, ok := strings.Cut(w, `" `); ok && strings.HasPrefix(w, `"`) {
					w = fmt.Sprintf(`spec.addresses[0]: Invalid value: %s": %s`, value, w)
				}
				want = append(want, w)
			}
			wantRefusals(t, pool, "addresses: "+tt.addresses, want...)
		})
	}
}

func TestIPAddressPoolRefusesGarbage(t *testing.T) {
	pool := definitions(t)["IPAddressPool"]
	for _, text := range []string{
		"", " ", "-", "--", "198.51.100", "198.51.100.7.8", "198.51.100.256", "198.51.100.07", "198.51.100.0/33",
		"198.51.100.0/", "198.51.100.0/-1", "198.51.100.0/024", "198.51.100.0/255.255.255.0", "/24",
		"198.51.100.1-", "-198.51.100.1", "198.51.100.1-198.51.100.2-198.51.100.3", "198.51.100.1-20",
		"198.51.100.0/24-198.51.101.0/24", "198.51.100.1,198.51.100.2", "198.51.100.1 198.51.100.2",
		"198.51.100.1–198.51.100.9", "198.51.100.1:80", "http://198.51.100.1", "2001:db8", "2001:db8::1::2",
		"2001:db8::g", "2001:db8::/129", "[2001:db8::1]", "1:2:3:4:5:6:7:8:9", "example.com", "\u00a0", "💥",
	} {
		t.Run(text, func(t *testing.T) {
			wantRefusals(t, pool, fmt.Sprintf("addresses: [%q]", text),
				fmt.Sprintf(`spec.addresses[0]: Invalid value: %q: "%s" is not an address, CIDR or range; write one such as 198.51.100.7, 198.51.100.0/24 or 198.51.100.10-198.51.100.20`, text, text))
		})
	}
	t.Run("of several lines", func(t *testing.T) {
		// Kubernetes takes no message with a newline, and falls back to the fixed one.
		wantRefusals(t, pool, `addresses: ["a\nb"]`,
			`spec.addresses[0]: Invalid value: "a\nb": not an address, CIDR or range; write one such as 198.51.100.7, 198.51.100.0/24 or 198.51.100.10-198.51.100.20`)
	})
	t.Run("of great length", func(t *testing.T) {
		wantRefusals(t, pool, fmt.Sprintf("addresses: [%q]", strings.Repeat("1", 101)),
			`spec.addresses[0]: Too long: may not be more than 100 bytes`,
			unchecked)
	})
}

// CEL cannot compare addresses; the rule that stands in for it is held against netip here, over ranges
// whose ends agree in every number of leading bits and over random ones, in pools of the greatest size.
func TestIPAddressPoolOrdersRangesAsNetipDoes(t *testing.T) {
	pool := definitions(t)["IPAddressPool"]
	rng := rand.New(rand.NewPCG(1, 2))

	var pairs [][2]netip.Addr
	for _, base := range []string{"198.51.100.7", "10.0.0.1", "2001:db8::1", "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe"} {
		a := netip.MustParseAddr(base)
		for bit := range a.BitLen() {
			pairs = append(pairs, [2]netip.Addr{a, flip(a, bit)}, [2]netip.Addr{flip(a, bit), a})
		}
	}
	for range 300 {
		pairs = append(pairs, [2]netip.Addr{randomV4(rng), randomV4(rng)}, [2]netip.Addr{randomV6(rng), randomV6(rng)})
	}

	for len(pairs) > 0 {
		n := min(len(pairs), 256)
		var entries, want []string
		seen := map[string]bool{}
		for _, pair := range pairs[:n] {
			text := fmt.Sprintf("%s-%s", spell(rng, pair[0]), spell(rng, pair[1]))
			if seen[text] || !ordinary(pair[0]) || !ordinary(pair[1]) {
				continue
			}
			seen[text] = true
			if pair[1].Less(pair[0]) {
				first, last, _ := strings.Cut(text, "-")
				want = append(want, fmt.Sprintf(`spec.addresses[%d]: Invalid value: %q: %q is reversed; write %s-%s`, len(entries), text, text, last, first))
			}
			entries = append(entries, fmt.Sprintf("%q", text))
		}
		pairs = pairs[n:]
		got, _ := pool.apply(t, manifest("IPAddressPool", "addresses: ["+strings.Join(entries, ", ")+"]"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("refusals (-want +got):\n%s", diff)
		}
	}
}

// The API server gives all rules of an object a budget of cost together.
func TestIPAddressPoolOfTheGreatestSizeIsWithinTheBudget(t *testing.T) {
	pool := definitions(t)["IPAddressPool"]
	lists := [2][]string{}
	for i := range 256 {
		for j := range lists {
			a := fmt.Sprintf("2001:0db8:0000:0000:0000:%04x:%04x:fffe", j, i)
			lists[j] = append(lists[j], fmt.Sprintf("%q", a+" - "+a[:len(a)-1]+"f"))
		}
	}
	var namespaces, matchLabels, values, expressions []string
	for i := range 256 {
		namespaces = append(namespaces, fmt.Sprintf("n%062d", i))
	}
	for i := range 32 {
		matchLabels = append(matchLabels, fmt.Sprintf("%s.example.com/n%062d: v%062d", strings.Repeat("p", 200), i, i))
	}
	for i := range 64 {
		values = append(values, fmt.Sprintf("v%062d", i))
	}
	for i := range 16 {
		expressions = append(expressions, fmt.Sprintf("{key: %s.example.com/n%062d, operator: In, values: [%s]}",
			strings.Repeat("p", 200), i, strings.Join(values, ", ")))
	}
	selector := fmt.Sprintf("{matchLabels: {%s}, matchExpressions: [%s]}", strings.Join(matchLabels, ", "), strings.Join(expressions, ", "))
	selectors := strings.Join(slices.Repeat([]string{selector}, 16), ", ")
	wantRefusals(t, pool, fmt.Sprintf(`addresses: [%s]
		excludeAddresses: [%s]
		serviceAllocation: {namespaces: [%s], namespaceSelectors: [%s], serviceSelectors: [%s]}
		retention: 999999h999999m999999s`,
		strings.Join(lists[0], ", "), strings.Join(lists[1], ", "), strings.Join(namespaces, ", "), selectors, selectors))
}

func TestIPAddressPoolDefaults(t *testing.T) {
	_, stored := definitions(t)["IPAddressPool"].apply(t, manifest("IPAddressPool", `addresses: [198.51.100.0/24]`))
	want := map[string]any{"addresses": []any{"198.51.100.0/24"}, "autoAssign": true}
	if diff := cmp.Diff(want, stored["spec"]); diff != "" {
		t.Errorf("stored spec (-want +got):\n%s", diff)
	}
}

func TestIPAddressPoolTakesRules(t *testing.T) {
	pool := definitions(t)["IPAddressPool"]
	tests := []struct{ name, spec string }{
		{"exclusions in every form", `excludeAddresses: [198.51.100.1, 198.51.100.64/28, 198.51.100.250-198.51.100.255, "2001:db8::1"]`},
		{"exclusions that the pool does not have", `excludeAddresses: [203.0.113.0/24]`},
		{"on request only", `autoAssign: false`},
		{"without .0 and .255", `avoidBuggyIPs: true`},
		{"disabled", `disabled: true`},
		{"a priority", `serviceAllocation: {priority: 10}`},
		{"no priority", `serviceAllocation: {priority: 0}`},
		{"an allocation that says nothing", `serviceAllocation: {}`},
		{"namespaces", `serviceAllocation: {namespaces: [default, team-a, "42", ` + strings.Repeat("n", 63) + `]}`},
		{"namespaces by label", `serviceAllocation: {namespaceSelectors: [{matchLabels: {kubernetes.io/metadata.name: team-a}}]}`},
		{"Services by label", `serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: app, operator: In, values: [web]}]}, {}]}`},
		{"a quota", `quota: {perNamespace: 3}`},
		{"a quota of none", `quota: {perNamespace: 0}`},
		{"a quota that says nothing", `quota: {}`},
		{"what MetalLB writes for its defaults", "autoAssign: true\navoidBuggyIPs: false"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantRefusals(t, pool, "addresses: [198.51.100.0/24]\n"+tt.spec)
		})
	}
}

func TestIPAddressPoolRefusesRules(t *testing.T) {
	pool := definitions(t)["IPAddressPool"]
	const namespace = `is not the name of a namespace; write lowercase letters, digits and dashes, with a letter or digit at both ends`
	tests := []struct {
		name, spec string
		want       []string
	}{
		{"an exclusion that is no address", `excludeAddresses: [198.51.100.0/24, router]`,
			[]string{`spec.excludeAddresses[1]: Invalid value: "router": "router" is not an address, CIDR or range; write one such as 198.51.100.7, 198.51.100.0/24 or 198.51.100.10-198.51.100.20`}},
		{"a reversed exclusion", `excludeAddresses: [198.51.100.9-198.51.100.1]`,
			[]string{`spec.excludeAddresses[0]: Invalid value: "198.51.100.9-198.51.100.1": "198.51.100.9-198.51.100.1" is reversed; write 198.51.100.1-198.51.100.9`}},
		{"an exclusion twice", `excludeAddresses: [198.51.100.1, 198.51.100.1]`,
			[]string{`spec.excludeAddresses[1]: Duplicate value: "198.51.100.1"`}},
		{"a negative priority", `serviceAllocation: {priority: -1}`,
			[]string{`spec.serviceAllocation.priority: Invalid value: -1: spec.serviceAllocation.priority in body should be greater than or equal to 0`}},
		{"a namespace in capitals", `serviceAllocation: {namespaces: [Team]}`,
			[]string{`spec.serviceAllocation.namespaces[0]: Invalid value: "Team": "Team" ` + namespace}},
		{"a namespace with a star", `serviceAllocation: {namespaces: [default, "team-*"]}`,
			[]string{`spec.serviceAllocation.namespaces[1]: Invalid value: "team-*": "team-*" ` + namespace}},
		{"a namespace that ends in a dash", `serviceAllocation: {namespaces: [team-]}`,
			[]string{`spec.serviceAllocation.namespaces[0]: Invalid value: "team-": "team-" ` + namespace}},
		{"an empty namespace", `serviceAllocation: {namespaces: [""]}`,
			[]string{`spec.serviceAllocation.namespaces[0]: Invalid value: "": "" ` + namespace}},
		{"a namespace of great length", `serviceAllocation: {namespaces: [` + strings.Repeat("n", 64) + `]}`,
			[]string{`spec.serviceAllocation.namespaces[0]: Too long: may not be more than 63 bytes`, unchecked}},
		{"a selector that compares with nothing", `serviceAllocation: {serviceSelectors: [{matchExpressions: [{key: app, operator: In}]}]}`,
			[]string{`spec.serviceAllocation.serviceSelectors[0].matchExpressions[0]: Invalid value: operator In compares app with values; give at least one`}},
		{"a namespace selector with a value that is none", `serviceAllocation: {namespaceSelectors: [{matchLabels: {team: "a b"}}]}`,
			[]string{`spec.serviceAllocation.namespaceSelectors[0].matchLabels[team]: Invalid value: "a b": "a b" is not a label value; write letters, digits, dashes, underscores and dots, with a letter or digit at both ends`}},
		{"a negative quota", `quota: {perNamespace: -1}`,
			[]string{`spec.quota.perNamespace: Invalid value: -1: spec.quota.perNamespace in body should be greater than or equal to 0`}},
		{"a retention that is a number", `retention: 30`,
			[]string{`spec.retention: Invalid value: "integer": spec.retention in body must be of type string: "integer"`, unchecked}},
		{"a retention of great length", `retention: ` + strings.Repeat("1h", 17),
			[]string{`spec.retention: Too long: may not be more than 32 bytes`, unchecked}},
		{"conflict detection that is not yes or no", `conflictDetection: Probe`,
			[]string{`spec.conflictDetection: Invalid value: "string": spec.conflictDetection in body must be of type boolean: "string"`, unchecked}},
		{"a field that does not exist", `address: 198.51.100.1`,
			[]string{`unknown field "spec.address"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantRefusals(t, pool, "addresses: [198.51.100.0/24]\n"+tt.spec, tt.want...)
		})
	}
}

// A retention that Go cannot read would fail the decoding of the whole list of pools, not only of its own.
func TestIPAddressPoolRetention(t *testing.T) {
	pool := definitions(t)["IPAddressPool"]
	for _, text := range []string{
		"0", "0s", "1ns", "1.5us", "1.5µs", "250ms", "30m", "12h", "720h", "1h30m", "1h30m0s", "1h0m0.000000001s", "1.5h",
		"999999h999999m999999s999999ms",
	} {
		t.Run("takes "+text, func(t *testing.T) {
			if d, err := time.ParseDuration(text); err != nil || d < 0 {
				t.Fatalf("Go reads %s, %v", d, err)
			}
			wantRefusals(t, pool, fmt.Sprintf("addresses: [198.51.100.0/24]\nretention: %q", text))
		})
	}
	for _, text := range []string{
		"", " ", "-1m", "-0s", "+1m", "30", "30 m", "30m ", "m", "1d", "2w", "1y", "30min", "PT30M", "30M", "1m1h", "1m1m", "forever",
		"9999999h", "2562047h47m16.854775808s", ".5h", "5.h", "1,5h", "1e3s", "0x10s", "١m", "1.5ns",
	} {
		t.Run("refuses "+text, func(t *testing.T) {
			wantRefusals(t, pool, fmt.Sprintf("addresses: [198.51.100.0/24]\nretention: %q", text), fmt.Sprintf(
				`spec.retention: Invalid value: %q: "%s" is not how long to wait; write hours, minutes and seconds in this order, such as 30m, 12h or 1h30m, each number of at most six digits`, text, text))
		})
	}
}

// A table of pools is read in a terminal of 80 columns. kubectl puts three spaces between columns.
func TestIPAddressPoolColumnsFitATerminal(t *testing.T) {
	widest := map[string]string{
		"Ready": "False", "V4-Total": "1024", "V4-Used": "1000", "V4-Free": "1024", "V6-Used": "1000", "V6-Free": "18446744073709551616",
	}
	const name = "edge-v4"
	var line string
	for _, c := range definitions(t)["IPAddressPool"].crd.Spec.AdditionalPrinterColumns {
		if c.Priority == 0 {
			line += fmt.Sprintf("   %-*s", len(c.Name), widest[c.Name])
		}
	}
	if width := len(name + line); width > 80 {
		t.Errorf("a pool named %s takes %d columns", name, width)
	}
}

func flip(a netip.Addr, bit int) netip.Addr {
	b := a.AsSlice()
	b[bit/8] ^= 0x80 >> (bit % 8)
	a, _ = netip.AddrFromSlice(b)
	return a
}

func randomV4(rng *rand.Rand) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, rng.Uint32())))
}

// randomV6 has runs of zeros, so that :: comes at all places.
func randomV6(rng *rand.Rand) netip.Addr {
	var b [16]byte
	for i := range 8 {
		if rng.IntN(2) == 0 {
			binary.BigEndian.PutUint16(b[2*i:], uint16(rng.Uint32())>>(4*rng.IntN(4)))
		}
	}
	b[0], b[1] = 0x20, 0x01
	return netip.AddrFrom16(b)
}

// spell writes a in one of the forms that it has.
func spell(rng *rand.Rand, a netip.Addr) string {
	switch rng.IntN(3) {
	case 0:
		return a.StringExpanded()
	case 1:
		return strings.ToUpper(a.String())
	default:
		return a.String()
	}
}

// ordinary reports whether no other rule refuses a.
func ordinary(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !(a.Is6() && a.IsLinkLocalUnicast()) &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}
