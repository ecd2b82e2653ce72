package bgp

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// Table makes routes per peer out of the addresses that this node is to advertise. What it costs to change one
// address does not depend on how many others there are, in the table or under the same aggregate.
//
// The zero value is not ready, see NewTable. It is for one goroutine at a time.
type Table struct {
	phase     Phase
	addresses map[netip.Addr][]reason
	entries   map[netip.Prefix]*entry
	offers    map[string]*offer
	// key and reasons are room to work in.
	key     []byte
	reasons []reason
}

// entry is a prefix that is advertised for at least one reason.
type entry struct {
	prefix netip.Prefix
	// shares are the different offers of the prefix; as a rule there is one.
	shares []share
}

// share is how many addresses have an entry advertised by an offer.
type share struct {
	offer *offer
	count int
}

// offer is what origins of many addresses have in common: there are hardly more than BGPAdvertisements.
type offer struct {
	key string
	// attributes while this node serves, and while it leaves.
	serving, leaving Attributes
	// peers to advertise to, sorted, unless everyone.
	peers    []string
	everyone bool
	// count of the shares of it.
	count int
}

// reason is an origin as the table keeps it: two that are equal are the same pointers.
type reason struct {
	entry *entry
	offer *offer
}

// NewTable returns a table without routes, for a node that serves.
func NewTable() *Table {
	return &Table{
		addresses: map[netip.Addr][]reason{},
		entries:   map[netip.Prefix]*entry{},
		offers:    map[string]*offer{},
	}
}

// Set says why an address is to be advertised, in place of what was said of it before; nothing withdraws it. It
// returns the prefixes, sorted, of which some peer's route may differ from before. The order of origins means
// nothing, those without a valid prefix or with peers that are empty but not nil are left out, and the table keeps
// nothing of the caller's.
func (t *Table) Set(address netip.Addr, origins []Origin) (changed []netip.Prefix) {
	before, now := t.addresses[address], t.reasons[:0]
	for _, o := range origins {
		if r, ok := t.reason(o); ok && !slices.Contains(now, r) {
			now = append(now, r)
		}
	}
	t.reasons = now
	// What stays is not touched, and what comes is counted before what goes is: so nothing that both have in
	// common is dropped in between.
	for _, r := range now {
		if !slices.Contains(before, r) && t.add(r) {
			changed = append(changed, r.entry.prefix)
		}
	}
	same := len(before) == len(now)
	for _, r := range before {
		if !slices.Contains(now, r) {
			same = false
			if t.remove(r) {
				changed = append(changed, r.entry.prefix)
			}
		}
	}
	switch {
	case len(now) == 0:
		delete(t.addresses, address)
	case !same:
		t.addresses[address] = append(before[:0], now...) // nobody else has before
	}
	clear(now) // keep no pointer to what may be gone by the next call
	return ascending(changed, netip.Prefix.Compare)
}

// SetPhase says how far this node is with leaving service, Serving at first. It returns the prefixes, sorted, of
// which some peer's route may differ from before: all or none.
func (t *Table) SetPhase(p Phase) (changed []netip.Prefix) {
	if p == t.phase {
		return nil
	}
	t.phase = p
	return t.Prefixes()
}

// Route returns what a peer is told of a prefix, false for nothing. What it returns must not be changed.
func (t *Table) Route(peer string, prefix netip.Prefix) (Route, bool) {
	e := t.entries[prefix]
	if e == nil || t.phase == Gone {
		return Route{}, false
	}
	return e.route(peer, t.phase)
}

// Routes returns all that a peer is told, sorted by prefix. What it returns must not be changed.
func (t *Table) Routes(peer string) []Route {
	if t.phase == Gone {
		return nil
	}
	var routes []Route
	for _, e := range t.entries {
		if r, ok := e.route(peer, t.phase); ok {
			routes = append(routes, r)
		}
	}
	slices.SortFunc(routes, func(a, b Route) int { return a.Prefix.Compare(b.Prefix) })
	return routes
}

// Prefixes returns, sorted, the prefixes for which there is any origin, in every phase.
func (t *Table) Prefixes() []netip.Prefix {
	prefixes := make([]netip.Prefix, 0, len(t.entries))
	for p := range t.entries {
		prefixes = append(prefixes, p)
	}
	slices.SortFunc(prefixes, netip.Prefix.Compare)
	return prefixes
}

func (e *entry) route(peer string, p Phase) (Route, bool) {
	r, found := Route{Prefix: e.prefix}, false
	for _, s := range e.shares {
		switch a := s.offer.attributes(p); {
		case !s.offer.reaches(peer):
		case !found:
			r.Attributes, found = a, true
		default:
			r.Attributes = r.Attributes.merge(a)
		}
	}
	if !found {
		return Route{}, false
	}
	return r, true
}

func (o *offer) attributes(p Phase) Attributes {
	if p == Leaving {
		return o.leaving
	}
	return o.serving
}

func (o *offer) reaches(peer string) bool {
	if o.everyone {
		return true
	}
	_, found := slices.BinarySearch(o.peers, peer)
	return found
}

// reason returns an origin as the table keeps it, false for one that advertises nothing to anybody. Equal origins,
// whatever their order and whoever made them, have the same. It is for Set, which counts every reason it asks for.
func (t *Table) reason(o Origin) (reason, bool) {
	if !o.Prefix.IsValid() || (o.Peers != nil && len(o.Peers) == 0) {
		return reason{}, false
	}
	prefix := o.Prefix.Masked()
	e := t.entries[prefix]
	if e == nil {
		e = &entry{prefix: prefix}
		t.entries[prefix] = e
	}
	return reason{e, t.offer(o)}, true
}

// offer returns what an origin has in common with others.
func (t *Table) offer(o Origin) *offer {
	attributes, peers := o.Attributes.clean(), ascending(o.Peers, cmp.Compare)
	// Attributes tell where they end in a key, so it ends with them for everyone.
	t.key = attributes.appendKey(t.key[:0])
	for _, p := range peers {
		t.key = binary.BigEndian.AppendUint32(t.key, uint32(len(p)))
		t.key = append(t.key, p...)
	}
	if known := t.offers[string(t.key)]; known != nil {
		return known
	}
	made := &offer{
		key:      string(t.key),
		serving:  attributes.clone(),
		leaving:  attributes.leaving(),
		peers:    slices.Clone(peers),
		everyone: peers == nil,
	}
	t.offers[made.key] = made
	return made
}

// add counts one more reason, and tells whether the prefix was not advertised like that before.
func (t *Table) add(r reason) (changed bool) {
	if i := r.entry.share(r.offer); i >= 0 {
		r.entry.shares[i].count++
		return false
	}
	r.entry.shares = append(r.entry.shares, share{r.offer, 1})
	r.offer.count++
	return true
}

// remove counts one reason less, and tells whether the prefix is not advertised like that any more.
func (t *Table) remove(r reason) (changed bool) {
	e, o := r.entry, r.offer
	i := e.share(o)
	if e.shares[i].count--; e.shares[i].count > 0 {
		return false
	}
	e.shares = slices.Delete(e.shares, i, i+1)
	if len(e.shares) == 0 {
		delete(t.entries, e.prefix)
	}
	if o.count--; o.count == 0 {
		delete(t.offers, o.key)
	}
	return true
}

// share returns where the share of an offer is, -1 if there is none.
func (e *entry) share(o *offer) int {
	return slices.IndexFunc(e.shares, func(s share) bool { return s.offer == o })
}
