package layer2

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// patience is how long the node that was chosen has to make its claim before the next one is: it may not
// know of the address, because it cannot reach the API server.
const patience = time.Second

// confirmAfter is how long a majority has to be seen after a takeover until the takeover is for good: by
// then a node that was being cut off has seen all the others go.
const confirmAfter = 3 * time.Second

// endAfter is how long an address whose owner let go of it stays silent for who still knows it as the same
// Service's: the API server's news may be late, but not for so long.
const endAfter = 3 * time.Second

// VIP is an address that one node is to answer for.
type VIP struct {
	Address netip.Addr
	Service lb.Key
	// Scopes are the names of the scopes that cover the address. Without one nobody may own it.
	Scopes []string
	// Endpoints are the nodes with an endpoint that serves, where only those may own the address
	// (externalTrafficPolicy: Local); nil where every node may.
	Endpoints map[string]bool
}

// Change is a change of what this node does for an address.
type Change struct {
	Address netip.Addr
	Service lb.Key
	// Owned tells whether this node answers from now on.
	Owned bool
	// Interfaces to answer on, while Owned.
	Interfaces []string
	// Claimed is true if this node became the owner just now, false if it goes on as one (after a restart of
	// its speaker, or on other interfaces).
	Claimed bool
	// From is the node that owned the address before, if this node took over from another.
	From string
}

// Elector decides who owns which address. All speakers that know the same come to the same result. It is
// owned by one goroutine; what an event costs follows the addresses that it touches.
type Elector struct {
	self   string
	scopes map[string]*Scope
	nodes  map[string]*node
	vips   map[netip.Addr]*vip
	claims map[netip.Addr]lb.Claim
	// owned are the addresses by owner as far as this node knows, those that an owner is awaited for included.
	owned map[string]map[netip.Addr]*vip
	// ownerless are the addresses that nobody may own as things are.
	ownerless map[netip.Addr]*vip
	awaited   map[netip.Addr]*vip
	waits     deadlines
	// ended are the addresses whose owner let go of them, while this node knows nothing of the Service's end.
	ended map[netip.Addr]*vip
	ends  deadlines
	// again are the addresses to look at again because a claim was too young to go against.
	again deadlines
	// queue holds the addresses to decide, in the order in which they came up: speakers that hear of
	// addresses in one order choose owners for them in one order, and so with the same loads.
	queue  []netip.Addr
	queued map[netip.Addr]bool
	// pending are this node's takeovers that are not confirmed yet.
	pending deadlines
	// outvoted is true while this node sees no majority; it saw one again at regained.
	outvoted bool
	regained time.Time
	blind    bool
	// unheard is true while this node decides though no other speaker ever answered it.
	unheard bool
}

// vip is a VIP and what became of it.
type vip struct {
	VIP
	owner      string
	since      time.Time       // of waiting for owner's claim; zero if owner has made it
	passed     map[string]bool // nodes that were waited for in vain
	answering  bool            // this node answers
	interfaces []string        // on which it does
	claim      lb.Claim        // this node's own, while it answers
	took       time.Time       // when it made that claim
	heard      lb.Claim        // the claim that counted when the address was last decided
	heardAt    time.Time       // and since when
	endedAt    time.Time       // since when it is in ended
	told       lb.Key          // the Service of the last Change
}

// NewElector returns an elector for the node named self.
func NewElector(self string) *Elector {
	return &Elector{
		self: self, scopes: map[string]*Scope{}, nodes: map[string]*node{}, vips: map[netip.Addr]*vip{},
		claims: map[netip.Addr]lb.Claim{}, owned: map[string]map[netip.Addr]*vip{},
		ownerless: map[netip.Addr]*vip{}, awaited: map[netip.Addr]*vip{},
		waits: deadlines{after: patience}, ended: map[netip.Addr]*vip{}, ends: deadlines{after: endAfter}, again: deadlines{after: patience},
		pending: deadlines{after: confirmAfter}, queued: map[netip.Addr]bool{},
	}
}

// SetVIP adds or replaces an address.
func (e *Elector) SetVIP(v VIP) {
	x := e.vips[v.Address]
	if x == nil {
		x = &vip{}
		e.vips[v.Address] = x
		e.ownerless[v.Address] = x
	}
	x.VIP = v
	delete(e.ended, v.Address)
	e.touch(v.Address)
}

// RemoveVIP forgets an address that nobody is to answer for any more.
func (e *Elector) RemoveVIP(address netip.Addr) {
	e.touch(address)
	if x := e.vips[address]; x != nil {
		x.Scopes = nil
		x.Service = lb.Key{}
	}
}

