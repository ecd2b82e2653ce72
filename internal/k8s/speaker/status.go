package speaker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	informers "github.com/fairlead-lb/fairlead/internal/generated/informers/externalversions/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

const (
	// What the custom resource definition takes.
	mostAddresses = 256
	mostMembers   = 128
	// statusPause is the least time between two writes of the Speaker object.
	statusPause = time.Second
	// farewell is how long the last write may take when the speaker stops.
	farewell = time.Second
)

// Status is the task that keeps the node's Speaker object true.
type Status struct {
	node    string
	version string
	cluster *k8s.Cluster
	log     *slog.Logger
	engine  *layer2.Engine
	members func() []string
	own     *k8s.Watch
	kick    chan struct{}

	mu   sync.Mutex
	lost map[string]bool // speakers whose objects are to be marked
}

// NewStatus prepares the task; members returns the speakers that take part in gossip, sorted.
func NewStatus(c Config, members func() []string) *Status {
	s := &Status{
		node: c.Node, version: c.Version, cluster: c.Cluster, log: c.Log, engine: c.Engine, members: members,
		kick: make(chan struct{}, 1), lost: map[string]bool{},
	}
	own := informers.NewFilteredSpeakerInformer(c.Cluster.Fairlead, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("metadata.name", c.Node).String()
	})
	s.own = k8s.NewWatch("this node's Speaker", own, k8s.Trim, c.Log)
	_, err := s.own.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { s.Kick() }, UpdateFunc: func(any, any) { s.Kick() }, DeleteFunc: func(any) { s.Kick() },
	})
	if err != nil {
		panic(fmt.Sprintf("following: %v", err)) // only of an informer that was stopped
	}
	return s
}

// Watch is the task that has to run beside this one.
func (s *Status) Watch() *k8s.Watch { return s.own }

// Kick has the object looked at. It never blocks.
func (s *Status) Kick() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// Lost has the object of another speaker marked: that one cannot do it any more, and its object would go on
// to say that it serves. The first of the speakers that are left does it.
func (s *Status) Lost(node string) {
	s.mu.Lock()
	s.lost[node] = true
	s.mu.Unlock()
	s.Kick()
}

// Run writes when something has changed, until ctx ends; then it writes that the speaker has stopped.
func (s *Status) Run(ctx context.Context) error {
	if !cache.WaitForCacheSync(ctx.Done(), s.own.HasSynced) {
		return nil
	}
	complaint := &k8s.Complaint{What: "this node's Speaker object cannot be written", Log: s.log}
	var last *v1alpha1.Speaker // as the API server answered it
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer cancel()
			if _, err := s.write(ctx, last, s.stopped()); err != nil {
				s.log.Debug("the last write of the Speaker object failed", "error", err)
			}
			return nil
		case <-s.kick:
		}
		written, err := s.write(ctx, last, s.wanted())
		if err == nil {
			last = written
			if last == nil {
				s.Kick()
			}
			complaint.Over()
			err = s.markLost(ctx)
		}
		if err != nil {
			if !apierrors.IsConflict(err) {
				complaint.Report(err)
			}
			s.Kick() // once more, after the pause
		}
		select {
		case <-ctx.Done():
		case <-time.After(statusPause):
		}
	}
}

// write brings the object to a wanted status if it differs, and returns it as it is then.
func (s *Status) write(ctx context.Context, last *v1alpha1.Speaker, wanted v1alpha1.SpeakerStatus) (*v1alpha1.Speaker, error) {
	client := s.cluster.Fairlead.FairleadV1alpha1().Speakers()
	current := last
	if object, ok, _ := s.own.GetStore().GetByKey(s.node); ok && (last == nil || newer(object.(*v1alpha1.Speaker), last)) {
		current = object.(*v1alpha1.Speaker)
	}
	if current == nil {
		created, err := client.Create(ctx, &v1alpha1.Speaker{ObjectMeta: metav1.ObjectMeta{Name: s.node}}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			created, err = client.Get(ctx, s.node, metav1.GetOptions{})
		}
		if err != nil {
			return nil, fmt.Errorf("creating Speaker %s: %w", s.node, err)
		}
		current = created
	}
	wanted.Conditions = withCondition(current.Status.Conditions, wanted.Conditions[0])
	if equality.Semantic.DeepEqual(current.Status, wanted) {
		return current, nil
	}
	next := &v1alpha1.Speaker{ObjectMeta: metav1.ObjectMeta{Name: s.node, ResourceVersion: current.ResourceVersion, UID: current.UID}, Status: wanted}
	written, err := client.UpdateStatus(ctx, next, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil // deleted by somebody: made anew at the next look
	}
	if err != nil {
		return current, fmt.Errorf("writing the status of Speaker %s: %w", s.node, err)
	}
	return written, nil
}

