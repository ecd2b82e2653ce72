package layer2

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"golang.org/x/sync/errgroup"
)

// joinGrace is how long a speaker waits to hear what the others know before it decides alone.
const joinGrace = 5 * time.Second

const (
	// pulse is the pace at which the engine looks even if nothing happens.
	pulse = 500 * time.Millisecond
	// leaseTime is for how long a look is good: a process that is frozen for longer answers nothing until it has
	// heard what happened meanwhile. It is well below the restart grace, in which nobody takes over.
	leaseTime = 2 * time.Second
	// relinkInterval is the pace at which interfaces are looked at without being told of a change.
	relinkInterval = 10 * time.Second
)

// Group is what the engine needs of gossip.
type Group interface {
	Run(ctx context.Context) error
	Joined() bool
	// Asked tells whether every other node has been asked for its speaker.
	Asked() bool
	// Silence is when the last time ended in which this node heard nothing of the others: zero if there was
	// none, now while it lasts.
	Silence() (end time.Time, lasts bool)
	// Contact is when another speaker answered this one last: what is heard without that shows no way there.
	Contact() time.Time
	Take() lb.GossipUpdate
	SetState(lb.NodeState)
	Publish([]lb.Claim)
	Offer([]lb.Offer)
	// Suspect says that a node is not heard, silent if its kernel does not answer either, and for how long it was
	// not; zero if that is not known.
	Suspect(node string, silent bool, unheard time.Duration)
	// Rest says whether a node that is not heard keeps its addresses.
	Rest(node string, resting bool)
	// Refresh hears what others know. It blocks; false if nobody answers.
	Refresh() bool
	// Addresses are where the other speakers are reached.
	Addresses() map[string]netip.Addr
	// Seal makes payloads of the claims to addresses, of at most so many octets. Open takes one in, and returns
	// the addresses to which better claims are known.
	Seal(addresses []netip.Addr, octets int) [][]byte
	Open(payload []byte) (beaten []netip.Addr, err error)
}

// Sessions are what notices at once that another speaker is heard no more.
type Sessions interface {
	Run(ctx context.Context) error
	// SetMembers says who there is, and who of them is lost, which gossip does not know yet. Each is watched by few of
	// the others, and by as many that are not lost. It returns those that this node watches from now on.
	SetMembers(members map[string]netip.Addr, lost func(string) bool) (fresh []string)
	Status() (detection string, sessions []SessionStatus)
}

// wire is what the engine needs of the segments: the Responder.
type wire interface {
	SetLinks([]Link) (again []netip.Addr)
	Own(address netip.Addr, interfaces []string, as net.HardwareAddr)
	Disown(netip.Addr)
	Announce(netip.Addr)
	Renew(until time.Time)
	Probe(Target) error
	Broadcast(interfaces []string, payload []byte)
	Detect(address netip.Addr, interfaces []string, inherited bool, done func(*Sighting))
	Close()
}

// binder is what it needs to put addresses on interfaces: the Binder.
type binder interface {
	Run(ctx context.Context) error
	Set(address netip.Addr, interfaces []string)
	Unset(address netip.Addr)
}

// Config of an Engine.
type Config struct {
	// Node is this node's name.
	Node string
	// RestartGrace is how long the addresses of a node stay where they are whose speaker is gone.
	RestartGrace time.Duration
	Log          *slog.Logger
	Metrics      *Metrics
	// Changed is called, from the engine's loop, after this node began or ceased to answer for addresses, and
	// without changes after something else of Status or of the group's members has changed.
	Changed func([]Change)
	// Lost is called, from the engine's loop, when another speaker was lost.
	Lost func(node string)
	// Busy is called, from the engine's loop, when a turn begins and when it has ended. A turn waits for nothing
	// outside the process.
	Busy func(bool)
}

