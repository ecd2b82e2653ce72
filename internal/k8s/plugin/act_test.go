package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// acting is a cluster of two nodes, whose speakers a test plays, and what the user is told.
type acting struct {
	t *testing.T
	*k8s.Cluster
	clients
	said []string
}

func newActing(t *testing.T, objects ...runtime.Object) *acting {
	a := &acting{t: t}
	web := service("shop", "web", "192.0.2.1")
	a.Cluster, a.clients = cluster(append(objects, nodes("node1")[0], nodes("node2")[0], pool("edge", "192.0.2.0/24"), web,
		&v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "main"}}, speakerOf("node1", "192.0.2.1"), speakerOf("node2"))...)
	return a
}

func (a *acting) waiting(wait bool, timeout time.Duration) Waiting {
	start := time.Now()
	return Waiting{Wait: wait, Timeout: timeout, Say: func(format string, args ...any) {
		a.said = append(a.said, fmt.Sprintf("%v: ", time.Since(start).Round(time.Millisecond))+fmt.Sprintf(format, args...))
	}}
}

// later has speakers write some time from now.
func (a *acting) later(after time.Duration, speakers ...*v1alpha1.Speaker) {
	time.AfterFunc(after, func() { a.speak(speakers...) })
}

// speak has speakers write now.
func (a *acting) speak(speakers ...*v1alpha1.Speaker) {
	for _, sp := range speakers {
		if _, err := a.Cluster.Fairlead.FairleadV1alpha1().Speakers().Update(context.Background(), sp, metav1.UpdateOptions{}); err != nil {
			a.t.Error(err)
		}
	}
}

// telling gives a speaker sessions in which it advertises prefixes.
func telling(sp *v1alpha1.Speaker, prefixes int32, peers ...string) *v1alpha1.Speaker {
	for _, p := range peers {
		sp.Status.BGPSessions = append(sp.Status.BGPSessions,
			v1alpha1.BGPSessionStatus{Peer: p, State: v1alpha1.BGPSessionEstablished, PrefixesAdvertised: prefixes})
	}
	return sp
}

func (a *acting) node(name string) *corev1.Node {
	n, err := a.Core.CoreV1().Nodes().Get(context.Background(), name, metav1.GetOptions{})
	if err != nil {
		a.t.Fatal(err)
	}
	return n
}

// expect compares what was said, line by line, and the error.
func (a *acting) expect(err error, fail string, want ...string) {
	a.t.Helper()
	if got, want := strings.Join(a.said, "\n"), strings.Join(want, "\n"); got != want {
		a.t.Errorf("said\n%s\nwant\n%s", got, want)
	}
	if text := fmt.Sprint(err); text != fail && !(fail == "" && err == nil) {
		a.t.Errorf("error %s, want %q", text, fail)
	}
}

