package layer2

import "slices"

// ipvsInterface is where kube-proxy in IPVS mode puts the addresses of all Services, on every node. It is a dummy
// without ARP of its own, and as a rule down.
const ipvsInterface = "kube-ipvs0"

// arpSettings are the kernel's arp_ignore and arp_announce (Documentation/networking/ip-sysctl.rst).
type arpSettings struct{ ignore, announce int }

// effective is what the kernel goes by on an interface: the greater one of what is set for it and for all.
func (s arpSettings) effective(all arpSettings) arpSettings {
	return arpSettings{max(s.ignore, all.ignore), max(s.announce, all.announce)}
}

// strict tells whether the kernel keeps the addresses of other interfaces to itself: it does not answer for them, and
// does not ask with them as the sender, which has its neighbours believe that they are here. Other values of
// arp_ignore than these have it answer.
func (s arpSettings) strict() bool {
	return slices.Contains([]int{1, 2, 8}, s.ignore) && s.announce >= 2
}
