package controller

import (
	"strings"

	"github.com/fairlead-lb/fairlead/internal/k8s/picture"
	"github.com/fairlead-lb/fairlead/internal/page"
)

// Page returns the status page: a handler, and the task that it needs. It shows what this controller watches, whether
// it leads or not, and adds to that no request. To be called before Run.
func (c *Controller) Page(version string) (*page.Page, error) {
	source, err := picture.NewSource(picture.Config{
		Services: c.serviceWatch, Pools: c.poolWatch, L2Advertisements: c.advertisementWatch, BGPAdvertisements: c.bgpAdvertisementWatch,
		BGPPeers: c.peerWatch, BFDProfiles: c.profileWatch, Communities: c.communityWatch, Speakers: c.speakerWatch, Nodes: c.nodeWatch,
		Class: c.LoadBalancerClass,
		About: func() page.About {
			about := page.About{Version: version, Controller: nameOf(c.Identity)}
			leader, _ := c.leader.Load().(string)
			about.Leader, about.Leads = nameOf(leader), leader == c.Identity
			if err := c.Cluster.Reached(); err != nil {
				about.Unreached = err.Error()
			}
			return about
		},
	})
	if err != nil {
		return nil, err
	}
	return page.New(source), nil
}

// nameOf is the name of a controller's Pod or host, of its identity.
func nameOf(identity string) string {
	name, _, _ := strings.Cut(identity, "_")
	return name
}
