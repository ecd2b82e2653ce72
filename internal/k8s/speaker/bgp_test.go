package speaker

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// fakeBGP writes down what it is told.
type fakeBGP struct {
	mu   sync.Mutex
	told []string
}

func (f *fakeBGP) note(format string, args ...any) {
	f.mu.Lock()
	f.told = append(f.told, fmt.Sprintf(format, args...))
	f.mu.Unlock()
}

func (f *fakeBGP) SetPeer(p bgp.Peer)        { f.note("peer %s", shown(p)) }
func (f *fakeBGP) RemovePeer(name string)    { f.note("no peer %s", name) }
func (*fakeBGP) Status() []bgp.SessionStatus { return nil }
func (f *fakeBGP) SetPhase(p bgp.Phase)      { f.note("phase %d", p) }
func (f *fakeBGP) SetOrigins(a netip.Addr, origins []bgp.Origin) {
	text := a.String()
	for _, o := range origins {
		text += " " + o.Prefix.String()
		for _, c := range o.Communities {
			text += "," + c.String()
		}
		if o.Peers != nil {
			text += " to " + strings.Join(o.Peers, "+")
		}
	}
	f.note("%s", text)
}

// bgpWorld is a vipWorld that looks at what the BGP engine is told.
type bgpWorld struct {
	*vipWorld
	engine *fakeBGP
}

func newBGPWorld(t *testing.T) *bgpWorld {
	w := &bgpWorld{newVIPWorld(t), &fakeBGP{}}
	w.routing.engine = w.engine
	w.routing.passwordsKnown = func() bool { return true }
	w.node("n", corev1.ConditionTrue, nil)
	w.setNode(lb.Key{Name: "n"})
	w.engine.told = nil
	return w
}

// expect fails the test unless the engine was told of exactly these since the last time.
func (w *bgpWorld) expect(why string, want ...string) {
	w.t.Helper()
	w.engine.mu.Lock()
	got := w.engine.told
	w.engine.told = nil
	w.engine.mu.Unlock()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: the engine was told\n\t%s\nwant\n\t%s", why, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func (w *bgpWorld) routes(name string, spec v1alpha1.BGPAdvertisementSpec) {
	w.t.Helper()
	w.put(w.routing.advertisements.GetStore(), &v1alpha1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: spec})
	w.setRoutes(lb.Key{Name: name})
}

func (w *bgpWorld) peer(p *v1alpha1.BGPPeer) {
	w.t.Helper()
	w.put(w.routing.peers.GetStore(), p)
	w.setBGPPeer(lb.Key{Name: p.Name})
}

func TestOrigins(t *testing.T) {
	const a, b = "192.0.2.1", "192.0.2.2"
	w := newBGPWorld(t)
	w.set(service("web", 1, "web", "", a))
	w.expect("no advertisement")
	w.routes("all", v1alpha1.BGPAdvertisementSpec{})
	w.expect("an advertisement", a+" 192.0.2.1/32")
	w.set(service("dns", 2, "dns", "", b))
	w.expect("another Service touches no other", b+" 192.0.2.2/32")
	w.set(service("dns", 2, "dns", "", b))
	w.expect("nothing new")
	w.routes("dns", v1alpha1.BGPAdvertisementSpec{ServiceSelectors: match("app", "dns"), AggregationLength: ptr.To[int32](24), Peers: []string{"tor"}, Communities: []v1alpha1.CommunityReference{"no-export", "edge"}})
	w.expect("another advertisement, in an aggregate", b+" 192.0.2.2/32 192.0.2.0/24,no-export to tor")
	w.put(w.routing.communities.GetStore(), &v1alpha1.Community{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Spec: v1alpha1.CommunitySpec{Communities: []v1alpha1.CommunityAlias{{Name: "edge", Value: "65000:1"}}}})
	w.setCommunities()
	w.expect("an alias becomes known", b+" 192.0.2.2/32 192.0.2.0/24,65000:1,no-export to tor")
	w.setCommunities()
	w.expect("the same aliases")
	w.put(w.pools.GetStore(), &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "edge"}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: []v1alpha1.AddressRange{"192.0.2.0/25"}}})
	w.setPools()
	w.expect("the pool becomes smaller than the aggregate", b+" 192.0.2.2/32 192.0.2.2/32,65000:1,no-export to tor")
	w.routes("dns", v1alpha1.BGPAdvertisementSpec{AggregationLength: ptr.To[int32](99)})
	w.expect("the last good form stays")
	w.routes("dns", v1alpha1.BGPAdvertisementSpec{NodeSelectors: match("rack", "2")})
	w.expect("another node's", b+" 192.0.2.2/32")
	if err := w.routing.advertisements.GetStore().Delete(&v1alpha1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: "all"}}); err != nil {
		t.Fatal(err)
	}
	w.setRoutes(lb.Key{Name: "all"})
	w.expect("an advertisement goes", a, b)
	w.put(w.nodes.GetStore(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"rack": "2"}}})
	w.setNode(lb.Key{Name: "n"})
	w.expect("this node's label changes", a+" 192.0.2.1/32", b+" 192.0.2.2/32")
	w.remove(service("dns", 2, "dns", "", b))
	w.expect("a Service goes", b)
}

