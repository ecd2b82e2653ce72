package allocator

import (
	"fmt"
	"maps"
	"math/big"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

func (w *world) same(what string, got, want any) {
	if text := fmt.Sprint(want); fmt.Sprint(got) != text {
		w.fail("%s: the allocator says %v, the model %s", what, got, text)
	}
}

// decide has both decide a request, and holds one to the other.
func (w *world) decide(r Request) Decision {
	sharing, known := w.sharing[r.Service]
	explained := w.real.Explain(r)
	if sharing.Ports = r.Sharing.Ports; !known || !r.Hold {
		sharing = r.Sharing
	}
	w.sharing[r.Service] = sharing
	got, want := w.real.Decide(r), w.model.Decide(r)
	if !known && r.KeyUnknown {
		w.sharing[r.Service] = w.model.services[r.Service].sharing
	}
	w.printf("  %s has %v %v%s", r.Service, got.Assignments, reasons(got), map[bool]string{false: " and waits"}[got.Satisfied])
	of := r.Service.String()
	w.same("what "+of+" has", got.Assignments, want.Assignments)
	w.same("what "+of+" is refused for", reasons(got), reasons(want))
	w.same("if "+of+" is satisfied", got.Satisfied, want.Satisfied)
	w.same("what pool "+of+" asked for", got.Asked, want.Asked)
	w.same("what "+of+" gives up for", got.GivenUp, want.GivenUp)
	w.same("what "+of+" does not adopt", notAdopted(got.NotAdopted), notAdopted(want.NotAdopted))
	for _, n := range want.NotAdopted {
		w.same("if "+of+" lost "+n.Address.String(), lost(got, n.Address), lost(want, n.Address))
	}
	w.same("what "+of+" does not share any more", notAdopted(got.LeftShare), notAdopted(want.LeftShare))
	for _, x := range got.Refusals {
		if x.Message == "" {
			w.fail("%s is refused for %s and not told more", of, x.Reason)
		}
	}
	if !known && len(r.Current) == 0 && !r.Hold && !slices.Contains(reasons(got), ReasonInvalidRequest) {
		w.checkExplained(explained, r, got)
	}
	w.checkLoss(r, got)
	w.shown[r.Service] = got
	w.queue = append(w.queue, got.Again...)
	return got
}

// settle decides whoever is to be decided again, until there is nobody left, as the controller does.
func (w *world) settle() {
	for rounds := 0; len(w.queue) > 0 && w.err == nil; rounds++ {
		key := w.queue[0]
		w.queue = slices.DeleteFunc(w.queue, func(k lb.Key) bool { return k == key })
		r, there := w.requests[key]
		if !there {
			w.fail("%s is to be decided again, and is gone", key)
			return
		}
		if rounds > 500 {
			w.fail("the same Services are decided again and again: %v", w.queue)
			return
		}
		before := w.model.clone()
		had := w.shows(key)
		d := w.decide(r)
		for _, x := range d.Assignments {
			if !slices.Contains(had, x.Address) && !slices.Contains(w.first, key) {
				w.checkTurn(before, key, x.Address)
			}
		}
	}
}

// checkTurn looks if somebody who waited longer could have had an address that was given to one who waited,
// and nobody of them is to be decided yet: whom a freed address wakes is decided after those woken before it.
func (w *world) checkTurn(before *model, key lb.Key, addr netip.Addr) {
	waiters := before.waiters()
	var could []lb.Key
	for _, longer := range waiters[:max(slices.Index(waiters, key), 0)] {
		had := before.having(addr)
		gets := before.clone().Decide(w.requests[longer]).Assignments
		if !slices.Contains(had, longer) && slices.ContainsFunc(gets, func(x Assignment) bool { return x.Address == addr }) {
			could = append(could, longer)
		}
	}
	if len(could) > 0 && !slices.ContainsFunc(could, func(k lb.Key) bool { return slices.Contains(w.queue, k) }) {
		w.fail("%s was given %s before its turn: %v wait longer", key, addr, could)
	}
}

// checkLoss looks for a reason why a Service has lost an address.
func (w *world) checkLoss(r Request, d Decision) {
	for _, x := range w.shown[r.Service].Assignments {
		f := lb.FamilyOf(x.Address)
		asked, has := map[netip.Addr]bool{}, 0
		for _, addr := range r.Addresses {
			if lb.FamilyOf(addr) == f {
				asked[addr] = true
			}
		}
		for _, now := range d.Assignments {
			if lb.FamilyOf(now.Address) == f {
				has++
			}
		}
		clashes := slices.ContainsFunc(w.sharers(x.Address), func(k lb.Key) bool {
			return k != r.Service && !mayShare(w.sharing[k], w.sharing[r.Service])
		})
		switch {
		case slices.ContainsFunc(d.Assignments, func(y Assignment) bool { return y.Address == x.Address }):
		case lost(d, x.Address) && x.Pool != "" && !w.listed[x.Address]: // its pool went while nobody decided
		case !slices.Contains(r.Families, f): // it does not list the family any more
		case clashes: // it cannot share it any more
		case has >= max(len(asked), 1): // it has something else instead
		default:
			w.fail("%s lost %s for no reason", r.Service, x.Address)
		}
	}
}

// checkRestart looks if a restart has cost or brought anybody anything.
func (w *world) checkRestart(before map[lb.Key]Decision) {
	left := false
	for key, d := range before {
		for _, x := range d.Assignments {
			if slices.Contains(w.shown[key].Assignments, x) {
				continue
			}
			// Open: who asks for what cannot be followed had kept more than that, perhaps, and nobody knows it now.
			if r := w.requests[key]; r.Hold || slices.Contains(reasons(d), ReasonInvalidRequest) {
				left = true
				continue
			}
			w.fail("%s lost %v by a restart", key, x)
		}
	}
	for key, d := range before {
		now := w.shown[key]
		if !left && now.Satisfied != d.Satisfied && slices.Equal(now.Assignments, d.Assignments) {
			w.fail("%s was satisfied: %v, and with the same is since a restart: %v", key, d.Satisfied, now.Satisfied)
		}
		if now := now.Assignments; !left && d.Satisfied && len(now) > len(d.Assignments) {
			w.fail("%s had %v, and has %v since a restart", key, d.Assignments, now)
		}
	}
}

// checkLost looks if anybody keeps what it was given and no pool holds, since a pool was edited before a restart.
func (w *world) checkLost(before map[lb.Key]Decision) {
	for key, d := range before {
		for _, x := range w.shown[key].Assignments {
			if given(d) && x.Pool == "" && len(w.pools) > 0 {
				w.fail("%s keeps %s, which no pool holds any more", key, x.Address)
			}
		}
	}
}

// given tells whether all that a Service has is of pools: of a mere address in a status nobody knows whose it was.
func given(d Decision) bool {
	return !slices.ContainsFunc(d.Assignments, func(x Assignment) bool { return x.Pool == "" })
}

// lost tells whether a Service is told that an address left it with its pool.
func lost(d Decision, addr netip.Addr) bool {
	return slices.ContainsFunc(d.NotAdopted, func(n NotAdopted) bool { return n.Address == addr && n.Reason == ReasonLost })
}

// checkState compares what there is to see, and holds it to what must be true by itself.
func (w *world) checkState() {
	dirty := w.real.TakeDirty()
	for _, p := range w.pools {
		got, want := w.usageOf(w.real, p.Name), w.usageOf(w.model, p.Name)
		w.same("the usage of pool "+p.Name, got, want)
		if got != w.usage[p.Name] && !slices.Contains(dirty, p.Name) {
			w.fail("the usage of pool %s has changed, and nobody is told: %s, then %s", p.Name, w.usage[p.Name], got)
		}
		w.usage[p.Name] = got
		w.checkSums(p.Name)
	}
	maps.DeleteFunc(w.usage, func(name, _ string) bool {
		return !slices.ContainsFunc(w.pools, func(p lb.Pool) bool { return p.Name == name })
	})
	var next time.Time
	for _, r := range w.model.retained {
		if next.IsZero() || r.Until.Before(next) {
			next = r.Until
		}
	}
	until, _ := w.real.NextExpiry()
	w.same("the next expiry", until, next)
	for _, f := range lb.Families {
		for i := range 16 {
			addr := nth(f, i)
			got, _ := w.real.PoolOf(addr)
			want, _ := w.model.PoolOf(addr)
			w.same("the pool of "+addr.String(), got, want)
			w.same("who has "+addr.String(), w.real.Holders(addr), w.model.Holders(addr))
			w.checkHolders(addr)
		}
	}
}

func (w *world) usageOf(a interface {
	Usage(string) ([2]Usage, bool)
	Retained(string) []Retained
}, pool string) string {
	usage, ok := a.Usage(pool)
	if !ok {
		return "no such pool"
	}
	text := ""
	for _, u := range usage {
		text += fmt.Sprintf("%s total, %d assigned, %d retained, %s available, %s to %s; ",
			u.Total, u.Assigned, u.Retained, u.Available, u.First, u.Last)
	}
	return text + fmt.Sprint(a.Retained(pool))
}

// checkSums adds up what statuses show of a pool.
func (w *world) checkSums(pool string) {
	assigned, given := [2]map[netip.Addr]bool{{}, {}}, [2]int64{}
	p := w.pools[slices.IndexFunc(w.pools, func(p lb.Pool) bool { return p.Name == pool })]
	for _, d := range w.shown {
		for _, x := range d.Assignments {
			f := lb.FamilyOf(x.Address)
			if x.Pool != pool || assigned[f][x.Address] {
				continue
			}
			assigned[f][x.Address] = true
			if text := x.Address.String(); !p.AvoidBuggyIPs || text != "192.0.1.255" && text != "192.0.2.0" {
				given[f]++
			}
		}
	}
	usage, _ := w.real.Usage(pool)
	for f, u := range usage {
		if u.Assigned != int64(len(assigned[f])) {
			w.fail("pool %s counts %d %s addresses assigned, statuses show %d", pool, u.Assigned, lb.Families[f], len(assigned[f]))
		}
		rest := new(big.Int).Sub(u.Total, big.NewInt(given[f]+u.Retained))
		if rest.Cmp(u.Available) != 0 {
			w.fail("pool %s does not add up: %s of %s", pool, u.Available, rest)
		}
	}
}

// checkHolders compares who is said to have an address with who shows it, and looks if they may all.
func (w *world) checkHolders(addr netip.Addr) {
	sharers := w.sharers(addr)
	for i, x := range sharers {
		for _, y := range sharers[:i] {
			if w.listed[addr] && !mayShare(w.sharing[x], w.sharing[y]) {
				w.fail("both %s and %s have %s", x, y, addr)
			}
		}
		for _, as := range w.shown[x].Assignments {
			if as.Address != addr {
				continue
			} else if as.Pool == "" && w.listed[addr] {
				w.fail("%s has %s of no pool, but one lists it", x, addr)
			} else if as.Pool != "" && !w.listed[addr] {
				w.fail("%s has %s of pool %s, but no pool lists it", x, addr, as.Pool)
			}
		}
	}
	holders := slices.Clone(w.real.Holders(addr))
	slices.SortFunc(holders, byName)
	if w.listed[addr] {
		w.same("who shows "+addr.String(), holders, sharers)
	}
}

// checkExplained looks if what a Service was given and refused is what it would have been told before.
func (w *world) checkExplained(verdicts []Verdict, r Request, d Decision) {
	for _, x := range d.Assignments {
		if !slices.ContainsFunc(verdicts, func(v Verdict) bool {
			return v.Pool == x.Pool && v.Family == lb.FamilyOf(x.Address) && (v.Held || v.Address == x.Address && v.Reason == "")
		}) {
			w.fail("%s was given %v, and the explanation was %+v", r.Service, x, verdicts)
		}
	}
	for _, v := range verdicts {
		if v.Message == "" {
			w.fail("pool %s explains nothing to %s: %+v", v.Pool, r.Service, v)
		}
		// With two families, the one may take from the other's quota.
		if v.Reason == "" && len(r.Families) == 1 && len(r.Addresses) < 2 && len(d.Refusals) > 0 {
			w.fail("%s was refused for %v, and the explanation was %+v", r.Service, reasons(d), v)
		}
	}
}

// checkRest looks if anybody was left waiting for what could be had: decided again, nobody gets anything.
func (w *world) checkRest() {
	same := make([]lb.Pool, len(w.pools))
	for i, p := range w.pools {
		same[len(same)-1-i] = p
	}
	if change := w.real.SetPools(same); len(change.Losses)+len(change.Again) > 0 {
		w.fail("the same pools in another order change something: %+v", change)
	}
	for _, key := range slices.SortedFunc(maps.Keys(w.requests), byName) {
		before := w.shown[key]
		if w.err != nil {
			return
		}
		d := w.decide(w.requests[key])
		if !reflect.DeepEqual(before.Assignments, d.Assignments) || before.Satisfied != d.Satisfied {
			w.fail("%s was left waiting: decided once more it has %v, before %v", key, d.Assignments, before.Assignments)
		}
	}
}

// sharers returns who shows an address, by name.
func (w *world) sharers(addr netip.Addr) (keys []lb.Key) {
	for key := range w.shown {
		if slices.Contains(w.shows(key), addr) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, byName)
	return keys
}

func mayShare(x, y lb.Sharing) bool {
	return x.Key != "" && x.Key == y.Key && x.Backends == y.Backends &&
		!slices.ContainsFunc(x.Ports, func(p lb.Port) bool { return slices.Contains(y.Ports, p) })
}

func byName(x, y lb.Key) int {
	switch {
	case x.Less(y):
		return -1
	case y.Less(x):
		return 1
	}
	return 0
}

// reasons are those of a decision's refusals, each once.
func reasons(d Decision) (list []Reason) {
	for _, r := range d.Refusals {
		list = append(list, r.Reason)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// notAdopted are addresses, each once.
func notAdopted(list []NotAdopted) (addrs []netip.Addr) {
	for _, n := range list {
		addrs = append(addrs, n.Address)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}
