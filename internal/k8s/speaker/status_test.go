package speaker

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	fairleadfake "github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned/fake"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
)

// statusWorld is the Status of node c with an API server, an engine and a group, as far as it can tell. It
// lives in a synctest bubble; the informer of the object does not run, and looks are the test's to make.
type statusWorld struct {
	*Status
	t       *testing.T
	client  *fairleadfake.Clientset
	group   []string
	engine  fakeEngine
	refusal error // of patches
}

type fakeEngine struct {
	state  layer2.State
	status layer2.Status
}

func (e *fakeEngine) State() layer2.State   { return e.state }
func (e *fakeEngine) Status() layer2.Status { return e.status }

func newStatusWorld(t *testing.T, group ...string) *statusWorld {
	w := &statusWorld{t: t, client: fairleadfake.NewSimpleClientset(), group: group, engine: fakeEngine{state: layer2.Serving}}
	uids := 0
	w.client.PrependReactor("create", "speakers", func(a clienttesting.Action) (bool, runtime.Object, error) {
		uids++
		a.(clienttesting.CreateAction).GetObject().(metav1.Object).SetUID(types.UID(fmt.Sprint("speaker-", uids)))
		return false, nil, nil
	})
	w.client.PrependReactor("patch", "speakers", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &v1alpha1.Speaker{}, w.refusal
	})
	c := Config{Node: "c", Cluster: &k8s.Cluster{Fairlead: w.client}, Log: slog.New(slog.DiscardHandler)}
	w.Status = newStatus(c, &w.engine, cache.NewStore(cache.MetaNamespaceKeyFunc), func() []string { return w.group })
	w.addNode("c", "node-1")
	return w
}

func (w *statusWorld) addNode(name string, uid types.UID) {
	if err := w.nodes.Add(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid}}); err != nil {
		w.t.Error(err)
	}
}

// owns has the engine answer for n addresses.
func (w *statusWorld) owns(n int) {
	w.engine.status.Owned = map[netip.Addr]layer2.Owned{}
	for a := netip.MustParseAddr("192.0.2.1"); len(w.engine.status.Owned) < n; a = a.Next() {
		w.engine.status.Owned[a] = layer2.Owned{}
	}
}

// look checks what a look writes, and returns after how long to look again.
func (w *statusWorld) look(why, writes string) (again time.Duration) {
	w.t.Helper()
	w.client.ClearActions()
	at, err := w.Status.look(w.t.Context())
	if w.refusal == nil && err != nil {
		w.t.Errorf("%s: %v", why, err)
	}
	var got []string
	for _, a := range w.client.Actions() {
		did := a.GetVerb()
		if patch, ok := a.(clienttesting.PatchAction); ok {
			did += " " + patch.GetName()
		}
		got = append(got, did)
	}
	if got := strings.Join(got, ", "); got != writes {
		w.t.Errorf("%s: did %q, want %q", why, got, writes)
	}
	if at.IsZero() {
		return 0
	}
	return time.Until(at)
}

// written is the object's status as the API server has it.
func (w *statusWorld) written() v1alpha1.SpeakerStatus {
	w.t.Helper()
	o, err := w.client.FairleadV1alpha1().Speakers().Get(w.t.Context(), "c", metav1.GetOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	return o.Status
}

func members(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("c%03d", i))
	}
	return names
}

// The Speaker object belongs to its Node, and does not outlive it.
func TestSpeakerObject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, "c")
		w.nodes.Replace(nil, "")
		w.look("no Node", "")
		w.addNode("c", "node-1")
		w.look("a Node", "create, update")
		create := w.client.Actions()[0].(clienttesting.CreateAction).GetObject().(*v1alpha1.Speaker)
		want := []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "c", UID: "node-1"}}
		if !equality.Semantic.DeepEqual(create.OwnerReferences, want) {
			t.Errorf("owners %+v, want %+v", create.OwnerReferences, want)
		}
		w.look("nothing new", "")

		// The Node is registered anew; its object goes with the former one.
		w.addNode("c", "node-2")
		w.remove()
		w.look("its object was deleted", "create, update")
		w.nodes.Replace(nil, "")
		w.remove()
		w.look("its Node was deleted", "")
		w.client.ClearActions()
		w.sayFarewell(t.Context())
		if a := w.client.Actions(); len(a) > 0 {
			t.Errorf("an object was made or written to say that the speaker stops: %v", a)
		}
	})
}

// remove has the API server delete the object, and the informer say so.
func (w *statusWorld) remove() {
	if err := w.client.Tracker().Delete(v1alpha1.SchemeGroupVersion.WithResource("speakers"), "", "c"); err != nil {
		w.t.Error(err)
	}
	w.deleted(w.last)
}

// An object of an older version has no owner, and is written as it is.
func TestSpeakerObjectExists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, "c")
		old := &v1alpha1.Speaker{ObjectMeta: metav1.ObjectMeta{Name: "c", UID: "old"}}
		if err := w.client.Tracker().Add(old); err != nil {
			t.Fatal(err)
		}
		w.look("one that exists, and that the watch has not told of yet", "create")
		if err := w.own.GetStore().Add(old); err != nil {
			t.Fatal(err)
		}
		w.look("it has", "update")
		w.owns(1)
		w.look("owns an address", "update")
	})
}