// Engine joins the Elector and Health to the API's side, to gossip and to the wire. Its loop alone touches
// them.
type Engine struct {
	Config
	group     Group
	sessions  Sessions
	elector   *Elector
	health    *Health
	responder wire
	announcer *Announcer
	binder    binder
	links     func() ([]Link, error)
	neighbors func(interfaces []string) ([]Target, error)
	// watchLinks calls changed whenever links may return something new, until ctx ends.
	watchLinks func(ctx context.Context, log *slog.Logger, changed func()) error
	start      func(task func()) // in a goroutine that the loop waits for at its end
	clock      func() time.Time  // which goes on during a look

	linked   bool // relink has been through
	relinked bool // and found something new
	deciding bool // it has heard what the others know, or there are none
	serving  bool // and it answers for what it owns
	isolated bool // it hears nobody at all
	severed  bool // it has no interface any more on a segment of others
	stale    bool // it was frozen or cut off, and has still to hear what happened meanwhile
	stales   int  // how often it was
	looked   time.Time
	due      time.Time // when it wanted to look again
	tasks    sync.WaitGroup

	// peers are the other nodes as they last told of themselves, and byHardwareAddr who has which address.
	peers          map[string]*neighborhood
	byHardwareAddr map[string]string
	// asking are the interfaces on which nodes, or witnesses, are asked just now.
	asking    map[string]bool
	missed    map[string]bool // nodes whose sessions with this one were lost
	overheard []Target        // hosts that spoke last, the last one last
	conflicts conflicts
	reassert  []assertion // by time
	tidings   tidings
	lastHeard map[string]time.Time // nodes that were lost, until they are back

	kick   chan struct{}
	mu     sync.Mutex
	inbox  []func(*Elector)
	posts  []func(now time.Time)
	status Status
	state  State
	// members are the nodes whose speakers are heard.
	members map[string]bool
}

// State is how far a speaker takes part.
type State string

const (
	// Joining: it has not heard yet what the others know, and decides nothing.
	Joining State = "Joining"
	// Alone: no other speaker has ever answered although there are other nodes. It decides alone.
	Alone State = "Alone"
	// Serving: it takes part.
	Serving State = "Serving"
)

// newEngine returns an engine that has no wire yet: NewEngine gives it one.
func newEngine(c Config) *Engine {
	if c.Changed == nil {
		c.Changed = func([]Change) {}
	}
	if c.Lost == nil {
		c.Lost = func(string) {}
	}
	if c.Busy == nil {
		c.Busy = func(bool) {}
	}
	e := &Engine{
		Config: c, elector: NewElector(c.Node), health: NewHealth(c.RestartGrace),
		peers: map[string]*neighborhood{}, byHardwareAddr: map[string]string{}, asking: map[string]bool{}, missed: map[string]bool{}, lastHeard: map[string]time.Time{}, clock: time.Now, conflicts: newConflicts(),
		kick: make(chan struct{}, 1), state: Joining, status: Status{Owned: map[netip.Addr]Owned{}}, members: map[string]bool{c.Node: true},
	}
	e.start = e.tasks.Go
	e.announcer = NewAnnouncer(func(a netip.Addr) { e.responder.Announce(a) })
	return e
}

// Kick has the engine look at what is new. It never blocks.
func (e *Engine) Kick() {
	select {
	case e.kick <- struct{}{}:
	default:
	}
}

// Update hands the engine something to tell the Elector.
func (e *Engine) Update(tell func(*Elector)) {
	e.mu.Lock()
	e.inbox = append(e.inbox, tell)
	e.mu.Unlock()
	e.Kick()
}

// post hands the loop something to do.
func (e *Engine) post(do func(now time.Time)) {
	e.mu.Lock()
	e.posts = append(e.posts, do)
	e.mu.Unlock()
	e.Kick()
}

// Run takes part in group until ctx ends. It is to be called once the elector has been told, by Update, of
// all that the API server knows: from then on this node counts as one that serves.
func (e *Engine) Run(ctx context.Context, group Group, sessions Sessions) error {
	e.group, e.sessions = group, sessions
	if err := e.relink(); err != nil {
		return err
	}
	defer e.responder.Close()
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return group.Run(ctx) })
	tasks.Go(func() error { return sessions.Run(ctx) })
	tasks.Go(func() error { return e.announcer.Run(ctx) })
	tasks.Go(func() error { return e.binder.Run(ctx) })
	relink := make(chan struct{}, 1)
	tasks.Go(func() error {
		return e.watchLinks(ctx, e.Log, func() {
			select {
			case relink <- struct{}{}:
			default:
			}
		})
	})
	tasks.Go(func() error { e.loop(ctx, relink); return nil })
	return tasks.Wait()
}

