package plugin

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/pager"
)

// Snapshot is what decisions are made from.
type Snapshot struct {
	// Services in any order. Those that are not Fairlead's may be among them.
	Services []*corev1.Service
	// ServicesOf is the namespace that they are of, where those of others could not be read.
	ServicesOf string
	Pools      []*v1alpha1.IPAddressPool
	// What the election of owners depends on besides, and what speakers say of themselves. See LoadLayer2.
	Nodes          []*corev1.Node
	Speakers       []*v1alpha1.Speaker
	Advertisements []*v1alpha1.L2Advertisement
	Slices         []*discoveryv1.EndpointSlice
	layer2         bool // these were listed, as far as they may be
	// What BGP is decided by besides. See LoadBGP.
	Peers             []*v1alpha1.BGPPeer
	BGPAdvertisements []*v1alpha1.BGPAdvertisement
	Profiles          []*v1alpha1.BFDProfile
	Communities       []*v1alpha1.Community
	// How Fairlead itself runs. See LoadInstallation.
	Installation Installation
	// Unread are kinds of these that could not be read: what depends on them is unknown.
	Unread []string
	// UnreadBGP are those that LoadBGP could not read.
	UnreadBGP []string
	// Namespaces are labels by name. A namespace that is not here is unknown, and pools that select
	// namespaces by labels are taken not to be for it.
	Namespaces map[string]map[string]string
	// Class is --load-balancer-class.
	Class string
	// Time of the snapshot.
	Time time.Time
	// Notes are what could not be read and was done without, for the user.
	Notes []string
}

// Load lists the pools and the Services of a namespace, or of all for "".
func Load(ctx context.Context, c *k8s.Cluster, class, namespace string) (*Snapshot, error) {
	s := &Snapshot{Class: class, Namespaces: map[string]map[string]string{}, Time: time.Now()}
	var err error
	if s.Pools, err = LoadPools(ctx, c); err != nil {
		return nil, err
	}
	if s.Services, err = LoadServices(ctx, c, namespace); err != nil {
		return nil, err
	}
	return s, nil
}

// LoadPools lists the IPAddressPools.
func LoadPools(ctx context.Context, c *k8s.Cluster) ([]*v1alpha1.IPAddressPool, error) {
	var pools []*v1alpha1.IPAddressPool
	err := list(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return c.Fairlead.FairleadV1alpha1().IPAddressPools().List(ctx, o)
	}, metav1.ListOptions{}, func(object runtime.Object) { pools = append(pools, object.(*v1alpha1.IPAddressPool)) })
	if apierrors.IsNotFound(err) {
		return nil, errors.New("the cluster has no IPAddressPools: are Fairlead's custom resource definitions installed?")
	}
	return pools, trouble("IPAddressPools", err)
}

// LoadServices lists the Services of type LoadBalancer of a namespace, or of all for "".
func LoadServices(ctx context.Context, c *k8s.Cluster, namespace string) ([]*corev1.Service, error) {
	var services []*corev1.Service
	err := list(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return c.Core.CoreV1().Services(namespace).List(ctx, o)
	}, metav1.ListOptions{FieldSelector: k8s.LoadBalancers}, func(object runtime.Object) {
		svc := object.(*corev1.Service)
		k8s.TrimAuthors(svc) // half of what 50,000 of them weigh
		services = append(services, svc)
	})
	what := "Services in namespace " + namespace
	if namespace == "" {
		what = "Services in all namespaces"
	}
	return services, trouble(what, err)
}

// LoadService reads one Service, of whatever type.
func LoadService(ctx context.Context, c *k8s.Cluster, namespace, name string) (*corev1.Service, error) {
	svc, err := c.Core.CoreV1().Services(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, noSuch("Service", namespace+"/"+name)
	}
	return svc, trouble("Service "+namespace+"/"+name, err)
}

// LoadNamespaces reads the labels of namespaces, if pools select by them: of the one of that name, or of
// all for "". That they may not be read is a note, not an error.
func (s *Snapshot) LoadNamespaces(ctx context.Context, c *k8s.Cluster, name string, pools ...*v1alpha1.IPAddressPool) error {
	selecting := selectingPools(append(pools, s.Pools...))
	if len(selecting) == 0 {
		return nil
	}
	keep := func(n *corev1.Namespace) { s.Namespaces[n.Name] = nonNil(n.Labels) }
	what, err := "namespaces", error(nil)
	if name != "" {
		var n *corev1.Namespace
		what = "namespace " + name
		if n, err = c.Core.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); err == nil {
			keep(n)
		}
	} else {
		err = list(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return c.Core.CoreV1().Namespaces().List(ctx, o)
		}, metav1.ListOptions{}, func(object runtime.Object) { keep(object.(*corev1.Namespace)) })
	}
	if apierrors.IsForbidden(err) {
		s.Notes = append(s.Notes, fmt.Sprintf("%v: what %s would select by namespace labels is unknown",
			trouble(what, err), counted("pool", selecting)))
		return nil
	}
	if apierrors.IsNotFound(err) { // deleted at this moment
		return nil
	}
	return trouble(what, err)
}

// NamespaceNames lists the names of the namespaces.
func NamespaceNames(ctx context.Context, c *k8s.Cluster) (names []string, err error) {
	list, err := all[*corev1.Namespace](ctx, "namespaces", c.Core.CoreV1().Namespaces().List)
	for _, n := range list {
		names = append(names, n.Name)
	}
	return names, err
}