// What a speaker leaves behind says what holds without it: which hardware addresses others answer with on its
// behalf, and for how long.
func TestFarewell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, "c")
		w.version, w.grace = "v1", 15*time.Second
		w.engine.status.Links = []layer2.Link{{Interface: lb.Interface{Name: "eth0", HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}}}}
		w.owns(1)
		w.look("owns an address", "create, update")
		w.sayFarewell(t.Context())
		got := w.written()
		if c := got.Conditions[0]; c.Status != metav1.ConditionFalse || c.Reason != "Stopped" || !strings.Contains(c.Message, "its addresses stay with the node for 15s") {
			t.Errorf("stopped: %+v", c)
		}
		got.Conditions = nil
		want := v1alpha1.SpeakerStatus{Version: "v1", Interfaces: []v1alpha1.SpeakerInterface{{Name: "eth0", HardwareAddress: "02:00:00:00:00:01"}}}
		if !equality.Semantic.DeepEqual(got, want) {
			t.Errorf("%+v is left, want %+v", got, want)
		}
	})
}

func TestGossipWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, members(fewMembers-1)...)
		w.look("new", "create, update")
		w.group = members(fewMembers)
		w.look("a few members write at once", "update")

		w.group = members(fewMembers + 1)
		again := w.look("more of them wait", "")
		if again < gossipDelay || again >= gossipDelay+gossipJitter {
			t.Errorf("waits for %v", again)
		}
		time.Sleep(again / 2)
		w.group = members(fewMembers + 2)
		if rest := w.look("one more does not make it wait longer", ""); rest != again-again/2 {
			t.Errorf("waits for another %v of %v", rest, again)
		}
		time.Sleep(again - again/2)
		w.look("the time has come", "update")

		w.group = members(fewMembers + 3)
		w.look("waits again", "")
		w.owns(1)
		w.look("ownership does not wait", "update")
		if got := w.written().Gossip.Members; got != fewMembers+3 {
			t.Errorf("%d members written with it, want the newest %d", got, fewMembers+3)
		}

		w.group = members(fewMembers + 2)
		w.look("waits again", "")
		w.group = members(fewMembers + 3)
		if again := w.look("back at what was written", ""); again != 0 {
			t.Errorf("looks again after %v", again)
		}

		w.engine.state = layer2.Joining
		w.look("Ready does not wait", "update")
	})
}

func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, "c")
		for _, tt := range []struct {
			state  layer2.State
			nodes  []string
			status metav1.ConditionStatus
			says   []string
			writes string
		}{
			{layer2.Joining, nil, metav1.ConditionFalse, []string{"has not heard the other speakers yet"}, "create, update"},
			{layer2.Alone, nil, metav1.ConditionFalse, []string{"no other speaker answers: it decides alone"}, "update"},
			{layer2.Serving, nil, metav1.ConditionTrue, nil, "update"},
			{layer2.Alone, []string{"a"}, metav1.ConditionFalse, []string{"though there is 1 other node"}, "update"},
			{layer2.Serving, nil, metav1.ConditionTrue, nil, "update"},
			{layer2.Alone, []string{"b", "d"}, metav1.ConditionFalse, []string{"though there are 3 other nodes", "7956", "TCP", "UDP", "key"}, "update"},
		} {
			time.Sleep(time.Second) // so that a transition has a time of its own
			w.engine.state = tt.state
			for _, name := range tt.nodes {
				w.addNode(name, "")
			}
			w.look(string(tt.state), tt.writes)
			c := w.written().Conditions[0]
			if c.Type != v1alpha1.ConditionReady || c.Status != tt.status || c.Reason != string(tt.state) {
				t.Errorf("%s: %+v", tt.state, c)
			}
			for _, words := range tt.says {
				if !strings.Contains(c.Message, words) {
					t.Errorf("%s: %q does not say %q", tt.state, c.Message, words)
				}
			}
		}
		w.addNode("e", "")
		if again := w.look("all of them are alone, and the cluster grows", ""); again < gossipDelay {
			t.Errorf("waits for %v", again)
		}
	})
}

// Nobody has to kick the first look, nor the one that a change waited for.
func TestStatusRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newStatusWorld(t, members(fewMembers+1)...)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var tasks sync.WaitGroup
		tasks.Go(func() { _ = w.Watch().Run(ctx) })
		tasks.Go(func() { _ = w.Run(ctx) })
		time.Sleep(10 * time.Second)
		if got := w.written().Gossip.Members; got != fewMembers+1 {
			t.Errorf("%d members written at the start", got)
		}
		synctest.Wait()
		w.group = members(fewMembers + 2)
		w.Kick()
		time.Sleep(gossipDelay - time.Second)
		if got := w.written().Gossip.Members; got != fewMembers+1 {
			t.Errorf("%d members written at once", got)
		}
		time.Sleep(gossipJitter + 3*statusPause)
		if got := w.written().Gossip.Members; got != fewMembers+2 {
			t.Errorf("%d members written after the delay", got)
		}
		cancel()
		tasks.Wait()
		if c := w.written().Conditions[0]; c.Reason != "Stopped" {
			t.Errorf("at the end: %+v", c)
		}
	})
}
