package k8s

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"

	api "github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/generated/informers/externalversions/api/v1alpha1"
)

// Watch is the task that keeps the objects of one kind in memory.
type Watch struct {
	cache.SharedIndexInformer
	what      string
	complaint *Complaint
	// begun is closed by Begin; nil for a watch that begins at once.
	begun chan struct{}
	once  sync.Once
}

// NewWatch makes a task of an informer that has not started: trim takes from each object what nobody
// here reads, failures are logged as the package does it. What names the kind, in the plural.
func NewWatch(what string, informer cache.SharedIndexInformer, trim cache.TransformFunc, log *slog.Logger) *Watch {
	w := &Watch{SharedIndexInformer: informer, what: what, complaint: &Complaint{What: what + " cannot be watched", Log: log}}
	// Both fail only for an informer that has started.
	if err := errors.Join(informer.SetTransform(trim), informer.SetWatchErrorHandlerWithContext(w.failed)); err != nil {
		panic(fmt.Sprintf("watching %s: %v", what, err))
	}
	return w
}

// OnDemand has the watch wait for Begin: nothing is asked for that nobody needs.
func (w *Watch) OnDemand() *Watch {
	w.begun = make(chan struct{})
	return w
}

// Begin begins a watch on demand.
func (w *Watch) Begin() { w.once.Do(func() { close(w.begun) }) }

// Run watches until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	if w.begun != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-w.begun:
		}
	}
	w.RunWithContext(ctx)
	return nil
}

// Failure is why there is no first complete list yet, nil if it is there or may come any moment.
func (w *Watch) Failure() error {
	if w.HasSynced() {
		return nil
	}
	return Denied(w.complaint.Err())
}

// Waiting returns nil once the first complete list is in memory, else what keeps it from being there.
func (w *Watch) Waiting() error {
	if w.HasSynced() {
		return nil
	}
	if err := w.complaint.Err(); err != nil {
		return fmt.Errorf("waiting for %s: %w", w.what, Denied(err))
	}
	return fmt.Errorf("waiting for %s", w.what)
}

func (w *Watch) failed(_ context.Context, _ *cache.Reflector, err error) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), apierrors.IsResourceExpired(err), apierrors.IsGone(err):
		// The ordinary end of a watch: it goes on, or from a new list.
	case apierrors.IsNotFound(err) && !w.HasSynced():
		w.complaint.Report(fmt.Errorf("Fairlead's custom resource definitions are not installed: apply manifests/crds, or all of the manifests, of this version (%w)", err))
	default:
		w.complaint.Report(err)
	}
}

// WatchServices watches the Services of type LoadBalancer in all namespaces. The API server does the
// selection: a Service whose type changes away is reported as deleted.
func WatchServices(c *Cluster, log *slog.Logger) *Watch {
	informer := coreinformers.NewFilteredServiceInformer(c.Core, metav1.NamespaceAll, 0, cache.Indexers{},
		func(o *metav1.ListOptions) { o.FieldSelector = LoadBalancers })
	return NewWatch("Services", informer, Trim, log)
}

// LoadBalancers is the field selector of Services of type LoadBalancer.
var LoadBalancers = fields.OneTermEqualSelector("spec.type", string(corev1.ServiceTypeLoadBalancer)).String()

// WatchPools watches the IPAddressPools.
func WatchPools(c *Cluster, log *slog.Logger) *Watch {
	return NewWatch("IPAddressPools", v1alpha1.NewIPAddressPoolInformer(c.Fairlead, 0, cache.Indexers{}), Trim, log)
}

// WatchL2Advertisements watches the L2Advertisements.
func WatchL2Advertisements(c *Cluster, log *slog.Logger) *Watch {
	return NewWatch("L2Advertisements", v1alpha1.NewL2AdvertisementInformer(c.Fairlead, 0, cache.Indexers{}), Trim, log)
}

// WatchSpeakers watches the Speakers, of which only that is kept which the controller reads or its page shows: who
// owns what, conflicts, takeovers, whether the speaker runs and what it complains of, and which BGP sessions are up, or
// why not.
func WatchSpeakers(c *Cluster, log *slog.Logger) *Watch {
	return NewWatch("Speakers", v1alpha1.NewSpeakerInformer(c.Fairlead, 0, cache.Indexers{}), trimSpeaker, log)
}

