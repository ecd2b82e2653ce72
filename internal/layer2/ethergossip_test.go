package layer2

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// fakeTable is gossip's memory: the same rules as package gossip's table.
type fakeTable struct {
	h       *host
	version uint64

	lossVersion uint64
	states      map[string]lb.NodeState
	suspicions  map[string]lb.Suspicion
	claims      map[netip.Addr]lb.Claim
	alive       map[string]bool
	resting     map[string]bool
	contact     time.Time
	news        lb.GossipUpdate
}

func (t *fakeTable) appear(node string) {
	t.resting[node] = false
	t.news.Resting = slices.DeleteFunc(t.news.Resting, func(s lb.NodeState) bool { return s.Node == node })
	st, ok := t.states[node]
	if sus, suspected := t.suspicions[node]; ok && (!suspected || sus.Version < st.Version) {
		t.news.Joined = append(t.news.Joined, st)
	}
	t.h.s.kick(t.h)
}

func (t *fakeTable) merge(states []lb.NodeState, claims []lb.Claim, suspicions []lb.Suspicion) {
	for _, s := range states {
		known, ok := t.states[s.Node]
		if ok && s.Version <= known.Version || s.Node == t.h.name {
			continue
		}
		t.states[s.Node] = s
		if s.Version > t.suspicions[s.Node].Version {
			delete(t.suspicions, s.Node)
		}
		if t.alive[s.Node] {
			t.news.Joined = append(t.news.Joined, s)
		} else if !ok {
			t.news.Resting = append(t.news.Resting, s)
		}
	}
	for _, x := range suspicions {
		if x.Node == t.h.name && x.Silent && x.Version > t.lossVersion {
			t.lossVersion = x.Version
			t.news.Losses++
		}
		if known, ok := t.states[x.Node]; ok && x.Version < known.Version {
			continue
		}
		if x.Node == t.h.name {
			t.version = max(t.version, x.Version)
			t.SetState(t.states[t.h.name])
			continue
		}
		if old, had := t.suspicions[x.Node]; had && !x.Replaces(old) {
			continue
		}
		t.suspicions[x.Node] = x
		t.news.Suspicions = append(t.news.Suspicions, x)
	}
	for _, c := range claims {
		if c.Beats(t.claims[c.Address]) {
			t.claims[c.Address] = c
			t.news.Claims = append(t.news.Claims, c)
		}
	}
	t.h.s.kick(t.h)
}

// say tells all speakers that are reached.
func (t *fakeTable) say(states []lb.NodeState, claims []lb.Claim, suspicions []lb.Suspicion) {
	s := t.h.s
	for _, name := range s.names {
		o := s.hosts[name]
		if name == t.h.name || o.engine == nil || !s.gossips(name, t.h.name) {
			continue
		}
		table, after := o.table, s.soon()
		if slices.ContainsFunc(suspicions, func(x lb.Suspicion) bool { return x.Node == name }) {
			after += s.tardy
		}
		s.at(after, func() { table.merge(states, claims, suspicions) })
	}
}

func (t *fakeTable) Run(context.Context) error { return nil }

func (t *fakeTable) Joined() bool {
	for _, name := range t.h.s.names {
		if o := t.h.s.hosts[name]; name != t.h.name && o.engine != nil && !o.frozen && t.h.s.gossips(name, t.h.name) && !t.alive[name] {
			return len(t.alive) > 0 && t.h.s.now.Sub(t.h.began) > 2*time.Second
		}
	}
	return len(t.alive) > 0
}

func (t *fakeTable) Rest(node string, resting bool) { t.resting[node] = resting }
func (t *fakeTable) Asked() bool                    { return true }

func (t *fakeTable) Silence() (time.Time, bool) {
	return time.Time{}, false
}

func (t *fakeTable) Contact() time.Time { return t.contact }

func (t *fakeTable) Take() lb.GossipUpdate {
	n := t.news
	t.news = lb.GossipUpdate{}
	return n
}

func (t *fakeTable) SetState(own lb.NodeState) {
	t.version++
	own.Node, own.Version = t.h.name, t.version
	t.states[t.h.name] = own
	t.say([]lb.NodeState{own}, nil, nil)
}

func (t *fakeTable) Publish(claims []lb.Claim) {
	var count []lb.Claim
	for _, c := range claims {
		if c.Beats(t.claims[c.Address]) {
			t.claims[c.Address] = c
			count = append(count, c)
		}
	}
	t.say(nil, count, nil)
}

func (t *fakeTable) Offer(offers []lb.Offer) {
	for _, o := range offers {
		if to := t.h.s.hosts[o.To]; to.engine != nil && t.h.s.gossips(o.To, t.h.name) {
			to.table.news.Offers = append(to.table.news.Offers, o)
			t.h.s.kick(to)
		}
	}
}

func (t *fakeTable) Suspect(node string, silent bool, unheard time.Duration) {
	st, ok := t.states[node]
	if !ok {
		return
	}
	x := lb.Suspicion{Node: node, Version: st.Version, Silent: silent}
	if old, had := t.suspicions[node]; had && !x.Replaces(old) {
		x = old
	} else {
		t.suspicions[node] = x
	}
	x.Unheard = unheard
	t.say(nil, nil, []lb.Suspicion{x})
}

func (t *fakeTable) Refresh() (heard bool) {
	for _, name := range t.h.s.names {
		if o := t.h.s.hosts[name]; name != t.h.name && t.h.s.meets(t.h.name, name) {
			t.h.s.meet(t.h, o)
			heard = true
		}
	}
	return heard
}

func (t *fakeTable) Addresses() map[string]netip.Addr {
	addresses := map[string]netip.Addr{}
	for name, alive := range t.alive {
		if alive {
			addresses[name] = ownAddress(name)
		}
	}
	return addresses
}

func (t *fakeTable) Seal(addresses []netip.Addr, _ int) [][]byte {
	var claims []lb.Claim
	for _, a := range addresses {
		claims = append(claims, t.claims[a])
	}
	t.h.s.sealed = append(t.h.s.sealed, claims)
	return [][]byte{fmt.Append(nil, len(t.h.s.sealed)-1)}
}

func (t *fakeTable) Open(payload []byte) (beaten []netip.Addr, err error) {
	var i int
	fmt.Sscan(string(payload), &i)
	for _, c := range t.h.s.sealed[i] {
		if t.claims[c.Address].Beats(c) {
			beaten = append(beaten, c.Address)
		}
	}
	t.merge(nil, t.h.s.sealed[i], nil)
	return beaten, nil
}
