package plugin

import (
	"context"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// LoadAll reads all there is, and does without what may not be read. If Services of all namespaces may not be, those
// of the current one are tried.
func LoadAll(ctx context.Context, c *k8s.Cluster, o *Options) (*Snapshot, error) {
	s := &Snapshot{Class: o.LoadBalancerClass, Namespaces: map[string]map[string]string{}, Time: time.Now(), layer2: true}
	var err error
	ours := c.Fairlead.FairleadV1alpha1()
	failed := func(kind string) bool {
		if apierrors.IsForbidden(err) {
			s.Unread = append(s.Unread, kind)
			s.Notes = append(s.Notes, err.Error())
			err = nil
		}
		return err != nil
	}
	if s.Pools, err = LoadPools(ctx, c); failed("IPAddressPools") {
		return nil, err
	}
	if s.Services, err = LoadServices(ctx, c, ""); apierrors.IsForbidden(err) {
		if namespace, bad := o.CurrentNamespace(); bad == nil {
			if services, bad := LoadServices(ctx, c, namespace); bad == nil {
				s.Services, s.ServicesOf = services, namespace
			}
		}
	}
	if failed("Services") {
		return nil, err
	}
	if s.Speakers, err = LoadSpeakers(ctx, c); failed("Speakers") {
		return nil, err
	}
	if s.Advertisements, err = LoadL2Advertisements(ctx, c); failed("L2Advertisements") {
		return nil, err
	}
	if s.Nodes, err = LoadNodes(ctx, c); failed("Nodes") {
		return nil, err
	}
	if s.local() {
		if s.Slices, err = loadSlices(ctx, c); failed("EndpointSlices") {
			return nil, err
		}
	}
	if s.BGPAdvertisements, err = all[*v1alpha1.BGPAdvertisement](ctx, "BGPAdvertisements", ours.BGPAdvertisements().List); failed("BGPAdvertisements") {
		return nil, err
	}
	if s.Peers, err = LoadBGPPeers(ctx, c); failed("BGPPeers") {
		return nil, err
	}
	if s.Profiles, err = all[*v1alpha1.BFDProfile](ctx, "BFDProfiles", ours.BFDProfiles().List); failed("BFDProfiles") {
		return nil, err
	}
	if s.Communities, err = all[*v1alpha1.Community](ctx, "Communities", ours.Communities().List); failed("Communities") {
		return nil, err
	}
	if err := s.LoadInstallation(ctx, c, o.FairleadNamespace); err != nil {
		return nil, err
	}
	return s, nil
}
