package speaker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/bgp"
)

func TestDeparture(t *testing.T) {
	type look struct {
		at     int // in seconds
		ready  bool
		barred string
	}
	const drain = "annotation fairlead.dev/drain"
	for _, tt := range []struct {
		name  string
		looks []look
		want  string // a phase for each look, and in seconds when to look again
	}{
		{"serves once it is Ready", []look{{0, false, ""}, {5, true, ""}}, "gone serving"},
		{"goes on to serve when it is not Ready for a while", []look{{0, true, ""}, {5, false, ""}}, "serving serving"},
		{"leaves before it goes", []look{{0, true, ""}, {5, true, drain}, {14, true, drain}, {15, true, drain}, {99, true, drain}}, "serving leaving@15 leaving@15 gone gone"},
		{"not Ready for long is a departure like another", []look{{0, true, ""}, {65, false, notReady}, {75, false, notReady}}, "serving leaving@75 gone"},
		{"is back at once while it leaves", []look{{0, true, ""}, {5, true, drain}, {7, true, ""}}, "serving leaving@15 serving"},
		{"is back at once when it is gone", []look{{0, true, ""}, {5, true, drain}, {20, true, drain}, {21, true, ""}}, "serving leaving@15 gone serving"},
		{"leaves for as long the second time", []look{{0, true, ""}, {5, true, drain}, {7, true, ""}, {8, true, drain}, {17, true, drain}}, "serving leaving@15 serving leaving@18 leaving@18"},
		{"another reason starts nothing anew", []look{{0, true, ""}, {5, true, drain}, {9, true, notReady}, {15, true, notReady}}, "serving leaving@15 leaving@15 gone"},
		{"a speaker that starts on a drained node has nothing to leave", []look{{0, true, drain}, {1, true, ""}}, "gone serving"},
		{"barred before it was ever Ready", []look{{0, false, notReady}, {5, false, drain}, {6, true, drain}}, "gone gone gone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begin := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
			d := newDeparture()
			var got []string
			for _, l := range tt.looks {
				again := d.look(l.ready, l.barred, begin.Add(time.Duration(l.at)*time.Second))
				word := map[bgp.Phase]string{bgp.Serving: "serving", bgp.Leaving: "leaving", bgp.Gone: "gone"}[d.phase]
				if !again.IsZero() {
					word += fmt.Sprintf("@%d", int(again.Sub(begin).Seconds()))
				}
				got = append(got, word)
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
}
