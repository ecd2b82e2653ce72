package gossip

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/fxamacker/cbor/v2"
)

// content is what one speaker says to another.
type content struct {
	states     []lb.NodeState
	claims     []lb.Claim
	suspicions []lb.Suspicion
	offers     []lb.Offer
	// leaving is the name of the node whose speaker says good-bye: memberlist does not tell those who left
	// from those who were lost.
	leaving string
	// more tells that a message had something in it that only a later release understands.
	more bool
}

// message is a content as CBOR (RFC 8949) with numbered keys. Speakers of two releases take part in one group
// (docs/upgrade.md), so what a key means never changes, and none is used twice. What a later release adds has a key of
// its own, which is passed over here and not handed on: it must be dispensable while an earlier release is about. A
// value out of the ranges that decode checks has the whole message dropped.
type message struct {
	States     []state     `cbor:"1,keyasint,omitempty"`
	Claims     []claim     `cbor:"2,keyasint,omitempty"`
	Leaving    string      `cbor:"3,keyasint,omitempty"`
	Suspicions []suspicion `cbor:"4,keyasint,omitempty"`
	Offers     []offer     `cbor:"5,keyasint,omitempty"`
}

type state struct {
	Node       string  `cbor:"1,keyasint"`
	Version    uint64  `cbor:"2,keyasint"`
	Interfaces []iface `cbor:"3,keyasint,omitempty"`
	Starting   bool    `cbor:"4,keyasint,omitempty"`
	// Penalty, and two times in milliseconds since 1970.
	Penalty   float64 `cbor:"5,keyasint,omitempty"`
	PenaltyAt int64   `cbor:"6,keyasint,omitempty"`
	Reuse     int64   `cbor:"7,keyasint,omitempty"`
}

type iface struct {
	Name         string           `cbor:"1,keyasint"`
	HardwareAddr net.HardwareAddr `cbor:"3,keyasint,omitempty"`
	Prefixes     []netip.Prefix   `cbor:"2,keyasint,omitempty"`
	// Slaves came later: without it a restart of that node's speaker may be taken for its loss.
	Slaves []net.HardwareAddr `cbor:"4,keyasint,omitempty"`
}

type claim struct {
	Address  netip.Addr  `cbor:"1,keyasint"`
	Node     string      `cbor:"2,keyasint,omitempty"`
	Epoch    uint64      `cbor:"3,keyasint"`
	Standing lb.Standing `cbor:"4,keyasint,omitempty"`
	Of       lb.Key      `cbor:"5,keyasint,omitzero"`
	Asking   bool        `cbor:"6,keyasint,omitempty"`
}

type suspicion struct {
	Node    string `cbor:"1,keyasint"`
	Version uint64 `cbor:"2,keyasint"`
	Silent  bool   `cbor:"3,keyasint,omitempty"`
	// Unheard is in milliseconds.
	Unheard uint32 `cbor:"4,keyasint,omitempty"`
}

type offer struct {
	Address netip.Addr `cbor:"1,keyasint"`
	To      string     `cbor:"2,keyasint"`
	Epoch   uint64     `cbor:"3,keyasint"`
	Held    bool       `cbor:"4,keyasint,omitempty"`
}

// maxCount bounds what epochs and versions can be; limits.go bounds what is believed of them.
const maxCount = 1 << 62

// maxPenalty and maxTime bound a penalty: ten times what one can grow to, and the year 9999 in milliseconds.
const (
	maxPenalty = 1e6
	maxTime    = 253402300799000
)

// exact tells a message of a later release from others by its error.
var exact = func() cbor.DecMode {
	mode, err := cbor.DecOptions{ExtraReturnErrors: cbor.ExtraDecErrorUnknownField}.DecMode()
	if err != nil {
		panic(fmt.Sprintf("CBOR: %v", err)) // only of options that there are not
	}
	return mode
}()

func encode(c content) ([]byte, error) {
	m := message{Leaving: c.leaving}
	for _, s := range c.states {
		x := state{Node: s.Node, Version: s.Version, Starting: s.Starting, Penalty: s.Penalty.Value}
		if x.Penalty > 0 {
			x.PenaltyAt = s.Penalty.At.UnixMilli()
		}
		if !s.Penalty.Reuse.IsZero() {
			x.Reuse = s.Penalty.Reuse.UnixMilli()
		}
		for _, i := range s.Interfaces {
			x.Interfaces = append(x.Interfaces, iface(i))
		}
		m.States = append(m.States, x)
	}
	for _, x := range c.claims {
		m.Claims = append(m.Claims, claim(x))
	}
	for _, s := range c.suspicions {
		ago := min(max(s.Unheard.Milliseconds(), 0), math.MaxUint32)
		m.Suspicions = append(m.Suspicions, suspicion{s.Node, s.Version, s.Silent, uint32(ago)})
	}
	for _, o := range c.offers {
		m.Offers = append(m.Offers, offer(o))
	}
	return cbor.Marshal(m)
}

