package fleet

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// Effect is what clients that come one way have noticed.
type Effect struct {
	Established, Broken int           // connections that stay; one whose answer is later than 2 s is broken
	Break               error         // why the first one broke
	Slowest             time.Duration // answer in one of those
	Sent, Failed        int           // new connections; one without an answer within 1 s has failed
	Failures            []Failure     // in the order in which they were sent; at most 5,000 of each address
	Longest             lab.Gap       // without an answer of one address to new connections

	// What the segment said of all addresses that are told there. Empty but for layer 2.
	Moves      []Move   // answers of another node than before
	Doubled    Conflict // the longest time that more than one answered for an address
	Silent     Conflict // the longest time that nobody did
	WatchError error
}

// Failure is a request that was not answered.
type Failure struct {
	Sent time.Time
	To   netip.AddrPort
	Err  error
}

// Move is a change of an address's owner, as the segment sees it.
type Move struct {
	Address  netip.Addr
	At       time.Time
	From, To net.HardwareAddr
}

// Conflict is a time in which an address had not exactly one owner.
type Conflict struct {
	Address netip.Addr
	lab.Gap
}

func (e *Effect) add(a *asker) {
	a.mu.Lock()
	defer a.mu.Unlock()
	e.Sent += a.sent
	e.Failed += a.failed
	e.Failures = append(e.Failures, a.failures...)
	slices.SortFunc(e.Failures, func(x, y Failure) int { return x.Sent.Compare(y.Sent) })
	if a.longest.Duration() > e.Longest.Duration() {
		e.Longest = a.longest
	}
}

// watched adds what was seen of an address. The last round may still be waiting for its answer.
func (e *Effect) watched(a netip.Addr, rounds []lab.Round) {
	if len(rounds) > 0 {
		rounds = rounds[:len(rounds)-1]
	}
	var (
		owner           net.HardwareAddr
		doubled, silent lab.Gap
	)
	for i, r := range rounds {
		if len(r.MACs) == 1 {
			if owner != nil && !slices.Equal(owner, r.MACs[0]) {
				e.Moves = append(e.Moves, Move{Address: a, At: r.At, From: owner, To: r.MACs[0]})
			}
			owner = r.MACs[0]
		}
		for _, x := range []struct {
			is    bool
			gap   *lab.Gap
			worst *Conflict
		}{{len(r.MACs) > 1, &doubled, &e.Doubled}, {len(r.MACs) == 0, &silent, &e.Silent}} {
			if !x.is {
				*x.gap = lab.Gap{}
				continue
			}
			if x.gap.Start.IsZero() {
				x.gap.Start = r.At
			}
			x.gap.End, x.gap.Open = r.At.Add(watchEvery), i == len(rounds)-1
			if x.gap.Duration() > x.worst.Duration() {
				*x.worst = Conflict{a, *x.gap}
			}
		}
	}
}

// FailedOutside are the requests that failed and were sent in none of these times.
func (e Effect) FailedOutside(times ...[2]time.Time) (list []Failure) {
	for _, f := range e.Failures {
		if !slices.ContainsFunc(times, func(t [2]time.Time) bool { return !f.Sent.Before(t[0]) && !f.Sent.After(t[1]) }) {
			list = append(list, f)
		}
	}
	return list
}

func (e Effect) String() string {
	s := fmt.Sprintf("%d of %d new connections failed, longest gap %d ms", e.Failed, e.Sent, e.Longest.Duration().Milliseconds())
	if e.Established > 0 {
		s += fmt.Sprintf("; %d of %d established broken, slowest answer %d ms", e.Broken, e.Established, e.Slowest.Milliseconds())
	}
	if len(e.Moves) > 0 {
		s += fmt.Sprintf("; %d owner changes", len(e.Moves))
	}
	if e.Doubled.Address.IsValid() {
		s += fmt.Sprintf("; two answered for %s for %s", e.Doubled.Address, e.Doubled.Gap)
	}
	return s
}