func (e *Engine) loop(ctx context.Context, relink <-chan struct{}) {
	defer e.tasks.Wait()
	began := time.Now()
	alone := time.NewTimer(joinGrace)
	defer alone.Stop()
	wake := time.NewTimer(0)
	defer wake.Stop()
	pulses := time.NewTicker(pulse)
	defer pulses.Stop()
	regularly := time.NewTicker(relinkInterval)
	defer regularly.Stop()
	defer e.Busy(false)
	for {
		e.Busy(false)
		again := false
		select {
		case <-ctx.Done():
			return
		case <-relink:
			again = true
		case <-regularly.C:
			again = true // also for what netlink did not tell, and a socket that could not be opened
		case <-alone.C:
		case <-pulses.C:
		case <-e.kick:
		case <-wake.C:
		}
		e.Busy(true)
		var err error
		if again {
			err = e.relink()
		}
		if err != nil {
			e.Log.Error("looking at interfaces failed, going on with those known", "error", err)
		}
		if next := e.look(time.Now(), time.Since(began) >= joinGrace); !next.IsZero() {
			wake.Reset(time.Until(next))
		}
	}
}

// look takes in what is new, decides and acts. It returns when to look again at the latest; zero if at the
// next pulse. patient is true once this node has waited for others for long enough.
func (e *Engine) look(now time.Time, patient bool) (next time.Time) {
	var late time.Duration
	if !e.due.IsZero() && now.After(e.due) {
		late = now.Sub(e.due)
	}
	e.thaw(now)
	isolated := e.isolated
	// In this order: once it has joined, what the others know is there to be taken in.
	joined, changed := e.group.Joined(), false
	if !e.deciding && !joined && patient && e.group.Asked() {
		e.Log.Warn("no other speaker answers, deciding alone")
		e.elector.Unheard()
		e.deciding = true
		changed = e.setState(Alone)
	}
	e.deciding = e.deciding || joined
	silence, _ := e.group.Silence()
	e.elector.Silence(silence)
	changed = e.takeIn(now) || changed
	if joined {
		changed = e.setState(Serving) || changed
	}
	found := e.judge(now, late)
	switch {
	case isolated && !e.isolated:
		e.freshen(now, "this node was cut off")
	case e.isolated && !isolated:
		// Nobody is there to ask for anything. When somebody is again, others may have taken over.
		e.responder.Renew(time.Time{})
	}
	changed = changed || found.changed
	e.due = found.wake
	if e.deciding {
		e.elector.Contact(e.health.heard)
		d := e.elector.Decide(now)
		e.apply(d.Changes, now)
		changed = e.note(now) || changed || e.relinked
		e.relinked = false
		if changed || len(d.Changes) > 0 {
			e.Changed(d.Changes)
		}
		if len(d.Claims) > 0 {
			e.group.Publish(d.Claims)
			var addresses []netip.Addr
			for _, c := range d.Claims {
				addresses = append(addresses, c.Address)
			}
			e.tell(addresses, now)
		}
		if len(d.Offers) > 0 {
			e.group.Offer(d.Offers)
		}
		if !d.Wake.IsZero() && (e.due.IsZero() || d.Wake.Before(e.due)) {
			e.due = d.Wake
		}
		if e.prove(d.Unproven, now) {
			e.due = now
		}
		if !e.serving {
			// Only now: until it answers, another node may be standing in for this one.
			e.serving = true
			e.introduce()
		}
	}
	if again := e.retell(now); !again.IsZero() && (e.due.IsZero() || again.Before(e.due)) {
		e.due = again
	}
	if again := e.reasserts(now); !again.IsZero() && (e.due.IsZero() || again.Before(e.due)) {
		e.due = again
	}
	e.looked = now
	answers := !e.stale && !e.isolated
	if answers {
		e.responder.Renew(now.Add(leaseTime))
	}
	e.Metrics.answers(answers && e.deciding)
	return e.due
}