// SetScope adds or replaces a scope; only addresses that it can make a difference to are decided again.
func (e *Elector) SetScope(s Scope) {
	old := e.scopes[s.Name]
	e.scopes[s.Name] = &s
	if old == nil || !slices.Equal(old.Interfaces, s.Interfaces) {
		e.touchAll(func(x *vip) bool { return slices.Contains(x.Scopes, s.Name) })
		return
	}
	for name := range old.Nodes {
		if !s.Nodes[name] {
			e.touchNode(name)
		}
	}
	e.touchUnsettled()
}

// RemoveScope removes a scope.
func (e *Elector) RemoveScope(name string) {
	delete(e.scopes, name)
	e.touchAll(func(x *vip) bool { return slices.Contains(x.Scopes, name) })
}

// Hear takes note of a claim, this node's own included.
func (e *Elector) Hear(c lb.Claim) {
	if !c.Beats(e.claims[c.Address]) {
		return
	}
	e.claims[c.Address] = c
	if x := e.vips[c.Address]; x != nil && c.Node == "" && c.Of == x.Service {
		e.ended[c.Address] = x
		x.endedAt = time.Time{}
	}
	e.touch(c.Address)
}

// Blind takes note whether this node's news of the API server may be old. While they are, it believes the
// claims of others, whatever it knows itself, and takes nothing that an owner has let go of.
func (e *Elector) Blind(blind bool) {
	if e.blind != blind {
		e.blind = blind
		e.touchSorted(e.ended)
	}
}

func (e *Elector) touch(address netip.Addr) {
	if !e.queued[address] {
		e.queued[address] = true
		e.queue = append(e.queue, address)
	}
}

func (e *Elector) touchNode(name string) { e.touchSorted(e.owned[name]) }

// touchUnsettled queues the addresses that a node which comes or may do more can make a difference to.
func (e *Elector) touchUnsettled() {
	e.touchSorted(e.awaited)
	e.touchSorted(e.ownerless)
}

// touchSorted queues addresses in their own order, which is the same for all speakers.
func (e *Elector) touchSorted(set map[netip.Addr]*vip) {
	for _, a := range slices.SortedFunc(maps.Keys(set), netip.Addr.Compare) {
		e.touch(a)
	}
}

func (e *Elector) touchAll(match func(*vip) bool) {
	set := map[netip.Addr]*vip{}
	for a, x := range e.vips {
		if match(x) {
			set[a] = x
		}
	}
	e.touchSorted(set)
}

// Decide settles all that came up. It returns what changes for this node, and the claims that it makes,
// which the caller tells the others. If it returns a wake time, it wants to be asked again then.
func (e *Elector) Decide(now time.Time) (changes []Change, claims []lb.Claim, wake time.Time) {
	e.count(now)
	claims = e.confirm(now)
	for _, a := range e.waits.due(now, func(d deadline) bool {
		x := e.awaited[d.address]
		return x != nil && x.since.Equal(d.since)
	}) {
		x := e.awaited[a]
		if x.passed == nil {
			x.passed = map[string]bool{}
		}
		x.passed[x.owner] = true
		e.touch(a)
	}
	for _, a := range e.again.due(now, func(d deadline) bool { x := e.vips[d.address]; return x != nil && x.heardAt.Equal(d.since) }) {
		e.touch(a)
	}
	for _, a := range e.ends.due(now, func(d deadline) bool { x := e.ended[d.address]; return x != nil && x.endedAt.Equal(d.since) }) {
		e.touch(a)
	}
	queue := e.queue
	e.queue = nil
	clear(e.queued)
	for _, a := range queue {
		x := e.vips[a]
		if x == nil {
			continue
		}
		before, interfaces := x.answering, x.interfaces
		from := e.claims[a].Node
		claim, made := e.settle(x, now)
		if made {
			claims = append(claims, claim)
		}
		if x.Service == (lb.Key{}) {
			e.place(x, "")
			delete(e.ownerless, a)
			delete(e.ended, a)
			delete(e.vips, a)
		}
		if x.answering != before || (x.answering && (x.told != x.Service || !slices.Equal(interfaces, x.interfaces))) {
			c := Change{Address: a, Service: x.told, Owned: x.answering, Interfaces: x.interfaces}
			if x.answering {
				c.Service, x.told = x.Service, x.Service
			}
			if c.Claimed = x.answering && !before && made; c.Claimed && from != e.self {
				c.From = from
			}
			changes = append(changes, c)
		}
	}
	for _, d := range []*deadlines{&e.waits, &e.pending, &e.again, &e.ends} {
		if at := d.next(); wake.IsZero() || (!at.IsZero() && at.Before(wake)) {
			wake = at
		}
	}
	return changes, claims, wake
}

