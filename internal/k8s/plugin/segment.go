package plugin

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s/speaker"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
)

// segment is who answers for which address. Who does, the speakers' statuses say; who may, and who would be
// next, an elector that was told of the same objects as theirs.
type segment struct {
	s        *Snapshot
	elector  *layer2.Elector
	view     speaker.View
	nodes    map[string]*corev1.Node
	speakers map[string]*v1alpha1.Speaker
	services map[netip.Addr][]*corev1.Service // ours that show it, the oldest first
	said     map[netip.Addr][]saying          // by node
	// conflicts are the foreign hosts that speakers saw use an address.
	conflicts map[netip.Addr][]conflict
	// suppressed are the nodes that at least one speaker suppresses, with the latest time of reuse.
	suppressed map[string]v1alpha1.SuppressedNode
	// covering are the BGPAdvertisements that are for an address.
	covering func(netip.Addr) []string
	reasons  int // given so far of why nobody owns an address
	// stoodIn counts the addresses that others answer for on behalf of a node.
	stoodIn map[string]int
	// cut are the nodes whose speakers list only some of the addresses that they answer for, sorted.
	cut []string
}

// saying is what the speaker of a node says of an address.
type saying struct {
	node string
	// standsFor is the node that owns the address and has this one answer on its behalf; empty if node owns it.
	standsFor              string
	service                string
	interfaces             []string
	v1alpha1.Layer2Address // as the speaker writes it
}

type conflict struct {
	node string // whose speaker saw the host
	v1alpha1.AddressConflict
}

func newSegment(s *Snapshot) *segment {
	g := &segment{
		// The elector is of a node that there cannot be, and so it never owns anything itself.
		s: s, elector: layer2.NewElector("kubectl fairlead"), nodes: map[string]*corev1.Node{}, speakers: map[string]*v1alpha1.Speaker{},
		services: s.byAddress(), said: map[netip.Addr][]saying{}, conflicts: map[netip.Addr][]conflict{},
		suppressed: map[string]v1alpha1.SuppressedNode{}, stoodIn: map[string]int{},
	}
	for _, n := range s.Nodes {
		g.nodes[n.Name] = n
	}
	byName := slices.SortedFunc(slices.Values(s.Speakers), func(x, y *v1alpha1.Speaker) int { return cmp.Compare(x.Name, y.Name) })
	for _, sp := range byName {
		g.speakers[sp.Name] = sp
		g.read(sp)
	}
	g.view = speaker.Tell(g.elector, s.Class, speaker.Objects{
		Nodes: s.Nodes, Pools: s.Pools, Advertisements: s.Advertisements, Services: s.Services, Slices: s.Slices,
	})
	for _, sp := range byName {
		switch interfaces := linksOf(sp); {
		case ready(sp):
			g.elector.Join(sp.Name, interfaces)
		case g.stoodIn[sp.Name] > 0:
			g.elector.Join(sp.Name, interfaces)
			g.elector.Rest(sp.Name)
		}
	}
	for a := range g.said {
		for _, owner := range g.owners(a) {
			g.claim(a, owner)
		}
	}
	g.claimUnlisted()
	for name := range g.suppressed {
		if sp := g.speakers[name]; ready(sp) {
			g.suppress(name, linksOf(sp))
		}
	}
	g.elector.Decide(s.Time)
	return g
}

// claim has the elector know an owner.
func (g *segment) claim(a netip.Addr, owner string) {
	g.elector.Hear(lb.Claim{Address: a, Node: owner, Epoch: 1})
}

// claimUnlisted gives out to the nodes whose lists are cut, for the elector alone, as many of the addresses
// that nobody lists as they leave out: whose each of them is nobody knows here, but loads come out right.
func (g *segment) claimUnlisted() {
	var unlisted []netip.Addr
	for a := range g.view.VIPs {
		if len(g.said[a]) == 0 {
			unlisted = append(unlisted, a)
		}
	}
	slices.SortFunc(unlisted, netip.Addr.Compare)
	for _, name := range g.cut {
		l2 := g.speakers[name].Status.Layer2
		for n := int(l2.Owned+l2.StandingIn) - len(l2.Addresses); n > 0 && len(unlisted) > 0; n-- {
			g.claim(unlisted[0], name)
			unlisted = unlisted[1:]
		}
	}
}

