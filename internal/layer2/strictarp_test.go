package layer2

import (
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestStrictARP(t *testing.T) {
	for _, tt := range []struct {
		name     string
		own, all arpSettings
		want     bool
	}{
		{"nothing is set, as the kernel has it", arpSettings{}, arpSettings{}, false},
		{"what kube-proxy sets with strictARP", arpSettings{}, arpSettings{1, 2}, true},
		{"the same on this interface alone", arpSettings{1, 2}, arpSettings{}, true},
		{"the greater one counts", arpSettings{2, 0}, arpSettings{1, 2}, true},
		{"answers for nothing at all", arpSettings{8, 2}, arpSettings{}, true},
		{"answers for all but addresses of scope host, which these are not", arpSettings{3, 0}, arpSettings{1, 2}, false},
		{"asks in the name of addresses that are in the subnet", arpSettings{}, arpSettings{1, 1}, false},
		{"does not answer, but asks", arpSettings{}, arpSettings{1, 0}, false},
		{"does not ask, but answers", arpSettings{}, arpSettings{0, 2}, false},
	} {
		if got := tt.own.effective(tt.all).strict(); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// kubeIPVS makes what kube-proxy in IPVS mode does, as far as the kernel has it: the interface is a dummy, without ARP.
func kubeIPVS(t *testing.T, addresses ...string) netlink.Link {
	t.Helper()
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: ipvsInterface}, PeerName: "ipvs-end"}))
	l := must(netlink.LinkByName(ipvsInterface))
	t.Cleanup(func() { _ = netlink.LinkDel(l) })
	check(t, netlink.LinkSetARPOff(l))
	for _, a := range addresses {
		check(t, netlink.AddrAdd(l, must(netlink.ParseAddr(a))))
	}
	return l
}

func sysctl(t *testing.T, name, value string) {
	t.Helper()
	file := "/proc/sys/net/ipv4/conf/" + name
	before := must(os.ReadFile(file))
	check(t, os.WriteFile(file, []byte(value), 0))
	t.Cleanup(func() { check(t, os.WriteFile(file, before, 0)) })
}

// The addresses on kube-ipvs0 are looked at for what the kernel does with them, and nothing else. What Links says of it
// is what the kernel does, as a client sees it.
func TestKubeIPVS(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.200")
	a := plug(t, "a16", 2)
	carriers(t, "a16")
	loose := func() bool { return must(Links())[0].LooseARP }
	if loose() {
		t.Error("without kube-ipvs0 there is nothing to complain of")
	}
	ipvs := kubeIPVS(t, "2001:db8:2::200/128")
	if loose() {
		t.Error("IPv6 has no such trouble")
	}
	check(t, netlink.AddrAdd(ipvs, must(netlink.ParseAddr("192.0.2.200/32"))))
	if !loose() || a.resolve(vip) == "" {
		t.Errorf("by default the kernel answers: %v, %q", loose(), a.resolve(vip))
	}
	for _, up := range []bool{false, true} { // kube-proxy leaves it down, others have it up
		if up {
			check(t, netlink.LinkSetUp(ipvs))
			check(t, netlink.LinkSetUp(must(netlink.LinkByName("ipvs-end"))))
		}
		links := must(Links())
		if len(links) != 1 || links[0].Name != "a16" || slices.ContainsFunc(links[0].Prefixes, func(p netip.Prefix) bool { return !isSubnet(p) }) {
			t.Errorf("up %v: addresses are answered on %+v", up, links)
		}
	}
	sysctl(t, "all/arp_ignore", "1")
	sysctl(t, "a16/arp_announce", "2")
	a.forget(vip)
	if got := a.resolve(vip); loose() || got != "" {
		t.Errorf("with strictARP the kernel keeps quiet: %v, %q", loose(), got)
	}
}
