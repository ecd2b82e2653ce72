package layer2

import (
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/bfd"
	"github.com/fairlead-lb/fairlead/internal/gossip"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/prometheus/client_golang/prometheus"
)

// missed is how long a session of three intervals of 50 ms takes to be missed, at the least; the packet before came up to
// an interval earlier. questions is what the questions on the segment take, and more of them where a node is doubted.
const (
	missed    = 100 * time.Millisecond
	missedBy  = 50 * time.Millisecond
	questions = asks * askInterval
	doubting  = (asks + moreAsks) * askInterval
	told      = 64 // others that are told of a suspicion at once
)

// cut takes nodes down. Those of their watchers that are there miss them and suspect them; the rest is found by whoever
// comes after the watchers that are lost.
func (s *swarm) cut(names ...string) {
	var all []string
	for _, p := range s.peers {
		all = append(all, p.name)
	}
	for _, name := range names {
		s.down[name] = true
	}
	for _, name := range names {
		seen := false
		for _, w := range bfd.Watchers(name, all, 2) {
			if s.down[w] {
				continue
			}
			seen = true
			p := s.index[w]
			s.at(missed+time.Duration(s.rand.Int64N(int64(missedBy))), func() { s.accuse(p, name) })
		}
		if !seen {
			s.orphans[name] = bfd.Watchers(name, all, 12)
		}
	}
}

// accuse has a node suspect another one, and tell 64 others at once; gossip tells the rest.
func (s *swarm) accuse(p *simPeer, name string) {
	list := []rumor{{lost: name}}
	for range min(told, len(s.peers)) {
		s.send(s.peers[s.rand.IntN(len(s.peers))], list)
	}
	s.suspect(p, name)
	s.spread(p, list)
}

// suspect has a node ask another one's kernel. It tells whether the suspicion is news.
func (s *swarm) suspect(p *simPeer, name string) bool {
	if p.knows[name] || p.name == name {
		return false
	}
	p.knows[name] = true
	s.at(questions, func() { s.part(p, name) })
	return true
}

// part has a node find another one lost. It asks those that it watches from now on in its place.
func (s *swarm) part(p *simPeer, name string) {
	if key := [2]string{p.name, name}; s.down[p.name] || s.parted[key] {
		return
	} else {
		s.parted[key], p.knows[name] = true, true
	}
	began := time.Now()
	p.e.Part(name, true, s.now)
	s.busy += time.Since(began)
	s.decide(p)
	for orphan, watchers := range s.orphans {
		if p.knows[orphan] || !slices.Contains(watchers, name) {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(watchers), func(w string) bool { return s.parted[[2]string{p.name, w}] })
		if at := slices.Index(left, p.name); at < 0 || at > 1 {
			continue
		}
		s.at(doubting, func() {
			if !s.down[p.name] && !p.knows[orphan] {
				s.accuse(p, orphan)
				s.part(p, orphan)
			}
		})
	}
}

// sizes are what our messages take on the wire, in octets.
type sizes struct {
	claim, message      float64 // one claim more; all else of a message with one
	perFrame, perPacket int
}

// sizesOf asks package gossip itself.
func sizesOf(t testing.TB) (s sizes) {
	g, err := gossip.New(gossip.Config{Node: nodeName(0), Address: netip.MustParseAddr("127.0.0.1"), Key: []byte("k"), Log: slog.New(slog.DiscardHandler),
		Metrics: prometheus.NewRegistry(), Kick: func() {}})
	if err != nil {
		t.Fatal(err)
	}
	var addresses []netip.Addr
	for i := range 200 {
		a := swarmAddress(i)
		addresses = append(addresses, a)
		g.Publish([]lb.Claim{{Address: a, Node: nodeName(0), Epoch: 2, Standing: lb.Pending}})
	}
	const seal = 16
	one, ten := len(g.Seal(addresses[:1], sealedOctets)[0])-seal, len(g.Seal(addresses[:10], sealedOctets)[0])-seal
	s.claim = float64(ten-one) / 9
	s.message = float64(one) - s.claim
	s.perFrame = (len(addresses) + len(g.Seal(addresses, sealedOctets)) - 1) / len(g.Seal(addresses, sealedOctets))
	s.perPacket = int((1400 - 2 - 29) / (s.message + s.claim + 3)) // memberlist's compound header and encryption; a length and a type for each
	return s
}

func (s sizes) frame(claims int) float64 { return 14 + 2 + 16 + s.message + float64(claims)*s.claim }
func (s sizes) packet(messages int) float64 {
	return 14 + 28 + 29 + 2 + float64(messages)*(s.message+s.claim+3)
}
