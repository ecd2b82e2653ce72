package k8s

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go4.org/netipx"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func readAdvertisement(t *testing.T, spec v1alpha1.BGPAdvertisementSpec) *BGPAdvertisement {
	t.Helper()
	a, err := ReadBGPAdvertisement(&v1alpha1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: "edge"}, Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAggregates(t *testing.T) {
	for _, tt := range []struct {
		name    string
		length  int32
		pool    []string
		address string
		want    string
		misfit  string
	}{
		{"by itself", 32, []string{"192.0.2.0/24"}, "192.0.2.7", "192.0.2.7/32", ""},
		{"all of the pool", 24, []string{"192.0.2.0/24"}, "192.0.2.7", "192.0.2.0/24", ""},
		{"a part of the pool", 26, []string{"192.0.2.0/24"}, "192.0.2.70", "192.0.2.64/26", ""},
		{"more than the pool", 24, []string{"192.0.2.0/25"}, "192.0.2.7", "192.0.2.7/32", "192.0.2.0/24"},
		{"a range that ends amid an aggregate", 28, []string{"192.0.2.0-192.0.2.20"}, "192.0.2.7", "192.0.2.0/28", "192.0.2.16/28"},
		{"the end of that range", 28, []string{"192.0.2.0-192.0.2.20"}, "192.0.2.17", "192.0.2.17/32", "192.0.2.16/28"},
		{"a range that begins amid an aggregate", 28, []string{"192.0.2.10-192.0.2.31"}, "192.0.2.12", "192.0.2.12/32", "192.0.2.0/28"},
		{"ranges that make it together", 24, []string{"192.0.2.128/25", "192.0.2.0-192.0.2.127"}, "192.0.2.7", "192.0.2.0/24", ""},
		{"a gap between ranges", 24, []string{"192.0.2.0-192.0.2.99", "192.0.2.101-192.0.2.255"}, "192.0.2.7", "192.0.2.7/32", "192.0.2.0/24"},
		{"IPv6", 64, []string{"2001:db8::/60"}, "2001:db8:0:3::7", "2001:db8:0:3::/64", ""},
		{"IPv6, more than the pool", 48, []string{"2001:db8::/60"}, "2001:db8::7", "2001:db8::7/128", "2001:db8::/48"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var pool lb.Pool
			for _, text := range tt.pool {
				r, err := lb.ParseRange(text)
				if err != nil {
					t.Fatal(err)
				}
				pool.Ranges = append(pool.Ranges, r)
			}
			address := netip.MustParseAddr(tt.address)
			spec := v1alpha1.BGPAdvertisementSpec{AggregationLength: &tt.length}
			if address.Is6() {
				spec = v1alpha1.BGPAdvertisementSpec{AggregationLengthV6: &tt.length}
			}
			a, space := readAdvertisement(t, spec), PoolSpace(pool)
			if got := a.Prefix(address, space).String(); got != tt.want {
				t.Errorf("advertised in %s, want %s", got, tt.want)
			}
			misfit, bad := a.Misfit(space)
			if got := misfit.String(); bad != (tt.misfit != "") || bad && got != tt.misfit {
				t.Errorf("misfit %s, want %s", got, tt.misfit)
			}
		})
	}
}

// Misfit says exactly whether some address is advertised by itself that was to be in an aggregate.
func TestMisfitIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	first := netip.MustParseAddr("192.0.2.0").As4()
	at := func(n int) netip.Addr { a := first; a[3] = byte(n); return netip.AddrFrom4(a) }
	for range 500 {
		var pool lb.Pool
		for range 1 + random.IntN(3) {
			from := random.IntN(64)
			pool.Ranges = append(pool.Ranges, netipx.IPRangeFrom(at(from), at(from+random.IntN(64-from))))
		}
		length := int32(24 + random.IntN(8))
		a, space := readAdvertisement(t, v1alpha1.BGPAdvertisementSpec{AggregationLength: &length}), PoolSpace(pool)
		_, bad := a.Misfit(space)
		alone := false
		for n := range 64 {
			alone = alone || space.Contains(at(n)) && a.Prefix(at(n), space).IsSingleIP()
		}
		if bad != alone {
			t.Fatalf("%v by /%d: misfit %t, an address by itself %t", pool.Ranges, length, bad, alone)
		}
	}
}