// What a session begins with is what its router takes for everything: the Node may be known late.
func TestRoutesComeBeforePeers(t *testing.T) {
	w := newBGPWorld(t)
	w.known, w.routing.departure = map[string]node{}, newDeparture()
	w.setPhase()
	w.routes("all", v1alpha1.BGPAdvertisementSpec{})
	w.set(service("web", 1, "web", "", "192.0.2.1"))
	w.peer(bgpPeer("a", 1, nil))
	w.expect("no Node", "phase 2")
	w.setNode(lb.Key{Name: "n"})
	w.expect("the Node comes", "192.0.2.1 192.0.2.1/32", "phase 0", "peer a")
}

// The router ID is made of the node's address, and another one is another session.
func TestANodeWithoutAddressesKeepsItsSessions(t *testing.T) {
	w := newBGPWorld(t)
	node := func(addresses ...corev1.NodeAddress) {
		w.put(w.nodes.GetStore(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Status: corev1.NodeStatus{Addresses: addresses,
			Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}})
		w.setNode(lb.Key{Name: "n"})
	}
	node(corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "192.0.2.11"})
	w.peer(bgpPeer("a", 1, nil))
	w.expect("a peer", "peer a")
	node()
	w.expect("a cloud's controller that has not found the machine takes them away")
	node(corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: "192.0.2.12"})
	w.expect("another address", "peer a")
}

func TestOriginsWithLocalEndpoints(t *testing.T) {
	const a = "192.0.2.1"
	w := newBGPWorld(t)
	w.routes("all", v1alpha1.BGPAdvertisementSpec{})
	w.set(local(service("web", 1, "web", "k", a)))
	w.expect("no endpoint anywhere")
	w.endpoints("web", "m")
	w.expect("endpoints on another node")
	w.endpoints("web", "m", "n")
	w.expect("an endpoint on this node", a+" 192.0.2.1/32")
	w.set(local(service("quic", 2, "web", "k", a)))
	w.endpoints("quic", "m")
	w.expect("one that shares counts by the endpoints of the oldest")
	w.endpoints("web", "m")
	w.expect("the endpoint is gone", a)
	w.set(service("web", 1, "web", "k", a))
	w.expect("Cluster: with and without endpoints", a+" 192.0.2.1/32")
}

func TestPeersAreBroughtInLine(t *testing.T) {
	w := newBGPWorld(t)
	secret := func(name, password string) {
		w.put(w.routing.passwords.GetStore(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "fairlead-system", Name: name}, Type: corev1.SecretTypeBasicAuth,
			Data: map[string][]byte{"password": []byte(password)}})
		w.setPeers()
	}
	w.peer(bgpPeer("a", 1, nil))
	w.expect("a peer", "peer a")
	w.peer(bgpPeer("a", 1, nil))
	w.expect("nothing new")
	w.peer(bgpPeer("b", 2, nil))
	w.expect("the same session again")
	w.peer(bgpPeer("c", 3, func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "192.0.2.3"; withSecret("key")(s) }))
	w.expect("no Secret")
	secret("key", "s3cret")
	w.expect("a Secret", "peer c key=s3cret")
	secret("key", "rotated")
	w.expect("another password", "peer c key=rotated")
	secret("key", "")
	w.expect("an empty one: it goes on")
	w.put(w.routing.profiles.GetStore(), &v1alpha1.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: "fast"}})
	w.peer(bgpPeer("a", 1, withBFD("fast")))
	w.expect("BFD", "peer a bfd=fast/300ms")
	if err := w.routing.peers.GetStore().Delete(bgpPeer("a", 1, nil)); err != nil {
		t.Fatal(err)
	}
	w.setBGPPeer(lb.Key{Name: "a"})
	w.expect("the one that stood back takes over, and not before the other is gone", "no peer a", "peer b")
	bad := bgpPeer("b", 2, func(s *v1alpha1.BGPPeerSpec) { s.MyASN = 0 })
	w.peer(bad)
	w.expect("the last good form stays")
	if p := w.sessions(); len(p) != 2 || p[0].Reason != v1alpha1.BGPSessionInvalidSpec || p[1].Reason != v1alpha1.BGPSessionNoSecret || p[1].Address != "192.0.2.3" {
		t.Errorf("sessions: %+v", p)
	}
	if err := w.nodes.GetStore().Delete(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}}); err != nil {
		t.Fatal(err)
	}
	w.setNode(lb.Key{Name: "n"})
	w.expect("the Node goes", "phase 1", "no peer b", "no peer c")
}