// thaw notices that this process was frozen: others may have taken over what it still takes for its own. It
// answers nothing until it has heard from one of them, or found nobody.
func (e *Engine) thaw(now time.Time) {
	if e.looked.IsZero() {
		return
	}
	gap, why := absence(e.looked, now)
	if gap <= pulse*3/2 {
		return
	}
	// Others may have taken over: not to be contested, if it turns out so.
	e.elector.Isolated(now)
	if gap <= leaseTime {
		return
	}
	e.Metrics.frozen.Inc()
	e.freshen(now, why)
}

// absence is for how long this node may not have been there between two times, and why that is thought. The wall clock
// goes on where the monotonic one stands still, as while a virtual machine is suspended. If it was only set, nothing is
// lost but a moment.
func absence(before, now time.Time) (gap time.Duration, why string) {
	ran, wall := now.Sub(before), now.Round(0).Sub(before.Round(0))
	if wall > ran+leaseTime {
		return wall, fmt.Sprintf("the clock went ahead by %s: it was set, or this machine stood still", (wall - ran).Round(time.Millisecond))
	}
	return max(ran, wall), fmt.Sprintf("this process did not run for %s", ran.Round(time.Millisecond))
}

// freshen has this node answer nothing until it has heard from another what happened meanwhile, or found that
// nobody is there.
func (e *Engine) freshen(now time.Time, why string) {
	e.elector.Isolated(now)
	e.responder.Renew(time.Time{})
	e.stale = true
	e.stales++
	last := e.stales
	e.Log.Warn("answering nothing until the others are heard", "why", why)
	// On the segment, since that takes no time, and by gossip.
	e.tellSegment(slices.Collect(maps.Keys(e.status.Owned)))
	e.start(func() {
		e.group.Refresh()
		e.post(func(now time.Time) {
			if e.stales != last {
				return // what it has heard is older than the last time
			}
			e.stale = false
			e.elector.Isolated(now)
		})
	})
}

// takeIn tells the elector and the health what is new from the API's side, from gossip and from the wire. It
// tells whether members changed.
func (e *Engine) takeIn(now time.Time) (changed bool) {
	news := e.group.Take() // first: what is posted may say that it is complete
	e.mu.Lock()
	inbox, posts := e.inbox, e.posts
	e.inbox, e.posts = nil, nil
	e.mu.Unlock()
	for _, tell := range inbox {
		tell(e.elector)
	}
	e.health.Heard(e.group.Contact())
	for range news.Losses {
		e.Log.Warn("the others had lost this node")
		e.elector.Penalize(e.Node, now)
	}
	if news.Losses > 0 {
		e.introduce()
		if e.serving {
			// Also for too short a time to notice, as a machine that stood still for half a second.
			e.freshen(now, "the others had lost this node")
		}
	}
	for _, s := range news.Joined {
		changed = e.join(s, now) || changed
	}
	for _, s := range news.Resting {
		e.meet(s, now)
	}
	for _, name := range news.Left {
		changed = e.leave(name, now) || changed
	}
	for _, s := range news.Suspicions {
		if e.health.Suspect(s.Node, s.Version, s.Silent, now) && s.Unheard > 0 {
			e.health.LastHeard(s.Node, now.Add(-s.Unheard))
		}
	}
	for _, name := range news.Lost {
		e.health.Unheard(name, now)
	}
	if len(news.Joined)+len(news.Left)+len(news.Lost) > 0 {
		e.rewatch()
	}
	for _, c := range news.Claims {
		e.elector.Hear(c)
	}
	for _, o := range news.Offers {
		e.elector.Offered(o)
	}
	for _, do := range posts {
		do(now)
	}
	return changed
}

