package plugin

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// assigned reads "192.0.2.1 edge", or "192.0.2.1" of one that no pool holds.
func assigned(list ...string) (all []allocator.Assignment) {
	for _, text := range list {
		addr, pool, _ := strings.Cut(text, " ")
		all = append(all, allocator.Assignment{Address: netip.MustParseAddr(addr), Pool: pool})
	}
	return all
}

func TestCompare(t *testing.T) {
	full := []allocator.Refusal{{Reason: allocator.ReasonExhausted, Message: "full"}}
	tests := []struct {
		name          string
		before, after []string
		refused       []allocator.Refusal
		wasPending    bool
		want          string
		summary       Summary
		exit          int
	}{
		{name: "kept", before: []string{"192.0.2.1 a"}, after: []string{"192.0.2.1 a"}, summary: Summary{Kept: 1}},
		{name: "kept by another pool", before: []string{"192.0.2.1 a"}, after: []string{"192.0.2.1 b"}, summary: Summary{Kept: 1, Carried: 1}},
		{name: "moved", before: []string{"192.0.2.1 a"}, after: []string{"192.0.2.2 b"},
			want: "moved 192.0.2.1 192.0.2.2: no pool holds it", summary: Summary{Moved: 1}, exit: 1},
		{name: "lost", before: []string{"192.0.2.1 a"}, refused: full, want: "lost 192.0.2.1 : full", summary: Summary{Lost: 1}, exit: 1},
		{name: "one family lost, the other moved, is lost", before: []string{"192.0.2.1 a", "2001:db8::1 a"}, after: []string{"192.0.2.2 b"}, refused: full,
			want: "moved 192.0.2.1 192.0.2.2: no pool holds it; lost 2001:db8::1 : full", summary: Summary{Lost: 1}, exit: 1},
		{name: "of two addresses of a family, one is lost", before: []string{"192.0.2.1 a", "192.0.2.2 a"}, after: []string{"192.0.2.2 a"}, refused: full,
			want: "lost 192.0.2.1 : full", summary: Summary{Lost: 1}, exit: 1},
		{name: "still pending", wasPending: true, refused: full, want: "pending  : full", summary: Summary{Pending: 1}},
		{name: "pending from now on, with what it has", before: []string{"192.0.2.1 a"}, after: []string{"192.0.2.1 a"}, refused: full,
			want: "pending  : from now on: full", summary: Summary{Pending: 1}},
		{name: "newly assigned", wasPending: true, after: []string{"192.0.2.1 a"}, want: "assigned  192.0.2.1: ", summary: Summary{Assigned: 1}},
		{name: "one family assigned, the other still pending, is pending", wasPending: true, after: []string{"192.0.2.1 a"}, refused: full,
			want: "assigned  192.0.2.1: ; pending  : full", summary: Summary{Pending: 1}},
		{name: "a pool takes over what the status shows", wasPending: true, before: []string{"192.0.2.1"}, after: []string{"192.0.2.1 a"},
			want: "assigned  192.0.2.1: its status shows the address already", summary: Summary{Assigned: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := lb.Key{Namespace: "default", Name: "web"}
			d := &decided{request: allocator.Request{Service: key}}
			d.Assignments, d.Refusals, d.Satisfied = assigned(tt.after...), tt.refused, len(tt.refused) == 0
			losses := map[loss]string{{key, netip.MustParseAddr("192.0.2.1")}: "no pool holds it"}
			rows, carried := compare(d, assigned(tt.before...), tt.wasPending, losses)
			var got []string
			for _, r := range rows {
				got = append(got, fmt.Sprintf("%s %s %s: %s", r.Change, r.From, r.To, r.Why))
			}
			if text := strings.Join(got, "; "); text != tt.want {
				t.Errorf("rows %q, want %q", text, tt.want)
			}
			var p Plan
			p.count(rows, carried)
			if p.Summary != tt.summary || p.ExitStatus() != tt.exit {
				t.Errorf("%+v, exit status %d, want %+v, %d", p.Summary, p.ExitStatus(), tt.summary, tt.exit)
			}
		})
	}
}

