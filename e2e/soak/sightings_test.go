package soak

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	corev1 "k8s.io/api/core/v1"
)

func TestSightings(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.200")
	nodeOf := func(mac net.HardwareAddr) string { return fmt.Sprint("node", mac[0]) }
	for _, test := range []struct {
		name   string
		rounds string // who answers in each, - for nobody
		cut    int    // the watch is begun anew after so many
		want   string
	}{
		{"one node answers all the time", "1 1 1 1", 2, ""},
		{"another one answers", "1 1 2 2", 4, "node1: another node answers for an address to node2"},
		{"another one, when the watch has begun anew", "1 1 2 2", 2, "node1: another node answers for an address to node2"},
		{"it goes and comes back", "1 2 1", 3, "node1: another node answers for an address to node2, node2: another node answers for an address to node1"},
		{"a late answer is forgiven", "1 - 1 - 1", 5, ""},
		{"two in a row are not", "1 - - 1", 4, "node1: no node answers for an address"},
		{"nor across watches", "1 - - 1", 2, "node1: no node answers for an address"},
		{"a silence is one", "1 - - - - 1", 6, "node1: no node answers for an address"},
		{"two nodes answer", "1 12 1", 3, "node1: two nodes answer for an address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var rounds []lab.Round
			for i, who := range strings.Fields(test.rounds) {
				r := lab.Round{At: time.Unix(int64(i), 0)}
				for _, n := range strings.Trim(who, "-") {
					r.MACs = append(r.MACs, net.HardwareAddr{byte(n - '0')})
				}
				rounds = append(rounds, r)
			}
			list, last := sightings(a, sighting{}, rounds[:test.cut], nodeOf)
			more, _ := sightings(a, last, rounds[test.cut:], nodeOf)
			var got []string
			for _, h := range append(list, more...) {
				text := fmt.Sprintf("%s: %s", h.node, h.kind)
				if h.kind == moved {
					text += " " + h.why
				}
				got = append(got, text)
			}
			if strings.Join(got, ", ") != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	service := func(addresses ...string) *corev1.Service {
		s := &corev1.Service{}
		for _, a := range addresses {
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
		}
		return s
	}
	for _, test := range []struct {
		name        string
		before, now *corev1.Service
		changed     bool
	}{
		{"it gets its first address", service(), service("192.0.2.200"), false},
		{"it keeps its addresses, in whatever order", service("192.0.2.200", "2001:db8::200"), service("2001:db8::200", "192.0.2.200"), false},
		{"it has another one", service("192.0.2.200"), service("192.0.2.201"), true},
		{"it has one more", service("192.0.2.200"), service("192.0.2.200", "2001:db8::200"), true},
		{"it loses its address", service("192.0.2.200"), service(), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newOwners(nil, &diary{})
			if o.compare(test.before, test.now); (len(o.diary.happenings) > 0) != test.changed {
				t.Errorf("%v", o.diary.happenings)
			}
		})
	}
}