// relink looks at the interfaces of this node and tells everybody whom it concerns.
func (e *Engine) relink() error {
	links, err := e.links()
	if err != nil {
		return err
	}
	e.mu.Lock()
	same := e.linked && slices.EqualFunc(e.status.Links, links, sameLink)
	before := !same && e.askable()
	e.status.Links, e.linked = links, true
	e.mu.Unlock()
	for _, address := range e.responder.SetLinks(links) {
		e.announcer.Start(address)
	}
	if same {
		return nil
	}
	e.relinked = true
	e.elector.Join(e.Node, e.interfaces())
	e.introduce()
	for name, p := range e.peers {
		p.generation = 0
		e.targets(name)
	}
	// An interface that is left is of no use if the others are on none of its segments, as on a bridge for Pods.
	e.severed = len(links) == 0 || (!e.askable() && (before || e.severed))
	e.health.Linked(!e.severed)
	return nil
}

// introduce tells the others of this node.
func (e *Engine) introduce() {
	e.group.SetState(lb.NodeState{Interfaces: e.interfaces(), Starting: !e.serving, Penalty: e.elector.Penalty(e.Node)})
}

// interfaces are what the others are told of this node's links.
func (e *Engine) interfaces() (shared []lb.Interface) {
	for _, l := range e.status.Links {
		shared = append(shared, l.Interface)
	}
	return shared
}

func sameLink(a, b Link) bool {
	return a.Name == b.Name && a.Index == b.Index && string(a.HardwareAddr) == string(b.HardwareAddr) && slices.Equal(a.Prefixes, b.Prefixes) &&
		slices.EqualFunc(a.Slaves, b.Slaves, same)
}

// apply brings the wire in line with what was decided.
func (e *Engine) apply(changes []Change, now time.Time) {
	standsIn, stoodIn := map[string]int{}, map[string]int{}
	for _, c := range changes {
		switch {
		case !c.Owned:
			e.conflicts.ended(c.Address)
			e.binder.Unset(c.Address)
			e.announcer.Stop(c.Address)
			e.responder.Disown(c.Address)
			if node := e.status.Owned[c.Address].For; node != "" {
				stoodIn[node]++
			} else {
				e.Log.Info("no longer answering", "vip", c.Address, "service", c.Service)
			}
		case c.Probe || c.Inherit || (c.For == "" && e.conflicts.detecting[c.Address] != nil): // also for other interfaces
			e.detect(c)
		default:
			e.conflicts.asked(c.Address)
			e.own(c)
			if c.For != "" {
				standsIn[c.For]++
			}
		}
	}
	for _, node := range slices.Sorted(maps.Keys(standsIn)) {
		e.Log.Info("standing in for a node while its speaker is gone", "node", node, "addresses", standsIn[node])
	}
	for _, node := range slices.Sorted(maps.Keys(stoodIn)) {
		e.Log.Info("no longer standing in for a node", "node", node, "addresses", stoodIn[node])
	}
	if len(changes) == 0 {
		return
	}
	e.mu.Lock()
	for _, c := range changes {
		if c.Owned {
			e.status.Owned[c.Address] = e.owned(c, now)
		} else {
			delete(e.status.Owned, c.Address)
		}
	}
	e.Metrics.tally(e.status.Owned)
	e.mu.Unlock()
}

// own has this node answer for an address.
func (e *Engine) own(c Change) {
	e.responder.Own(c.Address, c.Interfaces, c.HardwareAddr)
	e.announcer.Start(c.Address)
	if c.Bind {
		e.binder.Set(c.Address, c.Interfaces)
	} else {
		e.binder.Unset(c.Address)
	}
	switch {
	case c.For != "":
		return
	case c.From != "":
		e.Metrics.takeovers.WithLabelValues(string(c.Cause)).Inc()
		e.tookOver(c)
		e.Log.Info("took over", "vip", c.Address, "service", c.Service, "interfaces", c.Interfaces, "from", c.From, "cause", c.Cause)
	default:
		e.Log.Info("answering", "vip", c.Address, "service", c.Service, "interfaces", c.Interfaces)
	}
}
