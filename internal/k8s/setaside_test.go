package k8s

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func speakerWith(name string, conflicts ...v1alpha1.AddressConflict) *v1alpha1.Speaker {
	return &v1alpha1.Speaker{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "u", Labels: map[string]string{"a": "b"}},
		Status: v1alpha1.SpeakerStatus{
			Version: "v1", Layer2: &v1alpha1.Layer2Status{Owned: 3, Addresses: []v1alpha1.Layer2Address{{Address: "192.0.2.1"}}, Conflicts: conflicts},
		},
	}
}

func detected(address string) v1alpha1.AddressConflict {
	return v1alpha1.AddressConflict{Address: address, HardwareAddress: "02:00:00:00:00:09", Interface: "eth0", Detected: true}
}

// answering is a speaker that runs, if ready, and answers for an address.
func answering(name, address, of string, ready metav1.ConditionStatus) *v1alpha1.Speaker {
	s := speakerWith(name)
	s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: ready, Reason: map[bool]string{true: "Running", false: "Stopped"}[ready == metav1.ConditionTrue]}}
	s.Status.Layer2.Addresses = append(s.Status.Layer2.Addresses, v1alpha1.Layer2Address{Address: address, For: of})
	return s
}

func TestInUse(t *testing.T) {
	const seven = "192.0.2.7 is in use by 02:00:00:00:00:09 (seen by node%d on eth0)"
	beside := detected("192.0.2.7")
	beside.Detected = false
	for _, tt := range []struct {
		name     string
		speakers []*v1alpha1.Speaker
		want     string
	}{
		{"nobody says anything", []*v1alpha1.Speaker{speakerWith("node1"), {}}, "map[]"},
		{"found before the announcement", []*v1alpha1.Speaker{speakerWith("node2", detected("192.0.2.7"))}, "map[192.0.2.7:" + fmt.Sprintf(seven, 2) + "]"},
		{"of two that say so the first by name counts",
			[]*v1alpha1.Speaker{speakerWith("node2", detected("192.0.2.7")), speakerWith("node1", detected("192.0.2.7"))},
			"map[192.0.2.7:" + fmt.Sprintf(seven, 1) + "]"},
		{"one that the node answers for stays its Service's", []*v1alpha1.Speaker{speakerWith("node1", beside)}, "map[]"},
		{"one that another node answers for stays its Service's, whoever says that it is in use",
			[]*v1alpha1.Speaker{speakerWith("node1", detected("192.0.2.7"), detected("2001:db8::7")),
				answering("node2", "192.0.2.7", "", metav1.ConditionTrue), answering("node3", "2001:DB8:0::7", "node4", metav1.ConditionTrue)}, "map[]"},
		{"one whose owner does not run any more", []*v1alpha1.Speaker{speakerWith("node1", detected("192.0.2.7")),
			answering("node2", "192.0.2.7", "", metav1.ConditionFalse)}, "map[192.0.2.7:" + fmt.Sprintf(seven, 1) + "]"},
		{"one that none but the node itself answers for", []*v1alpha1.Speaker{func() *v1alpha1.Speaker {
			s := answering("node1", "192.0.2.7", "", metav1.ConditionTrue)
			s.Status.Layer2.Conflicts = []v1alpha1.AddressConflict{detected("192.0.2.7")}
			return s
		}()}, "map[192.0.2.7:" + fmt.Sprintf(seven, 1) + "]"},
		{"another form of an address", []*v1alpha1.Speaker{speakerWith("node1", detected("2001:DB8:0::7"))},
			"map[2001:db8::7:2001:db8::7 is in use by 02:00:00:00:00:09 (seen by node1 on eth0)]"},
		{"what is no address", []*v1alpha1.Speaker{speakerWith("node1", detected(""), detected("192.0.2"), detected("::ffff:192.0.2.7"))}, "map[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, _ := InUse(tt.speakers); fmt.Sprint(got) != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			for i, s := range tt.speakers {
				trimmed, err := trimSpeaker(s)
				if err != nil {
					t.Fatal(err)
				}
				if tt.speakers[i] = trimmed.(*v1alpha1.Speaker); tt.speakers[i].Labels != nil || tt.speakers[i].Name != s.Name {
					t.Errorf("trimmed %+v", trimmed)
				}
			}
			if got, _ := InUse(tt.speakers); fmt.Sprint(got) != tt.want {
				t.Errorf("trimmed: %s, want %s", got, tt.want)
			}
		})
	}
}

