package controller

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nine is the usage of a pool of nine IPv4 addresses, some of them assigned.
func nine(assigned int64) [2]allocator.Usage {
	none := allocator.Usage{Total: new(big.Int), Available: new(big.Int)}
	return [2]allocator.Usage{{
		Total: big.NewInt(9), Available: big.NewInt(9 - assigned), Assigned: assigned,
		First: netip.MustParseAddr("192.0.2.200"), Last: netip.MustParseAddr("192.0.2.208"),
	}, none}
}

func overlap(with, ips string) []allocator.Conflict {
	return []allocator.Conflict{{Pool: "edge", With: with, Overlap: netipx.MustParseIPRange(ips)}}
}

// applied returns a pool with the status that a state leads to.
func applied(t *testing.T, pool *v1alpha1.IPAddressPool, s poolState, now time.Time) *v1alpha1.IPAddressPool {
	patch, _ := poolChangeOf(pool, s, now)
	if patch == nil {
		return pool
	}
	pool = pool.DeepCopy()
	if err := json.Unmarshal(patch, pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

func TestChangeOfPool(t *testing.T) {
	const (
		unadvertised = "no advertisement selects this pool: its addresses are assigned, and nobody answers for them"
		usage        = `"ipv4":{"total":"9","assigned":1,"retained":0,"available":"8","first":"192.0.2.200","last":"192.0.2.208"},"ipv6":null,"retained":null`
		ready        = `{"type":"Ready","status":"True","observedGeneration":3,"lastTransitionTime":"T","reason":"InForce","message":"in force as written"}`
		conflict     = `192.0.2.200-192.0.2.201 belongs to pool old, which is older; this pool works with the rest of its addresses`
	)
	condition := func(kind, status, reason, message string) string {
		return `{"type":"` + kind + `","status":"` + status + `","observedGeneration":3,"lastTransitionTime":"T","reason":"` + reason + `","message":"` + message + `"}`
	}
	whole := poolState{advertised: true, usage: nine(1)}
	overlapping := poolState{advertised: true, usage: nine(1), conflicts: overlap("old", "192.0.2.200-192.0.2.201")}
	unreadable := poolState{advertised: true, usage: nine(1), problems: []string{"spec.addresses: 'a' is not an IP address"}}
	full := poolState{advertised: true, usage: nine(9)}
	silent := poolState{usage: nine(1)}
	const host = "192.0.2.207 is in use by 02:00:00:00:00:09 (seen by node2 on eth0)"
	aside := poolState{advertised: true, usage: nine(1), aside: []string{host}}
	tests := []struct {
		name       string
		was        *poolState // nil: no status yet
		is         poolState
		conditions string // empty: no change
		events     string
	}{
		{name: "a new pool", is: whole, conditions: ready},
		{name: "nothing is written when nothing differs", was: &whole, is: poolState{advertised: true, usage: nine(1)}},
		{name: "an address more in use", was: &poolState{advertised: true, usage: nine(0)}, is: whole, conditions: ready},
		{name: "an older pool has some of the addresses", was: &whole, is: overlapping,
			conditions: condition("Ready", "False", "Conflicting", conflict) + "," + condition("Conflicting", "True", "Conflicting", conflict),
			events:     "Warning Conflicting: " + conflict},
		{name: "the conflict lasts", was: &overlapping, is: overlapping},
		{name: "one address in conflict, with another pool now", was: &overlapping,
			is:         poolState{advertised: true, usage: nine(1), conflicts: overlap("older", "192.0.2.200-192.0.2.200")},
			conditions: condition("Ready", "False", "Conflicting", "192.0.2.200 belongs to pool older, which is older; this pool works with the rest of its addresses") + "," + condition("Conflicting", "True", "Conflicting", "192.0.2.200 belongs to pool older, which is older; this pool works with the rest of its addresses"),
			events:     "Warning Conflicting: 192.0.2.200 belongs to pool older, which is older; this pool works with the rest of its addresses"},
		{name: "the conflict is over", was: &overlapping, is: whole,
			conditions: ready + "," + condition("Conflicting", "False", "ConflictResolved", "all addresses of this pool are its own again"),
			events:     "Normal ConflictResolved: all addresses of this pool are its own again"},
		{name: "no address left", was: &whole, is: full,
			conditions: ready + "," + condition("Exhausted", "True", "Exhausted", "9 of 9 IPv4 addresses in use"),
			events:     "Warning Exhausted: 9 of 9 IPv4 addresses in use"},
		{name: "an address is free again", was: &full, is: whole,
			conditions: ready + "," + condition("Exhausted", "False", "Available", "an address is free, or waits for a deleted Service and is given up when needed"),
			events:     "Normal Available: an address is free, or waits for a deleted Service and is given up when needed"},
		{name: "nobody answers for its addresses", was: &whole, is: silent,
			conditions: ready + "," + condition("NotAdvertised", "True", "NotAdvertised", unadvertised),
			events:     "Warning NotAdvertised: " + unadvertised},
		{name: "an advertisement selects it", was: &silent, is: whole,
			conditions: ready + "," + condition("NotAdvertised", "False", "Advertised", "an advertisement selects this pool"),
			events:     "Normal Advertised: an advertisement selects this pool"},
		{name: "an address is set aside", was: &whole, is: aside,
			conditions: ready + "," + condition("AddressConflict", "True", "AddressConflict", "set aside: "+host),
			events:     "Warning AddressConflict: set aside: " + host},
		{name: "it is set aside still", was: &aside, is: poolState{advertised: true, usage: nine(1), aside: []string{host}}},
		{name: "none is set aside any more", was: &aside, is: whole,
			conditions: ready + "," + condition("AddressConflict", "False", "NoAddressConflict", "no address is set aside any more"),
			events:     "Normal NoAddressConflict: no address is set aside any more"},
		{name: "an entry that cannot be read", is: unreadable,
			conditions: condition("Ready", "False", "InvalidSpec", "cannot be read and is left out: spec.addresses: 'a' is not an IP address"),
			events:     "Warning InvalidSpec: cannot be read and is left out: spec.addresses: 'a' is not an IP address"},
		{name: "an entry that cannot be read still", was: &unreadable, is: unreadable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pool := &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "edge", Generation: 3, ResourceVersion: "7"}}
			if tt.was != nil {
				pool = applied(t, pool, *tt.was, noon)
			}
			patch, events := poolChangeOf(pool, tt.is, noon)
			want := ""
			if tt.conditions != "" {
				usage := strings.NewReplacer(`"assigned":1`, fmt.Sprintf(`"assigned":%d`, tt.is.usage[0].Assigned),
					`"available":"8"`, fmt.Sprintf(`"available":"%s"`, tt.is.usage[0].Available)).Replace(usage)
				want = `{"metadata":{"resourceVersion":"7"},"status":{"conditions":[` + tt.conditions + `],` + usage + `}}`
			}
			if got := strings.ReplaceAll(string(patch), noon.Format(time.RFC3339), "T"); !sameJSON(t, got, want) {
				t.Errorf("patch = %s\nwant    %s", got, want)
			}
			var told []string
			for _, e := range events {
				kind := "Normal "
				if e.Warning {
					kind = "Warning "
				}
				told = append(told, kind+e.Reason+": "+e.Message)
			}
			if got := strings.Join(told, "\n"); got != tt.events {
				t.Errorf("events = %q, want %q", got, tt.events)
			}
		})
	}
}

