package v1alpha1_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
)

// read reads an object that the API server has stored as the controller and the speakers do.
var read = map[string]func(object []byte) (problems []string, err error){
	"IPAddressPool": func(b []byte) (problems []string, err error) {
		o := &v1alpha1.IPAddressPool{}
		if err = json.Unmarshal(b, o); err == nil {
			_, problems = k8s.Pool(o)
		}
		return problems, err
	},
	"L2Advertisement": func(b []byte) (problems []string, err error) {
		o := &v1alpha1.L2Advertisement{}
		if err = json.Unmarshal(b, o); err == nil {
			_, pools := k8s.SelectPools(o)
			_, nodes := k8s.CompileSelectors("nodeSelectors", o.Spec.NodeSelectors)
			problems = append(words(pools), words(nodes)...)
		}
		return problems, err
	},
	"BGPAdvertisement": func(b []byte) (problems []string, err error) {
		o := &v1alpha1.BGPAdvertisement{}
		if err = json.Unmarshal(b, o); err == nil {
			_, err := k8s.ReadBGPAdvertisement(o)
			problems = words(err)
		}
		return problems, err
	},
	"BGPPeer": func(b []byte) (problems []string, err error) {
		o := &v1alpha1.BGPPeer{}
		if err = json.Unmarshal(b, o); err == nil {
			_, err := k8s.ReadBGPPeer(o)
			problems = words(err)
		}
		return problems, err
	},
	"BFDProfile": func(b []byte) (problems []string, err error) {
		o := &v1alpha1.BFDProfile{}
		if err = json.Unmarshal(b, o); err == nil {
			k8s.BFD(o)
		}
		return nil, err
	},
	"Community": func(b []byte) (problems []string, err error) {
		o := &v1alpha1.Community{}
		if err = json.Unmarshal(b, o); err == nil {
			_, of := k8s.ReadCommunities([]*v1alpha1.Community{o})
			problems = of[o.Name]
		}
		return problems, err
	},
}

func words(err error) []string {
	if err == nil {
		return nil
	}
	return []string{err.Error()}
}

// FuzzAdmitted: whatever the API server lets in can be decoded, as one object that cannot keeps a program from all of its
// kind, and means what it says: nothing in it turns out to be wrong only when it is read.
func FuzzAdmitted(f *testing.F) {
	defs := definitions(f)
	kinds := slices.Sorted(maps.Keys(read))
	add := func(kind, spec string) {
		text, err := yaml.YAMLToJSON([]byte(spec))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(slices.Index(kinds, kind)), text)
	}
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatal("no examples", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			var o struct {
				Kind string
				Spec any
			}
			if err := yamlutil.Unmarshal([]byte(document), &o); err != nil {
				f.Fatal(file, err)
			}
			if read[o.Kind] != nil {
				spec, err := json.Marshal(o.Spec)
				if err != nil {
					f.Fatal(err)
				}
				add(o.Kind, string(spec))
			}
		}
	}
	for kind, specs := range map[string][]string{
		"IPAddressPool": {
			`{addresses: [" 192.0.2.1 -192.0.2.9", "2001:DB8::-2001:db8::ffff:ffff", 192.0.2.77/28], excludeAddresses: [192.0.2.5], retention: 87600h}`,
			`{addresses: [192.0.2.1], retention: 1h1m0.5s, serviceAllocation: {priority: 1, namespaceSelectors: [{matchExpressions: [{key: a/b, operator: In, values: [""]}]}]}, quota: {perNamespace: 0}}`,
			`{addresses: [0.0.0.1], retention: 1d}`,
		},
		"BGPPeer": {
			`{myASN: 1, peerASN: 4294967295, peerAddress: "2001:db8::1", sourceAddress: "2001:db8::2", routerID: 255.255.255.255, holdTime: 0.05m, keepaliveTime: 1000ms, connectTime: 1h0.5m, ttlSecurity: {hops: 255}}`,
			`{myASN: 1, dynamicASN: external, interface: "eth0.1", holdTime: 0s, families: [IPv6]}`,
			`{myASN: 64512, peerASN: 64512, peerAddress: 192.0.2.1, holdTime: 18.2041666666h}`,
			`{myASN: 1, peerASN: 2, peerAddress: 255.255.255.255, sourceAddress: "::ffff:192.0.2.1"}`,
		},
		"BFDProfile":       {`{receiveInterval: 10, transmitInterval: 60000, detectMultiplier: 255, minimumTtl: 1, passiveMode: true}`},
		"Community":        {`{communities: [{name: a-b_c.9, value: "65535:65535"}, {name: Z, value: "large:4294967295:0:1"}]}`},
		"BGPAdvertisement": {`{aggregationLength: 1, aggregationLengthV6: 128, localPref: 4294967295, communities: [no-export, "1:1", nobody], peers: [a]}`},
		"L2Advertisement":  {`{nodeSelectors: [{matchLabels: {"": ""}}], interfaces: ["[^a-]"]}`},
	} {
		for _, spec := range specs {
			add(kind, spec)
		}
	}
	f.Fuzz(func(t *testing.T, which byte, spec []byte) {
		kind := kinds[int(which)%len(kinds)]
		obj := decode(t, manifest(kind, ""))
		var any map[string]any
		if !utf8.Valid(spec) || json.Unmarshal(spec, &any) != nil {
			return // no API server gets beyond that
		}
		obj["spec"] = numbers(any)
		refusals, stored := defs[kind].admit(t, obj)
		if len(refusals) > 0 {
			return
		}
		text, err := json.Marshal(stored)
		if err != nil {
			t.Fatal(err)
		}
		problems, err := read[kind](text)
		if err != nil {
			t.Fatalf("the API server takes %s, which cannot be decoded: %v", text, err)
		}
		if problems = slices.DeleteFunc(problems, func(problem string) bool {
			parts := strings.Split(problem, `"`) // spec.addresses: "a-b" reaches ...
			return len(parts) == 3 && strings.HasPrefix(parts[2], " reaches ") && reservedWithin(parts[1])
		}); len(problems) > 0 {
			t.Errorf("the API server takes %s, of which %q", text, problems)
		}
	})
}