// decode returns what a message says. An error means that nothing of it is to be believed.
func decode(b []byte) (c content, err error) {
	var m message
	err = exact.Unmarshal(b, &m)
	if unknown := (*cbor.UnknownFieldError)(nil); errors.As(err, &unknown) {
		c.more, m = true, message{} // it is left half read
		err = cbor.Unmarshal(b, &m)
	}
	if err != nil {
		return content{}, fmt.Errorf("decoding a gossip message of %d octets: %w", len(b), err)
	}
	c.leaving = m.Leaving
	for _, s := range m.States {
		x, err := s.check()
		if err != nil {
			return content{}, err
		}
		c.states = append(c.states, x)
	}
	for _, x := range m.Claims {
		if !isAddress(x.Address) {
			return content{}, errors.New("a gossip message has a claim without a valid address")
		}
		if x.Epoch > maxCount || x.Standing > lb.Provisional || (x.Node != "" && !isNodeName(x.Node)) || !isKey(x.Of) {
			return content{}, fmt.Errorf("a gossip message has an impossible claim to %s", x.Address)
		}
		c.claims = append(c.claims, lb.Claim(x))
	}
	for _, s := range m.Suspicions {
		if !isNodeName(s.Node) || s.Version > maxCount {
			return content{}, errors.New("a gossip message has an impossible suspicion")
		}
		c.suspicions = append(c.suspicions, lb.Suspicion{
			Node: s.Node, Version: s.Version, Silent: s.Silent, Unheard: time.Duration(s.Unheard) * time.Millisecond,
		})
	}
	for _, o := range m.Offers {
		if !isAddress(o.Address) || !isNodeName(o.To) || o.Epoch > maxCount {
			return content{}, errors.New("a gossip message has an impossible offer")
		}
		c.offers = append(c.offers, lb.Offer(o))
	}
	return c, nil
}

func (s state) check() (lb.NodeState, error) {
	if !isNodeName(s.Node) || s.Version > maxCount {
		return lb.NodeState{}, errors.New("a gossip message has a state without the name of a node or with an impossible version")
	}
	x := lb.NodeState{Node: s.Node, Version: s.Version, Starting: s.Starting}
	if !(s.Penalty >= 0 && s.Penalty <= maxPenalty) || s.PenaltyAt < 0 || s.PenaltyAt > maxTime || s.Reuse < 0 || s.Reuse > maxTime {
		return lb.NodeState{}, fmt.Errorf("a gossip message has an impossible penalty of node %s", s.Node)
	}
	if s.Penalty > 0 {
		x.Penalty = lb.Penalty{Value: s.Penalty, At: time.UnixMilli(s.PenaltyAt)}
	}
	if s.Reuse > 0 {
		x.Penalty.Reuse = time.UnixMilli(s.Reuse)
	}
	for _, i := range s.Interfaces {
		if n := len(i.HardwareAddr); n != 0 && n != 6 {
			return lb.NodeState{}, fmt.Errorf("a gossip message has a hardware address of %d octets on interface %q of node %s", n, i.Name, s.Node)
		}
		for _, slave := range i.Slaves {
			if n := len(slave); n != 6 {
				return lb.NodeState{}, fmt.Errorf("a gossip message has a hardware address of %d octets of a slave of interface %q of node %s", n, i.Name, s.Node)
			}
		}
		for _, p := range i.Prefixes {
			if !p.IsValid() {
				return lb.NodeState{}, fmt.Errorf("a gossip message has an invalid prefix on interface %q of node %s", i.Name, s.Node)
			}
		}
		x.Interfaces = append(x.Interfaces, lb.Interface(i))
	}
	return x, nil
}

func isAddress(a netip.Addr) bool { return a.IsValid() && !a.Is4In6() && a.Zone() == "" }

// isNodeName tells whether s can be the name of a Kubernetes Node, a DNS subdomain (RFC 1123) of at most 253 octets: what
// goes into a log and a status cannot move a terminal's cursor.
func isNodeName(s string) bool {
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}

// isKey tells whether k can name a Service, or names none.
func isKey(k lb.Key) bool { return len(k.Namespace) <= 63 && len(k.Name) <= 253 }

// inMessages cuts claims into lists whose messages have at most so many octets.
func inMessages(claims []lb.Claim, octets int) (lists [][]lb.Claim) {
	const empty = 8 // the message around them
	for len(claims) > 0 {
		n, size := 0, empty
		for n < len(claims) && (n == 0 || size+sizeOf(claims[n]) <= octets) {
			size += sizeOf(claims[n])
			n++
		}
		lists = append(lists, claims[:n])
		claims = claims[n:]
	}
	return lists
}

// sizeOf is what a claim takes of a message at most.
func sizeOf(c lb.Claim) int {
	size := claimOctets + len(c.Node)
	if c.Of != (lb.Key{}) {
		size += keyOctets + len(c.Of.Namespace) + len(c.Of.Name)
	}
	return size
}
