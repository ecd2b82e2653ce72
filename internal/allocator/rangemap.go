package allocator

import (
	"net/netip"

	"github.com/tidwall/btree"
	"go4.org/netipx"
)

// rangeMap maps addresses of both families to values, kept as ordered, disjoint ranges; neighbours of
// equal value are one range. netip orders all IPv4 addresses before all IPv6 addresses, and Next and Prev
// never cross from one family to the other, so one tree holds both.
type rangeMap[V comparable] struct {
	tree *btree.BTreeG[entry[V]]
}

type entry[V comparable] struct {
	ips   netipx.IPRange
	value V
}

func newRangeMap[V comparable]() rangeMap[V] {
	byFrom := func(a, b entry[V]) bool { return a.ips.From().Less(b.ips.From()) }
	// One goroutine owns the allocator: the tree's own lock would only cost.
	return rangeMap[V]{btree.NewBTreeGOptions(byFrom, btree.Options{NoLocks: true})}
}

// at returns the range that holds address, and false if none does.
func (m rangeMap[V]) at(address netip.Addr) (found entry[V], ok bool) {
	if !address.IsValid() {
		return found, false
	}
	m.tree.Descend(entry[V]{ips: netipx.IPRangeFrom(address, address)}, func(e entry[V]) bool {
		found, ok = e, e.ips.Contains(address)
		return false
	})
	return found, ok
}

// firstFrom returns the lowest range that begins at address or above it, in the address's family.
func (m rangeMap[V]) firstFrom(address netip.Addr) (found entry[V], ok bool) {
	m.tree.Ascend(entry[V]{ips: netipx.IPRangeFrom(address, address)}, func(e entry[V]) bool {
		found, ok = e, e.ips.From().BitLen() == address.BitLen()
		return false
	})
	return found, ok
}

// overlapping returns the ranges that share an address with r, in order.
func (m rangeMap[V]) overlapping(r netipx.IPRange) []entry[V] {
	var found []entry[V]
	if e, ok := m.at(r.From()); ok && e.ips.From() != r.From() {
		found = append(found, e)
	}
	m.tree.Ascend(entry[V]{ips: r}, func(e entry[V]) bool {
		if r.To().Less(e.ips.From()) {
			return false
		}
		found = append(found, e)
		return true
	})
	return found
}

// remove takes the addresses of r out, whichever of them are in.
func (m rangeMap[V]) remove(r netipx.IPRange) {
	for _, e := range m.overlapping(r) {
		m.tree.Delete(e)
		if e.ips.From().Less(r.From()) {
			m.tree.Set(entry[V]{netipx.IPRangeFrom(e.ips.From(), r.From().Prev()), e.value})
		}
		if r.To().Less(e.ips.To()) {
			m.tree.Set(entry[V]{netipx.IPRangeFrom(r.To().Next(), e.ips.To()), e.value})
		}
	}
}

// set gives the addresses of r a value, whatever they had before.
func (m rangeMap[V]) set(r netipx.IPRange, value V) {
	m.remove(r)
	from, to := r.From(), r.To()
	if e, ok := m.at(from.Prev()); ok && e.value == value {
		from = e.ips.From()
	}
	if e, ok := m.at(to.Next()); ok && e.value == value {
		to = e.ips.To()
		m.tree.Delete(e)
	}
	m.tree.Set(entry[V]{netipx.IPRangeFrom(from, to), value})
}
