package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"
)

// session is a Speaker with a session in a state.
func session(node, peer string, state v1alpha1.BGPSessionState, since time.Time) *v1alpha1.Speaker {
	s := &v1alpha1.Speaker{ObjectMeta: metav1.ObjectMeta{Name: node}}
	s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}}
	s.Status.BGPSessions = []v1alpha1.BGPSessionStatus{{Peer: peer, State: state}}
	if state == v1alpha1.BGPSessionEstablished {
		s.Status.BGPSessions[0].EstablishedTime = &metav1.Time{Time: since}
	}
	return s
}

// What is printed is what changed between two snapshots, and what only time changed is not.
func TestWatchingPrintsWhatChanged(t *testing.T) {
	peer := &v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: "tor"}, Spec: v1alpha1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "192.0.2.1"}}
	at := func(minutes int, speakers ...*v1alpha1.Speaker) *Snapshot {
		return &Snapshot{Time: now.Add(time.Duration(minutes) * time.Minute), Nodes: nodes("node1", "node2"), Peers: []*v1alpha1.BGPPeer{peer}, Speakers: speakers}
	}
	up, down := v1alpha1.BGPSessionEstablished, v1alpha1.BGPSessionIdle
	var out strings.Builder
	x := &watching{l: PeersListing(Format{}, func(rows []PeerRow) []PeerRow { return rows }), w: &out,
		last: at(0, session("node1", "tor", up, now), session("node2", "tor", up, now))}
	if err := x.begin(x.last); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name string
		s    *Snapshot
		want string
	}{
		{"nothing but time", at(5, session("node1", "tor", up, now), session("node2", "tor", up, now)), ""},
		{"a session that goes down", at(6, session("node1", "tor", down, now), session("node2", "tor", up, now)), "tor   node1  Idle         -       -         -\n"},
		{"and comes back", at(8, session("node1", "tor", up, now.Add(7*time.Minute)), session("node2", "tor", up, now)), "tor   node1  Established  60s     0         -\n"},
		{"nothing", at(9, session("node1", "tor", up, now.Add(7*time.Minute)), session("node2", "tor", up, now)), ""},
	}
	if want := "PEER  NODE   STATE        UPTIME  PREFIXES  BFD  LAST-ERROR\n" +
		"tor   node1  Established  0s      0         -\ntor   node2  Established  0s      0         -\n"; out.String() != want {
		t.Errorf("begins with\n%s\nwant\n%s", &out, want)
	}
	for _, step := range steps {
		out.Reset()
		if err := x.see(step.s); err != nil || out.String() != step.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", step.name, err, cmp.Diff(step.want, out.String()), step.want)
		}
	}
	out.Reset()
	gone := at(10, session("node1", "tor", up, now.Add(7*time.Minute)))
	gone.Nodes = nodes("node1")
	if err := x.see(gone); err != nil || out.String() != "tor   node2  (gone)\n" {
		t.Errorf("%v\n%s", err, &out)
	}
}

// printed is a buffer that one goroutine writes and another reads.
type printed struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *printed) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(data)
}

func (p *printed) await(t *testing.T, want string) {
	t.Helper()
	var got string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		got = p.text.String()
		p.mu.Unlock()
		if strings.Contains(got, want) {
			return
		}
	}
	t.Fatalf("%q\nis not in\n%s", want, got)
}

