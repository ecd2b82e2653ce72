package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Side is the end of a cable at which it is cut.
type Side int

const (
	// SwitchSide takes the port out of the bridge. Frames are lost both ways and the host notices nothing:
	// its carrier stays. So fails a switch, a VLAN change, or a cable beyond the next switch.
	SwitchSide Side = iota
	// HostSide sets the port down. The host loses its carrier and its kernel knows at once.
	HostSide
)

func (s Side) String() string {
	if s == HostSide {
		return "host side"
	}
	return "switch side"
}

// Cut cuts the cable of a host. Cutting it at the other side as well is possible; Restore mends both.
func (l *Lab) Cut(host *Host, side Side) error {
	port, err := l.network.port(host)
	if err != nil {
		return err
	}
	if side == HostSide {
		err = l.network.sw.nl.LinkSetDown(port)
	} else {
		err = l.network.sw.nl.LinkSetNoMaster(port)
	}
	if err != nil {
		return fmt.Errorf("cutting the cable of %s at the %s: %w", host.Name, side, err)
	}
	return nil
}

// Mute cuts the way out of a host: its frames get no further than the switch, and it goes on hearing all others. So
// fails a transmitter, one fibre of a pair, or a filter on a port. Carrier stays. Restore mends it.
func (l *Lab) Mute(host *Host) error {
	// Before the bridge has learned from the frame where its sender is.
	return l.network.deny(host, muteTable, "prerouting", "iifname")
}

// Deafen cuts the way into a host: it hears nothing, and its frames get out. Carrier stays. Restore mends it.
func (l *Lab) Deafen(host *Host) error {
	return l.network.deny(host, deafenTable, "postrouting", "oifname")
}

// muteTable and deafenTable are the tables of Mute and Deafen in the switch's packet filter, before the host's name.
const muteTable, deafenTable = "lab-mute-", "lab-deafen-"

// deny has the switch drop the frames that pass the port of a host in one direction.
func (n *network) deny(host *Host, table, hook, port string) error {
	table += host.Name
	rules := fmt.Sprintf("add table bridge %[1]s; delete table bridge %[1]s\n"+
		"table bridge %[1]s { chain c { type filter hook %[2]s priority 0; %[3]s %[4]q drop\n}; }", table, hook, port, host.Name)
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := n.sw.run(context.Background(), "nft", rules); err != nil {
		return fmt.Errorf("cutting %s one way: %w", host.Name, err)
	}
	n.denied[table] = true
	return nil
}

// allow ends what deny has done to a host.
func (n *network) allow(host *Host) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, table := range []string{muteTable + host.Name, deafenTable + host.Name} {
		if !n.denied[table] {
			continue
		}
		if _, err := n.sw.run(context.Background(), "nft", "delete table bridge "+table); err != nil {
			return fmt.Errorf("mending the cable of %s one way: %w", host.Name, err)
		}
		delete(n.denied, table)
	}
	return nil
}

// Restore mends the cable of a host, both ways, and puts it back on its segment if the lab was partitioned.
func (l *Lab) Restore(host *Host) error {
	port, err := l.network.port(host)
	if err != nil {
		return err
	}
	if err := l.network.sw.nl.LinkSetMaster(port, host.bridge); err != nil {
		return fmt.Errorf("mending the cable of %s at the switch side: %w", host.Name, err)
	}
	if err := l.network.sw.nl.LinkSetUp(port); err != nil {
		return fmt.Errorf("mending the cable of %s at the host side: %w", host.Name, err)
	}
	return l.network.allow(host)
}

// Partition puts these hosts on an island of the segment: they hear each other and nobody else. Carrier
// stays. Restore brings a host back.
func (l *Lab) Partition(hosts ...*Host) error {
	names := make([]string, 0, len(hosts))
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	slices.Sort(names)
	key := strings.Join(names, " ")
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	island, ok := l.network.islands[key]
	if !ok {
		var err error
		if island, err = l.network.newBridge(fmt.Sprintf("island%d", len(l.network.islands))); err != nil {
			return err
		}
		l.network.islands[key] = island
	}
	for _, h := range hosts {
		port, err := l.network.port(h)
		if err != nil {
			return err
		}
		// Not atomic over the hosts, as no real partition is.
		if err := l.network.sw.nl.LinkSetMaster(port, island); err != nil {
			return fmt.Errorf("moving %s to the island %s: %w", h.Name, island.Name, err)
		}
	}
	return nil
}

// Block has two groups of hosts drop what comes from the other group to or from these ports, over UDP and TCP.
// Everything else passes: ARP, Neighbor Discovery, other ports, other EtherTypes. Unblock ends it.
func (l *Lab) Block(ctx context.Context, a, b []*Host, ports ...uint16) error {
	for _, side := range [][2][]*Host{{a, b}, {b, a}} {
		var v4, v6 []string
		for _, h := range side[1] {
			v4, v6 = append(v4, h.V4.String()), append(v6, h.V6.String())
		}
		var numbers []string
		for _, p := range ports {
			numbers = append(numbers, fmt.Sprint(p))
		}
		of := func(list []string) string { return "{ " + strings.Join(list, ", ") + " }" }
		rules := fmt.Sprintf("table inet %s { chain input { type filter hook input priority -300;\n", blockTable)
		for _, from := range []string{"ip saddr " + of(v4), "ip6 saddr " + of(v6)} {
			for _, end := range []string{"th dport ", "th sport "} {
				rules += from + " meta l4proto { tcp, udp } " + end + of(numbers) + " drop\n"
			}
		}
		for _, h := range side[0] {
			if _, err := h.Run(ctx, "nft", rules+"}; }"); err != nil {
				return fmt.Errorf("blocking ports on %s: %w", h.Name, err)
			}
		}
	}
	return nil
}

// blockTable is the table of Block in a host's packet filter.
const blockTable = "lab-block"

// Unblock lets through what Block has blocked. It does nothing to a host on which nothing is blocked.
func (l *Lab) Unblock(ctx context.Context, hosts ...*Host) error {
	for _, h := range hosts {
		// To add what is there already is no error, to delete what is not would be one.
		if _, err := h.Run(ctx, "nft", "add table inet "+blockTable+"; delete table inet "+blockTable); err != nil {
			return fmt.Errorf("unblocking %s: %w", h.Name, err)
		}
	}
	return nil
}

func (n *network) port(host *Host) (netlink.Link, error) {
	port, err := n.sw.nl.LinkByName(host.Name)
	if err != nil {
		return nil, fmt.Errorf("finding the switch port of %s: %w", host.Name, err)
	}
	return port, nil
}
