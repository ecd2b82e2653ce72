package lab

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Probe asks a backend again and again, one request per interval whether or not the one before was answered,
// each over a connection of its own.
type Probe struct {
	host     *Host
	network  string
	to       netip.AddrPort
	interval time.Duration
	cancel   context.CancelFunc
	stopped  chan struct{}

	mu      sync.Mutex
	begin   time.Time
	end     time.Time // zero while it runs
	sent    int
	answers []ProbeAnswer
	failed  int
	failure error // the last
}

// ProbeAnswer is an answer and when it came.
type ProbeAnswer struct {
	At    time.Time
	Reply Reply
}

// Gap is a time without answers: from the last answer before it to the first one after it. A gap at the
// start of a probe begins with the first request; one that was not over ends with the probe.
type Gap struct {
	Start, End time.Time
	Open       bool // no answer has ended it
}

// Duration is how long the gap lasted. An uninterrupted service has gaps of about the probe's interval.
func (g Gap) Duration() time.Duration { return g.End.Sub(g.Start) }

func (g Gap) String() string {
	s := fmt.Sprintf("%d ms from %s", g.Duration().Milliseconds(), g.Start.Format("15:04:05.000"))
	if g.Open {
		s += ", not over"
	}
	return s
}

// ProbeResult is what a probe has seen.
type ProbeResult struct {
	Sent    int
	Answers []ProbeAnswer // in the order they came
	Longest Gap
	Failed  int   // requests without an answer in time; one that was under way when the probe stopped is none
	Failure error // the last one's, nil if none failed
}

// probeTimeout is when a request of a probe counts as lost. It does not blur the gaps, which are between
// answers: a later request is answered first.
const probeTimeout = time.Second

// Probe starts a probe. It goes on until Stop or until ctx is done.
func (h *Host) Probe(ctx context.Context, network string, to netip.AddrPort, interval time.Duration) *Probe {
	ctx, cancel := context.WithCancel(ctx)
	p := &Probe{host: h, network: network, to: to, interval: interval, cancel: cancel, stopped: make(chan struct{}), begin: time.Now()}
	go p.run(ctx)
	return p
}

func (p *Probe) run(ctx context.Context) {
	defer close(p.stopped)
	var requests sync.WaitGroup
	defer func() {
		// The end is when asking stopped; answers to the last requests still count.
		end := time.Now()
		requests.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.end = end
	}()
	ticker := time.NewTicker(p.interval)
	defer ticker.Stop()
	for {
		requests.Go(func() { p.ask(ctx) })
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Probe) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	p.mu.Lock()
	p.sent++
	p.mu.Unlock()
	reply, err := p.host.Ask(ctx, p.network, p.to)
	at := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.answers = append(p.answers, ProbeAnswer{At: at, Reply: reply})
	case context.Cause(ctx) != context.Canceled: // what Stop interrupts has not failed
		p.failed++
		p.failure = err
	}
}

// Result is what the probe has seen so far.
func (p *Probe) Result() ProbeResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	result := ProbeResult{Sent: p.sent, Answers: slices.Clone(p.answers), Failed: p.failed, Failure: p.failure}
	end := p.end
	if end.IsZero() {
		end = time.Now()
	}
	result.Longest = longestGap(p.begin, end, result.Answers)
	return result
}

// LongestBetween is the longest gap within a part of the time that the probe ran.
func (r ProbeResult) LongestBetween(from, to time.Time) Gap {
	var answers []ProbeAnswer
	for _, a := range r.Answers {
		if a.At.After(from) && a.At.Before(to) {
			answers = append(answers, a)
		}
	}
	return longestGap(from, to, answers)
}

// longestGap is the longest time between answers, and before the first, and after the last until end.
func longestGap(begin, end time.Time, answers []ProbeAnswer) Gap {
	longest, last := Gap{Start: begin, End: begin}, begin
	for _, a := range answers {
		if g := (Gap{Start: last, End: a.At}); g.Duration() > longest.Duration() {
			longest = g
		}
		last = a.At
	}
	if g := (Gap{Start: last, End: end, Open: true}); g.Duration() > longest.Duration() {
		longest = g
	}
	return longest
}

// Stop ends the probe and returns what it has seen. Further calls return the same.
func (p *Probe) Stop() ProbeResult {
	p.cancel()
	<-p.stopped
	return p.Result()
}

// AwaitAnswer waits until an answer has come after this time: that the service is there, again.
func (p *Probe) AwaitAnswer(ctx context.Context, after time.Time) (ProbeAnswer, error) {
	var answer ProbeAnswer
	what := fmt.Sprintf("%s to get an answer of %s over %s", p.host.Name, p.to, p.network)
	err := wait(ctx, what, func(context.Context) (bool, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, answer = range p.answers {
			if answer.At.After(after) {
				return true, nil
			}
		}
		return false, p.failure
	})
	return answer, err
}
