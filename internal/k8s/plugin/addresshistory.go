package plugin

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s/speaker"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Tenure is since when a node owns an address, or owned it once, and how it came to that.
type Tenure struct {
	Node  string       `json:"node"`
	Since *metav1.Time `json:"since,omitempty"`
	// Cause is empty if it is not known: the speaker was restarted then, and its node went on with the address.
	Cause v1alpha1.TakeoverCause `json:"cause,omitempty"`
	From  string                 `json:"from,omitempty"`
	// Reason is why From had to give it up, where that is known.
	Reason string `json:"reason,omitempty"`
	// Duration is for how long nobody answered, in milliseconds.
	Duration int32 `json:"duration,omitempty"`
}

// because is how a node came to own an address, in words.
func (t Tenure) because() string {
	switch t.Cause {
	case "":
		return "its speaker was restarted then and went on with it"
	case v1alpha1.TakeoverElected:
		return "chosen, as nobody owned it"
	}
	text := speaker.WhyChanged(string(t.Cause), t.From, t.Reason)
	if t.Duration > 0 {
		text += fmt.Sprintf("; nobody answered for %d ms", t.Duration)
	}
	return text
}

// tenures are those of the nodes that own an address now, as far as their speakers say.
func (g *segment) tenures(a netip.Addr) (list []Tenure) {
	past := g.past(a)
	for _, x := range g.said[a] {
		if x.standsFor != "" || x.Since == nil {
			continue
		}
		t := Tenure{Node: x.node, Since: x.Since, Cause: x.Cause, From: x.From}
		if i := slices.IndexFunc(past, t.is); i >= 0 {
			t.Reason, t.Duration = past[i].Reason, past[i].Duration
		}
		list = append(list, t)
	}
	return list
}

// is tells whether a takeover is the one that began this tenure: one is written with the second, the other with its
// parts, and an address may be the last of a takeover that took a moment.
func (t Tenure) is(taken Tenure) bool {
	return t.Node == taken.Node && t.Cause == taken.Cause && t.From == taken.From && t.Since.Sub(taken.Since.Time).Abs() <= 2*time.Second
}

// past are the takeovers of an address that its speakers remember, the latest first.
func (g *segment) past(a netip.Addr) (list []Tenure) {
	for name, sp := range g.speakers {
		if sp.Status.Layer2 == nil {
			continue
		}
		for _, x := range sp.Status.Layer2.Takeovers {
			if slices.Contains(x.Addresses, a.String()) {
				at := metav1.NewTime(x.Time.Time)
				list = append(list, Tenure{Node: name, Since: &at, Cause: x.Cause, From: x.From, Reason: x.Reason, Duration: x.Duration})
			}
		}
	}
	slices.SortFunc(list, func(x, y Tenure) int { return cmp.Or(y.Since.Compare(x.Since.Time), cmp.Compare(x.Node, y.Node)) })
	return list
}

// history are the takeovers of an address that are over: all that are remembered but those of its present owners.
func (g *segment) history(a netip.Addr, now []Tenure) []Tenure {
	const most = 5
	list := slices.DeleteFunc(g.past(a), func(x Tenure) bool {
		return slices.ContainsFunc(now, func(t Tenure) bool { return t.is(x) })
	})
	return list[:min(len(list), most)]
}

// sinceText says since when, and for how long that is by now.
func (g *segment) sinceText(t Tenure) string {
	return fmt.Sprintf("for %s (since %s)", g.since(t.Since.Time), clock(t.Since.Time))
}

// clock is a time as it is told: without the date it would be that of any day.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }

// ownerLines say since when and why the owners of an address own it.
func (g *segment) ownerLines(tenures []Tenure) (lines []string) {
	for _, t := range tenures {
		lines = append(lines, fmt.Sprintf("%s, %s: %s", t.Node, g.sinceText(t), t.because()))
	}
	return lines
}

// historyLines say who owned an address before.
func historyLines(list []Tenure) (lines []string) {
	for _, t := range list {
		lines = append(lines, fmt.Sprintf("%s, at %s: %s", t.Node, clock(t.Since.Time), t.because()))
	}
	return lines
}
