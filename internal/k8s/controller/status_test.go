package controller

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var (
	ip200 = netip.MustParseAddr("192.0.2.200")
	ip201 = netip.MustParseAddr("192.0.2.201")
	ipv6  = netip.MustParseAddr("2001:db8::1")

	noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
)

// given is an outcome in which nothing is missing.
func given(ips ...netip.Addr) outcome {
	o := outcome{satisfied: true}
	for _, ip := range ips {
		o.assigned = append(o.assigned, allocator.Assignment{Address: ip, Pool: "edge"})
	}
	return o
}

func (o outcome) refusing(reason allocator.Reason, message string) outcome {
	o.refused, o.satisfied = append(o.refused, allocator.Refusal{Reason: reason, Message: message}), false
	return o
}

func (o outcome) asking(pool string) outcome {
	o.asked = pool
	return o
}

// shown is a Service whose status shows addresses and the condition that goes with an outcome.
func shown(o outcome, ips ...string) *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", ResourceVersion: "7"}}
	for _, ip := range ips {
		mode := corev1.LoadBalancerIPModeVIP
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip, IPMode: &mode})
	}
	if o.assigned != nil || o.refused != nil {
		svc.Status.Conditions = []metav1.Condition{{Type: "example.com/Other", Status: metav1.ConditionTrue}}
		for _, c := range o.conditions() {
			c.LastTransitionTime = metav1.NewTime(noon.Add(-time.Hour))
			svc.Status.Conditions = append(svc.Status.Conditions, c)
		}
	}
	return svc
}

func TestChangeOfService(t *testing.T) {
	exhausted := outcome{}.refusing(allocator.ReasonExhausted, "pool edge: exhausted, 9 of 9 IPv4 addresses in use")
	inUse := given(ip200).refusing(allocator.ReasonInUse, "the requested address 192.0.2.201 is in use by Service default/db")
	const (
		vip200     = `"loadBalancer":{"ingress":[{"ip":"192.0.2.200","ipMode":"VIP"}]}`
		assigned   = `"conditions":[{"type":"fairlead.dev/Assigned","status":"True","lastTransitionTime":"2026-01-02T12:00:00Z","reason":"Assigned","message":"192.0.2.200 from pool edge"}]`
		requested  = `{"type":"fairlead.dev/PoolRequested","status":"True","lastTransitionTime":"2026-01-02T12:00:00Z","reason":"Assigned","message":"edge"}`
		noAddress  = `"conditions":[{"type":"fairlead.dev/Assigned","status":"False","lastTransitionTime":"2026-01-02T12:00:00Z","reason":"PoolExhausted","message":"pool edge: exhausted, 9 of 9 IPv4 addresses in use"}]`
		keepsOther = `"conditions":[{"type":"fairlead.dev/Assigned","status":"False","lastTransitionTime":"2026-01-02T12:00:00Z","reason":"AddressInUse","message":"the requested address 192.0.2.201 is in use by Service default/db; it has 192.0.2.200 from pool edge"}]`
	)
	tests := []struct {
		name    string
		svc     *corev1.Service
		outcome outcome
		status  string // of the patch; empty: no change
		event   string // reason and message
		leaving []netip.Addr
	}{
		{name: "a new Service gets an address", svc: shown(outcome{}), outcome: given(ip200),
			status: vip200 + "," + assigned, event: "AddressAssigned: assigned 192.0.2.200 from pool edge"},
		{name: "a new Service gets one of each family", svc: shown(outcome{}), outcome: given(ip200, ipv6),
			status: `"loadBalancer":{"ingress":[{"ip":"192.0.2.200","ipMode":"VIP"},{"ip":"2001:db8::1","ipMode":"VIP"}]},"conditions":[{"type":"fairlead.dev/Assigned","status":"True","lastTransitionTime":"2026-01-02T12:00:00Z","reason":"Assigned","message":"192.0.2.200 and 2001:db8::1 from pool edge"}]`,
			event:  "AddressAssigned: assigned 192.0.2.200 and 2001:db8::1 from pool edge"},
		{name: "nothing is written when nothing differs", svc: shown(given(ip200), "192.0.2.200"), outcome: given(ip200)},
		{name: "an API server that drops ipMode is not written to again and again", svc: func() *corev1.Service {
			s := shown(given(ip200), "192.0.2.200")
			s.Status.LoadBalancer.Ingress[0].IPMode = nil
			return s
		}(), outcome: given(ip200)},
		{name: "an address that is shown without a condition is adopted", svc: shown(outcome{}, "192.0.2.200"), outcome: given(ip200),
			status: assigned, event: "AddressAssigned: assigned 192.0.2.200 from pool edge"},
		{name: "a status that someone emptied is filled again", svc: shown(given(ip200)), outcome: given(ip200),
			status: vip200},
		{name: "a hostname that someone added goes", svc: func() *corev1.Service {
			s := shown(given(ip200), "192.0.2.200")
			s.Status.LoadBalancer.Ingress[0].Hostname = "web.example"
			return s
		}(), outcome: given(ip200), status: vip200},
		{name: "a pool that has another name now is no event", svc: shown(given(ip200), "192.0.2.200"),
			outcome: outcome{assigned: []allocator.Assignment{{Address: ip200, Pool: "new"}}, satisfied: true},
			status:  `"conditions":[{"type":"fairlead.dev/Assigned","status":"True","lastTransitionTime":"2026-01-02T11:00:00Z","reason":"Assigned","message":"192.0.2.200 from pool new"}]`},
		{name: "the pool that it asked for is written down", svc: shown(outcome{}), outcome: given(ip200).asking("edge"),
			status: vip200 + "," + strings.TrimSuffix(assigned, "]") + "," + requested + "]", event: "AddressAssigned: assigned 192.0.2.200 from pool edge"},
		{name: "it comes to ask for the pool of which it has an address", svc: shown(given(ip200), "192.0.2.200"), outcome: given(ip200).asking("edge"),
			status: `"conditions":[` + requested + `]`},
		{name: "it asks for no pool any more", svc: shown(given(ip200).asking("edge"), "192.0.2.200"), outcome: given(ip200),
			status: `"conditions":[{"$patch":"delete","type":"fairlead.dev/PoolRequested"}]`},
		{name: "there is no address", svc: shown(outcome{}), outcome: exhausted,
			status: noAddress, event: "PoolExhausted: pool edge: exhausted, 9 of 9 IPv4 addresses in use"},
		{name: "there is no address still", svc: shown(exhausted), outcome: exhausted},
		{name: "the wait is over", svc: shown(exhausted), outcome: given(ip200),
			status: vip200 + "," + assigned, event: "AddressAssigned: assigned 192.0.2.200 from pool edge"},
		{name: "it keeps what it has while it cannot get what it asks for", svc: shown(given(ip200), "192.0.2.200"), outcome: inUse,
			status: keepsOther, event: "AddressInUse: the requested address 192.0.2.201 is in use by Service default/db; it has 192.0.2.200 from pool edge"},
		{name: "it moves to the address it asks for", svc: shown(given(ip201), "192.0.2.201"), outcome: given(ip200),
			status: vip200 + `,"conditions":[{"type":"fairlead.dev/Assigned","status":"True","lastTransitionTime":"2026-01-02T11:00:00Z","reason":"Assigned","message":"192.0.2.200 from pool edge"}]`,
			event:  "AddressAssigned: assigned 192.0.2.200 from pool edge", leaving: []netip.Addr{ip201}},
		{name: "the address goes when there is no other", svc: shown(given(ip200), "192.0.2.200"), outcome: exhausted,
			status: `"loadBalancer":{"ingress":null},` + noAddress, event: "PoolExhausted: pool edge: exhausted, 9 of 9 IPv4 addresses in use",
			leaving: []netip.Addr{ip200}},
		{name: "it prefers two families and one is not to be had", svc: shown(outcome{}), outcome: outcome{
			assigned: given(ip200).assigned, satisfied: true,
			refused: []allocator.Refusal{{Reason: allocator.ReasonExhausted, Message: "pool edge has no IPv6 addresses"}}},
			status: vip200 + `,"conditions":[{"type":"fairlead.dev/Assigned","status":"True","lastTransitionTime":"2026-01-02T12:00:00Z","reason":"Assigned","message":"192.0.2.200 from pool edge; nothing more, as pool edge has no IPv6 addresses"}]`,
			event:  "AddressAssigned: assigned 192.0.2.200 from pool edge"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := tt.svc.DeepCopy()
			c := changeOf(tt.svc, tt.outcome, noon)
			if before.String() != tt.svc.String() {
				t.Error("the Service in memory was changed")
			}
			if c == nil {
				if tt.status != "" {
					t.Errorf("no change, want %s", tt.status)
				}
				return
			}
			if want := `{"metadata":{"resourceVersion":"7"},"status":{` + tt.status + `}}`; string(c.patch) != want {
				t.Errorf("patch = %s\nwant    %s", c.patch, want)
			}
			event := ""
			if c.event != nil {
				event = c.event.Reason + ": " + c.event.Message
			}
			if event != tt.event {
				t.Errorf("event = %q, want %q", event, tt.event)
			}
			if len(c.leaving) != len(tt.leaving) || len(c.leaving) > 0 && c.leaving[0] != tt.leaving[0] {
				t.Errorf("leaving = %v, want %v", c.leaving, tt.leaving)
			}
		})
	}
}

