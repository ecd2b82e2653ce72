// Package soak lives with Fairlead for an hour in which nothing fails: Services come, change and go, Pods are replaced,
// nodes are drained and come back, the configuration is edited, and all of Fairlead is updated, while clients use
// addresses in every way. Nothing is to happen that was not asked for, and nothing is to grow.
//
// SOAK is how long (60 s unless set), SEED repeats a day.
package soak

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMain(m *testing.M) { lab.Main(m) }

// life is what goes on.
type life struct {
	*fleet.Fleet
	diary  *diary
	users  *users
	owners *owners

	// acting is held by those who make Services and Pods, and kept from them by those who look whether all holds.
	acting sync.RWMutex

	services  []*made // of the lane of Services
	number    int
	pods      map[string][]*lab.Pod // of the lane of endpoints, by node, the oldest first
	podNumber int
	rolled    []fleet.Service
	hold      map[string]int // of the lane of operations
	lines     int            // of log, before anything was asked for

	mu     sync.Mutex
	counts map[string]int
	errors []error
}

// did counts an act.
func (l *life) did(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts[what]++
}

func (l *life) fail(err error) { l.failf("%s %w", time.Now().Format("15:04:05.000"), err) }

func (l *life) failf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errors = append(l.errors, fmt.Errorf(format, args...))
}

// operationActs are what people do with nodes and with Fairlead's configuration.
var operationActs = []string{
	"drain", "exclude", "cordon", "selectors", "preferred", "label", "pool", "spare", "communities", "connect time", "hold time", "rebalance",
}

func (l *life) operation(ctx context.Context, s step) error {
	l.did("operations: " + s.act)
	r := s.rand()
	switch s.act {
	case "drain", "exclude", "cordon":
		return l.drain(ctx, s.act, r)
	case "selectors":
		return l.selectors(ctx, r)
	case "preferred":
		return l.preferred(ctx, r)
	case "label":
		return l.label(ctx, r)
	case "pool":
		return l.pool(ctx)
	case "spare":
		return l.spare(ctx)
	case "communities":
		return l.communities(ctx, r)
	case "connect time":
		return l.connectTime(ctx, r)
	case "hold time":
		return l.holdTime(ctx, r)
	case "rebalance":
		return l.rebalance(ctx)
	case "speakers":
		return l.rollSpeakers(ctx)
	case "controllers":
		return l.rollControllers(ctx)
	case "API server":
		return l.restartAPIServer(ctx)
	}
	return fmt.Errorf("nobody knows how to do %q", s.act)
}

// bfdInterval is what a BFDProfile has by default. No node fails here that would have to be found sooner, and a machine
// whose processors stand still for 200 ms is none.
const bfdInterval = 300 * time.Millisecond

// stepLimit bounds one step: whatever it waits for comes before.
const stepLimit = 3 * time.Minute

// lane does the steps one after another, each not before its time. What is late when the time is over is left out, but for
// the upgrades.
func (l *life) lane(ctx context.Context, begin time.Time, length time.Duration, steps []step, do func(context.Context, step) error) {
	for _, s := range steps {
		if time.Since(begin) > length && !slices.ContainsFunc(upgrades(length), func(u step) bool { return u.act == s.act }) {
			continue
		}
		if lab.Pause(ctx, time.Until(begin.Add(s.at))) != nil {
			return
		}
		limited, cancel := context.WithTimeout(ctx, stepLimit)
		from := time.Now()
		err := do(limited, s)
		cancel()
		if err != nil && ctx.Err() == nil {
			l.diary.note(happening{kind: late, from: from, to: time.Now(), why: fmt.Sprintf("%s, at %s: %v", s.act, s.at.Round(time.Second), err)})
		}
	}
}

// settings are those of a run.
func settings(t *testing.T) (length time.Duration, seed uint64) {
	t.Helper()
	length, seed = time.Minute, uint64(time.Now().Unix())
	var err error
	if text := os.Getenv("SOAK"); text != "" {
		if length, err = time.ParseDuration(text); err != nil || length < 30*time.Second {
			t.Fatalf("SOAK=%s is no time of 30s at least: %v", text, err)
		}
	}
	if text := os.Getenv("SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("SEED=%s is no number: %v", text, err)
		}
	}
	return length, seed
}

