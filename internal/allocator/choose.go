package allocator

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// search looks for an address for one place of a Service. It changes nothing.
type search struct {
	a *Allocator
	r Request
	s *service
	// picked is what was found for its other places already.
	picked []pick
	// replaced is what the Service gives back if it gets something.
	replaced []held
}

// lowest is where a search for the first free address of a family begins.
var lowest = [2]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}

// find returns an address for a place, or why there is none and what to wait for.
func (x *search) find(p place) (pick, *Refusal, []want) {
	if p.asked.IsValid() {
		return x.asked(p.asked)
	}
	var serve []*pool
	for _, candidate := range x.candidates() {
		if reason, _ := x.verdict(candidate, p.family); reason == "" {
			serve = append(serve, candidate)
		}
	}
	for _, look := range []func(lb.Family, []*pool) (pick, bool){x.former, x.shared, x.free, x.early} {
		if got, ok := look(p.family, serve); ok {
			return got, nil, nil
		}
	}
	refusal, waits := x.refuse(p.family)
	return pick{}, refusal, waits
}

// candidates are the pools that the Service may get an address from as far as its own wish goes.
func (x *search) candidates() []*pool {
	if x.r.Pool == "" {
		return x.a.pools
	}
	if p, ok := x.a.byName[x.r.Pool]; ok {
		return []*pool{p}
	}
	return nil
}

// asked looks whether the address that the Service insists on can be given.
func (x *search) asked(addr netip.Addr) (pick, *Refusal, []want) {
	reason, message, wait := x.judge(addr)
	if reason != "" {
		return pick{}, &Refusal{reason, message}, wait
	}
	e, _ := x.a.ranges.at(addr)
	return pick{addr: addr, pool: e.value}, nil, nil
}

// judge says why an address that the Service insists on cannot be given; no reason if it can.
func (x *search) judge(addr netip.Addr) (reason Reason, message string, waits []want) {
	e, ok := x.a.ranges.at(addr)
	if !ok {
		return ReasonNotInPool, fmt.Sprintf("no pool holds the requested address %s", addr), nil
	}
	p, of := e.value, want{addr: addr}
	if x.r.Pool != "" && x.r.Pool != p.Name {
		return ReasonNotInPool, fmt.Sprintf("the requested address %s is of pool %s, not of the requested pool %s", addr, p.Name, x.r.Pool), nil
	}
	if reason, why := p.rule(x.r, true); reason != "" {
		return reason, fmt.Sprintf("the requested address %s is of pool %s: %s", addr, p.Name, why), nil
	}
	if p.withholds(addr) {
		return ReasonWithheld, fmt.Sprintf("the requested address %s is of pool %s: withheld, as avoidBuggyIPs says of addresses that end in .0 or .255", addr, p.Name), nil
	}
	if clash := x.a.clash(addr, x.r.Service, x.r.Sharing); clash != "" {
		return ReasonInUse, "the requested address " + clash, []want{of}
	}
	if ret := x.a.retained[addr]; ret != nil && ret.Service != x.r.Service {
		return ReasonRetained, fmt.Sprintf("the requested address %s of pool %s waits for Service %s until %s", addr, p.Name,
			ret.Service, ret.Until.UTC().Format("2006-01-02 15:04:05 MST")), []want{of}
	}
	if h := x.a.holding(addr); (h == nil || !h.of(x.r.Service.Namespace)) && !x.withinQuota(p) {
		return ReasonQuotaExceeded, fmt.Sprintf("the requested address %s is of pool %s: %s", addr, p.Name, p.quotaReached(x.r.Service.Namespace)),
			[]want{{pool: p.Name, namespace: x.r.Service.Namespace}}
	}
	return "", "", nil
}

// rule says why a pool gives a Service nothing, whatever the use of its addresses. By name is true if the
// Service asks for the pool or for one of its addresses.
func (p *pool) rule(r Request, byName bool) (Reason, string) {
	switch {
	case p.Disabled:
		return ReasonDisabled, "disabled"
	case !p.selectsNamespace(r):
		if len(p.NamespaceSelectors) > 0 {
			return ReasonNotSelected, "excluded by namespace selector"
		}
		return ReasonNotSelected, "excluded by namespace list"
	case len(p.ServiceSelectors) > 0 && !selects(p.ServiceSelectors, r.Labels):
		return ReasonNotSelected, "excluded by service selector"
	case p.OnRequest && !byName:
		return ReasonOnRequestOnly, "on request only (autoAssign: false)"
	}
	return "", ""
}

func (p *pool) selectsNamespace(r Request) bool {
	return len(p.Namespaces) == 0 && len(p.NamespaceSelectors) == 0 ||
		slices.Contains(p.Namespaces, r.Service.Namespace) || selects(p.NamespaceSelectors, r.NamespaceLabels)
}

func selects(selectors []lb.Selector, labels map[string]string) bool {
	return slices.ContainsFunc(selectors, func(s lb.Selector) bool { return s.Matches(labels) })
}