// confirm makes those takeovers good that were long enough ago.
func (e *Elector) confirm(now time.Time) (claims []lb.Claim) {
	for _, a := range e.pending.due(now, func(d deadline) bool {
		x := e.vips[d.address]
		return x != nil && x.answering && x.took.Equal(d.since) && x.claim.Standing != lb.Confirmed && e.claims[d.address] == x.claim
	}) {
		x := e.vips[a]
		x.claim.Standing = lb.Confirmed
		e.claims[a] = x.claim
		claims = append(claims, x.claim)
	}
	return claims
}

// settle decides one address. It returns the claim that this node makes, if it makes one.
func (e *Elector) settle(x *vip, now time.Time) (claim lb.Claim, made bool) {
	heard := e.claims[x.Address]
	if heard != x.heard {
		x.heard, x.heardAt = heard, now
	}
	if e.ended[x.Address] != nil && e.rests(x, now) {
		return lb.Claim{}, false
	}
	if x.answering && heard.Node != e.self && e.contests(x, heard, now) {
		// It was the other one that was cut off, not we: it has to know that the owner is still there.
		return e.take(x, heard.Epoch+1, lb.Confirmed, now), true
	}
	if n := e.nodes[heard.Node]; x.answering && heard.Node != e.self && heard.Beats(x.claim) && n != nil && !n.alive {
		// A claim that was made while this node was cut off reaches it before the claimant does.
		e.silence(x)
		e.await(x, heard.Node, now)
		return lb.Claim{}, false
	}
	if x.owner == heard.Node && !x.since.IsZero() && !x.passed[x.owner] {
		if n := e.nodes[heard.Node]; n != nil && !n.alive {
			return lb.Claim{}, false // still to show that it is there
		}
	}
	if x.Service == (lb.Key{}) && x.answering && heard.Node == e.self {
		e.silence(x)
		e.claims[x.Address] = lb.Claim{Address: x.Address, Epoch: heard.Epoch + 1, Of: x.told}
		return e.claims[x.Address], true
	}
	if heard.Node != "" && (e.candidate(heard.Node, x) || e.believes(x, heard, now)) {
		x.passed = nil
		e.place(x, heard.Node)
		if heard.Node == e.self {
			e.answer(x, heard)
		} else {
			e.silence(x)
		}
		return lb.Claim{}, false
	}
	chosen := e.choose(x)
	switch {
	case chosen == "":
		e.place(x, "")
		e.silence(x)
	case chosen == e.self:
		return e.take(x, heard.Epoch+1, e.standing(heard.Node), now), true
	case x.owner != chosen || x.since.IsZero():
		// This node may answer still; it does so until the other has made its claim.
		e.await(x, chosen, now)
	}
	return lb.Claim{}, false
}

// believes tells whether this node goes along with another's claim although, as far as it knows, that one may
// not own the address. The claimant may know better: news of the API server reach the speakers at different
// times. So a claim is believed for a while, and by a node that has no news at all it is believed for good.
func (e *Elector) believes(x *vip, heard lb.Claim, now time.Time) bool {
	n := e.nodes[heard.Node]
	if heard.Node == e.self || n == nil || !n.alive || x.Service == (lb.Key{}) {
		return false
	}
	if e.blind {
		return true
	}
	if now.Sub(x.heardAt) >= patience {
		return false
	}
	e.again.add(x.Address, x.heardAt)
	return true
}

// rests tells whether an address whose owner let go of it is to stay silent, and sees to that.
func (e *Elector) rests(x *vip, now time.Time) bool {
	if e.claims[x.Address].Node != "" || x.Service == (lb.Key{}) || (!e.blind && !x.endedAt.IsZero() && now.Sub(x.endedAt) >= endAfter) {
		delete(e.ended, x.Address)
		return false
	}
	if x.endedAt.IsZero() {
		x.endedAt = now
		e.ends.add(x.Address, now)
	}
	e.place(x, "")
	e.silence(x)
	return true
}

// await books an address as owned by a node that has still to show that it is there.
func (e *Elector) await(x *vip, owner string, now time.Time) {
	e.place(x, owner)
	x.since = now
	e.awaited[x.Address] = x
	e.waits.add(x.Address, now)
}