func TestDrain(t *testing.T) {
	tests := []struct {
		name    string
		objects []runtime.Object
		run     func(*acting) error
		fail    string
		want    []string
		drained bool
	}{
		{
			name: "what moves is waited for",
			run: func(a *acting) error {
				a.later(600*time.Millisecond, speakerOf("node1"), speakerOf("node2", "192.0.2.1"))
				return Drain(a.t.Context(), a.Cluster, "", "node1", a.waiting(true, time.Minute))
			},
			want: []string{"0s: node node1: 1 address to move", "750ms: node node1 owns no address now: it took 0.8 s"}, drained: true,
		},
		{
			name: "a node whose speaker stops meanwhile has not moved what another holds for it",
			run: func(a *acting) error {
				a.later(300*time.Millisecond, gone(speakerOf("node1")), speakerOf("node2", "192.0.2.1 for node1"))
				a.later(900*time.Millisecond, speakerOf("node2", "192.0.2.1"))
				return Drain(a.t.Context(), a.Cluster, "", "node1", a.waiting(true, time.Minute))
			},
			want: []string{"0s: node node1: 1 address to move", "1s: node node1 owns no address now: it took 1.0 s"}, drained: true,
		},
		{
			name: "what does not move is an error in the end",
			run: func(a *acting) error {
				return Drain(a.t.Context(), a.Cluster, "", "node1", a.waiting(true, 2*time.Second))
			},
			fail: "node node1 still owns 1 address after 2s: 192.0.2.1; it stays drained",
			want: []string{"0s: node node1: 1 address to move"}, drained: true,
		},
		{
			name: "what has nowhere to go stays, and is not waited for",
			run: func(a *acting) error {
				n := a.node("node2")
				setDrain(n)
				if _, err := a.Core.CoreV1().Nodes().Update(context.Background(), n, metav1.UpdateOptions{}); err != nil {
					return err
				}
				return Drain(a.t.Context(), a.Cluster, "", "node1", a.waiting(true, time.Minute))
			},
			fail: "node node1 keeps 192.0.2.1, which no other node may own; it stays drained",
			want: []string{"0s: node node1: 1 address to move",
				"0s: 192.0.2.1 (shop/web) has nowhere to go and stays: node2: annotation fairlead.dev/drain"}, drained: true,
		},
		{
			name: "routes that are withdrawn are waited for, which takes longer than the addresses",
			run: func(a *acting) error {
				a.speak(telling(speakerOf("node1", "192.0.2.1"), 5, "tor1", "tor2"))
				a.later(600*time.Millisecond, telling(speakerOf("node1"), 5, "tor1", "tor2"), speakerOf("node2", "192.0.2.1"))
				a.later(11100*time.Millisecond, telling(speakerOf("node1"), 0, "tor1", "tor2"))
				return Drain(a.t.Context(), a.Cluster, "", "node1", a.waiting(true, time.Minute))
			},
			want: []string{"0s: node node1: 1 address to move, and routes to withdraw from tor1 and tor2",
				"11.25s: node node1 owns no address, and advertises none to tor1 and tor2 now: it took 11.2 s"}, drained: true,
		},
		{
			name: "routes are withdrawn in time, also where the status tells late",
			run: func(a *acting) error {
				a.speak(telling(speakerOf("node1"), 5, "tor1"))
				return Drain(a.t.Context(), a.Cluster, "", "node1", a.waiting(true, time.Minute))
			},
			want: []string{"0s: node node1: 0 addresses to move, and routes to withdraw from tor1",
				"15.25s: node node1 owns no address, and advertises none to tor1 now: it took 15.2 s"}, drained: true,
		},
		{
			name: "routes that are not withdrawn in the time given are an error",
			run: func(a *acting) error {
				a.speak(telling(speakerOf("node1"), 5, "tor1"))
				return Drain(a.t.Context(), a.Cluster, "", "node1", a.waiting(true, 5*time.Second))
			},
			fail: "node node1 still advertises to tor1 after 5s; it stays drained",
			want: []string{"0s: node node1: 0 addresses to move, and routes to withdraw from tor1"}, drained: true,
		},
		{
			name: "without a wait it is only asked for",
			run:  func(a *acting) error { return Drain(a.t.Context(), a.Cluster, "", "node1", a.waiting(false, 0)) },
			want: []string{"0s: node node1: 1 address to move"}, drained: true,
		},
		{
			name: "a node that is drained already is waited for all the same",
			run: func(a *acting) error {
				if err := Drain(a.t.Context(), a.Cluster, "", "node1", a.waiting(false, 0)); err != nil {
					return err
				}
				a.said = nil
				a.later(300*time.Millisecond, speakerOf("node1"))
				return Drain(a.t.Context(), a.Cluster, "", "node1", a.waiting(true, 0))
			},
			want: []string{"0s: node node1 is drained already; it owns 1 address", "500ms: node node1 owns no address now: it took 0.5 s"}, drained: true,
		},
		{
			name: "a user who goes away leaves it drained",
			run: func(a *acting) error {
				ctx, cancel := context.WithTimeout(a.t.Context(), time.Second)
				defer cancel()
				return Drain(ctx, a.Cluster, "", "node1", a.waiting(true, time.Minute))
			},
			fail: "interrupted; what was asked for stays asked for",
			want: []string{"0s: node node1: 1 address to move"}, drained: true,
		},
		{
			name: "no such node",
			run:  func(a *acting) error { return Drain(a.t.Context(), a.Cluster, "", "node9", a.waiting(true, 0)) },
			fail: "there is no Node node9; kubectl get nodes lists those that there are",
		},
		{
			name: "no right to do it",
			run: func(a *acting) error {
				a.forbid("patch", "nodes", "*")
				return Drain(a.t.Context(), a.Cluster, "", "node1", a.waiting(true, 0))
			},
			fail: `you may not patch Node node1: nodes is forbidden: User "eve" cannot patch resource "nodes"`,
		},
		{
			name: "no right to see why it would be stuck",
			run: func(a *acting) error {
				a.forbid("list", "nodes", "*")
				a.later(100*time.Millisecond, speakerOf("node1"))
				return Drain(a.t.Context(), a.Cluster, "", "node1", a.waiting(true, 0))
			},
			want: []string{"0s: node node1: 1 address to move",
				`0s: note: you may not read Nodes: nodes is forbidden: User "eve" cannot list resource "nodes": who may own which address is unknown`,
				"250ms: node node1 owns no address now: it took 0.2 s"}, drained: true,
		},
		{
			name: "undrain takes it back",
			run: func(a *acting) error {
				if err := Drain(a.t.Context(), a.Cluster, "", "node1", a.waiting(false, 0)); err != nil {
					return err
				}
				a.said = nil
				return Undrain(a.t.Context(), a.Cluster, "node1", a.waiting(false, 0))
			},
			want: []string{"0s: node node1 is drained no longer. What moved away stays where it is; kubectl fairlead rebalance spreads it anew"},
		},
		{
			name: "undrain of a node that is not drained, and is kept out by its label",
			run: func(a *acting) error {
				n := a.node("node1")
				n.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""}
				if _, err := a.Core.CoreV1().Nodes().Update(context.Background(), n, metav1.UpdateOptions{}); err != nil {
					return err
				}
				return Undrain(a.t.Context(), a.Cluster, "node1", a.waiting(false, 0))
			},
			want: []string{"0s: node node1 is not drained", "0s: node node1 owns nothing all the same: label node.kubernetes.io/exclude-from-external-load-balancers"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newActing(t, tt.objects...)
				a.expect(tt.run(a), tt.fail, tt.want...)
				if drained := Drained(a.node("node1")); drained != tt.drained {
					t.Errorf("drained: %t, want %t", drained, tt.drained)
				}
			})
		})
	}
}

