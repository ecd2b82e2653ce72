package plugin

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// LoadServicesOf reads the Services of a namespace, or of all for "", and the pools that their addresses are of, as far
// as these may be read. Those of other namespaces are looked at only if one of this may share its address with them.
func LoadServicesOf(ctx context.Context, c *k8s.Cluster, class, namespace string) (*Snapshot, error) {
	s := &Snapshot{Class: class, Namespaces: map[string]map[string]string{}, Time: time.Now(), ServicesOf: namespace}
	var err error
	if s.Pools, err = LoadPools(ctx, c); apierrors.IsForbidden(err) {
		s.Unread = append(s.Unread, "IPAddressPools")
		s.Notes = append(s.Notes, err.Error()+": which pools addresses are of is unknown")
	} else if err != nil {
		return nil, err
	}
	if s.Services, err = LoadServices(ctx, c, namespace); err != nil {
		return nil, err
	}
	if namespace != "" && s.mayShare() {
		if all, err := LoadServices(ctx, c, ""); err == nil {
			s.Services, s.ServicesOf = all, ""
		} else {
			s.Notes = append(s.Notes, err.Error()+": who shares addresses from there is unknown")
		}
	}
	return s, nil
}

// LoadExplanation explains a Service of the cluster.
func LoadExplanation(ctx context.Context, c *k8s.Cluster, class string, key lb.Key) (*Explanation, []string, error) {
	svc, err := LoadService(ctx, c, key.Namespace, key.Name)
	if err != nil {
		return nil, nil, err
	}
	if why := NotOurs(svc, class); why != "" {
		return &Explanation{Service: key, Name: key.String(), NotOurs: why}, nil, nil
	}
	// Any Service may have the address that this one wants.
	s, err := Load(ctx, c, class, "")
	if apierrors.IsForbidden(err) {
		return explainAlone(svc, class), []string{err.Error()}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if err := s.LoadNamespaces(ctx, c, key.Namespace); err != nil {
		return nil, nil, err
	}
	if err := s.loadAnswers(ctx, c, svc); err != nil {
		return nil, nil, err
	}
	if err := s.LoadBGP(ctx, c); err != nil {
		return nil, nil, err
	}
	e, err := Explain(s, key)
	return e, s.Notes, err
}

// LoadPlan plans a change of the cluster's pools and advertisements.
func LoadPlan(ctx context.Context, c *k8s.Cluster, class string, apply []Manifest, remove []string) (*Plan, []string, error) {
	s, err := Load(ctx, c, class, "")
	if err != nil {
		return nil, nil, err
	}
	var pools []*v1alpha1.IPAddressPool
	announced := slices.ContainsFunc(remove, func(name string) bool { kind, _ := splitKind(name); return kind == kindL2 || kind == kindBGP })
	for _, m := range apply {
		if m.Pool != nil {
			pools = append(pools, m.Pool)
		}
		announced = announced || m.Pool == nil
	}
	if err := s.LoadNamespaces(ctx, c, "", pools...); err != nil {
		return nil, nil, err
	}
	if announced {
		err = s.loadAnnounced(ctx, c)
	} else {
		err = s.LoadConflicts(ctx, c, pools...)
	}
	if err != nil {
		return nil, nil, err
	}
	p, err := MakePlan(s, apply, remove)
	return p, s.Notes, err
}

// LoadAddressExplanation explains an address.
func LoadAddressExplanation(ctx context.Context, c *k8s.Cluster, class string, a netip.Addr) (*AddressExplanation, []string, error) {
	s, err := Load(ctx, c, class, "")
	if err == nil {
		err = s.LoadLayer2(ctx, c)
	}
	if err == nil {
		err = s.LoadBGP(ctx, c)
	}
	if err != nil {
		return nil, nil, err
	}
	return ExplainAddress(s, a), s.Notes, nil
}

// LoadSegment reads all that says who owns which address and why, and does without what may not be read but
// for the Speakers.
func LoadSegment(ctx context.Context, c *k8s.Cluster, class string) (*Snapshot, error) {
	s := &Snapshot{Class: class, Namespaces: map[string]map[string]string{}, Time: time.Now()}
	var err error
	if s.Pools, err = LoadPools(ctx, c); s.withheld("IPAddressPools", err) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if s.Services, err = LoadServices(ctx, c, ""); s.withheld("Services", err) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	if err := s.LoadLayer2(ctx, c); err != nil {
		return nil, err
	}
	s.BGPAdvertisements, err = all[*v1alpha1.BGPAdvertisement](ctx, "BGPAdvertisements", c.Fairlead.FairleadV1alpha1().BGPAdvertisements().List)
	if apierrors.IsForbidden(err) {
		s.UnreadBGP = append(s.UnreadBGP, "BGPAdvertisements")
		s.Notes = append(s.Notes, fmt.Sprintf("%v: which addresses are for BGP is unknown", err))
		err = nil
	}
	return s, err
}