// contests tells whether this node, which answers, has reason to insist against a claim that beats its own.
func (e *Elector) contests(x *vip, heard lb.Claim, now time.Time) bool {
	if !e.candidate(e.self, x) {
		return false
	}
	switch heard.Standing {
	case lb.Pending:
		return e.steady(now)
	case lb.Provisional:
		return x.claim.Standing != lb.Provisional || e.steady(now)
	}
	return false
}

// standing is how sure this node is when it takes over from another, or from nobody.
func (e *Elector) standing(from string) lb.Standing {
	switch n := e.nodes[from]; {
	case e.outvoted:
		return lb.Provisional
	case n != nil && n.lost:
		return lb.Pending
	}
	return lb.Confirmed
}

// take makes this node the owner.
func (e *Elector) take(x *vip, epoch uint64, standing lb.Standing, now time.Time) lb.Claim {
	c := lb.Claim{Address: x.Address, Node: e.self, Epoch: epoch, Standing: standing}
	e.claims[x.Address] = c
	if standing == lb.Pending {
		e.pending.add(x.Address, now)
	}
	x.passed, x.took = nil, now
	e.place(x, e.self)
	e.answer(x, c)
	return c
}

func (e *Elector) answer(x *vip, own lb.Claim) {
	x.answering, x.claim, x.interfaces = true, own, e.reach(e.self, x)
}

func (e *Elector) silence(x *vip) { x.answering, x.claim, x.interfaces = false, lb.Claim{}, nil }

// place books an address as owned by a node, or by nobody.
func (e *Elector) place(x *vip, owner string) {
	a := x.Address
	delete(e.owned[x.owner], a)
	delete(e.ownerless, a)
	delete(e.awaited, a)
	x.owner, x.since = owner, time.Time{}
	if owner == "" {
		e.ownerless[a] = x
		return
	}
	if e.owned[owner] == nil {
		e.owned[owner] = map[netip.Addr]*vip{}
	}
	e.owned[owner][a] = x
}

// choose returns the node that is to own an address which has no owner: the first by rank that is not
// loaded by more than a quarter above the mean. Nodes that were waited for in vain come last. Who is the
// owner already, by this node's book, is chosen again: the claim that counts may be that of a node which
// was cut off and that we do not see yet, and the owner is about to contest it.
func (e *Elector) choose(x *vip) string {
	if x.owner != "" && !x.passed[x.owner] && e.candidate(x.owner, x) {
		return x.owner
	}
	type ranked struct {
		node string
		rank uint64
		load int
	}
	var list []ranked
	sum := 0
	for name := range e.nodes {
		if e.candidate(name, x) {
			load := len(e.owned[name])
			if x.owner == name {
				load-- // without this address itself
			}
			list = append(list, ranked{name, lb.Rank(x.Address, name), load})
			sum += load
		}
	}
	if len(list) == 0 {
		return ""
	}
	slices.SortFunc(list, func(a, b ranked) int {
		if p, q := x.passed[a.node], x.passed[b.node]; p != q {
			if p {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.node, b.node))
	})
	// ceil(1.25 × (sum+1)/n), in whole numbers
	most := (5*(sum+1) + 4*len(list) - 1) / (4 * len(list))
	for _, r := range list {
		if r.load < most && !x.passed[r.node] {
			return r.node
		}
	}
	if x.passed[list[0].node] {
		x.passed = nil // everybody was waited for in vain: begin again
	}
	return list[0].node
}

// candidate tells whether a node may own an address.
func (e *Elector) candidate(name string, x *vip) bool {
	n := e.nodes[name]
	return n != nil && n.alive && n.barred == "" && (x.Endpoints == nil || x.Endpoints[name]) && len(e.reach(name, x)) > 0
}

// reach returns the interfaces on which a node may answer for an address, sorted.
func (e *Elector) reach(name string, x *vip) (interfaces []string) {
	for _, scope := range x.Scopes {
		if s := e.scopes[scope]; s != nil && s.Nodes[name] {
			interfaces = append(interfaces, s.reach(x.Address, e.nodes[name].interfaces)...)
		}
	}
	slices.Sort(interfaces)
	return slices.Compact(interfaces)
}

// Owners returns the owner of every address, as this node sees it; empty where nobody may own it.
func (e *Elector) Owners() map[netip.Addr]string {
	owners := make(map[netip.Addr]string, len(e.vips))
	for a, x := range e.vips {
		owners[a] = x.owner
	}
	return owners
}
