package allocator

import (
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
)

// Retained is an address that waits for the return of a Service that is gone.
type Retained struct {
	Address netip.Addr
	Service lb.Key
	Pool    string
	Until   time.Time
}

type retention struct{ Retained }

func (x *retention) sooner(y *retention) bool {
	if !x.Until.Equal(y.Until) {
		return x.Until.Before(y.Until)
	}
	return x.Address.Less(y.Address)
}

// retain has an address of pool p, which is neither taken nor free, wait.
func (a *Allocator) retain(r Retained, p *pool) {
	ret := &retention{r}
	a.retained[r.Address] = ret
	a.awaited[r.Service] = append(a.awaited[r.Service], ret)
	a.expiry.Set(ret)
	p.waits[lb.FamilyOf(r.Address)].Set(ret)
	a.dirty[p.Name] = struct{}{}
}

// endRetention is the inverse of retain. The address is neither taken nor free then.
func (a *Allocator) endRetention(ret *retention) {
	delete(a.retained, ret.Address)
	rest := slices.DeleteFunc(a.awaited[ret.Service], func(x *retention) bool { return x == ret })
	if len(rest) == 0 {
		delete(a.awaited, ret.Service)
	} else {
		a.awaited[ret.Service] = rest
	}
	a.expiry.Delete(ret)
	p := a.byName[ret.Pool]
	p.waits[lb.FamilyOf(ret.Address)].Delete(ret)
	a.dirty[p.Name] = struct{}{}
}

// Retain takes over addresses that waited before a restart, where their pool still retains and nobody has
// them by now. It is called after the pools were set and every Service was adopted, before any gets
// something new.
func (a *Allocator) Retain(list []Retained) {
	for _, r := range list {
		e, ok := a.ranges.at(r.Address)
		if !ok || e.value.Retention <= 0 || a.retained[r.Address] != nil {
			continue
		}
		if _, free := e.value.free.at(r.Address); !free {
			continue
		}
		e.value.free.remove(netipx.IPRangeFrom(r.Address, r.Address))
		r.Pool = e.value.Name
		a.retain(r, e.value)
	}
}

// Expire ends the waits that are over. It returns the Services whose own wait may be over by that.
func (a *Allocator) Expire(now time.Time) (again []lb.Key) {
	var woken wakes
	for {
		ret, ok := a.expiry.Min()
		if !ok || ret.Until.After(now) {
			return woken.except(lb.Key{})
		}
		a.endRetention(ret)
		a.giveBack(ret.Address, &woken)
	}
}

// NextExpiry returns when the next wait is over, and false if none is under way.
func (a *Allocator) NextExpiry() (time.Time, bool) {
	ret, ok := a.expiry.Min()
	if !ok {
		return time.Time{}, false
	}
	return ret.Until, true
}

// Retained returns a pool's addresses that wait, by address.
func (a *Allocator) Retained(name string) (list []Retained) {
	p, ok := a.byName[name]
	if !ok {
		return nil
	}
	for _, f := range lb.Families {
		p.waits[f].Scan(func(ret *retention) bool {
			list = append(list, ret.Retained)
			return true
		})
	}
	slices.SortFunc(list, func(x, y Retained) int { return x.Address.Compare(y.Address) })
	return list
}