func TestSetAside(t *testing.T) {
	ranges := func(list ...string) (r []netipx.IPRange) {
		for _, text := range list {
			one, err := lb.ParseRange(text)
			if err != nil {
				t.Fatal(err)
			}
			r = append(r, one)
		}
		return r
	}
	const edge, other = "192.0.2.0/24", "198.51.100.0/24"
	for _, tt := range []struct {
		name   string
		pools  []lb.Pool
		detect string // the pool that detects
		inUse  []string
		want   string
	}{
		{"of the pool that lists it", []lb.Pool{{Name: "a", Ranges: ranges(other, edge)}, {Name: "b", Ranges: ranges("203.0.113.0/24")}}, "a",
			[]string{"192.0.2.9", "192.0.2.7"}, "map[a:[192.0.2.7 192.0.2.9]]"},
		{"not where the pool does not detect", []lb.Pool{{Name: "a", Ranges: ranges(edge)}}, "b", []string{"192.0.2.7"}, "map[]"},
		{"not what the pool excludes anyway", []lb.Pool{{Name: "a", Ranges: ranges(edge), Excluded: ranges("192.0.2.7")}}, "a",
			[]string{"192.0.2.7"}, "map[]"},
		{"not what no pool lists", []lb.Pool{{Name: "a", Ranges: ranges(edge)}}, "a", []string{"198.51.100.7"}, "map[]"},
		{"also of a pool that overlaps, which would give it out",
			[]lb.Pool{{Name: "a", Ranges: ranges(edge)}, {Name: "b", Ranges: ranges("192.0.2.0/25")}}, "a",
			[]string{"192.0.2.7", "192.0.2.200"}, "map[a:[192.0.2.7 192.0.2.200] b:[192.0.2.7]]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inUse := map[netip.Addr]string{}
			for _, a := range tt.inUse {
				inUse[netip.MustParseAddr(a)] = "in use"
			}
			aside := SetAside(tt.pools, func(pool string) bool { return pool == tt.detect }, inUse)
			if got := fmt.Sprint(aside); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			for _, p := range tt.pools {
				for _, a := range aside[p.Name] {
					if !slices.ContainsFunc(p.Excluded, func(r netipx.IPRange) bool { return r.Contains(a) }) {
						t.Errorf("pool %s does not exclude %s", p.Name, a)
					}
				}
			}
		})
	}
}

func TestExplainAside(t *testing.T) {
	seven, eight := netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("192.0.2.77")
	aside := map[netip.Addr]string{seven: "192.0.2.7 is in use by X"}
	nowhere := allocator.Refusal{Reason: allocator.ReasonNotInPool, Message: "no pool holds the requested address 192.0.2.7"}
	other := allocator.Refusal{Reason: allocator.ReasonNotInPool, Message: "no pool holds the requested address 192.0.2.77"}
	exhausted := allocator.Refusal{Reason: allocator.ReasonExhausted, Message: "pool a: exhausted"}
	said := allocator.Refusal{Reason: ReasonAddressConflict, Message: "192.0.2.7 is in use by X"}
	for _, tt := range []struct {
		name     string
		asked    []netip.Addr
		refusals []allocator.Refusal
		want     []allocator.Refusal
	}{
		{"nothing refused", []netip.Addr{seven}, nil, nil},
		{"one that is set aside is in use", []netip.Addr{seven}, []allocator.Refusal{nowhere}, []allocator.Refusal{said}},
		{"beside one that no pool holds", []netip.Addr{eight, seven}, []allocator.Refusal{other, nowhere}, []allocator.Refusal{other, said}},
		{"another refusal is left alone", nil, []allocator.Refusal{exhausted}, []allocator.Refusal{exhausted}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.refusals)
			if got := ExplainAside(aside, tt.asked, tt.refusals); !slices.Equal(got, tt.want) || !slices.Equal(before, tt.refusals) {
				t.Errorf("%v, want %v (and given %v)", got, tt.want, tt.refusals)
			}
		})
	}
}
