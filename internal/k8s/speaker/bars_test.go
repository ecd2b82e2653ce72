package speaker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestReadiness(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	seconds := func(n int) time.Time { return now.Add(time.Duration(n) * time.Second) }
	unready := func(since int) node { return node{unready: true, since: seconds(since)} }
	for _, tt := range []struct {
		name  string
		see   func(readiness)
		nodes int
		at    int // when it is asked, in seconds
		want  string
		again int // 0 for never
	}{
		{"all are Ready", func(r readiness) { r.set("a", node{}, true, now) }, 3, 0, "", 0},
		{"not for long enough", func(r readiness) { r.set("a", unready(0), false, now) }, 3, 59, "", 60},
		{"for long enough", func(r readiness) { r.set("a", unready(0), false, now) }, 3, 60, "a", 0},
		{"Ready in between", func(r readiness) {
			r.set("a", unready(0), false, now)
			r.set("a", node{}, false, seconds(30))
			r.set("a", unready(30), false, seconds(30))
		}, 3, 60, "", 90},
		{"False, then Unknown", func(r readiness) {
			r.set("a", unready(0), false, now)
			r.set("a", unready(40), false, seconds(40))
		}, 3, 60, "a", 0},
		{"a speaker that starts does not wait anew", func(r readiness) { r.set("a", unready(-50), true, now) }, 3, 10, "a", 0},
		{"what a speaker saw itself counts, if the other clock is far behind", func(r readiness) { r.set("a", unready(-3600), false, now) }, 3, 59, "", 60},
		{"a clock that is ahead delays nothing", func(r readiness) { r.set("a", unready(3600), true, now) }, 3, 60, "a", 0},
		{"no time of transition", func(r readiness) { r.set("a", node{unready: true}, true, now) }, 3, 59, "", 60},
		{"the next one counts", func(r readiness) {
			r.set("a", unready(0), false, now)
			r.set("b", unready(20), false, seconds(20))
			r.set("c", unready(10), false, seconds(10))
		}, 6, 60, "a", 70},
		{"half of them", func(r readiness) { r.set("a", unready(0), false, now) }, 2, 60, "a", 0},
		{"more than half: it is the control plane that does not hear them", func(r readiness) {
			r.set("a", unready(0), false, now)
			r.set("b", unready(0), false, now)
		}, 3, 120, "", 0},
		{"the only node", func(r readiness) { r.set("a", unready(0), false, now) }, 1, 120, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := readiness{}
			tt.see(r)
			names, at := r.lasting(tt.nodes, seconds(tt.at))
			again := 0
			if !at.IsZero() {
				again = int(at.Sub(now) / time.Second)
			}
			if got := strings.Join(slices.Sorted(maps.Keys(names)), " "); got != tt.want || again != tt.again {
				t.Errorf("not Ready for too long: %q, want %q; again after %d s, want %d", got, tt.want, again, tt.again)
			}
		})
	}
}

// bars shows what the engine was told of the nodes.
func (w *vipWorld) barred() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(w.bars)) {
		if reason := w.bars[name]; reason != "" {
			list = append(list, name+": "+reason)
		}
	}
	return strings.Join(list, ", ")
}

func (w *vipWorld) node(name string, ready corev1.ConditionStatus, annotations map[string]string) {
	w.t.Helper()
	w.put(w.nodes.GetStore(), &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready,
			LastTransitionTime: metav1.NewTime(time.Now())}}},
	})
	w.queue.Add(item{kindNode, lb.Key{Name: name}})
}

// A node is barred in time though nothing happens, and admitted again at once.
func TestBars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVIPWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		var loop sync.WaitGroup
		loop.Go(func() { _ = w.Run(ctx) })
		defer func() { cancel(); loop.Wait() }()
		expect := func(why, want string) {
			t.Helper()
			synctest.Wait()
			if got := w.barred(); got != want {
				t.Errorf("%s: barred %q, want %q", why, got, want)
			}
		}
		for i := range 3 {
			w.node(fmt.Sprint("n", i), corev1.ConditionTrue, nil)
		}
		expect("all are Ready", "")
		w.node("n1", corev1.ConditionFalse, nil)
		time.Sleep(unreadyAfter - time.Second)
		expect("not Ready for a while", "")
		time.Sleep(time.Second)
		expect("not Ready for long", "n1: "+notReady)
		w.node("n1", corev1.ConditionUnknown, map[string]string{"fairlead.dev/drain": "true"})
		expect("and drained", "n1: annotation fairlead.dev/drain")
		w.node("n1", corev1.ConditionUnknown, nil)
		expect("not drained any more", "n1: "+notReady)
		w.node("n2", corev1.ConditionUnknown, nil)
		expect("another one: more than half", "")
		w.node("n3", corev1.ConditionTrue, nil)
		expect("a node is added: half", "n1: "+notReady)
		w.node("n1", corev1.ConditionTrue, nil)
		expect("Ready again", "")
		time.Sleep(unreadyAfter)
		expect("the other one, later", "n2: "+notReady)

		synctest.Wait()
		w.told = 0
		w.node("n0", corev1.ConditionTrue, nil)
		w.node("n2", corev1.ConditionUnknown, nil)
		time.Sleep(time.Hour)
		synctest.Wait()
		if w.told > 0 {
			t.Errorf("heartbeats told the engine %d things", w.told)
		}
		if err := w.nodes.GetStore().Delete(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n2"}}); err != nil {
			t.Fatal(err)
		}
		w.queue.Add(item{kindNode, lb.Key{Name: "n2"}})
		expect("removed", "")
	})
}

// While the API server is away nobody can be seen to be Ready again.
func TestNobodyIsBarredWhileBlind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newVIPWorld(t)
		var away atomic.Bool
		w.reached = func() error {
			if away.Load() {
				return errors.New("no answer")
			}
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		var loop sync.WaitGroup
		loop.Go(func() { _ = w.Run(ctx) })
		defer func() { cancel(); loop.Wait() }()
		w.node("n1", corev1.ConditionTrue, nil)
		w.node("n2", corev1.ConditionTrue, nil)
		w.node("n2", corev1.ConditionFalse, nil)
		synctest.Wait()
		away.Store(true)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if got := w.barred(); got != "" {
			t.Errorf("barred %q", got)
		}
		away.Store(false)
		time.Sleep(whileBlind)
		synctest.Wait()
		if got := w.barred(); got != "n2: "+notReady {
			t.Errorf("barred %q when the API server is back", got)
		}
	})
}
