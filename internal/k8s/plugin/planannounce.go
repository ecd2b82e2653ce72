package plugin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
)

// PlannedAnnouncement is what becomes of how an address is announced on the local segment, or a prefix to a peer.
type PlannedAnnouncement struct {
	// Address is an address, or the prefix that Peer has.
	Address  string             `json:"address"`
	Peer     string             `json:"peer,omitempty"`
	Services []string           `json:"services"`
	Change   AnnouncementChange `json:"change"`
	// From and To are the nodes that announce it.
	From []string `json:"from,omitempty"`
	To   []string `json:"to,omitempty"`
	Why  string   `json:"why,omitempty"`
}

// AnnouncementChange is what becomes of it.
type AnnouncementChange string

// What becomes of an announcement, the gravest first.
const (
	Silent     AnnouncementChange = "silent"     // nobody answers for the address any more
	Withdrawn  AnnouncementChange = "withdrawn"  // the peer has the prefix no more
	Handed     AnnouncementChange = "moved"      // another node answers
	Rerouted   AnnouncementChange = "changed"    // the peer has it from other nodes, or with other attributes
	Answered   AnnouncementChange = "answered"   // where nobody did
	Advertised AnnouncementChange = "advertised" // where the peer did not have it
)

var announcementGravity = []AnnouncementChange{Silent, Withdrawn, Handed, Rerouted, Answered, Advertised}

// changeAdvertisements returns a snapshot with the pools and the advertisements as they would be, and whether there is
// any change of the latter. What is to be deleted is named KIND/NAME.
func changeAdvertisements(s *Snapshot, pools []*v1alpha1.IPAddressPool, apply []Manifest, remove []string) (after *Snapshot, changes bool, err error) {
	changed := *s
	changed.Pools = pools
	l2, bgp := map[string]*v1alpha1.L2Advertisement{}, map[string]*v1alpha1.BGPAdvertisement{}
	for _, o := range s.Advertisements {
		l2[o.Name] = o
	}
	for _, o := range s.BGPAdvertisements {
		bgp[o.Name] = o
	}
	source := map[string]string{}
	for _, m := range apply {
		name := m.advertisement()
		if name == "" {
			continue
		}
		if source[name] != "" {
			return nil, false, fmt.Errorf("%s is in %s, and again in %s", name, source[name], m.Source)
		}
		changes, source[name] = true, m.Source
		if m.L2 != nil {
			l2[m.L2.Name] = m.L2
		} else {
			bgp[m.BGP.Name] = m.BGP
		}
	}
	for _, name := range remove {
		kind, of := splitKind(name)
		var there bool
		switch kind {
		case kindL2:
			_, there = l2[of]
			delete(l2, of)
		case kindBGP:
			_, there = bgp[of]
			delete(bgp, of)
		default:
			continue // a pool
		}
		switch {
		case source[kind+" "+of] != "":
			return nil, false, fmt.Errorf("%s %s is to be deleted, and is in %s", kind, of, source[kind+" "+of])
		case !there:
			return nil, false, fmt.Errorf("there is no %s %s to delete", kind, of)
		}
		changes = true
	}
	changed.Advertisements, changed.BGPAdvertisements = slices.Collect(maps.Values(l2)), slices.Collect(maps.Values(bgp))
	return &changed, changes, nil
}

// loadAnnounced reads what announcements depend on.
func (s *Snapshot) loadAnnounced(ctx context.Context, c *k8s.Cluster) error {
	if err := s.LoadLayer2(ctx, c); err != nil && !s.withheld("Speakers", err) {
		return err
	}
	if err := s.LoadBGP(ctx, c); err != nil || len(s.BGPAdvertisements) > 0 {
		return err
	}
	// The first one may be in the plan.
	var err error
	if s.Peers, err = LoadBGPPeers(ctx, c); err != nil {
		return err
	}
	s.Communities, err = all[*v1alpha1.Community](ctx, "Communities", c.Fairlead.FairleadV1alpha1().Communities().List)
	return err
}

const kindL2, kindBGP = "L2Advertisement", "BGPAdvertisement"

// advertisement names the advertisement of a manifest with its kind; empty for a pool.
func (m Manifest) advertisement() string {
	switch {
	case m.L2 != nil:
		return kindL2 + " " + m.L2.Name
	case m.BGP != nil:
		return kindBGP + " " + m.BGP.Name
	}
	return ""
}

// splitKind tells of KIND/NAME, with the kind as kubectl takes it, which it is; without a kind it is a pool.
func splitKind(arg string) (kind, name string) {
	word, name, found := strings.Cut(arg, "/")
	if !found {
		return "", arg
	}
	for _, kind := range plannable {
		if k := strings.ToLower(kind); strings.EqualFold(word, k) || strings.EqualFold(word, k+"s") {
			return kind, name
		}
	}
	return "", arg
}

