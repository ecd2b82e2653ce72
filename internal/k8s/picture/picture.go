package picture

import (
	"maps"
	"net/netip"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/page"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
)

// kind is the kind of an object.
type kind string

const (
	service          kind = "Service"
	pool             kind = "IPAddressPool"
	l2Advertisement  kind = "L2Advertisement"
	bgpAdvertisement kind = "BGPAdvertisement"
	bgpPeer          kind = "BGPPeer"
	bfdProfile       kind = "BFDProfile"
	community        kind = "Community"
	speaker          kind = "Speaker"
	node             kind = "Node"
)

// thing is an object: of what has a namespace, the name is namespace/name.
type thing struct {
	kind kind
	name string
}

// stores are the objects that there are, by kind.
type stores map[kind]cache.Store

// get returns an object, nil if it is not there.
func get[T any](s stores, k kind, name string) *T {
	object, exists, _ := s[k].GetByKey(name) // an index does not fail
	if !exists {
		return nil
	}
	of, _ := object.(*T)
	return of
}

// picture is what is shown, as far as it has to be kept to tell what a change of an object changes. One goroutine owns
// it.
type picture struct {
	objects stores
	class   string
	history *page.History

	// The configuration, as it was read. Seen tells of each object of it which version that was.
	seen     map[thing]string
	pools    *allocator.Allocator // only to find the pool of an address
	labels   map[string]labels.Set
	segments []segment
	routes   []*k8s.BGPAdvertisement
	peers    []*k8s.BGPPeer // by age

	shown map[string][]netip.Addr            // what a Service shows
	users map[netip.Addr]map[string]struct{} // and which Services show an address

	claims      map[netip.Addr][]claim // by node
	reported    map[string]report
	truncated   int // speakers whose list leaves addresses out
	suppressing map[string]map[string]v1alpha1.SuppressedNode
	newest      map[string]*page.Takeover
	counted     map[string]*page.Route
	sessions    map[string]map[string]*page.Session // by node
	nodeLabels  map[string]labels.Set
	problems    map[thing]map[string]*page.Problem
}

func newPicture(objects stores, class string, history *page.History) *picture {
	return &picture{
		objects: objects, class: class, history: history,
		seen: map[thing]string{}, pools: allocator.New(), labels: map[string]labels.Set{},
		shown: map[string][]netip.Addr{}, users: map[netip.Addr]map[string]struct{}{},
		claims: map[netip.Addr][]claim{}, reported: map[string]report{}, suppressing: map[string]map[string]v1alpha1.SuppressedNode{},
		newest: map[string]*page.Takeover{}, counted: map[string]*page.Route{}, sessions: map[string]map[string]*page.Session{}, nodeLabels: map[string]labels.Set{},
		problems: map[thing]map[string]*page.Problem{},
	}
}

// all are all objects that there are.
func (p *picture) all() map[thing]struct{} {
	things := map[thing]struct{}{}
	for k, store := range p.objects {
		for _, name := range store.ListKeys() {
			things[thing{k, name}] = struct{}{}
		}
	}
	return things
}

// look is one look at what has changed: what follows from it, and what is to be said.
type look struct {
	*picture
	change *page.Change
	due    due
}

// due are those that are to be shown anew: by name, and all routes and takeovers.
type due struct {
	services, pools, nodes, sessions map[string]struct{}
	routes, takeovers                bool
}

// update looks at objects that may have changed, and at what depends on them. The change may say what was so already.
func (p *picture) update(changed map[thing]struct{}) *page.Change {
	l := &look{p, newChange(), due{services: map[string]struct{}{}, pools: map[string]struct{}{}, nodes: map[string]struct{}{}, sessions: map[string]struct{}{}}}
	l.readConfig(changed)
	for t := range changed {
		switch t.kind {
		case service:
			l.due.services[t.name] = struct{}{}
		case pool:
			l.due.pools[t.name] = struct{}{}
		case node:
			l.due.nodes[t.name], l.due.sessions[t.name] = struct{}{}, struct{}{}
		case speaker:
			l.due.nodes[t.name], l.due.sessions[t.name] = struct{}{}, struct{}{}
			l.readSpeaker(t.name)
		case bgpPeer:
			l.change.Peers[t.name] = nil
			if object := get[v1alpha1.BGPPeer](p.objects, bgpPeer, t.name); object != nil {
				shown := peerOf(object)
				l.change.Peers[t.name] = &shown
			}
		}
		l.readProblems(t)
	}
	for name := range l.due.pools {
		l.showPool(name)
	}
	for name := range l.due.nodes {
		l.showNode(name)
	}
	for name := range l.due.sessions {
		l.showSessions(name)
	}
	if l.due.routes {
		l.showRoutes()
	}
	if l.due.takeovers {
		l.showTakeovers()
	}
	for name := range l.due.services {
		l.showService(name)
	}
	return l.change
}

