package fleet

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// holdsNot breaks what must hold, one thing at a time, and wants each to be named; after it all holds again.
func holdsNot(ctx context.Context, t *testing.T, f *Fleet) {
	address := func(h, verb string, a netip.Addr) func() error {
		return func() error {
			_, err := f.Host(h).Run(ctx, "ip", "address", verb, netip.PrefixFrom(a, a.BitLen()).String(), "dev", "eth0")
			return err
		}
	}
	unused4 := netip.MustParseAddr("192.0.2.132") // the fleet has the first twelve of the pool
	route := func(verb, prefix string) func() error {
		return func() error {
			_, err := f.Routers[0].Run(ctx, "ip", "route", verb, prefix, "via", f.Node(1).V4.String())
			return err
		}
	}
	for _, tt := range []struct {
		name      string
		do, undo  func() error
		wantError string
	}{
		{"a speaker has ended", f.Node(2).Speaker.Kill, f.Node(2).Speaker.Start, "speaker-node2 does not run"},
		{"a foreign host answers for an address, too", address("client4", "add", f.Layer2[0].V4), address("client4", "del", f.Layer2[0].V4), "2 answer for " + f.Layer2[0].V4.String()},
		{"somebody answers for an address that no Service has", address("client4", "add", unused4), address("client4", "del", unused4), "which no Service has"},
		{"a router has a route too many", route("add", "198.51.100.13/32"), route("del", "198.51.100.13/32"), "which no Service has"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.do(); err != nil {
				t.Fatal(err)
			}
			err := f.Holds(ctx)
			if err := tt.undo(); err != nil {
				t.Fatal(err)
			}
			if err == nil || !strings.Contains(err.Error(), tt.wantError) {
				t.Errorf("it says %v, want %q", err, tt.wantError)
			}
			limited, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			if _, err := f.Settled(limited); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}

func TestWhatTheAPIServerHas(t *testing.T) {
	service := func(name, key string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{sharingAnnotation: key}}}
	}
	a := netip.MustParseAddr("192.0.2.120")
	pool := func(assigned int64) []v1alpha1.IPAddressPool {
		return []v1alpha1.IPAddressPool{{
			ObjectMeta: metav1.ObjectMeta{Name: "segment"},
			Spec:       v1alpha1.IPAddressPoolSpec{Addresses: []v1alpha1.AddressRange{"192.0.2.120-192.0.2.129"}},
			Status:     v1alpha1.IPAddressPoolStatus{IPv4: &v1alpha1.PoolFamilyStatus{Assigned: assigned}},
		}}
	}
	for _, tt := range []struct {
		name      string
		state     state
		wantError string
	}{
		{"one Service has an address, and the pool counts it", state{owners: map[netip.Addr][]*corev1.Service{a: {service("x", "")}}, pools: pool(1)}, ""},
		{"two Services have an address", state{owners: map[netip.Addr][]*corev1.Service{a: {service("x", ""), service("y", "")}}, pools: pool(1)}, "is in the Services x and y"},
		{"two Services share it", state{owners: map[netip.Addr][]*corev1.Service{a: {service("x", "k"), service("y", "k")}}, pools: pool(1)}, ""},
		{"two Services have different keys", state{owners: map[netip.Addr][]*corev1.Service{a: {service("x", "k"), service("y", "l")}}, pools: pool(1)}, "is in the Services"},
		{"the pool counts too many", state{owners: map[netip.Addr][]*corev1.Service{a: {service("x", "")}}, pools: pool(2)}, "2 addresses of IPv4 are assigned, and Services have 1"},
		{"a Node is not Ready", state{nodes: []corev1.Node{{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}}}}}, "the Node n is not Ready"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var err error
			for _, check := range []func(context.Context, *state) error{tt.state.nodesReady, tt.state.addressesOnce, tt.state.poolsCount} {
				if err == nil {
					err = check(t.Context(), &tt.state)
				}
			}
			if tt.wantError == "" && err != nil || tt.wantError != "" && (err == nil || !strings.Contains(err.Error(), tt.wantError)) {
				t.Errorf("it says %v, want %q", err, tt.wantError)
			}
		})
	}
}