// verdict says why a pool gives no address of a family, whichever is free; no reason if it may. A namespace
// that has its quota may still share an address that it has.
func (x *search) verdict(p *pool, f lb.Family) (Reason, string) {
	if reason, why := p.rule(x.r, x.r.Pool == p.Name); reason != "" {
		return reason, why
	}
	if p.total[f].Sign() == 0 {
		return ReasonNoAddressOfFamily, fmt.Sprintf("no %s addresses", f)
	}
	if !x.withinQuota(p) && x.r.Sharing.Key == "" {
		return ReasonQuotaExceeded, p.quotaReached(x.r.Service.Namespace)
	}
	return "", ""
}

// withinQuota tells whether the Service's namespace may have one more address of a pool.
func (x *search) withinQuota(p *pool) bool {
	if p.Quota == nil {
		return true
	}
	has, namespace := p.byNamespace[x.r.Service.Namespace], x.r.Service.Namespace
	for _, other := range x.picked {
		if h := x.a.holding(other.addr); other.pool == p && (h == nil || !h.of(namespace)) {
			has++
		}
	}
	for _, old := range x.replaced {
		h := x.a.holding(old.addr)
		if h != nil && h.pool == p && !slices.ContainsFunc(h.holders, func(y holder) bool {
			return y.service.Namespace == namespace && y.service != x.r.Service
		}) {
			has--
		}
	}
	return has < *p.Quota
}

func (p *pool) quotaReached(namespace string) string {
	return fmt.Sprintf("quota of namespace %s reached: %d in use, %d allowed", namespace, p.byNamespace[namespace], *p.Quota)
}

// former looks for an address that the Service had before it was deleted, or before its pool was.
func (x *search) former(f lb.Family, pools []*pool) (found pick, ok bool) {
	consider := func(addr netip.Addr, p *pool) {
		h := x.a.holding(addr)
		counted := h != nil && h.of(x.r.Service.Namespace)
		if slices.Contains(pools, p) && (counted || x.withinQuota(p)) && (!ok || addr.Less(found.addr)) {
			found, ok = pick{addr: addr, pool: p}, true
		}
	}
	for _, ret := range x.a.awaited[x.r.Service] {
		if lb.FamilyOf(ret.Address) == f {
			consider(ret.Address, x.a.byName[ret.Pool])
		}
	}
	for _, addr := range x.s.former {
		if lb.FamilyOf(addr) != f {
			continue
		}
		if e, inPool := x.a.ranges.at(addr); inPool {
			_, free := e.value.free.at(addr)
			shared := x.a.holding(addr) != nil && !e.value.withholds(addr) && x.a.clash(addr, x.r.Service, x.r.Sharing) == ""
			if free || shared {
				consider(addr, e.value)
			}
		}
	}
	return found, ok
}

// shared looks for the lowest address that the Service may share.
func (x *search) shared(f lb.Family, pools []*pool) (found pick, ok bool) {
	ring := x.a.rings[ringKey{x.r.Sharing.Key, f}]
	if ring == nil {
		return found, false
	}
	for _, port := range x.r.Sharing.Ports {
		if ring.taken[port] == ring.addresses.Len() {
			return found, false // on every one of them
		}
	}
	ring.addresses.Scan(func(h *holding) bool {
		if slices.Contains(pools, h.pool) && !h.pool.withholds(h.addr) &&
			x.a.clash(h.addr, x.r.Service, x.r.Sharing) == "" && (h.of(x.r.Service.Namespace) || x.withinQuota(h.pool)) {
			found, ok = pick{addr: h.addr, pool: h.pool}, true
		}
		return !ok
	})
	return found, ok
}

// free looks for the lowest free address of the first pool that has one.
func (x *search) free(f lb.Family, pools []*pool) (pick, bool) {
	for _, p := range pools {
		if e, ok := p.free.firstFrom(lowest[f]); ok && x.withinQuota(p) {
			return pick{addr: e.ips.From(), pool: p}, true
		}
	}
	return pick{}, false
}

// early looks for the retained address whose wait ends first, of the first pool that has one.
func (x *search) early(f lb.Family, pools []*pool) (pick, bool) {
	for _, p := range pools {
		if ret, ok := p.waits[f].Min(); ok && x.withinQuota(p) {
			return pick{addr: ret.Address, pool: p, early: ret}, true
		}
	}
	return pick{}, false
}

// nearness orders the reasons of several pools: the one nearest to success comes first.
var nearness = []Reason{ReasonExhausted, ReasonQuotaExceeded, ReasonDisabled, ReasonOnRequestOnly, ReasonNotSelected, ReasonNoAddressOfFamily}

