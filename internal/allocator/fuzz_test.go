package allocator

import (
	"fmt"
	"math/big"
	"net/netip"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
)

// world drives an Allocator by bytes and holds it to what must be true whatever happens.
type world struct {
	t        testing.TB
	a        *Allocator
	pools    []lb.Pool
	requests map[lb.Key]Request
	has      map[lb.Key][]netip.Addr
}

func FuzzAllocator(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	f.Add([]byte{0, 0, 9, 0, 1, 4, 1, 1, 0, 1, 2, 0, 1, 3, 0, 1, 4, 0, 2, 1, 0, 0, 0, 4, 1, 5, 0})
	f.Add([]byte("a long enough text to reach pools, services, requests and releases in some order or other"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		w := world{t: t, a: New(), requests: map[lb.Key]Request{}, has: map[lb.Key][]netip.Addr{}}
		for len(ops) >= 3 {
			w.step(ops[0], ops[1], ops[2])
			ops = ops[3:]
		}
	})
}

func (w *world) step(op, x, y byte) {
	name := lb.Key{Namespace: "ns", Name: fmt.Sprint(x % 12)}
	var again []lb.Key
	switch op % 4 {
	case 0: // a pool comes, changes or goes; the address space is small so that pools overlap
		p := lb.Pool{Name: fmt.Sprint("p", x%3), Ranges: []netipx.IPRange{small(op, x>>2%8, y%8), small(op>>2, y>>3%8, x%8)}}
		pools := []lb.Pool{}
		for _, q := range w.pools {
			if q.Name != p.Name {
				pools = append(pools, q)
			}
		}
		if y%5 > 0 {
			pools = append(pools, p)
		}
		w.pools = pools
		change := w.a.SetPools(pools)
		for _, l := range change.Losses {
			if w.inPools(l.Address) {
				w.t.Fatalf("%s left though a pool holds it", l.Address)
			}
			w.forget(l.Service, l.Address)
		}
		again = change.Again
	case 1, 2:
		r := Request{Service: name, Families: [][]lb.Family{v4, v6, both}[y%3], Policy: lb.FamilyPolicy(y / 3 % 3)}
		if op&4 > 0 {
			r.Pool = fmt.Sprint("p", y%4)
		}
		if op&8 > 0 {
			r.Addresses = []netip.Addr{small(op>>4, x>>4, 0).From()}
		}
		if op&16 > 0 {
			r.Current = []netip.Addr{small(op>>5, y>>4, 0).From(), small(op>>6, x>>4, 0).From()}
		}
		w.requests[name] = r
		again = append(w.decide(r), name)
	case 3:
		delete(w.requests, name)
		delete(w.has, name)
		again = w.a.Release(name, epoch)
	}
	// as the controller does: until nobody is left to ask
	for rounds := 0; len(again) > 0; rounds++ {
		if rounds > 1000 {
			w.t.Fatal("the same Services are asked again and again")
		}
		again = append(again[1:], w.decide(w.requests[again[0]])...)
	}
	w.check()
}

func small(kind, from, more byte) netipx.IPRange {
	var base netip.Addr
	if kind&1 == 0 {
		base = netip.AddrFrom4([4]byte{192, 0, 2, from % 16})
	} else {
		base = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: from % 16})
	}
	last := base
	for range more {
		last = last.Next()
	}
	return netipx.IPRangeFrom(base, last)
}

func (w *world) decide(r Request) []lb.Key {
	if r.Service == (lb.Key{}) {
		w.t.Fatal("asked to decide a Service that is gone")
	}
	before := w.has[r.Service]
	d := w.a.Decide(r)
	var now []netip.Addr
	for _, x := range d.Assignments {
		now = append(now, x.Address)
	}
	w.has[r.Service] = now
	for _, addr := range before {
		kept := len(r.Addresses) > 0 || r.Pool != ""
		for _, n := range now {
			kept = kept || n == addr
		}
		inFamily := false
		for _, f := range r.Families {
			inFamily = inFamily || f == lb.FamilyOf(addr)
		}
		if !kept && inFamily {
			w.t.Fatalf("%s lost %s for no reason: %+v", r.Service, addr, d)
		}
	}
	return d.Again
}

func (w *world) forget(k lb.Key, addr netip.Addr) {
	var rest []netip.Addr
	for _, a := range w.has[k] {
		if a != addr {
			rest = append(rest, a)
		}
	}
	w.has[k] = rest
}

func (w *world) inPools(addr netip.Addr) bool {
	for _, p := range w.pools {
		for _, r := range p.Ranges {
			if r.Contains(addr) {
				return true
			}
		}
	}
	return false
}

// check holds the allocator to its promises by slow, obvious means.
func (w *world) check() {
	holders := map[netip.Addr]lb.Key{}
	for k, list := range w.has {
		for _, addr := range list {
			if other, twice := holders[addr]; twice {
				w.t.Fatalf("%s given to both %s and %s", addr, k, other)
			}
			holders[addr] = k
			if !w.inPools(addr) {
				w.t.Fatalf("%s has %s, which is in no pool", k, addr)
			}
			if h := w.a.Holders(addr); len(h) != 1 || h[0] != k {
				w.t.Fatalf("%s has %s, but the allocator says %s", k, addr, h)
			}
		}
	}
	if n := w.a.taken.Len(); n != len(holders) {
		w.t.Fatalf("the allocator counts %d assignments, there are %d", n, len(holders))
	}
	// total, used and free agree, and no two pools hold one address
	sum := [2]int64{}
	for _, p := range w.a.pools {
		usage, _ := w.a.Usage(p.Name)
		for _, f := range lb.Families {
			free := int64(0)
			p.free.tree.Scan(func(e entry[struct{}]) bool {
				if lb.FamilyOf(e.ips.From()) == f {
					for addr := e.ips.From(); ; addr = addr.Next() {
						free++
						if _, taken := holders[addr]; taken {
							w.t.Fatalf("%s is both free and assigned", addr)
						}
						if addr == e.ips.To() {
							break
						}
					}
				}
				return true
			})
			if usage[f].Available.Cmp(big.NewInt(free)) != 0 {
				w.t.Fatalf("pool %s says %s %s available, there are %d", p.Name, usage[f].Available, f, free)
			}
			sum[f] += usage[f].Total.Int64()
		}
	}
	for _, f := range lb.Families {
		n := int64(0)
		for i := range 32 {
			if w.inPools(small(byte(f), byte(i), 0).From()) && i < 16 {
				n++
			}
			if i >= 16 { // ranges may reach beyond the sixteen first addresses
				addr := small(byte(f), 15, byte(i-15)).To()
				if w.inPools(addr) {
					n++
				}
			}
		}
		if n != sum[f] {
			w.t.Fatalf("the pools hold %d %s addresses, the allocator counts %d", n, f, sum[f])
		}
	}
	// nobody waits for what could be had
	for k, r := range w.requests {
		d := w.a.Decide(r)
		for i, x := range d.Assignments {
			if i >= len(w.has[k]) || w.has[k][i] != x.Address {
				w.t.Fatalf("%s was left waiting for %s, or was given another without need (has %v)", k, x.Address, w.has[k])
			}
		}
	}
}
