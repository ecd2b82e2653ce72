package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"
)

// place is where gossip and failure detection listen, for as long as the process lives: the other speakers look for
// this one at its Node's InternalIPs, which may become others.
type place struct {
	node      string
	chosen    bool // by --gossip-address
	addresses func() []netip.Addr
	log       *slog.Logger

	bound atomic.Pointer[netip.Addr] // nil until it is known
}

// Run ends with an error once a start anew leads to where the others look. It looks regularly: whether an address is
// on this machine is told by other means than the Node.
func (p *place) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for told := ""; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		anew, err := p.check()
		switch {
		case anew:
			return err
		case err == nil:
			told = ""
		case err.Error() != told:
			told = err.Error()
			p.log.Warn("the other speakers do not find this one", "error", err)
		}
	}
}

// check returns what is wrong with the place, and whether a start anew mends it.
func (p *place) check() (anew bool, err error) {
	bound := p.bound.Load()
	if bound == nil {
		return false, nil
	}
	return judgePlace(*bound, p.node, p.chosen, p.addresses(), func(a netip.Addr) bool { return checkLocal(a, p.node) == nil })
}

// judgePlace tells what is wrong with gossip at an address while the Node has these InternalIPs, the first of which
// is taken at the next start, unless another was chosen. Local tells whether an address is this machine's.
func judgePlace(bound netip.Addr, node string, chosen bool, addresses []netip.Addr, local func(netip.Addr) bool) (anew bool, err error) {
	switch {
	case len(addresses) == 0 || slices.Contains(addresses, bound):
		return false, nil
	case chosen:
		return false, fmt.Errorf("--gossip-address %s is no InternalIP of Node %s any more, where the other speakers look for this one: it has %v", bound, node, addresses)
	case !local(addresses[0]):
		return false, fmt.Errorf("gossip is at %s, which is no InternalIP of Node %s any more: that is %s now, which is on no interface of this machine yet", bound, node, addresses[0])
	}
	return true, fmt.Errorf("the InternalIP of Node %s is %s now, and gossip was at %s: starting anew", node, addresses[0], bound)
}
