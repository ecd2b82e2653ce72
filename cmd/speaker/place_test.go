package main

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

// What comes of another InternalIP.
func TestPlace(t *testing.T) {
	const before, after, six, own = "192.0.2.11", "192.0.2.31", "2001:db8::11", "198.51.100.11"
	for name, tt := range map[string]struct {
		chosen    bool
		addresses []string
		local     []string
		anew      bool
		want      string
	}{
		"stays where the others look": {addresses: []string{before}, local: []string{before}, want: "<nil>"},
		"stays while the Node has no addresses, as before a cloud provider has looked at it": {local: []string{after}, want: "<nil>"},
		"stays when a dual-stack Node's addresses change their order":                        {addresses: []string{six, before}, local: []string{six, before}, want: "<nil>"},
		"stays when the Node gets another one before it":                                     {addresses: []string{after, before}, local: []string{after, before}, want: "<nil>"},
		"stays when the address is off its interface, and the Node has it still":             {addresses: []string{before}, want: "<nil>"},
		"starts anew when the Node has another one": {addresses: []string{after, six}, local: []string{after, six}, anew: true,
			want: "the InternalIP of Node n1 is 192.0.2.31 now, and gossip was at 192.0.2.11: starting anew"},
		"starts anew also while the old one is still there": {addresses: []string{own}, local: []string{before, own}, anew: true,
			want: "the InternalIP of Node n1 is 198.51.100.11 now, and gossip was at 192.0.2.11: starting anew"},
		"starts anew when the family is gone": {addresses: []string{six}, local: []string{six}, anew: true,
			want: "the InternalIP of Node n1 is 2001:db8::11 now, and gossip was at 192.0.2.11: starting anew"},
		"waits for an address that is not here yet": {addresses: []string{after}, local: []string{before},
			want: "gossip is at 192.0.2.11, which is no InternalIP of Node n1 any more: that is 192.0.2.31 now, which is on no interface of this machine yet"},
		"waits for the first one, which the next start would take": {addresses: []string{after, six}, local: []string{six},
			want: "gossip is at 192.0.2.11, which is no InternalIP of Node n1 any more: that is 192.0.2.31 now, which is on no interface of this machine yet"},
		"waits where the address was chosen, as the next start would fail": {chosen: true, addresses: []string{after, six}, local: []string{after, six},
			want: "--gossip-address 192.0.2.11 is no InternalIP of Node n1 any more, where the other speakers look for this one: it has [192.0.2.31 2001:db8::11]"},
	} {
		t.Run(name, func(t *testing.T) {
			var addresses []netip.Addr
			for _, a := range tt.addresses {
				addresses = append(addresses, netip.MustParseAddr(a))
			}
			anew, err := judgePlace(netip.MustParseAddr(before), "n1", tt.chosen, addresses, func(a netip.Addr) bool { return slices.Contains(tt.local, a.String()) })
			if anew != tt.anew || fmt.Sprint(err) != tt.want {
				t.Errorf("anew %v, %v; want %v, %s", anew, err, tt.anew, tt.want)
			}
		})
	}
}