// announce says what becomes of the announcements of the addresses that are of a pool before and after.
func (p *Plan) announce(s, after *Snapshot) {
	p.Announcements = []PlannedAnnouncement{}
	p.announceL2(s, after)
	p.announceBGP(s, after)
	slices.SortFunc(p.Announcements, func(x, y PlannedAnnouncement) int {
		return cmp.Or(cmp.Compare(slices.Index(announcementGravity, x.Change), slices.Index(announcementGravity, y.Change)),
			compareAddresses(x.Address, y.Address), cmp.Compare(x.Peer, y.Peer))
	})
}

func compareAddresses(x, y string) int {
	a, _ := netip.ParseAddr(strings.Split(x, "/")[0])
	b, _ := netip.ParseAddr(strings.Split(y, "/")[0])
	return cmp.Or(a.Compare(b), cmp.Compare(x, y))
}

func (p *Plan) announceL2(s, after *Snapshot) {
	g, before := settledOwners(s)
	if g.unread() {
		p.Unknown = append(p.Unknown, "Who would answer for which address is unknown, without the "+enumerate(s.Unread)+".")
		return
	}
	h, later := settledOwners(after)
	for a := range g.view.VIPs {
		if _, is := h.view.VIPs[a]; !is || before[a] == later[a] {
			continue
		}
		row := PlannedAnnouncement{Address: a.String(), Services: namesOf(g, a), Change: Handed, From: one(before[a]), To: one(later[a])}
		switch {
		case before[a] == "":
			row.Change = Answered
		case later[a] == "":
			row.Change, row.Why = Silent, h.whySilent(a)
		default:
			row.Why = h.whyNot(a, before[a])
		}
		p.Announcements = append(p.Announcements, row)
	}
}

func one(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

func namesOf(g *segment, a netip.Addr) (names []string) {
	for _, svc := range g.services[a] {
		names = append(names, k8s.Key(svc).String())
	}
	return nonNilList(names)
}

// whySilent says why nobody answers for an address.
func (g *segment) whySilent(a netip.Addr) string {
	if len(g.view.VIPs[a].Scopes) == 0 {
		return "no L2Advertisement covers it"
	}
	if g.reasons++; g.reasons > mostReasons {
		return "no node may own it"
	}
	return refusals(slices.DeleteFunc(g.verdicts(a), func(v NodeVerdict) bool { return v.May != mayNo && v.May != mayOwns }))
}

// whyNot says why a node does not keep an address.
func (g *segment) whyNot(a netip.Addr, node string) string {
	if g.reasons++; g.reasons > mostReasons {
		return ""
	}
	for _, v := range g.verdicts(a) {
		if v.Node == node {
			return strings.TrimPrefix(strings.TrimPrefix(v.Why, leaving), keeping)
		}
	}
	return ""
}

// advert is a prefix as a peer has it.
type advert struct{ prefix, peer string }

func (p *Plan) announceBGP(s, after *Snapshot) {
	v, w := newAdvertising(s), newAdvertising(after)
	if len(s.BGPAdvertisements)+len(after.BGPAdvertisements) == 0 {
		return
	}
	if lacking := v.unknown(); lacking != "" {
		p.Unknown = append(p.Unknown, "What BGP would advertise is unknown, without the "+lacking+".")
		return
	}
	rows, refused := map[advert][2][]RouteRow{}, map[string]string{}
	add := func(i int, list []RouteRow) {
		for _, r := range list {
			if key := (advert{r.Prefix, r.Peer}); r.Advertised {
				both := rows[key]
				both[i] = append(both[i], r)
				rows[key] = both
			} else if i == 1 {
				refused[r.Prefix] = r.Why
			}
		}
	}
	add(0, v.routes(Selection{}))
	add(1, w.routes(Selection{}))
	for key, both := range rows {
		row := PlannedAnnouncement{Address: key.prefix, Peer: key.peer, From: advertisers(both[0]), To: advertisers(both[1]),
			Services: slices.Concat(both[0], both[1])[0].Services}
		switch {
		case len(both[1]) == 0:
			row.Change, row.Why = Withdrawn, cmp.Or(refused[key.prefix], "no BGPAdvertisement is for it")
		case len(both[0]) == 0:
			row.Change = Advertised
		case attributes(both[0]) != attributes(both[1]):
			row.Change, row.Why = Rerouted, "with "+cmp.Or(attributes(both[1]), "no communities")
		case !slices.Equal(row.From, row.To):
			row.Change = Rerouted
		default:
			continue
		}
		p.Announcements = append(p.Announcements, row)
	}
}

// advertisers are the nodes that advertise a prefix.
func advertisers(rows []RouteRow) (names []string) {
	for _, r := range rows {
		names = append(names, r.names()...)
	}
	return unique(names)
}

// attributes are what a prefix is advertised with, in words.
func attributes(rows []RouteRow) string {
	var all []string
	for _, r := range rows {
		var parts []string
		if r.LocalPref != nil {
			parts = append(parts, fmt.Sprintf("local preference %d", *r.LocalPref))
		}
		if len(r.Communities) > 0 {
			parts = append(parts, "communities "+enumerate(r.Communities))
		}
		all = append(all, strings.Join(parts, ", "))
	}
	return strings.Join(unique(all), "; ")
}