func newChange() *page.Change {
	return &page.Change{
		Usage: map[string][]page.Step{}, Pools: map[string]*page.Pool{}, Services: map[string]*page.Service{}, Nodes: map[string]*page.Node{},
		Peers: map[string]*page.Peer{}, Sessions: map[string]*page.Session{}, Routes: map[string]*page.Route{},
		Takeovers: map[string]*page.Takeover{}, Conflicts: map[string]*page.Conflict{}, Problems: map[string]*page.Problem{},
	}
}

// replace has edits say what has become of the entries that there were before.
func replace[T any](edits, before, now map[string]*T) {
	for key := range before {
		if now[key] == nil {
			edits[key] = nil
		}
	}
	maps.Copy(edits, now)
}

// keys are the names of all objects of a kind.
func (l *look) keys(k kind) map[string]struct{} {
	names := map[string]struct{}{}
	for _, name := range l.objects[k].ListKeys() {
		names[name] = struct{}{}
	}
	return names
}

func (l *look) showService(key string) {
	svc := get[corev1.Service](l.objects, service, key)
	for _, a := range l.shown[key] {
		if delete(l.users[a], key); len(l.users[a]) == 0 {
			delete(l.users, a)
		}
	}
	delete(l.shown, key)
	l.change.Services[key] = nil
	if svc == nil || !k8s.Ours(svc, l.class) {
		return
	}
	addresses := k8s.IngressIPs(svc)
	if len(addresses) > 0 {
		l.shown[key] = addresses
	}
	for _, a := range addresses {
		if l.users[a] == nil {
			l.users[a] = map[string]struct{}{}
		}
		l.users[a][key] = struct{}{}
	}
	s := serviceOf(svc, func(a netip.Addr) page.Address { return l.about(a, svc.Labels) })
	l.change.Services[key] = &s
}

func (l *look) showPool(name string) {
	l.change.Pools[name] = nil
	object := get[v1alpha1.IPAddressPool](l.objects, pool, name)
	if object == nil {
		return
	}
	p := poolOf(object)
	p.Modes = l.modes(name)
	l.change.Pools[name] = &p
	l.change.Usage[name] = l.history.Of(name)
}

func (l *look) showNode(name string) {
	l.change.Nodes[name] = nil
	object, of := get[corev1.Node](l.objects, node, name), get[v1alpha1.Speaker](l.objects, speaker, name)
	if object == nil && of == nil {
		return
	}
	n := nodeOf(name, object, of, l.suppressing[name])
	l.change.Nodes[name] = &n
}

// readProblems looks at what an object's conditions say.
func (l *look) readProblems(t thing) {
	var conditions []metav1.Condition
	switch t.kind {
	case pool:
		conditions = conditionsOf(l, t, func(o *v1alpha1.IPAddressPool) []metav1.Condition { return o.Status.Conditions })
	case l2Advertisement:
		conditions = conditionsOf(l, t, func(o *v1alpha1.L2Advertisement) []metav1.Condition { return o.Status.Conditions })
	case bgpAdvertisement:
		conditions = conditionsOf(l, t, func(o *v1alpha1.BGPAdvertisement) []metav1.Condition { return o.Status.Conditions })
	case bgpPeer:
		conditions = conditionsOf(l, t, func(o *v1alpha1.BGPPeer) []metav1.Condition { return o.Status.Conditions })
	case bfdProfile:
		conditions = conditionsOf(l, t, func(o *v1alpha1.BFDProfile) []metav1.Condition { return o.Status.Conditions })
	case community:
		conditions = conditionsOf(l, t, func(o *v1alpha1.Community) []metav1.Condition { return o.Status.Conditions })
	case speaker:
		conditions = conditionsOf(l, t, func(o *v1alpha1.Speaker) []metav1.Condition { return o.Status.Conditions })
	default:
		return
	}
	now := problemsOf(string(t.kind), t.name, conditions)
	replace(l.change.Problems, l.problems[t], now)
	if l.problems[t] = now; len(now) == 0 {
		delete(l.problems, t)
	}
}

func conditionsOf[T any](l *look, t thing, of func(*T) []metav1.Condition) []metav1.Condition {
	if object := get[T](l.objects, t.kind, t.name); object != nil {
		return of(object)
	}
	return nil
}
