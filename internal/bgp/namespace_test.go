package bgp

import (
	"syscall"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/netnstest"
	"github.com/vishvananda/netlink"
)

// TestMain runs the tests in a network namespace of their own, so that routers have port 179 on addresses of the
// documentation.
func TestMain(m *testing.M) { netnstest.Main(m, furnish) }

// furnish gives the namespace the addresses of this node and of the routers, all on its loopback interface: GTSM, TTL,
// TCP MD5 and bound sockets are the kernel's all the same.
func furnish() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	for _, a := range []string{"192.0.2.1/24", "192.0.2.2/24", "192.0.2.3/24", "2001:db8::1/64", "2001:db8::2/64"} {
		parsed, err := netlink.ParseAddr(a)
		if err != nil {
			return err
		}
		parsed.Flags = syscall.IFA_F_NODAD
		if err := netlink.AddrAdd(lo, parsed); err != nil {
			return err
		}
	}
	return nil
}