// sameJSON compares documents, and lists of conditions by type.
func sameJSON(t *testing.T, got, want string) bool {
	t.Helper()
	if got == "" || want == "" {
		return got == want
	}
	parse := func(s string) string {
		var v struct {
			Metadata any
			Status   struct {
				IPv4, IPv6 any
				Conditions []metav1.Condition
			}
		}
		if err := json.Unmarshal([]byte(strings.ReplaceAll(s, `"T"`, "null")), &v); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		byType := map[string]metav1.Condition{}
		for _, c := range v.Status.Conditions {
			byType[c.Type] = c
		}
		data, _ := json.Marshal([]any{v.Metadata, v.Status.IPv4, v.Status.IPv6, byType})
		return string(data)
	}
	return parse(got) == parse(want)
}

func TestTransitionTimeOfPoolsMovesWithTheStatusOnly(t *testing.T) {
	pool := &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "edge"}}
	pool = applied(t, pool, poolState{advertised: true, usage: nine(0)}, noon)
	pool = applied(t, pool, poolState{advertised: true, usage: nine(1)}, noon.Add(time.Hour))
	if at := pool.Status.Conditions[0].LastTransitionTime; !at.Time.Equal(noon) {
		t.Errorf("lastTransitionTime = %v, want %v", at, noon)
	}
}

func TestPoolMadeAnewIsScheduledAgain(t *testing.T) {
	scenario(t, "it is looked at while it is gone, before the decider knows that it is", func(t *testing.T, w *world) {
		c, stop := w.run()
		defer stop()
		of := newTerm(c, func() bool { return true })
		defer of.jobs.ShutDown()
		defer of.work.ShutDown()
		of.pools["edge"] = &poolMemory{}
		of.schedule("edge")
		of.work.Get()
		if j := of.decidePoolStatus("edge"); j != nil {
			t.Error("a write to a pool that is gone")
		}
		of.work.Done(item{poolStatus, lb.Key{Name: "edge"}})
		of.schedule("edge")
		if of.work.Len() != 1 {
			t.Error("not scheduled any more")
		}
	})
}
