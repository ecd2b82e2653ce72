package gossip

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/fxamacker/cbor/v2"
)

// message is what speakers send each other, as CBOR (RFC 8949) with numbered keys: unknown keys of a later
// release are passed over.
type message struct {
	States []state `cbor:"1,keyasint,omitempty"`
	Claims []claim `cbor:"2,keyasint,omitempty"`
	// Leaving is the name of the node whose speaker says good-bye: memberlist does not tell those who left
	// from those who were lost.
	Leaving string `cbor:"3,keyasint,omitempty"`
}

type state struct {
	Node       string  `cbor:"1,keyasint"`
	Version    uint64  `cbor:"2,keyasint"`
	Interfaces []iface `cbor:"3,keyasint,omitempty"`
}

type iface struct {
	Name         string           `cbor:"1,keyasint"`
	HardwareAddr net.HardwareAddr `cbor:"3,keyasint,omitempty"`
	Prefixes     []netip.Prefix   `cbor:"2,keyasint,omitempty"`
}

type claim struct {
	Address  netip.Addr  `cbor:"1,keyasint"`
	Node     string      `cbor:"2,keyasint,omitempty"`
	Epoch    uint64      `cbor:"3,keyasint"`
	Standing lb.Standing `cbor:"4,keyasint,omitempty"`
	Of       lb.Key      `cbor:"5,keyasint,omitzero"`
}

// maxEpoch bounds what is believed: an epoch is a count of takeovers, which never gets there.
const maxEpoch = 1 << 62

func encodeLeaving(node string) ([]byte, error) { return cbor.Marshal(message{Leaving: node}) }

func encode(states []lb.NodeState, claims []lb.Claim) ([]byte, error) {
	var m message
	for _, s := range states {
		x := state{Node: s.Node, Version: s.Version}
		for _, i := range s.Interfaces {
			x.Interfaces = append(x.Interfaces, iface(i))
		}
		m.States = append(m.States, x)
	}
	for _, c := range claims {
		m.Claims = append(m.Claims, claim(c))
	}
	return cbor.Marshal(m)
}

// decode returns what a message says. An error means that nothing of it is to be believed.
func decode(b []byte) (states []lb.NodeState, claims []lb.Claim, leaving string, err error) {
	var m message
	if err := cbor.Unmarshal(b, &m); err != nil {
		return nil, nil, "", fmt.Errorf("decoding a gossip message of %d octets: %w", len(b), err)
	}
	for _, s := range m.States {
		if !nodeName(s.Node) {
			return nil, nil, "", errors.New("a gossip message has a state without the name of a node")
		}
		x := lb.NodeState{Node: s.Node, Version: s.Version}
		for _, i := range s.Interfaces {
			if n := len(i.HardwareAddr); n != 0 && n != 6 {
				return nil, nil, "", fmt.Errorf("a gossip message has a hardware address of %d octets on interface %q of node %s", n, i.Name, s.Node)
			}
			for _, p := range i.Prefixes {
				if !p.IsValid() {
					return nil, nil, "", fmt.Errorf("a gossip message has an invalid prefix on interface %q of node %s", i.Name, s.Node)
				}
			}
			x.Interfaces = append(x.Interfaces, lb.Interface(i))
		}
		states = append(states, x)
	}
	for _, c := range m.Claims {
		if !c.Address.IsValid() || c.Address.Is4In6() || c.Address.Zone() != "" {
			return nil, nil, "", errors.New("a gossip message has a claim without a valid address")
		}
		if c.Epoch > maxEpoch || c.Standing > lb.Provisional || (c.Node != "" && !nodeName(c.Node)) {
			return nil, nil, "", fmt.Errorf("a gossip message has an impossible claim to %s", c.Address)
		}
		claims = append(claims, lb.Claim(c))
	}
	return states, claims, m.Leaving, nil
}

// nodeName tells whether s can be the name of a Kubernetes Node, a DNS subdomain of at most 253 octets.
func nodeName(s string) bool { return s != "" && len(s) <= 253 }
