package speaker

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
	corev1 "k8s.io/api/core/v1"
)

// BGP is what a Speaker tells a bgp.Engine, and asks it.
type BGP interface {
	SetPeer(bgp.Peer)
	RemovePeer(name string)
	SetOrigins(netip.Addr, []bgp.Origin)
	SetPhase(bgp.Phase)
	Status() []bgp.SessionStatus
}

// routing is what the speaker knows, and has told the engine, of BGP.
type routing struct {
	engine BGP

	peers, advertisements, profiles, communities, passwords *k8s.Watch
	// passwordOf returns the password that a Secret holds; passwordsKnown tells whether all there are have come.
	passwordOf     func(secret string) (bgp.Password, error)
	passwordsKnown func() bool

	// The rest is the loop's alone, but for problems, which Speaker.mu guards.
	read       map[string]*k8s.BGPPeer // each in its last good form
	unreadable map[string]error        // those whose newest form is not good, and why
	told       map[string]bgp.Peer
	problems   map[string]problem
	adverts    []*routeAdvert // by name
	aliases    k8s.Aliases
	spaces     map[string]*netipx.IPSet // of pools
	origins    map[netip.Addr][]bgp.Origin
	departure  departure
	departing  *time.Timer // for the end of Leaving
	toldPhase  bgp.Phase
}

func newRouting(c Config) *routing {
	r := &routing{
		engine: c.BGP,
		peers:  k8s.WatchBGPPeers(c.Cluster, c.Log), advertisements: k8s.WatchBGPAdvertisements(c.Cluster, c.Log),
		profiles: k8s.WatchBFDProfiles(c.Cluster, c.Log), communities: k8s.WatchCommunities(c.Cluster, c.Log),
		passwords: k8s.WatchPasswords(c.Cluster, c.Namespace, c.Log),
		read:      map[string]*k8s.BGPPeer{}, unreadable: map[string]error{}, told: map[string]bgp.Peer{}, problems: map[string]problem{},
		spaces: map[string]*netipx.IPSet{}, origins: map[netip.Addr][]bgp.Origin{}, departure: newDeparture(),
	}
	if r.engine == nil {
		r.engine = nobody{}
	}
	r.passwordsKnown = r.passwords.HasSynced
	r.passwordOf = func(secret string) (bgp.Password, error) {
		r.passwords.Begin()
		if !r.passwordsKnown() {
			if err := r.passwords.Failure(); err != nil {
				return "", fmt.Errorf("Secret %s/%s cannot be read: %w", c.Namespace, secret, err)
			}
			return "", errSoon
		}
		object, exists, _ := r.passwords.GetStore().GetByKey(lb.Key{Namespace: c.Namespace, Name: secret}.String())
		if !exists {
			return "", noSecret(c.Namespace, secret)
		}
		return k8s.Password(object.(*corev1.Secret))
	}
	return r
}

// watches are those without which it is not known what to advertise to whom. The one of the passwords is none of them:
// where speakers may not read Secrets only the sessions that need one are not opened.
func (r *routing) watches() []*k8s.Watch {
	return []*k8s.Watch{r.peers, r.advertisements, r.profiles, r.communities}
}

// prepareBGP tells the engine of what the watches know, but for the addresses. Nodes and pools are known by now.
func (s *Speaker) prepareBGP(ctx context.Context) {
	r := s.routing
	for _, o := range r.peers.GetStore().List() {
		r.readPeer(o.(*v1alpha1.BGPPeer))
	}
	s.readCommunities()
	for _, o := range r.advertisements.GetStore().List() {
		s.readRoutes(o.(*v1alpha1.BGPAdvertisement))
	}
	s.awaitPasswords(ctx)
	s.setPhase()
	s.setPeers()
}

const (
	// passwordPace is how often it is looked whether passwords have come: that there are none of them, or that they may
	// not be read, no event tells.
	passwordPace = 500 * time.Millisecond
	// passwordPatience is how long a speaker that starts waits for them, so that it opens its sessions all at once.
	passwordPatience = 2 * time.Second
)

func (s *Speaker) awaitPasswords(ctx context.Context) {
	for began := time.Now(); ctx.Err() == nil && time.Since(began) < passwordPatience; {
		in := s.outlook()
		if in.sessions(); !in.awaited {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(passwordPace / 25):
		}
	}
}

// setBGPPeer takes note of a BGPPeer, and brings the sessions in line: another one may have stood back for it.
func (s *Speaker) setBGPPeer(key lb.Key) {
	if object, exists, _ := s.routing.peers.GetStore().GetByKey(key.Name); exists {
		s.routing.readPeer(object.(*v1alpha1.BGPPeer))
	} else {
		delete(s.routing.read, key.Name)
		delete(s.routing.unreadable, key.Name)
	}
	s.setPeers()
}