// LoadSpeakers lists the Speakers.
func LoadSpeakers(ctx context.Context, c *k8s.Cluster) (speakers []*v1alpha1.Speaker, err error) {
	err = list(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return c.Fairlead.FairleadV1alpha1().Speakers().List(ctx, o)
	}, metav1.ListOptions{}, func(object runtime.Object) { speakers = append(speakers, object.(*v1alpha1.Speaker)) })
	if apierrors.IsNotFound(err) {
		return nil, errors.New("the cluster has no Speakers: are Fairlead's custom resource definitions installed?")
	}
	return speakers, trouble("Speakers", err)
}

// LoadL2Advertisements lists the L2Advertisements.
func LoadL2Advertisements(ctx context.Context, c *k8s.Cluster) (advertisements []*v1alpha1.L2Advertisement, err error) {
	err = list(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return c.Fairlead.FairleadV1alpha1().L2Advertisements().List(ctx, o)
	}, metav1.ListOptions{}, func(object runtime.Object) {
		advertisements = append(advertisements, object.(*v1alpha1.L2Advertisement))
	})
	return advertisements, trouble("L2Advertisements", err)
}

// LoadLayer2 lists the Speakers, and what else the speakers decide by. EndpointSlices are many: they are read
// only if a Service has externalTrafficPolicy: Local. That something other than Speakers may not be read is a
// note, not an error.
func (s *Snapshot) LoadLayer2(ctx context.Context, c *k8s.Cluster) error {
	s.layer2 = true
	var err error
	if s.Speakers, err = LoadSpeakers(ctx, c); err != nil {
		return err
	}
	if s.Advertisements, err = LoadL2Advertisements(ctx, c); err != nil && !s.withheld("L2Advertisements", err) {
		return err
	}
	if s.Nodes, err = LoadNodes(ctx, c); err != nil && !s.withheld("Nodes", err) {
		return err
	}
	if s.local() {
		if s.Slices, err = loadSlices(ctx, c); err != nil && !s.withheld("EndpointSlices", err) {
			return err
		}
	}
	return nil
}

// local tells whether a Service has externalTrafficPolicy: Local.
func (s *Snapshot) local() bool {
	return slices.ContainsFunc(s.ours(), func(svc *corev1.Service) bool {
		return svc.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
	})
}

// withheld tells whether an error is that a kind of objects may not be read, and takes note of it.
func (s *Snapshot) withheld(kind string, err error) bool {
	if !apierrors.IsForbidden(err) {
		return false
	}
	s.Unread = append(s.Unread, kind)
	s.Notes = append(s.Notes, fmt.Sprintf("%v: who may own which address is unknown", err))
	return true
}

// LoadNodes lists the Nodes.
func LoadNodes(ctx context.Context, c *k8s.Cluster) ([]*corev1.Node, error) {
	return all[*corev1.Node](ctx, "Nodes", c.Core.CoreV1().Nodes().List)
}

func loadSlices(ctx context.Context, c *k8s.Cluster) ([]*discoveryv1.EndpointSlice, error) {
	return all[*discoveryv1.EndpointSlice](ctx, "EndpointSlices", c.Core.DiscoveryV1().EndpointSlices(metav1.NamespaceAll).List)
}

// selectingPools are the names of the pools that select namespaces by labels.
func selectingPools(pools []*v1alpha1.IPAddressPool) (names []string) {
	for _, p := range pools {
		if a := p.Spec.ServiceAllocation; a != nil && len(a.NamespaceSelectors) > 0 {
			names = append(names, p.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// list calls each for all objects, read in pages, and anew if the pages' snapshot expires meanwhile.
func list(ctx context.Context, page pager.ListPageFunc, o metav1.ListOptions, each func(runtime.Object)) error {
	all, _, err := pager.New(page).List(ctx, o)
	if err != nil {
		return err
	}
	return meta.EachListItem(all, func(object runtime.Object) error {
		each(object)
		return nil
	})
}

// all lists the objects of a kind.
func all[T, L runtime.Object](ctx context.Context, kind string, page func(context.Context, metav1.ListOptions) (L, error)) (objects []T, err error) {
	err = list(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return page(ctx, o) },
		metav1.ListOptions{}, func(object runtime.Object) { objects = append(objects, object.(T)) })
	return objects, trouble(kind, err)
}

// ours returns the Services that are Fairlead's, the oldest first.
func (s *Snapshot) ours() []*corev1.Service {
	var list []*corev1.Service
	for _, svc := range s.Services {
		if k8s.Ours(svc, s.Class) {
			list = append(list, svc)
		}
	}
	k8s.ByAge(list)
	return list
}

// byAddress returns the Services that are Fairlead's by the addresses that they show, the oldest first.
func (s *Snapshot) byAddress() map[netip.Addr][]*corev1.Service {
	services := map[netip.Addr][]*corev1.Service{}
	for _, svc := range s.ours() {
		for _, a := range k8s.IngressIPs(svc) {
			services[a] = append(services[a], svc)
		}
	}
	return services
}

func nonNil(labels map[string]string) map[string]string {
	if labels == nil {
		return map[string]string{}
	}
	return labels
}

// counted is "pool a", "pools a and b", and with many of them "12 pools".
func counted(noun string, names []string) string {
	switch {
	case len(names) == 1:
		return noun + " " + names[0]
	case len(names) <= 5:
		return noun + "s " + enumerate(names)
	}
	return count(len(names), noun)
}
