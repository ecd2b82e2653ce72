package speaker

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// took has the engine own an address that it took over from another node.
func (w *statusWorld) took(address, from string, cause layer2.Cause) {
	a, now := netip.MustParseAddr(address), time.Now()
	if w.engine.status.Owned == nil {
		w.engine.status.Owned = map[netip.Addr]layer2.Owned{}
	}
	w.engine.status.Owned[a] = layer2.Owned{Since: now, Cause: cause, From: from}
	if from != "" {
		w.engine.status.Takeovers = append(w.engine.status.Takeovers,
			layer2.Takeover{Time: now, From: from, Cause: cause, Count: 1, Addresses: []netip.Addr{a}, Duration: 183 * time.Millisecond})
	}
}

// restart is a new life of the speaker, which resumes addresses. What was written stays.
func (w *statusWorld) restart(addresses ...string) {
	w.former, w.engine.status = nil, layer2.Status{}
	w.look("starts", "update")
	w.engine.status.Owned = map[netip.Addr]layer2.Owned{}
	for _, a := range addresses {
		w.engine.status.Owned[netip.MustParseAddr(a)] = layer2.Owned{Since: time.Now(), Cause: layer2.Resumed}
	}
	w.look("goes on", "update")
}

// history is what is written of takeovers and owned addresses, in short.
func (w *statusWorld) history() (text string) {
	status := w.written().Layer2
	if status == nil {
		return "nothing"
	}
	for _, t := range status.Takeovers {
		text += fmt.Sprintf("%s %s %v %dms;", t.From, t.Cause, t.Addresses, t.Duration)
	}
	for _, a := range status.Addresses {
		text += fmt.Sprintf(" %s since %s", a.Address, a.Since.UTC().Format("15:04:05"))
		if a.Cause != "" {
			text += " " + string(a.Cause)
		}
		if a.From != "" {
			text += " from " + a.From
		}
	}
	return text
}

func (w *statusWorld) wantHistory(when, want string) {
	w.t.Helper()
	if got := w.history(); got != want {
		w.t.Errorf("%s: %q is written, want %q", when, got, want)
	}
}

// A takeover is written with the change of ownership, at no cost of its own, and outlasts the speaker.
func TestTakeoversAreWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, "c")
		w.took("192.0.2.1", "", layer2.Elected)
		w.look("elected", "create, update")
		time.Sleep(time.Minute)
		w.took("192.0.2.2", "b", layer2.Lost)
		w.look("takes over", "update")
		w.look("nothing new", "")
		const taken = "b Lost [192.0.2.2] 183ms; 192.0.2.1 since 00:00:00 Elected 192.0.2.2 since 00:01:00 Lost from b"
		w.wantHistory("at first", taken)

		time.Sleep(time.Minute)
		w.restart("192.0.2.1", "192.0.2.2")
		w.wantHistory("after a crash", taken)

		time.Sleep(time.Minute)
		w.sayFarewell(t.Context())
		w.wantHistory("told to stop", "b Lost [192.0.2.2] 183ms;")
		w.restart("192.0.2.1", "192.0.2.2")
		w.wantHistory("after an orderly restart",
			"b Lost [192.0.2.2] 183ms; 192.0.2.1 since 00:03:00 192.0.2.2 since 00:01:00 Lost from b")

		time.Sleep(time.Minute)
		w.took("192.0.2.3", "a", layer2.Moved)
		w.look("takes over in its new life", "update")
		w.wantHistory("both lives", "b Lost [192.0.2.2] 183ms;a Moved [192.0.2.3] 183ms;"+
			" 192.0.2.1 since 00:03:00 192.0.2.2 since 00:01:00 Lost from b 192.0.2.3 since 00:04:00 Moved from a")
	})
}

// A node that was cut off for a moment, and goes on with what it owns, owns it since before.
func TestOwnershipIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, "c")
		w.took("192.0.2.1", "b", layer2.Left)
		w.look("takes over", "create, update")
		time.Sleep(time.Minute)
		w.engine.status.Owned = nil
		w.look("answers nothing", "update")
		w.engine.status.Owned = map[netip.Addr]layer2.Owned{netip.MustParseAddr("192.0.2.1"): {Since: time.Now(), Cause: layer2.Resumed}}
		w.look("goes on", "update")
		w.wantHistory("goes on", "b Left [192.0.2.1] 183ms; 192.0.2.1 since 00:00:00 Left from b")
	})
}

func TestWithFormerTakeovers(t *testing.T) {
	at := func(minute int, from string, count int) v1alpha1.Takeover {
		return v1alpha1.Takeover{Time: metav1.NewMicroTime(time.Unix(int64(60*minute), 0)), From: from, Cause: v1alpha1.TakeoverLost, Count: int32(count)}
	}
	many := func(first, n int) (list []v1alpha1.Takeover) {
		for i := range n {
			list = append(list, at(first+i, "b", 1))
		}
		return list
	}
	tests := []struct {
		name           string
		written, known []v1alpha1.Takeover
		want           string // minute, node, count
	}{
		{"what a former life wrote stays", []v1alpha1.Takeover{at(1, "b", 1)}, nil, "1b1"},
		{"this life knows better what it wrote", []v1alpha1.Takeover{at(1, "b", 1)}, []v1alpha1.Takeover{at(1, "b", 7)}, "1b7"},
		{"two at one time are two", []v1alpha1.Takeover{at(1, "b", 1)}, []v1alpha1.Takeover{at(1, "c", 1)}, "1c1 1b1"},
		{"in the order of time", []v1alpha1.Takeover{at(3, "b", 1)}, []v1alpha1.Takeover{at(1, "c", 1), at(4, "c", 1)}, "1c1 3b1 4c1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := ""
			for _, x := range withFormer(tt.written, tt.known) {
				text += fmt.Sprintf(" %d%s%d", x.Time.Unix()/60, x.From, x.Count)
			}
			if text != " "+tt.want {
				t.Errorf("%q, want %q", text, tt.want)
			}
		})
	}
	if got := withFormer(many(0, 32), many(32, 5)); len(got) != mostTakeovers || got[0].Time.Unix() != 5*60 {
		t.Errorf("the last %d of 37 are kept, from minute %d", len(got), got[0].Time.Unix()/60)
	}
}