// refuse says, pool by pool, why none of them gives an address of a family, and what to wait for.
func (x *search) refuse(f lb.Family) (*Refusal, []want) {
	pools := x.candidates()
	switch {
	case len(pools) == 0 && x.r.Pool != "":
		return &Refusal{ReasonNoPool, fmt.Sprintf("there is no pool %q", x.r.Pool)}, nil
	case len(pools) == 0:
		return &Refusal{ReasonNoPool, "there is no IPAddressPool"}, nil
	}
	var reason Reason
	var why []string
	var waits []want
	for _, p := range pools {
		because, text := x.refusal(p, f)
		switch because {
		case ReasonExhausted:
			waits = append(waits, want{pool: p.Name, family: f})
		case ReasonQuotaExceeded:
			waits = append(waits, want{pool: p.Name, namespace: x.r.Service.Namespace})
		}
		if reason == "" || slices.Index(nearness, because) < slices.Index(nearness, reason) {
			reason = because
		}
		why = append(why, fmt.Sprintf("pool %s: %s", p.Name, text))
	}
	const most = 5 // a condition is read by people
	if more := len(why) - most; more > 0 {
		why = append(why[:most], fmt.Sprintf("and %d more", more))
	}
	message := strings.Join(why, "; ")
	if ring := x.a.rings[ringKey{x.r.Sharing.Key, f}]; ring != nil {
		waits = append(waits, want{sharing: x.r.Sharing.Key, family: f})
		if h, ok := ring.addresses.Min(); ok {
			if clash := x.a.clash(h.addr, x.r.Service, x.r.Sharing); clash != "" {
				message += "; " + clash
			}
		}
	} else if x.r.Sharing.Key != "" {
		waits = append(waits, want{sharing: x.r.Sharing.Key, family: f})
	}
	return &Refusal{reason, message}, waits
}

// refusal says why a pool gives no address of a family, after a search in vain.
func (x *search) refusal(p *pool, f lb.Family) (Reason, string) {
	if reason, why := x.verdict(p, f); reason != "" {
		return reason, why
	}
	if !x.withinQuota(p) {
		return ReasonQuotaExceeded, p.quotaReached(x.r.Service.Namespace)
	}
	return ReasonExhausted, fmt.Sprintf("exhausted, %d of %s %s addresses in use", p.used[f]-p.withheldUsed[f], p.total[f], f)
}

// Verdict is what a pool is to a request: what the Service has of it, what it could get, or why it gets
// nothing.
type Verdict struct {
	Pool   string
	Family lb.Family
	// Address that the Service has of the pool, if Held, or would get if it needed one now; else invalid.
	Address netip.Addr
	Held    bool
	Reason  Reason // empty if the pool would serve, or does
	Message string
}

// Explain judges every pool for every family of a request, in the order in which they are tried.
func (a *Allocator) Explain(r Request) (verdicts []Verdict) {
	s := a.services[r.Service]
	if s == nil {
		s = &service{}
	}
	places, _ := placesOf(r)
	for _, f := range r.Families {
		for _, p := range a.pools {
			x := &search{a: a, r: r, s: s}
			verdicts = append(verdicts, x.explain(p, f, places)...)
		}
	}
	return verdicts
}

func (x *search) explain(p *pool, f lb.Family, places []place) (verdicts []Verdict) {
	base := Verdict{Pool: p.Name, Family: f}
	for _, h := range x.s.held {
		if e, ok := x.a.ranges.at(h.addr); ok && e.value == p && lb.FamilyOf(h.addr) == f {
			v := base
			v.Address, v.Held, v.Message = h.addr, true, "has "+h.addr.String()
			verdicts = append(verdicts, v)
		}
	}
	if len(verdicts) > 0 {
		return verdicts
	}
	v := base
	refuse := func(reason Reason, format string, args ...any) []Verdict {
		v.Reason, v.Message = reason, fmt.Sprintf(format, args...)
		return []Verdict{v}
	}
	if x.r.Pool != "" && x.r.Pool != p.Name {
		return refuse(ReasonNotRequested, "the Service asks for pool %s", x.r.Pool)
	}
	var asked []netip.Addr
	for _, place := range places {
		if place.family == f && place.asked.IsValid() {
			asked = append(asked, place.asked)
		}
	}
	for _, addr := range asked {
		if e, ok := x.a.ranges.at(addr); !ok || e.value != p {
			continue
		}
		v := base
		v.Reason, v.Message, _ = x.judge(addr)
		if v.Reason == "" {
			v.Address, v.Message = addr, "would give "+addr.String()
		}
		verdicts = append(verdicts, v)
	}
	switch {
	case len(verdicts) > 0:
		return verdicts
	case len(asked) > 0:
		return refuse(ReasonNotRequested, "the Service asks for %s, which is not of this pool", join(asked))
	}
	if reason, why := x.verdict(p, f); reason != "" {
		return refuse(reason, "%s", why)
	}
	for _, look := range []func(lb.Family, []*pool) (pick, bool){x.former, x.shared, x.free, x.early} {
		if got, ok := look(f, []*pool{p}); ok {
			v.Address, v.Message = got.addr, "would give "+got.addr.String()
			if got.early != nil {
				v.Message += fmt.Sprintf(", which waits for Service %s", got.early.Service)
			}
			return []Verdict{v}
		}
	}
	reason, why := x.refusal(p, f)
	return refuse(reason, "%s", why)
}

func join(addrs []netip.Addr) string {
	var parts []string
	for _, addr := range addrs {
		parts = append(parts, addr.String())
	}
	return strings.Join(parts, ", ")
}
