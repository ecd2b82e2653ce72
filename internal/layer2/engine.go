package layer2

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// joinGrace is how long a speaker waits to hear what the others know before it decides alone.
const joinGrace = 5 * time.Second

// relinkInterval is the pace at which interfaces are looked at without being told of a change.
const relinkInterval = 10 * time.Second

// Group is what the engine needs of gossip.
type Group interface {
	Run(ctx context.Context) error
	Joined() bool
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
	relinked  bool

	kick   chan struct{}
	mu     sync.Mutex
	inbox  []func(*Elector)
	status Status
}

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
		status: Status{Owned: map[netip.Addr]Owned{}},
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

// Run takes part in group until ctx ends. It is to be called once the elector has been told, by Update, of
// all that the API server knows: from then on this node counts as one that serves.
func (e *Engine) Run(ctx context.Context, group Group) error {
	e.group = group
	if err := e.relink(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var tasks sync.WaitGroup
	task := func(name string, run func(context.Context) error) {
		tasks.Go(func() {
			if err := run(ctx); err != nil {
				cancel(fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	relink := make(chan struct{}, 1)
	task("gossip", group.Run)
	task("announcing", e.announcer.Run)
	task("following interfaces", func(ctx context.Context) error {
		return WatchLinks(ctx, e.log, func() {
			select {
			case relink <- struct{}{}:
			default:
			}
		})
	})
	e.loop(ctx, relink)
	tasks.Wait()
	e.responder.Close()
	if cause := context.Cause(ctx); cause != context.Canceled {
		return cause
	}
	return nil
}

func (e *Engine) loop(ctx context.Context, relink <-chan struct{}) {
	alone := time.After(joinGrace)
	wake := time.NewTimer(0)
	defer wake.Stop()
	again := time.NewTicker(relinkInterval)
	defer again.Stop()
	deciding := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-relink:
			if err := e.relink(); err != nil {
				e.log.Error("looking at interfaces failed, going on with those known", "error", err)
			}
		case <-alone:
			if !deciding && !e.group.Joined() {
				e.log.Warn("no other speaker answers, deciding alone")
				e.elector.Unheard()
				deciding = true
			}
		case <-again.C:
			// Also what netlink did not tell, and a socket that could not be opened.
			if err := e.relink(); err != nil {
				e.log.Error("looking at interfaces failed, going on with those known", "error", err)
			}
		case <-e.kick:
		case <-wake.C:
		}
		// In this order: once it has joined, what the others know is there to be taken in.
		deciding = deciding || e.group.Joined()
		changed := e.takeIn()
		if !deciding {
			continue
		}
		changes, claims, next := e.elector.Decide(time.Now())
		e.apply(changes)
		if changed || len(changes) > 0 || e.relinked {
			e.relinked = false
			e.Changed(changes)
		}
		if len(claims) > 0 {
			e.group.Publish(claims)
		}
		if !next.IsZero() {
			wake.Reset(time.Until(next))
		}
	}
}

// takeIn tells the elector what is new from the API's side and from gossip. It tells whether members changed.
func (e *Engine) takeIn() (changed bool) {
	e.mu.Lock()
	inbox := e.inbox
	e.inbox = nil
	e.mu.Unlock()
	for _, tell := range inbox {
		tell(e.elector)
	}
	news := e.group.Take()
	for _, name := range news.Lost {
		e.log.Warn("speaker lost", "node", name)
		e.elector.Part(name, true)
		e.Lost(name)
	}
	for _, name := range news.Left {
		e.log.Info("speaker left", "node", name)
		e.elector.Part(name, false)
	}
	for _, s := range news.Joined {
		if e.elector.Join(s.Node, s.Interfaces) {
			e.log.Info("speaker takes part", "node", s.Node)
		}
	}
	for _, c := range news.Claims {
		e.elector.Hear(c)
	}
	return len(news.Lost)+len(news.Left)+len(news.Joined) > 0
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
	same := e.status.Links != nil && slices.EqualFunc(e.status.Links, links, sameLink)
	e.status.Links = links
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