// suppress has the elector know a node as one that was lost too often: as often as RFC 2439's penalty takes.
func (g *segment) suppress(name string, interfaces []lb.Interface) {
	const often = 5
	for range often {
		g.elector.Part(name, true, g.s.Time)
		g.elector.Join(name, interfaces)
	}
}

// read takes note of what a speaker says.
func (g *segment) read(sp *v1alpha1.Speaker) {
	l2 := sp.Status.Layer2
	if l2 == nil {
		return
	}
	for _, x := range l2.Addresses {
		if a, err := lb.ParseAddr(x.Address); err == nil {
			g.said[a] = append(g.said[a], saying{sp.Name, x.For, x.Service, x.Interfaces, x})
			if x.For != "" {
				g.stoodIn[x.For]++
			}
		}
	}
	for _, x := range l2.Conflicts {
		if a, err := lb.ParseAddr(x.Address); err == nil {
			g.conflicts[a] = append(g.conflicts[a], conflict{sp.Name, x})
		}
	}
	for _, n := range l2.SuppressedNodes {
		if known, ok := g.suppressed[n.Node]; n.ReuseTime.After(g.s.Time) && (!ok || known.ReuseTime.Before(&n.ReuseTime)) {
			g.suppressed[n.Node] = n
		}
	}
	if l2.Truncated {
		g.cut = append(g.cut, sp.Name)
	}
}

// owners returns the nodes that own an address, sorted: one as a rule, two while statuses disagree, none if no
// speaker lists the address.
func (g *segment) owners(a netip.Addr) (nodes []string) {
	for _, x := range g.said[a] {
		if x.standsFor == "" {
			nodes = append(nodes, x.node)
		}
	}
	if len(nodes) == 0 {
		for _, x := range g.said[a] {
			nodes = append(nodes, x.standsFor)
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}

// standIns returns the nodes that answer for an address on behalf of its owner, unless the owner does so
// itself again.
func (g *segment) standIns(a netip.Addr) (nodes []string) {
	for _, x := range g.said[a] {
		if x.standsFor == "" {
			return nil
		}
		nodes = append(nodes, x.node)
	}
	return nodes
}

// unread tells whether something could not be read that says who may own an address.
func (g *segment) unread() bool { return len(g.s.Unread) > 0 }

func ready(sp *v1alpha1.Speaker) bool {
	return sp != nil && meta.IsStatusConditionTrue(sp.Status.Conditions, v1alpha1.ConditionReady)
}

// linksOf are the interfaces of a speaker's node.
func linksOf(sp *v1alpha1.Speaker) (links []lb.Interface) {
	for _, i := range sp.Status.Interfaces {
		link := lb.Interface{Name: i.Name}
		for _, text := range i.Addresses {
			if p, err := netip.ParsePrefix(text); err == nil {
				link.Prefixes = append(link.Prefixes, p)
			}
		}
		links = append(links, link)
	}
	return links
}

// hardwareAddress returns that of a node's interface, empty if its speaker does not say.
func (g *segment) hardwareAddress(node, name string) string {
	if sp := g.speakers[node]; sp != nil {
		for _, i := range sp.Status.Interfaces {
			if i.Name == name {
				return i.HardwareAddress
			}
		}
	}
	return ""
}

// cutNote says of a node that its speaker lists only some of its addresses.
func (g *segment) cutNote(node string) string {
	l2 := g.speakers[node].Status.Layer2
	return fmt.Sprintf("%s lists only %d of the %d addresses that it answers for", node, len(l2.Addresses), l2.Owned+l2.StandingIn)
}

// since is how long ago something was, in short.
func (g *segment) since(t time.Time) string { return ago(g.s.Time.Sub(t)) }