// reservedWithin is what the schema cannot tell for what it costs, so that the pool's condition does: a range that begins
// and ends among addresses that a Service can have, with others between.
func reservedWithin(text string) bool {
	first, last, isRange := strings.Cut(text, "-")
	_, firstErr := lb.ParseRange(first)
	_, lastErr := lb.ParseRange(last)
	return isRange && firstErr == nil && lastErr == nil
}

// numbers makes whole numbers int64, as the API server's decoder does.
func numbers(x any) any {
	switch x := x.(type) {
	case map[string]any:
		for k, v := range x {
			x[k] = numbers(v)
		}
	case []any:
		for i, v := range x {
			x[i] = numbers(v)
		}
	case float64:
		if n := int64(x); float64(n) == x {
			return n
		}
	}
	return x
}

// FuzzAddresses: what the schema takes for addresses, the allocator does, and the other way round.
func FuzzAddresses(f *testing.F) {
	pools := definitions(f)["IPAddressPool"]
	for _, s := range []string{
		"192.0.2.1", "192.0.2.0/24", "192.0.2.1-192.0.2.9", " 192.0.2.1 - 192.0.2.9 ", "2001:db8::/64", "2001:DB8::1", "2001:db8::-2001:db8::ffff", "192.0.2.9-192.0.2.1",
		"192.0.2.1-2001:db8::1", "::ffff:192.0.2.1", "::ffff:c000:201", "::192.0.2.1", "fe80::1%eth0", "0.0.0.0/0", "126.0.0.1-128.0.0.1", "255.255.255.255", "224.0.0.1",
		"0.0.0.1", "0.255.255.255-1.0.0.0", "192.0.2.01", "192.0.2.1/032", "192.0.2.1 /24", "1-2", "-", "/", "\u00a0192.0.2.1", "192.0.2.1\n", "2001:db8:0:0:0:0:192.0.2.1",
		"::/0", "2000::/3", "febf:ffff::-fec0::", "223.255.255.255-224.0.0.0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) || len(text) > 100 {
			return
		}
		obj := decode(t, manifest("IPAddressPool", ""))
		obj["spec"] = map[string]any{"addresses": []any{text}}
		refusals, _ := pools.admit(t, obj)
		_, err := lb.ParseRange(text)
		if taken := len(refusals) == 0; taken == (err == nil) || taken && reservedWithin(text) {
			return
		}
		t.Errorf("%q: the schema says %q, the allocator %v", text, refusals, err)
	})
}
