package picture

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/fairlead-lb/fairlead/internal/page"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
)

// claim is that the speaker of a node lists an address.
type claim struct {
	node string
	// standsFor is the node that owns the address and has this one answer on its behalf; empty if node owns it.
	standsFor   string
	since       int64
	cause, from string
}

// report is what a speaker said when it was last looked at.
type report struct {
	claims     map[netip.Addr]claim
	truncated  bool
	suppresses []v1alpha1.SuppressedNode
	conflicts  map[string]*page.Conflict
	takeovers  []v1alpha1.Takeover
}

func reportOf(node string, s *v1alpha1.Speaker) report {
	r := report{claims: map[netip.Addr]claim{}}
	if s == nil || s.Status.Layer2 == nil {
		return r
	}
	l2 := s.Status.Layer2
	for _, x := range l2.Addresses {
		if a, err := lb.ParseAddr(x.Address); err == nil {
			r.claims[a] = claim{node, x.For, millisOf(x.Since), string(x.Cause), x.From}
		}
	}
	r.truncated, r.suppresses, r.takeovers = l2.Truncated, l2.SuppressedNodes, l2.Takeovers
	r.conflicts = conflictsOf(node, l2)
	return r
}

// readSpeaker takes in what a speaker says of addresses and of other nodes. What it says otherwise than before is what
// is looked at.
func (l *look) readSpeaker(name string) {
	object := get[v1alpha1.Speaker](l.objects, speaker, name)
	before, now := l.reported[name], reportOf(name, object)
	if l.reported[name] = now; object == nil {
		delete(l.reported, name)
	}

	for a := range before.claims {
		if _, still := now.claims[a]; !still {
			l.setClaim(a, name, nil)
		}
	}
	for a, c := range now.claims {
		if was, known := before.claims[a]; !known || was != c {
			l.setClaim(a, name, &c)
		}
	}
	if before.truncated != now.truncated {
		was := l.truncated > 0
		if now.truncated {
			l.truncated++
		} else {
			l.truncated--
		}
		if was != (l.truncated > 0) { // owners that are not listed are unknown, or nobody
			maps.Copy(l.due.services, l.keys(service))
		}
	}

	for _, x := range before.suppresses {
		delete(l.suppressing[x.Node], name)
		l.due.nodes[x.Node] = struct{}{}
	}
	for _, x := range now.suppresses {
		if l.suppressing[x.Node] == nil {
			l.suppressing[x.Node] = map[string]v1alpha1.SuppressedNode{}
		}
		l.suppressing[x.Node][name] = x
		l.due.nodes[x.Node] = struct{}{}
	}
	replace(l.change.Conflicts, before.conflicts, now.conflicts)
	l.due.takeovers = l.due.takeovers || !equality.Semantic.DeepEqual(before.takeovers, now.takeovers)
}

// setClaim takes note of what a node's speaker says of an address, nil if nothing.
func (l *look) setClaim(a netip.Addr, node string, c *claim) {
	claims := slices.DeleteFunc(l.claims[a], func(x claim) bool { return x.node == node })
	if c != nil {
		claims = append(claims, *c)
	}
	if l.claims[a] = claims; len(claims) == 0 {
		delete(l.claims, a)
	}
	for key := range l.users[a] {
		l.due.services[key] = struct{}{}
	}
}

// owner says who owns an address. While the speakers' statuses disagree it is who became its owner last.
func (p *picture) owner(a netip.Addr, shown *page.Address) {
	claims := p.claims[a]
	if len(claims) == 0 {
		shown.Unlisted = shown.Layer2 && p.truncated > 0
		return
	}
	newest := slices.MinFunc(claims, func(x, y claim) int {
		return cmp.Or(cmp.Compare(x.standsFor, y.standsFor), cmp.Compare(y.since, x.since), cmp.Compare(x.node, y.node))
	})
	if newest.standsFor != "" {
		shown.Owner, shown.StandIn = newest.standsFor, newest.node
		return
	}
	shown.Owner, shown.Since, shown.Cause, shown.From = newest.node, newest.since, newest.cause, newest.from
}

func (l *look) showTakeovers() {
	reports := map[string][]v1alpha1.Takeover{}
	for node, r := range l.reported {
		reports[node] = r.takeovers
	}
	now := takeovers(reports)
	replace(l.change.Takeovers, l.newest, now)
	l.newest = now
}

// showSessions looks at a node's sessions. Which it is to have, and which routes it is to advertise, depends on its
// labels.
func (l *look) showSessions(name string) {
	object, of := get[corev1.Node](l.objects, node, name), get[v1alpha1.Speaker](l.objects, speaker, name)
	var wanted []*k8s.BGPPeer
	if object != nil {
		wanted, _ = k8s.BGPPeersOn(l.peers, object.Labels)
	}
	now := sessionsOf(name, of, wanted, object == nil)
	replace(l.change.Sessions, l.sessions[name], now)
	l.due.routes = l.due.routes || !equality.Semantic.DeepEqual(l.sessions[name], now)
	if l.sessions[name] = now; len(now) == 0 {
		delete(l.sessions, name)
	}
	switch {
	case object == nil:
		delete(l.nodeLabels, name)
	case !maps.Equal(l.nodeLabels[name], labels.Set(object.Labels)):
		l.nodeLabels[name], l.due.routes = object.Labels, true
	}
}

// showRoutes counts the nodes that advertise.
func (l *look) showRoutes() {
	now := map[string]*page.Route{}
	for _, a := range l.routes {
		r := &page.Route{Peers: a.Peers}
		for node, sessions := range l.sessions {
			if a.Allows(l.nodeLabels[node]) && slices.ContainsFunc(slices.Collect(maps.Values(sessions)), func(s *page.Session) bool {
				return advertises(s) && (a.Peers == nil || slices.Contains(a.Peers, s.Peer))
			}) {
				r.Nodes++
			}
		}
		now[a.Name] = r
	}
	replace(l.change.Routes, l.counted, now)
	l.counted = now
}
