package layer2

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// patience is how long the node that was chosen has to make its claim before the next one is: it may not
// know of the address, because it cannot reach the API server.
const patience = time.Second

// hurry is the same for those who were chosen first to take over from a lost node, while clients wait: speakers
// whose news came in another order may each wait for another one. A claim takes milliseconds from node to node,
// and where two make one, its rank decides at once. In a group of more than fewNodes claims spread by gossip
// alone, which takes longer.
const (
	hurry     = 80 * time.Millisecond
	longHurry = 250 * time.Millisecond
	fewNodes  = 64
	hurried   = 3
)

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
	// Probe is true where the segment is to be asked for a foreign host that has the address (RFC 5227,
	// section 2.1.1) before its first announcement.
	Probe bool
	// Inherited is true where another system may answer for the address, as for a Service that is older than this
	// speaker's knowledge of it: before the first of all announcements the segment is asked which node does.
	Inherited bool
}

// Elector decides who owns which address. All speakers that know the same come to the same result. It is
// owned by one goroutine; what an event costs follows the addresses that it touches.
type Elector struct {
	self   string
	scopes map[string]*Scope
	// generation changes with what carries depends on, and populated is which subnets it found addresses in.
	generation uint64
	populated  map[netip.Prefix]bool
	nodes      map[string]*node
	vips       map[netip.Addr]*vip
	// resting are the names of the nodes that rest.
	resting map[string]bool
	// strays are claims to addresses that are not known, or not yet.
	strays map[netip.Addr]lb.Claim
	// owned are the addresses by owner as far as this node knows, those that an owner is awaited for included.
	owned map[string]map[netip.Addr]*vip
	// loads are how many addresses count for each node; early are those that count for another than the owner.
	loads map[string]*int
	early map[netip.Addr]*vip
	// left are the addresses that drained nodes keep because nobody else may own them.
	left map[netip.Addr]*vip
	// ownerless are the addresses that nobody may own as things are.
	ownerless map[netip.Addr]*vip
	counts    counts
	awaited   map[netip.Addr]*vip
	waits     deadlines
	hurries   deadlines
	// ended are the addresses whose owner let go of them, while this node knows nothing of the Service's end,
	// and since when; zero until they are decided.
	ended map[netip.Addr]time.Time
	ends  deadlines
	// again are the addresses to look at again because a claim was too young to go against.
	again deadlines
	// offers are those of others to this node.
	offers map[netip.Addr]lb.Offer
	// balance is what this node gives away, and bequests are offers to those who have an address already.
	balance  balance
	bequests []lb.Offer
	// answered are addresses that this node claimed, and answers for since it knows who had them.
	answered []netip.Addr
	// queue holds the addresses to decide, in the order in which they came up: speakers that hear of
	// addresses in one order choose owners for them in one order, and so with the same loads.
	queue []netip.Addr
	// pending are this node's takeovers that are not confirmed yet.
	pending deadlines
	// outvoted is true while this node sees no majority; it saw one again at regained.
	outvoted bool
	regained time.Time
	// isolated is when this node last heard nobody on the wire.
	isolated time.Time
	// contact is when another host last answered this node; zero where nobody tells it. unproven are the addresses on
	// which it would insist if it were sure to be heard.
	contact  time.Time
	unproven map[netip.Addr]*vip
	blind    bool
	// unheard is true while this node decides though no other speaker ever answered it.
	unheard bool
	// flapping are the nodes that were suppressed and may be so still. most and polled are majority's.
	flapping     map[string]*node
	most, polled bool
	// fields are field's; tier is best's and key is field's, kept for their memory.
	fields  map[string]*field
	subnets map[netip.Prefix]bool
	lengths []int
	tier    []contender
	key     []byte
}

// vip is a VIP and what became of it. There are as many as addresses on every node: what only few need is
// behind a pointer.
type vip struct {
	VIP
	owner   string
	counted string    // the node that the address counts for; see count
	claim   lb.Claim  // the one that counts
	news    bool      // it is new since the address was last decided
	heardAt time.Time // when it was
	queued  bool
	foreign bool // a host that is no speaker has it: this node leaves it alone
	wait    *wait
	duty    *duty // what this node does for it; nil for nothing
	counts  counts
}

// wait is a vip's wait for a claim.
type wait struct {
	since  time.Time       // of waiting for the owner's claim; zero if not waiting
	passed map[string]bool // nodes that were waited for in vain
}

// duty is what this node does for an address.
type duty struct {
	standsFor  string // a resting node; empty for the owner
	mac        string // that node's
	interfaces []string
	bind       bool
	service    lb.Key
	claim      lb.Claim  // the owner's own
	took       time.Time // when it made that claim
	inherits   bool      // it does not answer before it knows which node does, by another system
}

// owns tells whether this node answers for an address as its owner.
func (x *vip) owns() bool { return x.duty != nil && x.duty.standsFor == "" }

func (x *vip) awaiting() bool { return x.wait != nil && !x.wait.since.IsZero() }

func (x *vip) passed(name string) bool { return x.wait != nil && x.wait.passed[name] }

// NewElector returns an elector for the node named self; empty for one that only looks on.
func NewElector(self string) *Elector {
	return &Elector{
		self: self, generation: 1, populated: map[netip.Prefix]bool{}, scopes: map[string]*Scope{}, nodes: map[string]*node{}, vips: map[netip.Addr]*vip{}, resting: map[string]bool{},
		strays: map[netip.Addr]lb.Claim{}, owned: map[string]map[netip.Addr]*vip{},
		ownerless: map[netip.Addr]*vip{}, left: map[netip.Addr]*vip{}, awaited: map[netip.Addr]*vip{}, waits: deadlines{after: patience}, hurries: deadlines{after: hurry},
		loads: map[string]*int{}, early: map[netip.Addr]*vip{}, flapping: map[string]*node{}, fields: map[string]*field{},
		ended: map[netip.Addr]time.Time{}, ends: deadlines{after: endAfter}, again: deadlines{after: patience},
		offers: map[netip.Addr]lb.Offer{}, unproven: map[netip.Addr]*vip{}, pending: deadlines{after: confirmAfter},
	}
}

