package layer2

import (
	"context"
	"log/slog"
	"maps"
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
	// doubt is how long a node that is said to be lost has to contradict: twice the time that gossip takes to
	// tell it and to bring its answer.
	doubt = 150 * time.Millisecond
	// afterSilence is the same while this node has just been silent itself: its alarms are likely false.
	afterSilence = time.Second
)

// relinkInterval is the pace at which interfaces are looked at without being told of a change.
const relinkInterval = 10 * time.Second

// Group is what the engine needs of gossip.
type Group interface {
	Run(ctx context.Context) error
	Joined() bool
	// Asked tells whether every other node has been asked for its speaker.
	Asked() bool
	// Silence is when the last time ended in which this node heard nothing of the others: zero if there was
	// none, now while it lasts.
	Silence() (end time.Time, lasts bool)
	Take() lb.GossipUpdate
	SetInterfaces([]lb.Interface)
	Publish([]lb.Claim)
}

// Engine joins the Elector to the API's side, to gossip and to the wire. Its loop alone touches the Elector.
type Engine struct {
	// Changed is called, from the engine's loop, after this node began or ceased to answer for addresses, and
	// without changes after something else of Status or of the group's members has changed.
	Changed func([]Change)
	// Lost is called, from the engine's loop, when a speaker was lost: it did not say good-bye.
	Lost func(node string)

	self      string
	log       *slog.Logger
	metrics   *Metrics
	group     Group
	elector   *Elector
	responder *Responder
	announcer *Announcer
	links     func() ([]Link, error)
	linked    bool // relink has been through
	relinked  bool // and found something new
	// doubts are nodes said to be lost, and since when: gossip spreads false alarms too, of a node that was
	// cut off itself, and who is alive contradicts them soon.
	doubts map[string]time.Time

	kick   chan struct{}
	mu     sync.Mutex
	inbox  []func(*Elector)
	status Status
	state  State
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

// Status is what the engine shows of itself.
type Status struct {
	Links []Link
	// Owned are the addresses that this node answers for.
	Owned map[netip.Addr]Owned
}

// Owned is an address that this node answers for.
type Owned struct {
	Service    lb.Key
	Interfaces []string
}

// NewEngine returns an engine for the node named self. Kick, of the result, is the group's.
func NewEngine(self string, log *slog.Logger, metrics *Metrics) *Engine {
	e := &Engine{
		Changed: func([]Change) {}, Lost: func(string) {}, self: self, log: log, metrics: metrics, elector: NewElector(self),
		responder: NewResponder(log, metrics), links: Links, kick: make(chan struct{}, 1),
		doubts: map[string]time.Time{}, state: Joining, status: Status{Owned: map[netip.Addr]Owned{}},
	}
	e.announcer = NewAnnouncer(e.responder.Announce)
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

// Status returns a copy of the engine's status.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Status{Links: e.status.Links, Owned: make(map[netip.Addr]Owned, len(e.status.Owned))}
	for a, o := range e.status.Owned {
		s.Owned[a] = o
	}
	return s
}

// State returns how far this speaker takes part.
func (e *Engine) State() State {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state
}

// setState tells whether the state is new.
func (e *Engine) setState(s State) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	changed := e.state != s
	e.state = s
	return changed
}

// Owns tells whether this node answers for an address.
func (e *Engine) Owns(address netip.Addr) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ok := e.status.Owned[address]
	return ok
}