func (r *routing) readPeer(object *v1alpha1.BGPPeer) {
	peer, err := k8s.ReadBGPPeer(object)
	if err != nil {
		r.unreadable[object.Name] = err
		return
	}
	delete(r.unreadable, object.Name)
	r.read[object.Name] = peer
}

// outlook is all that the sessions depend on, as it is now.
func (s *Speaker) outlook() *outlook {
	r := s.routing
	n, known := s.known[s.config.Node]
	in := &outlook{
		node: s.config.Node, known: known, labels: n.labels, addresses: n.addresses,
		peers: slices.Collect(maps.Values(r.read)), unreadable: r.unreadable, profiles: map[string]bgp.BFD{},
		password: r.passwordOf, before: r.told,
	}
	k8s.BGPPeersByAge(in.peers)
	for _, o := range r.profiles.GetStore().List() {
		profile := o.(*v1alpha1.BFDProfile)
		in.profiles[profile.Name] = k8s.BFD(profile)
	}
	return in
}

// setPeers brings the sessions in line with all that they depend on. Peers are few: the engine is told of those
// that differ alone.
func (s *Speaker) setPeers() {
	r, in := s.routing, s.outlook()
	sessions, problems := in.sessions()
	now := map[string]bgp.Peer{}
	for _, p := range sessions {
		now[p.Name] = p
	}
	// A session that goes may be the same, to the router, as one that comes.
	for _, name := range slices.Sorted(maps.Keys(r.told)) {
		if _, stays := now[name]; !stays {
			r.engine.RemovePeer(name)
		}
	}
	for _, p := range sessions {
		if before, known := r.told[p.Name]; !known || !before.Equal(p) {
			r.engine.SetPeer(p)
		}
	}
	r.told = now
	s.setProblems(problems)
	if in.awaited {
		time.AfterFunc(passwordPace, func() { s.queue.Add(item{kind: kindSessions}) })
	}
}

// setProblems takes note of what keeps sessions from being as their BGPPeers say.
func (s *Speaker) setProblems(problems map[string]problem) {
	before := s.routing.problems
	s.mu.Lock()
	s.routing.problems = problems
	s.mu.Unlock()
	s.metrics.troubled.Set(float64(len(problems)))
	for _, name := range slices.Sorted(maps.Keys(problems)) {
		if p := problems[name]; before[name] != p {
			s.config.Log.Warn("a BGP session is not as its BGPPeer says", "peer", name, "reason", p.reason, "problem", p.message)
		}
	}
	s.SessionsChanged()
}

// nodeChanged brings BGP in line with this node's own object.
func (s *Speaker) nodeChanged() {
	n, known := s.known[s.config.Node]
	changed := false
	for _, a := range s.routing.adverts {
		here := known && a.Allows(n.labels)
		changed = changed || here != a.here
		a.here = here
	}
	if changed {
		s.setAllServices()
	}
	// First, for what a session begins with is what its router takes for everything.
	s.setPhase()
	s.setPeers()
}

// setPhase tells the engine how far this node is with leaving service, and sees to it that this is done again in
// time.
func (s *Speaker) setPhase() {
	r := s.routing
	barred := s.barredFor(s.config.Node)
	n, known := s.known[s.config.Node]
	if !known {
		barred = noNode
	}
	s.metrics.setBarred(barred != "")
	again := r.departure.look(n.ready, barred, time.Now())
	if r.departing != nil {
		r.departing.Stop()
	}
	if !again.IsZero() {
		r.departing = time.AfterFunc(time.Until(again), func() { s.queue.Add(item{kind: kindPhase}) })
	}
	if phase := r.departure.phase; phase != r.toldPhase {
		r.toldPhase = phase
		r.engine.SetPhase(phase)
		if len(r.read) > 0 {
			s.config.Log.Info(phaseWords[phase], "barred", barred)
		}
	}
}

// noNode is what a node is barred for that the API server does not know.
const noNode = "there is no such Node"

var phaseWords = map[bgp.Phase]string{
	bgp.Serving: "routes are advertised",
	bgp.Leaving: "routes are advertised with GRACEFUL_SHUTDOWN, and withdrawn soon",
	bgp.Gone:    "routes are withdrawn",
}

// nobody is an engine that does nothing.
type nobody struct{}

func (nobody) SetPeer(bgp.Peer)                    {}
func (nobody) RemovePeer(string)                   {}
func (nobody) SetOrigins(netip.Addr, []bgp.Origin) {}
func (nobody) SetPhase(bgp.Phase)                  {}
func (nobody) Status() []bgp.SessionStatus         { return nil }