// SetVIP adds or replaces an address.
func (e *Elector) SetVIP(v VIP) {
	x := e.vips[v.Address]
	if x == nil {
		x = &vip{claim: e.strays[v.Address], news: true}
		delete(e.strays, v.Address)
		e.vips[v.Address] = x
		e.ownerless[v.Address] = x
	}
	if !slices.Equal(x.Scopes, v.Scopes) {
		e.elsewhere(v.Address, len(x.Scopes) == 0)
	}
	x.VIP = v
	delete(e.ended, v.Address)
	e.touch(v.Address)
}

// RemoveVIP forgets an address that nobody is to answer for any more.
func (e *Elector) RemoveVIP(address netip.Addr) {
	if x := e.vips[address]; x != nil {
		e.elsewhere(address, false)
		x.VIP, x.foreign = VIP{Address: address}, false
		e.touch(address)
	}
}

// Foreign takes note that a host which is no speaker has an address: this node lets go of it, so that the
// others stay silent too, and does not take it again until told that the host is gone, or RemoveVIP.
func (e *Elector) Foreign(address netip.Addr, foreign bool) {
	if x := e.vips[address]; x != nil && x.foreign != foreign {
		x.foreign = foreign
		e.touch(address)
	}
}

// SetScope adds or replaces a scope; only addresses that it can make a difference to are decided again.
// Weights make none to an owner.
func (e *Elector) SetScope(s Scope) {
	old := e.scopes[s.Name]
	e.scopes[s.Name] = &s
	clear(e.fields)
	elsewhere := old == nil || !slices.Equal(old.Interfaces, s.Interfaces)
	if elsewhere {
		e.allElsewhere()
	}
	if elsewhere || old.Bind != s.Bind {
		e.touchAll(func(x *vip) bool { return slices.Contains(x.Scopes, s.Name) })
		return
	}
	for _, name := range slices.Sorted(maps.Keys(old.Nodes)) { // in one order, as all that touchSorted does
		if !s.Nodes[name] {
			e.touchNode(name)
		}
	}
	e.touchUnsettled()
}

// RemoveScope removes a scope.
func (e *Elector) RemoveScope(name string) {
	delete(e.scopes, name)
	clear(e.fields)
	e.allElsewhere()
	e.touchAll(func(x *vip) bool { return slices.Contains(x.Scopes, name) })
}

// Hear takes note of a claim, this node's own included.
func (e *Elector) Hear(c lb.Claim) {
	if !c.Beats(e.claim(c.Address)) {
		return
	}
	x := e.vips[c.Address]
	if x == nil {
		e.strays[c.Address] = c
		return
	}
	x.claim, x.news = c, true
	if c.Node == "" && c.Of == x.Service {
		e.ended[c.Address] = time.Time{}
	}
	e.touch(c.Address)
}

// claim returns the claim that counts for an address.
func (e *Elector) claim(a netip.Addr) lb.Claim {
	if x := e.vips[a]; x != nil {
		return x.claim
	}
	return e.strays[a]
}

// Blind takes note whether this node's news of the API server may be old. While they are, it believes the
// claims of others, whatever it knows itself, and takes nothing that an owner has let go of.
func (e *Elector) Blind(blind bool) {
	if e.blind != blind {
		e.blind = blind
		touchSorted(e, e.ended)
	}
}

func (e *Elector) touch(address netip.Addr) {
	if x := e.vips[address]; x != nil && !x.queued {
		x.queued = true
		e.queue = append(e.queue, address)
	}
}

// touchNode queues the addresses that a node owns, and those that count for it still.
func (e *Elector) touchNode(name string) {
	set := e.owned[name]
	for a, x := range e.early {
		if x.counted == name {
			if set = maps.Clone(set); set == nil {
				set = map[netip.Addr]*vip{}
			}
			set[a] = x
		}
	}
	touchSorted(e, set)
}

// touchUnsettled queues the addresses that a node which comes or may do more or less can make a difference to.
func (e *Elector) touchUnsettled() {
	touchSorted(e, e.awaited)
	touchSorted(e, e.ownerless)
	touchSorted(e, e.left)
	e.touchResting()
}

// touchResting queues the addresses that somebody is to stand in for.
func (e *Elector) touchResting() {
	for _, name := range slices.Sorted(maps.Keys(e.resting)) {
		e.touchNode(name)
	}
}

// touchSorted queues addresses in their own order, which is the same for all speakers.
func touchSorted[T any](e *Elector, set map[netip.Addr]T) {
	if len(set) == 0 {
		return
	}
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
	touchSorted(e, set)
}

// Owners returns the owner of every address, as this node sees it; empty where nobody may own it.
func (e *Elector) Owners() map[netip.Addr]string {
	owners := make(map[netip.Addr]string, len(e.vips))
	for a, x := range e.vips {
		owners[a] = x.owner
	}
	return owners
}

// owner returns the owner of an address, as this node sees it; empty if there is none.
func (e *Elector) owner(address netip.Addr) string {
	if x := e.vips[address]; x != nil {
		return x.owner
	}
	return ""
}

// OneOf returns an address of a family that a node owns.
func (e *Elector) OneOf(node string, family lb.Family) (netip.Addr, bool) {
	for a := range e.owned[node] {
		if lb.FamilyOf(a) == family {
			return a, true
		}
	}
	return netip.Addr{}, false
}