// A new pool is younger than every living one, also by a clock that is behind.
func TestNewPoolsAreTheYoungest(t *testing.T) {
	living := pool("zz", "192.0.2.1-192.0.2.9")
	living.CreationTimestamp = metav1.NewTime(now.Add(time.Minute))
	s := &Snapshot{Pools: []*v1alpha1.IPAddressPool{living}, Time: now}
	p, err := MakePlan(s, []Manifest{{Pool: pool("aa", "192.0.2.5-192.0.2.12"), Source: "file"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []PlannedConflict{{With: "zz", Overlap: "192.0.2.5-192.0.2.9", New: true}}
	if len(p.Pools) != 1 || !cmp.Equal(p.Pools[0].Conflicts, want) {
		t.Errorf("%+v", p.Pools)
	}
}

// What a controller has still to do is not the plan's doing.
func TestPlanStartsFromWhatServicesWillHave(t *testing.T) {
	s := &Snapshot{Services: []*corev1.Service{service("default", "new")}, Pools: []*v1alpha1.IPAddressPool{pool("edge", "192.0.2.1")}, Time: now}
	p, err := MakePlan(s, []Manifest{{Pool: pool("edge", "192.0.2.1-192.0.2.2"), Source: "file"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Summary{Kept: 1}); p.Summary != want || p.Undecided != 1 || len(p.Services) > 0 {
		t.Errorf("%+v", p)
	}
}

// Who has waited longest goes first, as in the memory of a controller at work, and not who is oldest: "older" had an
// address and lost it.
func TestWhoWaitsLongestGoesFirst(t *testing.T) {
	older, younger := service("default", "older"), service("default", "younger")
	older.CreationTimestamp, younger.CreationTimestamp = metav1.NewTime(now.Add(-time.Hour)), metav1.NewTime(now.Add(-time.Minute))
	for svc, since := range map[*corev1.Service]time.Duration{older: -time.Second, younger: -time.Minute} {
		svc.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ServiceConditionAssigned, Status: metav1.ConditionFalse,
			Reason: "NoPool", LastTransitionTime: metav1.NewTime(now.Add(since))}}
	}
	s := &Snapshot{Services: []*corev1.Service{older, younger}, Time: now}
	p, err := MakePlan(s, []Manifest{{Pool: pool("edge", "192.0.2.1"), Source: "file"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range p.Services {
		if want := map[string]Change{"older": Pending, "younger": Assigned}[row.Name]; row.Change != want {
			t.Errorf("%s is %s, want %s", row.Name, row.Change, want)
		}
	}
}

// large is a cluster of n Services, some of which wait, in pools of 2^16 addresses.
func large(n int) *Snapshot {
	s := &Snapshot{Time: now, Pools: []*v1alpha1.IPAddressPool{pool("a", "198.18.0.0/16"), pool("b", "2001:db8::/64")}}
	addr := netip.MustParseAddr("198.18.0.0")
	for i := range n {
		svc := service(fmt.Sprint("ns-", i%100), fmt.Sprint("svc-", i), addr.String())
		svc.CreationTimestamp = metav1.NewTime(now.Add(time.Duration(-i) * time.Second))
		if i%10 == 0 {
			svc.Annotations["fairlead.dev/address-pool"], svc.Status.LoadBalancer.Ingress = "none", nil
		}
		s.Services, addr = append(s.Services, svc), addr.Next()
	}
	return s
}

func BenchmarkPlan(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 50_000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			s := large(n)
			for b.Loop() {
				p, err := MakePlan(s, []Manifest{{Pool: pool("a", "198.18.128.0/17", "198.19.0.0/16"), Source: "file"}}, nil)
				if err != nil || p.Summary.Lost > 0 {
					b.Fatalf("%+v, %v", p, err)
				}
			}
		})
	}
}

func BenchmarkServices(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 50_000} {
		b.Run(fmt.Sprintf("services=%d", n), func(b *testing.B) {
			s := large(n)
			for b.Loop() {
				if rows := Services(s); len(rows) != n {
					b.Fatal(len(rows))
				}
			}
		})
	}
}

// Pools as they are change nothing, whatever waits.
func TestPlanOfNoChange(t *testing.T) {
	s := large(1000)
	p, err := MakePlan(s, []Manifest{{Pool: s.Pools[0], Source: "file"}, {Pool: s.Pools[1], Source: "file"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := (Summary{Kept: 900, Pending: 100}); p.Summary != want || p.ExitStatus() != ExitSame {
		t.Errorf("%+v", p.Summary)
	}
	for _, pool := range p.Pools {
		if pool.Change != PoolUnchanged || pool.IPv4.Before != pool.IPv4.After {
			t.Errorf("%+v", pool)
		}
	}
}