// Run takes part in group until ctx ends. It is to be called once the elector has been told, by Update, of
// all that the API server knows: from then on this node counts as one that serves.
func (e *Engine) Run(ctx context.Context, group Group) error {
	e.group = group
	if err := e.relink(); err != nil {
		return err
	}
	defer e.responder.Close()
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return group.Run(ctx) })
	tasks.Go(func() error { return e.announcer.Run(ctx) })
	relink := make(chan struct{}, 1)
	tasks.Go(func() error {
		return WatchLinks(ctx, e.log, func() {
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
	began := time.Now()
	alone := time.NewTimer(joinGrace)
	defer alone.Stop()
	wake := time.NewTimer(0)
	defer wake.Stop()
	regularly := time.NewTicker(relinkInterval)
	defer regularly.Stop()
	deciding := false
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-relink:
			err = e.relink()
		case <-regularly.C:
			// Also what netlink did not tell, and a socket that could not be opened.
			err = e.relink()
		case <-alone.C:
		case <-e.kick:
		case <-wake.C:
		}
		if err != nil {
			e.log.Error("looking at interfaces failed, going on with those known", "error", err)
		}
		// In this order: once it has joined, what the others know is there to be taken in.
		joined, changed := e.group.Joined(), false
		if !deciding && !joined && time.Since(began) >= joinGrace && e.group.Asked() {
			e.log.Warn("no other speaker answers, deciding alone")
			e.elector.Unheard()
			deciding = true
			changed = e.setState(Alone)
		}
		deciding = deciding || joined
		now := time.Now()
		silence, silent := e.group.Silence()
		e.elector.Silence(silence)
		changed = e.takeIn(now) || changed
		if joined {
			changed = e.setState(Serving) || changed
		}
		wait := doubt
		if !silent && now.Sub(silence) < afterSilence {
			wait = afterSilence
		}
		gone, again := e.believe(now, wait)
		changed = changed || gone
		if !deciding {
			continue
		}
		changes, claims, next := e.elector.Decide(now)
		e.apply(changes)
		if changed || len(changes) > 0 || e.relinked {
			e.relinked = false
			e.Changed(changes)
		}
		if len(claims) > 0 {
			e.group.Publish(claims)
		}
		if next.IsZero() || (!again.IsZero() && again.Before(next)) {
			next = again
		}
		if !next.IsZero() {
			wake.Reset(time.Until(next))
		}
	}
}

// takeIn tells the elector what is new from the API's side and from gossip. It tells whether members changed.
func (e *Engine) takeIn(now time.Time) (changed bool) {
	e.mu.Lock()
	inbox := e.inbox
	e.inbox = nil
	e.mu.Unlock()
	for _, tell := range inbox {
		tell(e.elector)
	}
	news := e.group.Take()
	for _, name := range news.Lost {
		e.doubts[name] = now
	}
	for _, name := range news.Left {
		delete(e.doubts, name)
		e.log.Info("speaker left", "node", name)
		e.elector.Part(name, false)
	}
	for _, s := range news.Joined {
		delete(e.doubts, s.Node)
		if e.elector.Join(s.Node, s.Interfaces) {
			e.log.Info("speaker takes part", "node", s.Node)
		}
	}
	for _, c := range news.Claims {
		e.elector.Hear(c)
	}
	return len(news.Left)+len(news.Joined) > 0
}

// believe gives up nodes that were said to be lost and did not contradict. It returns when to look again.
func (e *Engine) believe(now time.Time, wait time.Duration) (changed bool, again time.Time) {
	for _, name := range slices.Sorted(maps.Keys(e.doubts)) {
		if due := e.doubts[name].Add(wait); due.After(now) {
			if again.IsZero() || due.Before(again) {
				again = due
			}
			continue
		}
		delete(e.doubts, name)
		e.log.Warn("speaker lost", "node", name)
		e.elector.Part(name, true)
		e.Lost(name)
		changed = true
	}
	return changed, again
}

// relink looks at the interfaces of this node and tells everybody whom it concerns.
func (e *Engine) relink() error {
	links, err := e.links()
	if err != nil {
		return err
	}
	var shared []lb.Interface
	for _, l := range links {
		shared = append(shared, l.Interface)
	}
	e.mu.Lock()
	same := e.linked && slices.EqualFunc(e.status.Links, links, sameLink)
	e.status.Links, e.linked = links, true
	e.mu.Unlock()
	for _, address := range e.responder.SetLinks(links) {
		e.announcer.Start(address)
	}
	if same {
		return nil
	}
	e.relinked = true
	e.elector.Join(e.self, shared)
	e.group.SetInterfaces(shared)
	return nil
}

func sameLink(a, b Link) bool {
	return a.Name == b.Name && a.Index == b.Index && string(a.HardwareAddr) == string(b.HardwareAddr) && slices.Equal(a.Prefixes, b.Prefixes)
}

// apply brings the wire in line with what was decided.
func (e *Engine) apply(changes []Change) {
	for _, c := range changes {
		if !c.Owned {
			e.responder.Disown(c.Address)
			e.announcer.Stop(c.Address)
			e.log.Info("no longer answering", "vip", c.Address, "service", c.Service)
			continue
		}
		e.responder.Own(c.Address, c.Interfaces)
		e.announcer.Start(c.Address)
		if c.From != "" {
			e.metrics.takeovers.Inc()
			e.log.Info("took over", "vip", c.Address, "service", c.Service, "interfaces", c.Interfaces, "from", c.From)
		} else {
			e.log.Info("answering", "vip", c.Address, "service", c.Service, "interfaces", c.Interfaces)
		}
	}
	if len(changes) == 0 {
		return
	}
	e.mu.Lock()
	for _, c := range changes {
		if c.Owned {
			e.status.Owned[c.Address] = Owned{c.Service, c.Interfaces}
		} else {
			delete(e.status.Owned, c.Address)
		}
	}
	e.metrics.owned.Set(float64(len(e.status.Owned)))
	e.mu.Unlock()
}
