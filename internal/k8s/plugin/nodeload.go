package plugin

import (
	"context"

	"github.com/fairlead-lb/fairlead/internal/k8s"
)

// LoadNodeRows lists the nodes of the cluster with their standing.
func LoadNodeRows(ctx context.Context, c *k8s.Cluster, class string) ([]NodeStanding, []string, error) {
	s, err := loadNodes(ctx, c, class)
	if err != nil {
		return nil, nil, err
	}
	return ExplainNodes(s), s.Notes, nil
}

// LoadNodeExplanation explains a node of the cluster.
func LoadNodeExplanation(ctx context.Context, c *k8s.Cluster, class, name string) (*NodeExplanation, []string, error) {
	s, err := loadNodes(ctx, c, class)
	if err != nil {
		return nil, nil, err
	}
	e, err := ExplainNode(s, name)
	return e, s.Notes, err
}

// loadNodes reads what says who owns and who advertises what, and does without what may not be read but for the
// Speakers.
func loadNodes(ctx context.Context, c *k8s.Cluster, class string) (*Snapshot, error) {
	s, err := LoadSegment(ctx, c, class)
	if err != nil {
		return nil, err
	}
	if s.UnreadBGP != nil { // the BGPAdvertisements, of which there is a note already
		return s, nil
	}
	if err := s.LoadBGP(ctx, c); err != nil {
		return nil, err
	}
	if len(s.BGPAdvertisements) > 0 { // and the peers were read with them
		return s, nil
	}
	// Sessions that advertise nothing yet are sessions all the same.
	if s.Peers, err = LoadBGPPeers(ctx, c); err != nil && !s.withheld("BGPPeers", err) {
		return nil, err
	}
	return s, nil
}
