package layer2

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// clientView is what the client saw of an address.
type clientView struct {
	at      string // the host that its cache points at
	served  time.Time
	longest time.Duration
	moves   []string
	// doubled is for how long two hardware addresses answered.
	doubled time.Duration
	// isServed and isDoubled are as at the last look.
	isServed, isDoubled bool
}

// wentOn takes note that all went on as it was when the client looked last.
func (s *ether) wentOn(until time.Time) {
	for _, c := range s.client {
		if c.isServed {
			c.served = until
		}
		if c.isDoubled {
			c.doubled += until.Sub(s.glanced)
		}
	}
	s.glanced = until
}

func (s *ether) watch() {
	s.began = s.now
	for _, a := range s.vips {
		c := s.see(a, "")
		s.client[a] = &clientView{at: c.at, served: s.now}
	}
}

func (s *ether) see(a netip.Addr, at string) *clientView {
	c := s.client[a]
	if c == nil {
		c = &clientView{served: s.now}
	}
	if at != "" && at != c.at {
		if c.at != "" {
			c.moves = append(c.moves, at)
		}
		c.at = at
	}
	return c
}

// glance is the client: it uses the hardware address that it knows, and asks when that leads nowhere.
func (s *ether) glance() {
	s.wentOn(s.now.Add(-time.Millisecond))
	s.glanced, s.expiry = s.now, s.now.Add(time.Hour)
	for _, h := range s.hosts {
		if !s.now.After(h.until) && h.until.Before(s.expiry) {
			s.expiry = h.until
		}
	}
	for _, a := range s.vips {
		c := s.see(a, "")
		s.client[a] = c
		answers := map[string]bool{}
		for _, name := range s.names {
			if as, ok := s.hosts[name].answers(a); ok && s.served(name) {
				answers[as] = true
			}
		}
		if c.isDoubled = len(answers) > 1; c.isDoubled {
			c.doubled += time.Millisecond
		}
		if c.at == "" || !s.served(c.at) {
			for as := range answers {
				if s.served(as) {
					s.see(a, as)
				}
			}
		}
		if c.isServed = c.at != "" && s.served(c.at); c.isServed {
			c.longest = max(c.longest, s.now.Sub(c.served))
			c.served = s.now
		}
	}
}

// result sums up what the client saw since watch.
func (s *ether) result() (longest, doubled time.Duration, moves int, movesOf map[netip.Addr][]string) {
	movesOf = map[netip.Addr][]string{}
	for _, a := range s.vips {
		c := s.client[a]
		longest, doubled = max(longest, c.longest, s.now.Sub(c.served)), max(doubled, c.doubled)
		moves += len(c.moves)
		if len(c.moves) > 0 {
			movesOf[a] = c.moves
		}
	}
	return longest, doubled, moves, movesOf
}

// owners are the hosts whose hardware addresses are answered with, which must be one for each address.
func (s *ether) owners() map[netip.Addr]string {
	owners := map[netip.Addr]string{}
	for _, a := range s.vips {
		var all []string
		for _, name := range s.names {
			if as, ok := s.hosts[name].answers(a); ok && s.served(name) && !slices.Contains(all, as) {
				all = append(all, as)
			}
		}
		if len(all) != 1 {
			s.t.Fatalf("%s: %v answer after %s", a, all, s.now.Sub(s.began))
		}
		owners[a] = all[0]
	}
	return owners
}

func (s *ether) describe(moves map[netip.Addr][]string) string {
	var lines []string
	for a, m := range moves {
		lines = append(lines, fmt.Sprint(a, " to ", strings.Join(m, ", ")))
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}
