package speaker

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	clienttesting "k8s.io/client-go/testing"
)

func TestLost(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(*statusWorld)
	}{
		{"the first of those that are left marks it, once", func(w *statusWorld) {
			w.group = []string{"c", "d"}
			w.Lost("b")
			w.marks("lost", "b")
			w.marks("marked", "")
		}},
		{"the next one marks both, if the first died too and is known to only later", func(w *statusWorld) {
			w.group = []string{"a", "c"}
			w.Lost("b")
			w.marks("a is taken for alive", "")
			w.group = []string{"c"}
			w.Lost("a")
			w.marks("a is lost too", "a b")
			w.marks("marked", "")
		}},
		{"the next one marks it, if the first restarts", func(w *statusWorld) {
			w.group = []string{"a", "c"}
			w.Lost("b")
			w.marks("a's to do", "")
			w.group = []string{"c"}
			w.marks("a has left", "b")
		}},
		{"who is not the first forgets it after a minute", func(w *statusWorld) {
			w.group = []string{"a", "c"}
			w.Lost("b")
			if again := w.marks("a's to do", ""); again != lostFor {
				w.t.Errorf("looks again after %v", again)
			}
			time.Sleep(lostFor)
			if again := w.marks("a minute later", ""); again != 0 || len(w.lost) > 0 {
				w.t.Errorf("looks again after %v, keeps %v", again, w.lost)
			}
			w.group = []string{"c"}
			w.marks("a leaves much later", "")
		}},
		{"one that is back says itself how it is", func(w *statusWorld) {
			w.group = []string{"c", "d"}
			w.Lost("d")
			w.marks("d is back", "")
			w.group = []string{"c"}
			w.marks("d left", "")
		}},
		{"a refused mark is tried again, for as long as it takes", func(w *statusWorld) {
			w.group = []string{"c"}
			w.Lost("b")
			w.refusal = errors.New("refused")
			w.marks("refused", "b")
			time.Sleep(2 * lostFor)
			w.refusal = nil
			w.marks("taken", "b")
			w.marks("marked", "")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { tt.run(newStatusWorld(t)) })
		})
	}
}

// marks checks which objects are marked, and returns after how long to look again.
func (w *statusWorld) marks(why, names string) (again time.Duration) {
	w.t.Helper()
	w.client.ClearActions()
	at, err := w.markLost(w.t.Context())
	if (err != nil) != (w.refusal != nil) {
		w.t.Errorf("%s: error %v", why, err)
	}
	var got []string
	for _, a := range w.client.Actions() {
		got = append(got, a.(clienttesting.PatchAction).GetName())
	}
	if got := strings.Join(got, " "); got != names {
		w.t.Errorf("%s: marked %q, want %q", why, got, names)
	}
	if at.IsZero() {
		return 0
	}
	return time.Until(at)
}