// following runs a watch until the result is called, which holds it to have ended as it should.
func following(t *testing.T, watch func(ctx context.Context, complain func(string)) error) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	ended := make(chan error, 1)
	go func() { ended <- watch(ctx, func(text string) { t.Error(text) }) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// everyService lists all Services.
var everyService = ServicesListing(Format{}, func(rows []ServiceRow) []ServiceRow { return rows })

// A watch of the API brings what changes, and ends with the context.
func TestWatch(t *testing.T) {
	c, clients := cluster(pool("edge", "192.0.2.1-192.0.2.9"), service("web", "a"))
	ctx := t.Context()
	s, err := LoadServicesOf(ctx, c, "", "")
	if err != nil {
		t.Fatal(err)
	}
	var out printed
	end := following(t, func(ctx context.Context, complain func(string)) error {
		return Watch(ctx, c, s, everyService, &out, complain)
	})
	out.await(t, "web        a     -          -      Undecided  no controller has decided on it yet\n")
	if _, err := clients.core.CoreV1().Services("web").UpdateStatus(ctx, service("web", "a", "192.0.2.1"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	out.await(t, "web        a     192.0.2.1  edge   Undecided")
	if _, err := clients.core.CoreV1().Services("web").Create(ctx, service("web", "b"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	out.await(t, "web        b     -          -")
	if err := clients.core.CoreV1().Services("web").Delete(ctx, "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	out.await(t, "web        a     (gone)\n")
	end()
}

// A message that is wider than the terminal goes on below itself.
func TestWatchWraps(t *testing.T) {
	s := &Snapshot{Services: []*corev1.Service{service("web", "a")}, Time: now}
	var out strings.Builder
	x := &watching{l: ServicesListing(Format{Width: 80}, func(rows []ServiceRow) []ServiceRow { return rows }), w: &out}
	if err := x.begin(s); err != nil {
		t.Fatal(err)
	}
	const want = "NAMESPACE  NAME  ADDRESSES  POOLS  STATUS     MESSAGE\n" +
		"web        a     -          -      Undecided  no controller has decided on it\n" +
		"                                              yet\n"
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", &out, want)
	}
}

func TestWatchWithoutTheRight(t *testing.T) {
	c, clients := cluster(pool("edge", "192.0.2.1-192.0.2.9"), service("web", "a"))
	clients.forbidWatch("services")
	s, err := LoadServicesOf(t.Context(), c, "", "")
	if err != nil {
		t.Fatal(err)
	}
	err = Watch(t.Context(), c, s, everyService, &strings.Builder{}, func(string) {})
	if err == nil || !strings.Contains(err.Error(), "you may not watch Services: ") {
		t.Errorf("%v", err)
	}
}

// A plugin of the kubeconfig gets another credential once the API server has refused one: for the next request.
func TestWatchWithACredentialThatRanOut(t *testing.T) {
	c, clients := cluster(pool("edge", "192.0.2.1-192.0.2.9"))
	var asked atomic.Int32
	clients.core.PrependWatchReactor("services", func(clienttesting.Action) (bool, watch.Interface, error) {
		return asked.Add(1) == 1, nil, apierrors.NewUnauthorized("the token has expired")
	})
	ctx := t.Context()
	s, err := LoadServicesOf(ctx, c, "", "")
	if err != nil {
		t.Fatal(err)
	}
	var out printed
	end := following(t, func(ctx context.Context, complain func(string)) error {
		return Watch(ctx, c, s, everyService, &out, complain)
	})
	for deadline := time.Now().Add(10 * time.Second); asked.Load() < 2 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
	}
	if _, err := clients.core.CoreV1().Services("web").Create(ctx, service("web", "b"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	out.await(t, "web        b     -")
	end()
}

// Status is shown anew when something of it changes, and not when nothing does.
func TestWatchStatus(t *testing.T) {
	c, clients := cluster(pool("edge", "192.0.2.1-192.0.2.9"), &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "main"}}, nodes("node1")[0], speakerOf("node1"))
	ctx := t.Context()
	s, err := LoadAll(ctx, c, &Options{FairleadNamespace: "fairlead-system"})
	if err != nil {
		t.Fatal(err)
	}
	var out printed
	end := following(t, func(ctx context.Context, complain func(string)) error {
		return WatchStatus(ctx, c, s, &out, func() Format { return Format{} }, complain)
	})
	out.await(t, "Services      0 assigned\n")
	if _, err := clients.core.CoreV1().Services("web").Create(ctx, service("web", "b"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	out.await(t, "Services      0 assigned, 1 pending\n")
	end()
}

// An object that is watched weighs no more than it has to.
func TestMirror(t *testing.T) {
	m := &mirror{objects: nil, kick: make(chan struct{}, 1)}
	svc := service("web", "a")
	svc.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "me"}}
	if _, synced := m.list(); synced {
		t.Error("synced before there was a list")
	}
	if err := errors.Join(m.Replace([]any{svc}, ""), m.Update(service("web", "b")), m.Delete(service("web", "b"))); err != nil {
		t.Fatal(err)
	}
	list, synced := m.list()
	if !synced || len(list) != 1 || len(list[0].(*corev1.Service).ManagedFields) != 0 {
		t.Errorf("%v %v", synced, fmt.Sprint(list))
	}
}