func TestRebalance(t *testing.T) {
	two := speakerOf("node1", "192.0.2.1", "192.0.2.2")
	moved := []*v1alpha1.Speaker{speakerOf("node1", "192.0.2.1"), speakerOf("node2", "192.0.2.2")}
	const foreseen = "About 1 address is to move; each move breaks the connections through the address. A node gives away one address a second: it takes about 1s."
	tests := []struct {
		name  string
		names []string
		run   func(*acting)
		wait  bool
		fail  string
		want  []string
	}{
		{
			name: "is asked for", want: []string{"0s: main: 2 addresses on 2 nodes: node1 2, node2 0", "0s: " + foreseen, "0s: main: asked to rebalance"},
		},
		{
			name: "and waited for", names: []string{"main"}, wait: true,
			run: func(a *acting) { a.later(1100*time.Millisecond, moved...) },
			want: []string{"0s: main: 2 addresses on 2 nodes: node1 2, node2 0", "0s: " + foreseen, "0s: main: asked to rebalance",
				"1.25s: main: 2 addresses on 2 nodes: node1 1, node2 1", "1.25s: The addresses are spread evenly."},
		},
		{
			name: "until nothing moves any more", wait: true,
			want: []string{"0s: main: 2 addresses on 2 nodes: node1 2, node2 0", "0s: " + foreseen, "0s: main: asked to rebalance",
				"10s: Nothing has moved for 10s: the rest stays, as no other node that has room may own it."},
		},
		{name: "no such advertisement", names: []string{"mian"}, fail: "there is no L2Advertisement mian; kubectl get l2advertisements lists those that there are"},
		{
			name: "no right to do it", run: func(a *acting) { a.forbid("patch", "l2advertisements", "*") },
			fail: `you may not patch L2Advertisement main: l2advertisements is forbidden: User "eve" cannot patch resource "l2advertisements"`,
			want: []string{"0s: main: 2 addresses on 2 nodes: node1 2, node2 0", "0s: " + foreseen},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := newActing(t, service("shop", "more", "192.0.2.2"))
				if _, err := a.Cluster.Fairlead.FairleadV1alpha1().Speakers().Update(t.Context(), two.DeepCopy(), metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
				if tt.run != nil {
					tt.run(a)
				}
				a.expect(Rebalance(t.Context(), a.Cluster, "", tt.names, a.waiting(tt.wait, 0)), tt.fail, tt.want...)
				main, err := a.Cluster.Fairlead.FairleadV1alpha1().L2Advertisements().Get(t.Context(), "main", metav1.GetOptions{})
				if err != nil {
					t.Fatal(err)
				}
				_, bad := time.Parse(time.RFC3339, main.Annotations[v1alpha1.AnnotationRebalance])
				if asked := bad == nil; asked != (tt.fail == "") {
					t.Errorf("annotations %v", main.Annotations)
				}
			})
		})
	}
}

// Nothing is written but the one annotation: an object that GitOps keeps shows no other difference.
func TestPatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newActing(t)
		if err := Drain(t.Context(), a.Cluster, "", "node1", a.waiting(false, 0)); err != nil {
			t.Fatal(err)
		}
		if err := Undrain(t.Context(), a.Cluster, "node1", a.waiting(false, 0)); err != nil {
			t.Fatal(err)
		}
		var patches []string
		for _, action := range a.core.Actions() {
			if p, is := action.(clienttesting.PatchAction); is {
				patches = append(patches, string(p.GetPatch()))
				if !json.Valid(p.GetPatch()) {
					t.Errorf("%s is no JSON", p.GetPatch())
				}
			} else if verb := action.GetVerb(); verb != "get" && verb != "list" {
				t.Errorf("%s %s", verb, action.GetResource().Resource)
			}
		}
		want := `{"metadata":{"annotations":{"fairlead.dev/drain":"true"}}} {"metadata":{"annotations":{"fairlead.dev/drain":null}}}`
		if got := strings.Join(patches, " "); got != want {
			t.Errorf("patches %s", got)
		}
	})
}
