package fleet

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// UsersConfig is how many users there are. On layer 2 they use an address of each family of each node that owns one. The
// zero value is some 350 requests a second in all.
type UsersConfig struct {
	Services    int           // that are used through each router; 1 if 0
	Established int           // connections to each address, with a request each 500 ms; 5 if 0, none if negative
	Interval    time.Duration // between new connections to each address; 50 ms if 0
	Unwatched   bool          // nobody asks the segment meanwhile who has what
}

// Users use Services in every way, and the backend directly, and the watcher asks the segment all the time who has the
// addresses that are told there.
type Users struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	begin   time.Time
	askers  map[string][]*asker
	held    map[string][]*lab.Held
	watch   *lab.Watch
	watched []netip.Addr
}

const (
	establishedEvery = 500 * time.Millisecond
	watchEvery       = 200 * time.Millisecond
)

// Users start, and are all being served when it returns. They stop with Stop, or when ctx is done.
func (f *Fleet) Users(ctx context.Context, c UsersConfig) (_ *Users, err error) {
	c.Services, c.Established = cmp.Or(c.Services, 1), cmp.Or(c.Established, 5)
	if c.Interval == 0 {
		c.Interval = 50 * time.Millisecond
	}
	ctx, cancel := context.WithCancel(ctx)
	u := &Users{cancel: cancel, askers: map[string][]*asker{}, held: map[string][]*lab.Held{}}
	defer func() {
		if err != nil {
			u.Stop()
		}
	}()
	type target struct {
		way  string
		from *lab.Host
		to   netip.AddrPort
	}
	targets := []target{{Direct, f.User, netip.AddrPortFrom(f.Backend.V4, lab.BackendPort)}}
	owned, err := f.ofEachOwner(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range owned {
		// The client's kernel asks anew: a node that was the owner once would forward, too, and hide what it hides.
		if err := f.User.FlushNeighbor(a); err != nil {
			return nil, err
		}
		targets = append(targets, target{OnSegment, f.User, At(a)})
	}
	for i, r := range f.Routers {
		for _, a := range Addresses(sample(f.Routed, c.Services)) {
			targets = append(targets, target{f.Way(r), f.Visitors[i], At(a)})
		}
	}
	for _, t := range targets {
		if _, err := t.from.Await(ctx, "tcp", t.to); err != nil {
			return nil, err
		}
		if c.Established > 0 {
			h, err := t.from.Hold(ctx, t.to, c.Established, establishedEvery)
			if err != nil {
				return nil, err
			}
			u.held[t.way] = append(u.held[t.way], h)
		}
	}
	if !c.Unwatched {
		u.watched = Addresses(f.Layer2)
		if u.watch, err = f.Watcher.Watch(ctx, watchEvery, u.watched...); err != nil {
			return nil, err
		}
	}
	u.begin = time.Now()
	for i, t := range targets {
		a := &asker{host: t.from, to: t.to, last: u.begin}
		u.askers[t.way] = append(u.askers[t.way], a)
		late := c.Interval * time.Duration(i) / time.Duration(len(targets)) // so that not all ask at once
		u.running.Go(func() {
			select {
			case <-time.After(late):
				a.run(ctx, c.Interval)
			case <-ctx.Done():
			}
		})
	}
	return u, nil
}

// sample is n of the Services, evenly from all of them.
func sample(all []Service, n int) (list []Service) {
	n = min(n, len(all))
	for i := range n {
		list = append(list, all[i*len(all)/n])
	}
	return list
}

// ofEachOwner is the lowest address of each family of each node that owns one.
func (f *Fleet) ofEachOwner(ctx context.Context) (list []netip.Addr, err error) {
	all := Addresses(f.Layer2)
	owners, err := f.Owners(ctx, all...)
	if err != nil {
		return nil, err
	}
	type kind struct {
		owner *lab.Node
		v6    bool
	}
	taken := map[kind]bool{}
	slices.SortFunc(all, netip.Addr.Compare)
	for _, a := range all {
		if k := (kind{owners[a], a.Is6()}); !taken[k] {
			taken[k] = true
			list = append(list, a)
		}
	}
	return list, nil
}

// Stop ends the users and says what they noticed, by way. Further calls say the same.
func (u *Users) Stop() map[string]Effect {
	u.cancel()
	u.running.Wait()
	effects := map[string]Effect{}
	for way, list := range u.askers {
		e := effects[way]
		for _, a := range list {
			e.add(a)
		}
		effects[way] = e
	}
	for way, list := range u.held {
		e := effects[way]
		for _, h := range list {
			r := h.Stop()
			e.Established += r.Connections
			e.Broken += len(r.Broken)
			e.Slowest = max(e.Slowest, r.Slowest)
			if len(r.Broken) > 0 && e.Break == nil {
				e.Break = r.Broken[0]
			}
		}
		effects[way] = e
	}
	if u.watch != nil {
		e := effects[OnSegment]
		e.WatchError = u.watch.Stop()
		for _, a := range u.watched {
			e.watched(a, u.watch.Rounds(a, u.begin))
		}
		effects[OnSegment] = e
	}
	return effects
}

// patience is how long a new connection waits for its answer.
const patience = time.Second

// asker asks one address for ever, each time over a connection of its own, whether or not the one before was answered.
type asker struct {
	host *lab.Host
	to   netip.AddrPort

	mu       sync.Mutex
	sent     int
	failed   int
	last     time.Time // of an answer
	longest  lab.Gap
	failures []Failure
}

// keepFailures bounds what an asker remembers of an address that is gone for long.
const keepFailures = 5000

func (a *asker) run(ctx context.Context, interval time.Duration) {
	var requests sync.WaitGroup
	defer requests.Wait()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		requests.Go(func() { a.ask(ctx) })
		select {
		case <-ticker.C:
		case <-ctx.Done():
			a.end(time.Now())
			return
		}
	}
}

func (a *asker) ask(ctx context.Context) {
	sent := time.Now()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := a.host.Ask(limited, "tcp", a.to)
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		a.sent++
		a.answered(now, false)
	case ctx.Err() == nil || !errors.Is(err, context.Canceled): // what Stop interrupts has not failed
		a.sent++
		a.failed++
		if len(a.failures) < keepFailures {
			a.failures = append(a.failures, Failure{Sent: sent, To: a.to, Err: err})
		}
	}
}

// answered notes that there was no answer between the last one and this moment.
func (a *asker) answered(now time.Time, open bool) {
	if g := (lab.Gap{Start: a.last, End: now, Open: open}); g.Duration() > a.longest.Duration() {
		a.longest = g
	}
	if now.After(a.last) && !open {
		a.last = now
	}
}

func (a *asker) end(now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answered(now, true)
}