func TestSoak(t *testing.T) {
	length, seed := settings(t)
	t.Logf("SOAK=%s SEED=%d", length, seed)
	ctx, cancel := context.WithTimeout(t.Context(), length+30*time.Minute)
	defer cancel()
	begin := time.Now()
	f, err := fleet.Start(ctx, fleet.Config{Controllers: 2, Binaries: os.Getenv("FAIRLEAD_BINARIES"), BFDInterval: bfdInterval, Lab: lab.Config{
		ControllerArgs: []string{"--pprof"}, SpeakerArgs: []string{"--pprof", "--drain-cordoned"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	d := &diary{}
	l := &life{Fleet: f, diary: d, users: newUsers(f, d), owners: newOwners(f, d), counts: map[string]int{}, hold: map[string]int{}}
	defer l.tell(t) // also where something else ends the test
	if err := l.startRolled(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Settled(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("settled after %.1f s", time.Since(begin).Seconds())

	var watching sync.WaitGroup
	defer watching.Wait()
	using, stop := context.WithCancel(ctx)
	defer stop()
	if err := l.owners.listen(using); err != nil {
		t.Fatal(err)
	}
	onSegment := fleet.Addresses(f.Layer2)
	for _, s := range l.rolled {
		if poolOf(s.V4) == fleet.SegmentPool {
			onSegment = append(onSegment, s.Addresses()...)
		}
	}
	watching.Go(func() {
		if err := l.owners.follow(using, onSegment); err != nil && using.Err() == nil {
			l.fail(err)
		}
	})
	processors, err := measure.Processors(using, func(from, to time.Time) { d.stood(stall{from, to}) })
	if err != nil {
		t.Fatal(err)
	}
	l.useAll(using)
	if l.lines, err = logLines(l.Product()); err != nil {
		t.Fatal(err)
	}
	sampler := newSampler(f)
	begin = time.Now()
	watching.Go(func() { sampler.sample(using, min(10*time.Second, max(time.Second, length/60))) })

	var lanes sync.WaitGroup
	r := func(do func(context.Context, step) error) func(context.Context, step) error {
		return func(ctx context.Context, s step) error {
			l.acting.RLock()
			defer l.acting.RUnlock()
			return do(ctx, s)
		}
	}
	lanes.Go(func() {
		l.lane(ctx, begin, length, plan(seed, 1, length, servicePace, serviceActs), r(func(ctx context.Context, s step) error { return l.serviceStep(ctx, s.act, s.rand()) }))
	})
	lanes.Go(func() {
		l.lane(ctx, begin, length, plan(seed, 2, length, endpointPace, endpointActs), r(func(ctx context.Context, s step) error { return l.endpointStep(ctx, s.act, s.rand()) }))
	})
	lanes.Go(func() {
		l.lane(ctx, begin, length, plan(seed, 3, length, operationPace, operationActs, upgrades(length)...), func(ctx context.Context, s step) error {
			begin := time.Now()
			err := l.operation(ctx, s)
			if err == nil {
				err = l.settle(ctx)
			}
			t.Logf("%s %s, %.1f s: %v", begin.Format(time.TimeOnly), s.act, time.Since(begin).Seconds(), err)
			return err
		})
	})
	lanes.Wait()
	took := time.Since(begin)
	if err := l.settle(ctx); err != nil {
		l.fail(err)
	}
	rest := l.rest(ctx, t, sampler, min(time.Minute, length/6))
	stop()
	l.users.running.Wait()
	watching.Wait()
	processors()
	l.report(t, length, seed, took, begin, sampler, rest)
}

// tell says what was wrong, after the logs: the end of what a test says is read first, and may be all that is kept of it.
func (l *life) tell(t *testing.T) {
	t.Helper()
	if len(l.errors) > 0 {
		for _, p := range l.Product() {
			t.Logf("%s:\n%s", p.Name, p.Tail(30))
		}
	}
	for _, err := range l.errors {
		t.Error(err)
	}
}

// useAll has clients use all addresses that stay, in every way, and the backend directly.
func (l *life) useAll(ctx context.Context) {
	l.users.direct(ctx, l.User)
	use := func(list []fleet.Service, stays bool) {
		for _, a := range fleet.Addresses(list) {
			if poolOf(a) == fleet.SegmentPool {
				l.users.use(ctx, fleet.OnSegment, l.User, a, stays)
				continue
			}
			for i, r := range l.Routers {
				l.users.use(ctx, l.Way(r), l.Visitors[i], a, stays)
			}
		}
	}
	use(l.Layer2, true)
	use(l.Routed, true)
	use(l.rolled, false) // a connection to a Pod ends with it
}

// rest is what the product does while nobody asks for anything. The counters of KEEPALIVEs are written when they have
// doubled, ever more rarely: that is apart.
func (l *life) rest(ctx context.Context, t *testing.T, s *sampler, length time.Duration) map[string]float64 {
	t.Helper()
	// What speakers see of each other is written within ten seconds, and what they told routers within two.
	if err := lab.Pause(ctx, 12*time.Second); err != nil {
		t.Fatal(err)
	}
	look := func() (map[string]float64, []v1alpha1.Speaker) {
		s.once(ctx, false)
		list, err := l.Fairlead.FairleadV1alpha1().Speakers().List(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return map[string]float64{
			"events":          s.count("controllers", "events") + s.count("speakers", "events"),
			speakersWrites:    s.count("speakers", "writes"),
			"status writes":   s.count("controllers", "status"),
			keepaliveCounters: 0,
		}, list.Items
	}
	begin := time.Now()
	before, speakers := look()
	if err := lab.Pause(ctx, length); err != nil {
		t.Fatal(err)
	}
	after, later := look()
	for name := range after {
		after[name] -= before[name]
	}
	after[keepaliveCounters] = min(doublings(speakers, later), after[speakersWrites])
	after[speakersWrites] -= after[keepaliveCounters]
	resting := happening{from: begin, to: time.Now()}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if name != keepaliveCounters && after[name] > 0 && !l.diary.stoodStill(resting) {
			l.failf("%v %s in %s in which nothing happened; what changed of the Speakers:\n%s", after[name], name, length, cmp.Diff(speakers, later))
		}
	}
	return after
}

const (
	speakersWrites    = "speakers' writes"
	keepaliveCounters = "writes of KEEPALIVE counters"
)

// doublings is how many sessions' counters of messages were written, of the Speakers of which nothing else was.
func doublings(before, after []v1alpha1.Speaker) (n float64) {
	plain := func(s v1alpha1.Speaker) v1alpha1.SpeakerStatus {
		status := *s.Status.DeepCopy()
		for i := range status.BGPSessions {
			b := &status.BGPSessions[i]
			b.MessagesReceived, b.MessagesSent, b.UpdatesReceived = 0, 0, 0
		}
		return status
	}
	for _, a := range after {
		for _, b := range before {
			if a.Name != b.Name || !cmp.Equal(plain(a), plain(b)) {
				continue
			}
			for i := range a.Status.BGPSessions {
				if a.Status.BGPSessions[i].MessagesReceived != b.Status.BGPSessions[i].MessagesReceived {
					n++
				}
			}
		}
	}
	return n
}