// newer tells whether a is a later version of an object than b. The API server's versions of one object are
// decimal numbers that grow (KEP-5504).
func newer(a, b *v1alpha1.Speaker) bool {
	return a.UID != b.UID || cmp.Or(cmp.Compare(len(a.ResourceVersion), len(b.ResourceVersion)), strings.Compare(a.ResourceVersion, b.ResourceVersion)) > 0
}

// withCondition returns conditions with one set; the time of its last transition stays if its status does.
func withCondition(conditions []metav1.Condition, c metav1.Condition) []metav1.Condition {
	conditions = slices.Clone(conditions)
	meta.SetStatusCondition(&conditions, c)
	return conditions
}

// wanted is the status as things are.
func (s *Status) wanted() v1alpha1.SpeakerStatus {
	status := speakerStatus(s.engine.Status(), s.members())
	status.Version = s.version
	status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Serving", Message: "takes part in gossip and answers for what it owns",
	}}
	return status
}

// stopped is the status of a speaker that was told to stop.
func (s *Status) stopped() v1alpha1.SpeakerStatus {
	return v1alpha1.SpeakerStatus{Version: s.version, Conditions: []metav1.Condition{{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "Stopped", Message: "the speaker was told to stop",
	}}}
}

// speakerStatus puts into the API's form what the engine shows.
func speakerStatus(engine layer2.Status, members []string) v1alpha1.SpeakerStatus {
	status := v1alpha1.SpeakerStatus{
		Gossip: &v1alpha1.GossipStatus{Members: int32(len(members)), Truncated: len(members) > mostMembers, Names: members[:min(len(members), mostMembers)]},
		Layer2: &v1alpha1.Layer2Status{Owned: int32(len(engine.Owned)), Truncated: len(engine.Owned) > mostAddresses},
	}
	for _, l := range engine.Links[:min(len(engine.Links), 64)] {
		i := v1alpha1.SpeakerInterface{Name: l.Name, HardwareAddress: l.HardwareAddr.String()}
		for _, p := range l.Prefixes[:min(len(l.Prefixes), 64)] {
			i.Addresses = append(i.Addresses, p.String())
		}
		status.Interfaces = append(status.Interfaces, i)
	}
	owned := slices.SortedFunc(maps.Keys(engine.Owned), netip.Addr.Compare)
	for _, a := range owned[:min(len(owned), mostAddresses)] {
		o := engine.Owned[a]
		status.Layer2.Addresses = append(status.Layer2.Addresses,
			v1alpha1.Layer2Address{Address: a.String(), Service: o.Service.String(), Interfaces: o.Interfaces})
	}
	return status
}

// lostPatch takes from a lost speaker's status all that it says of the present.
const lostPatch = `{"status": {"gossip": null, "layer2": null, "bgpSessions": null, "conditions": [
	{"type": "Ready", "status": "False", "reason": "Lost", "message": %q, "lastTransitionTime": %q}]}}`

// markLost marks the objects of lost speakers, if this is the speaker to do it.
func (s *Status) markLost(ctx context.Context) error {
	s.mu.Lock()
	lost := slices.Sorted(maps.Keys(s.lost))
	s.mu.Unlock()
	var failures []error
	for _, name := range lost {
		members := s.members()
		if len(members) > 0 && members[0] == s.node && !slices.Contains(members, name) {
			patch := fmt.Sprintf(lostPatch, "no gossip from this speaker, says "+s.node, time.Now().UTC().Format(time.RFC3339))
			_, err := s.cluster.Fairlead.FairleadV1alpha1().Speakers().Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
			if err != nil && !apierrors.IsNotFound(err) {
				failures = append(failures, fmt.Errorf("marking Speaker %s as lost: %w", name, err))
				continue
			}
		}
		s.mu.Lock()
		delete(s.lost, name)
		s.mu.Unlock()
	}
	return errors.Join(failures...)
}