func TestClearing(t *testing.T) {
	const condition = `"conditions":[{"$patch":"delete","type":"` + v1alpha1.ServiceConditionAssigned + `"}]`
	tests := []struct {
		name string
		svc  *corev1.Service
		had  []netip.Addr
		want string
	}{
		{name: "all that is ours goes", svc: shown(given(ip200), "192.0.2.200"), had: []netip.Addr{ip200},
			want: `"loadBalancer":{"ingress":null},` + condition},
		{name: "the pool that was asked for goes, too", svc: shown(given(ip200).asking("edge")),
			want: `"conditions":[{"$patch":"delete","type":"fairlead.dev/Assigned"},{"$patch":"delete","type":"fairlead.dev/PoolRequested"}]`},
		{name: "the API server has taken the addresses already", svc: shown(given(ip200)), had: []netip.Addr{ip200}, want: condition},
		{name: "another's address stays", svc: shown(given(ip200), "192.0.2.201"), had: []netip.Addr{ip200}, want: condition},
		{name: "nothing is ours", svc: shown(outcome{}, "192.0.2.201"), had: []netip.Addr{ip200}},
		{name: "it never had an address", svc: shown(outcome{}.refusing(allocator.ReasonNoPool, "there is no IPAddressPool")), want: condition},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := ""
			if tt.want != "" {
				want = `{"metadata":{"resourceVersion":"7"},"status":{` + tt.want + `}}`
			}
			if got := string(clearing(tt.svc, tt.had)); got != want {
				t.Errorf("patch = %s\nwant    %s", got, want)
			}
		})
	}
}