func trimSpeaker(object any) (any, error) {
	s, ok := object.(*api.Speaker)
	if !ok {
		return object, nil // a tombstone
	}
	trimmed := &api.Speaker{TypeMeta: s.TypeMeta, ObjectMeta: metav1.ObjectMeta{Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion}}
	trimmed.Status.Version = s.Status.Version
	if g := s.Status.Gossip; g != nil {
		trimmed.Status.Gossip = &api.GossipStatus{Members: g.Members}
	}
	if l2 := s.Status.Layer2; l2 != nil {
		kept := *l2
		kept.Addresses = make([]api.Layer2Address, 0, len(l2.Addresses))
		for _, a := range l2.Addresses { // which Services have it, the Services say
			kept.Addresses = append(kept.Addresses, api.Layer2Address{Address: a.Address, For: a.For, Since: a.Since, Cause: a.Cause, From: a.From})
		}
		trimmed.Status.Layer2 = &kept
	}
	for _, c := range s.Status.Conditions {
		if c.Type != api.ConditionAddressConflict { // the conflicts themselves are kept
			trimmed.Status.Conditions = append(trimmed.Status.Conditions, c)
		}
	}
	for _, b := range s.Status.BGPSessions {
		trimmed.Status.BGPSessions = append(trimmed.Status.BGPSessions, api.BGPSessionStatus{
			Peer: b.Peer, State: b.State, LastError: b.LastError, LastErrorTime: b.LastErrorTime, Reason: b.Reason, Message: b.Message,
			EstablishedTime: b.EstablishedTime, DownTime: b.DownTime, PrefixesAdvertised: b.PrefixesAdvertised, BFDState: b.BFDState})
	}
	return trimmed, nil
}

// WatchNamespaces watches the Namespaces, of which only the labels are kept, by which pools select, and whether they
// are being deleted.
func WatchNamespaces(c *Cluster, log *slog.Logger) *Watch {
	return NewWatch("Namespaces", coreinformers.NewNamespaceInformer(c.Core, 0, cache.Indexers{}), trimNamespace, log)
}

func trimNamespace(object any) (any, error) {
	n, ok := object.(*corev1.Namespace)
	if !ok {
		return object, nil // a tombstone
	}
	return &corev1.Namespace{TypeMeta: n.TypeMeta, ObjectMeta: metav1.ObjectMeta{
		Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion, Labels: n.Labels, DeletionTimestamp: n.DeletionTimestamp,
	}}, nil
}

// WatchNodes watches the Nodes, of which only the labels are kept, by which BGPPeers select, and what the page shows:
// whether the node is ready, and what keeps it from owning addresses.
func WatchNodes(c *Cluster, log *slog.Logger) *Watch {
	return NewWatch("Nodes", coreinformers.NewNodeInformer(c.Core, 0, cache.Indexers{}), trimNode, log)
}

func trimNode(object any) (any, error) {
	n, ok := object.(*corev1.Node)
	if !ok {
		return object, nil // a tombstone
	}
	return TrimNode(n, func(c corev1.NodeCondition) corev1.NodeCondition {
		return corev1.NodeCondition{Type: c.Type, Status: c.Status, Reason: c.Reason, Message: c.Message}
	}), nil
}

// TrimNode returns of a Node its labels and what may keep it from owning addresses; of the conditions that do, what keep
// leaves.
func TrimNode(n *corev1.Node, keep func(corev1.NodeCondition) corev1.NodeCondition) *corev1.Node {
	trimmed := &corev1.Node{
		TypeMeta:   n.TypeMeta,
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion, Labels: n.Labels},
		Spec:       corev1.NodeSpec{Unschedulable: n.Spec.Unschedulable},
	}
	if drain, ok := n.Annotations[api.AnnotationDrain]; ok {
		trimmed.Annotations = map[string]string{api.AnnotationDrain: drain}
	}
	for _, t := range n.Spec.Taints {
		if t.Key == corev1.TaintNodeOutOfService {
			trimmed.Spec.Taints = []corev1.Taint{{Key: t.Key, Value: t.Value, Effect: t.Effect}}
		}
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady || c.Type == corev1.NodeNetworkUnavailable {
			trimmed.Status.Conditions = append(trimmed.Status.Conditions, keep(c))
		}
	}
	return trimmed
}

// Trim takes from an object the metadata that nobody here reads: as a rule more than half of its memory.
func Trim(object any) (any, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return object, nil // a tombstone
	}
	accessor.SetOwnerReferences(nil)
	if annotations := accessor.GetAnnotations(); annotations[corev1.LastAppliedConfigAnnotation] != "" {
		delete(annotations, corev1.LastAppliedConfigAnnotation)
	}
	svc, ok := object.(*corev1.Service)
	if !ok {
		accessor.SetManagedFields(nil)
	} else {
		TrimAuthors(svc)
		svc.Spec.SessionAffinityConfig = nil
		if !needsSelector(svc) || SharingKey(svc) == "" {
			svc.Spec.Selector = nil
		}
	}
	return object, nil
}