func TestBGPAdvertisement(t *testing.T) {
	a := readAdvertisement(t, v1alpha1.BGPAdvertisementSpec{})
	if a.Peers != nil || a.LocalPref != 100 || a.Length != [2]int{32, 128} || !a.Allows(nil) || !a.Covers("p", nil, nil) {
		t.Errorf("one that says nothing is %+v", a)
	}
	label := func(value v1alpha1.LabelValue) []v1alpha1.LabelSelector {
		return []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"is": value}}}
	}
	a = readAdvertisement(t, v1alpha1.BGPAdvertisementSpec{
		IPAddressPools: []string{"p"}, ServiceSelectors: label("service"), NodeSelectors: label("node"), Peers: []string{"b", "a", "b"}, LocalPref: ptr(int64(0)),
	})
	service, node := map[string]string{"is": "service"}, map[string]string{"is": "node"}
	if !slices.Equal(a.Peers, []string{"a", "b"}) || a.LocalPref != 0 {
		t.Errorf("%+v", a)
	}
	if !a.Covers("p", nil, service) || a.Covers("q", nil, service) || a.Covers("p", nil, node) || !a.Allows(node) || a.Allows(service) {
		t.Error("selects what it is not to, or not what it is to")
	}
	for _, spec := range []v1alpha1.BGPAdvertisementSpec{
		{AggregationLength: ptr(int32(33))}, {AggregationLength: ptr(int32(0))}, {AggregationLengthV6: ptr(int32(129))},
		{LocalPref: ptr(int64(-1))}, {LocalPref: ptr(int64(1 << 32))},
		{NodeSelectors: []v1alpha1.LabelSelector{{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}}}},
	} {
		if a, err := ReadBGPAdvertisement(&v1alpha1.BGPAdvertisement{Spec: spec}); err == nil {
			t.Errorf("%+v was read as %+v", spec, a)
		}
	}
}

func TestCommunities(t *testing.T) {
	community := func(name string, born int64, aliases ...string) *v1alpha1.Community {
		o := &v1alpha1.Community{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.Unix(born, 0)}}
		for _, text := range aliases {
			alias, value, _ := strings.Cut(text, "=")
			o.Spec.Communities = append(o.Spec.Communities, v1alpha1.CommunityAlias{Name: alias, Value: value})
		}
		return o
	}
	objects := []*v1alpha1.Community{
		community("young", 2, "edge=65000:2", "far=large:65000:1:2"),
		community("old", 1, "edge=65000:1", "bad=65000", "no-export=65000:3"),
		community("zoo", 2, "far=65000:9"),
	}
	for range 2 {
		slices.Reverse(objects)
		aliases, problems := ReadCommunities(objects)
		want := map[string][]string{
			"young": {`"edge" is an alias of Community old, which is older`},
			"zoo":   {`"far" is an alias of Community young, which is older`},
			"old": {`"bad": "65000" is not a community; give 65000:100, large:65000:1:2 or a well-known name such as no-export`,
				`"no-export" is the name of a well-known community`},
		}
		if diff := cmp.Diff(want, problems); diff != "" {
			t.Error(diff)
		}
		a := readAdvertisement(t, v1alpha1.BGPAdvertisementSpec{Communities: []v1alpha1.CommunityReference{
			"no-export", "far", "edge", "large:1:1:1", "bad", "65000:1", "nowhere",
		}})
		attributes, unknown := a.Attributes(aliases)
		if diff := cmp.Diff(bgp.Attributes{
			LocalPref: 100, Communities: []bgp.Community{65000<<16 | 1, 0xFFFFFF01}, LargeCommunities: []bgp.LargeCommunity{{1, 1, 1}, {65000, 1, 2}},
		}, attributes, cmpopts.EquateComparable(bgp.LargeCommunity{})); diff != "" {
			t.Error(diff)
		}
		if !slices.Equal(unknown, []string{"bad", "nowhere"}) {
			t.Errorf("unknown: %q", unknown)
		}
	}
}
