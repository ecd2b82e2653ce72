package bgp

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// attributes returns those of an advertisement with a local preference and communities.
func attributes(localPref uint32, communities ...string) Attributes {
	a := Attributes{LocalPref: localPref}
	for _, c := range communities {
		if err := a.AddCommunity(c); err != nil {
			panic(err)
		}
	}
	return a
}

func TestAddCommunity(t *testing.T) {
	a := attributes(100, "65000:2", "large:1:2:3", "no-export", "65000:1", "large:1:1:9", "65000:2", "large:1:2:3", "65535:65281")
	want := Attributes{
		LocalPref:        100,
		Communities:      []Community{65000<<16 | 1, 65000<<16 | 2, 0xFFFFFF01},
		LargeCommunities: []LargeCommunity{{1, 1, 9}, {1, 2, 3}},
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("sorted, each once (-want +got):\n%s", diff)
	}
	if err := a.AddCommunity("edge"); err == nil {
		t.Error("an alias was taken")
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("a bad one changed something (-want +got):\n%s", diff)
	}
}

func TestMerge(t *testing.T) {
	tests := []struct {
		name       string
		a, b, want Attributes
	}{
		{"nothing and nothing", attributes(100), attributes(100), attributes(100)},
		{"communities are united", attributes(100, "1:1", "1:3", "large:1:1:1"), attributes(100, "1:2", "1:3", "large:1:1:0"),
			attributes(100, "1:1", "1:2", "1:3", "large:1:1:0", "large:1:1:1")},
		{"the highest local preference counts", attributes(50, "1:1"), attributes(200), attributes(200, "1:1")},
		{"a local preference of 0 is one", attributes(0), attributes(0, "1:1"), attributes(0, "1:1")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := tt.a.clone(), tt.b.clone()
			for _, got := range []Attributes{tt.a.merge(tt.b), tt.b.merge(tt.a)} {
				if !got.Equal(tt.want) {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			}
			if !a.Equal(tt.a) || !b.Equal(tt.b) {
				t.Error("what was merged has changed")
			}
		})
	}
}

func TestLeaving(t *testing.T) {
	tests := []struct {
		name     string
		in, want Attributes
	}{
		{"the community comes in, the preference goes", attributes(200), attributes(0, "graceful-shutdown")},
		{"others stay", attributes(100, "65000:1", "no-export", "large:1:2:3"),
			attributes(0, "65000:1", "graceful-shutdown", "no-export", "large:1:2:3")},
		{"where it is already, it is once", attributes(100, "graceful-shutdown"), attributes(0, "graceful-shutdown")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.in.clone()
			if got := tt.in.leaving(); !got.Equal(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if !before.Equal(tt.in) {
				t.Error("the attributes themselves have changed")
			}
		})
	}
}

// Each field counts, in Equal and in the key: a field that is added is either in a row here or fails.
func TestEveryAttributeCounts(t *testing.T) {
	base := attributes(100, "65000:1", "large:1:2:3")
	others := map[string]Attributes{
		"LocalPref":        attributes(101, "65000:1", "large:1:2:3"),
		"Communities":      attributes(100, "65000:2", "large:1:2:3"),
		"LargeCommunities": attributes(100, "65000:1", "large:1:2:4"),
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Attributes]()) {
		other, ok := others[f.Name]
		if !ok {
			t.Errorf("%s has no row", f.Name)
			continue
		}
		if base.Equal(other) || string(base.appendKey(nil)) == string(other.appendKey(nil)) {
			t.Errorf("another %s makes no difference", f.Name)
		}
	}
	if same := attributes(100, "large:1:2:3", "65000:1"); !base.Equal(same) || string(base.appendKey(nil)) != string(same.appendKey(nil)) {
		t.Error("equal attributes, made separately, differ")
	}
	if none := (Attributes{LocalPref: 100, Communities: []Community{}}); !none.Equal(attributes(100)) ||
		string(none.appendKey(nil)) != string(attributes(100).appendKey(nil)) {
		t.Error("no communities and an empty list of them differ")
	}
}

func TestRouteEqual(t *testing.T) {
	r := Route{netip.MustParsePrefix("192.0.2.1/32"), attributes(100, "65000:1")}
	if !r.Equal(Route{netip.MustParsePrefix("192.0.2.1/32"), attributes(100, "65000:1")}) {
		t.Error("equal routes differ")
	}
	if r.Equal(Route{netip.MustParsePrefix("192.0.2.2/32"), r.Attributes}) {
		t.Error("another prefix makes no difference")
	}
	if r.Equal(Route{r.Prefix, attributes(100)}) {
		t.Error("other attributes make no difference")
	}
}