// Until the passwords have come a session that needs one is not opened, and there is nothing to say of it; one that is
// there goes on.
func TestPasswordsThatAreOnTheirWay(t *testing.T) {
	w := newBGPWorld(t)
	known := false
	w.routing.passwordsKnown = func() bool { return known }
	w.peer(bgpPeer("a", 1, withSecret("key")))
	w.expect("not known yet")
	if p := w.sessions(); len(p) > 0 {
		t.Errorf("sessions: %+v", p)
	}
	if err := w.routing.passwords.Waiting(); err == nil || slices.Contains(w.needed(), w.routing.passwords) {
		t.Errorf("the speaker is held up by Secrets: %v", err)
	}
	known = true
	w.setPeers()
	w.expect("known, and there is none")
	if p := w.sessions(); len(p) != 1 || p[0].Reason != v1alpha1.BGPSessionNoSecret {
		t.Errorf("sessions: %+v", p)
	}
}

// No line of the log shows a password.
func TestPasswordsAreNotLogged(t *testing.T) {
	w := newBGPWorld(t)
	var text strings.Builder
	w.config.Log = slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.peer(bgpPeer("a", 1, withSecret("key")))
	for _, password := range []string{"s3cret", strings.Repeat("s3cret", 50), ""} {
		w.put(w.routing.passwords.GetStore(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "fairlead-system", Name: "key"}, Type: corev1.SecretTypeBasicAuth,
			Data: map[string][]byte{"password": []byte(password)}})
		w.setPeers()
	}
	if got := text.String(); strings.Contains(got, "s3cret") || !strings.Contains(got, "NoSecret") {
		t.Errorf("logged:\n%s", got)
	}
}

// A node that is drained leaves by and by, also if nothing else happens, and is back at once.
func TestDrainLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBGPWorld(t)
		ctx, cancel := context.WithCancel(t.Context())
		var loop sync.WaitGroup
		loop.Go(func() { _ = w.Run(ctx) })
		defer func() { cancel(); loop.Wait() }()
		expect := func(why string, want ...string) {
			t.Helper()
			synctest.Wait()
			w.expect(why, want...)
		}
		drain := map[string]string{v1alpha1.AnnotationDrain: ""}
		w.node("n", corev1.ConditionTrue, drain)
		expect("drained", "phase 1")
		time.Sleep(leavingFor - time.Second)
		expect("still leaving")
		time.Sleep(time.Second)
		expect("in time", "phase 2")
		w.node("n", corev1.ConditionTrue, nil)
		expect("back", "phase 0")
		w.node("n", corev1.ConditionTrue, drain)
		expect("drained again", "phase 1")
		w.node("n", corev1.ConditionTrue, nil)
		expect("back before it is gone", "phase 0")
		time.Sleep(time.Minute)
		expect("for good")

		for i := range 3 {
			w.node(fmt.Sprint("n", i), corev1.ConditionTrue, nil)
		}
		w.node("n", corev1.ConditionFalse, nil)
		time.Sleep(unreadyAfter - time.Second)
		expect("not Ready for a while")
		time.Sleep(time.Second)
		expect("not Ready for long", "phase 1")
		time.Sleep(leavingFor)
		expect("and gone", "phase 2")
		w.node("n", corev1.ConditionTrue, nil)
		expect("Ready", "phase 0")
	})
}
