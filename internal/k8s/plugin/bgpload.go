package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// LoadBGPPeers lists the BGPPeers.
func LoadBGPPeers(ctx context.Context, c *k8s.Cluster) ([]*v1alpha1.BGPPeer, error) {
	peers, err := all[*v1alpha1.BGPPeer](ctx, "BGPPeers", c.Fairlead.FairleadV1alpha1().BGPPeers().List)
	if apierrors.IsNotFound(err) {
		err = errors.New("the cluster has no BGPPeers: are Fairlead's custom resource definitions installed?")
	}
	return peers, err
}

// LoadBGP lists the BGPAdvertisements and, if there are any, what else speakers decide by what is advertised over
// BGP, as far as LoadLayer2 has not. That some may not be read is a note, not an error.
func (s *Snapshot) LoadBGP(ctx context.Context, c *k8s.Cluster) error {
	var refused, err error
	// failed tells whether to give up: not for what may not be read.
	failed := func(kind string) bool {
		if apierrors.IsForbidden(err) {
			s.UnreadBGP = append(s.UnreadBGP, kind)
			refused, err = cmp.Or(refused, err), nil
		}
		return err != nil
	}
	ours := c.Fairlead.FairleadV1alpha1()
	if s.BGPAdvertisements, err = all[*v1alpha1.BGPAdvertisement](ctx, "BGPAdvertisements", ours.BGPAdvertisements().List); failed("BGPAdvertisements") {
		return err
	}
	if len(s.BGPAdvertisements) > 0 {
		if s.Peers, err = LoadBGPPeers(ctx, c); failed("BGPPeers") {
			return err
		}
		if s.Profiles, err = all[*v1alpha1.BFDProfile](ctx, "BFDProfiles", ours.BFDProfiles().List); failed("BFDProfiles") {
			return err
		}
		if s.Communities, err = all[*v1alpha1.Community](ctx, "Communities", ours.Communities().List); failed("Communities") {
			return err
		}
	}
	if len(s.BGPAdvertisements) > 0 && !s.layer2 {
		if s.Speakers, err = LoadSpeakers(ctx, c); failed("Speakers") {
			return err
		}
		if s.Nodes, err = LoadNodes(ctx, c); failed("Nodes") {
			return err
		}
		if s.local() {
			if s.Slices, err = loadSlices(ctx, c); failed("EndpointSlices") {
				return err
			}
		}
	}
	if refused != nil { // once, since as a rule who may not read one may read none
		s.Notes = append(s.Notes, fmt.Sprintf("%v: what BGP does is unknown without the %s", refused, enumerate(s.UnreadBGP)))
	}
	return nil
}

// LoadPeers reads what the sessions of the cluster are drawn from. Without the Nodes or the BGPPeers it is what the
// speakers say alone.
func LoadPeers(ctx context.Context, c *k8s.Cluster) (*Snapshot, error) {
	s := &Snapshot{Time: time.Now()}
	var err error
	failed := func(kind string) bool {
		if apierrors.IsForbidden(err) {
			s.Unread = append(s.Unread, kind)
			s.Notes = append(s.Notes, err.Error()+": which nodes are to have sessions is unknown")
			err = nil
		}
		return err != nil
	}
	if s.Speakers, err = LoadSpeakers(ctx, c); err != nil {
		return nil, err
	}
	if s.Peers, err = LoadBGPPeers(ctx, c); failed("BGPPeers") {
		return nil, err
	}
	if s.Nodes, err = LoadNodes(ctx, c); failed("Nodes") {
		return nil, err
	}
	return s, nil
}

// LoadRoutes reads what is advertised over BGP. It fails if something that is named does not exist. Without a
// BGPAdvertisement there is no route, and the rest is not read.
func LoadRoutes(ctx context.Context, c *k8s.Cluster, class string, want Selection) (*Snapshot, error) {
	s, err := Load(ctx, c, class, "")
	if err == nil {
		err = s.LoadBGP(ctx, c)
	}
	if err != nil {
		return nil, err
	}
	r := newRoster(s)
	if r.unknown() != "" {
		return nil, errors.New(s.Notes[len(s.Notes)-1]) // LoadBGP's
	}
	switch {
	case len(s.BGPAdvertisements) == 0:
	case want.Peer != "" && r.peers[want.Peer] == nil:
		return nil, noSuch("BGPPeer", want.Peer)
	case want.Node != "" && r.nodes[want.Node] == nil:
		return nil, noSuch("Node", want.Node)
	}
	return s, nil
}
