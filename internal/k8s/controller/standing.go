package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// standing is what the term remembers of an object of the configuration whose status says how it stands:
// advertisements, peers, profiles and Communities.
type standing struct {
	// scheduled is true while a look at the status is due, now or later.
	scheduled bool
	written   time.Time
	// doubted is since when something is wrong that the status does not say yet; zero if nothing is.
	doubted time.Time
	// faulty is true while the metrics count the object as not Ready.
	faulty bool
}

const (
	// standingInterval bounds how often one of these statuses is written: that of a peer changes with each of its
	// sessions, of which there may be one a node.
	standingInterval = time.Second
	// doubt is how long something must be wrong until a status says so: as a rule an advertisement, its peers and
	// its pools come in one file.
	doubt = 2 * time.Second
)

// kindNames are the kinds of these objects, as their items have them.
var kindNames = map[kind]string{
	l2Advertisement: "L2Advertisement", bgpAdvertisement: "BGPAdvertisement", bgpPeer: "BGPPeer", bfdProfile: "BFDProfile", community: "Community",
}

// readConfig takes note of what the configuration is now, and has all of it looked at: it is small, and each object
// may name others.
func (t *term) readConfig() {
	peers, _ := t.peerLister.List(labels.Everything()) // a lister's List does not fail
	t.network.setPeers(peers)
	communities, _ := t.communityLister.List(labels.Everything())
	t.aliases, t.aliasProblems = k8s.ReadCommunities(communities)
	t.bgpSelections = nil
	advertisements, _ := t.bgpAdvertisementLister.List(labels.Everything())
	for _, a := range advertisements {
		if read, err := k8s.ReadBGPAdvertisement(a); err == nil {
			t.bgpSelections = append(t.bgpSelections, read.Pools)
		}
	}
	watches := t.configWatches()
	for i := range t.standings {
		if _, exists, _ := watches[i.kind].GetStore().GetByKey(i.key.Name); !exists {
			t.forgetStanding(i)
		}
	}
	t.scheduleConfig()
	for name := range t.pools {
		t.schedule(name)
	}
}

// forgetStanding forgets an object that is gone.
func (t *term) forgetStanding(i item) {
	t.metrics.faulty(kindNames[i.kind], &t.standings[i].faulty, false)
	delete(t.standings, i)
}

// readNetwork takes note of all nodes and speakers there are.
func (t *term) readNetwork() {
	for _, name := range t.nodeWatch.GetStore().ListKeys() {
		t.readNode(name)
	}
	for _, name := range t.speakerWatch.GetStore().ListKeys() {
		t.readSpeaker(name)
	}
}

func (t *term) readNode(name string) {
	var touched []string
	if n, err := t.nodeLister.Get(name); err == nil {
		touched = t.network.setNode(name, n.Labels)
	} else {
		touched = t.network.removeNode(name)
	}
	t.schedulePeers(touched)
}

func (t *term) readSpeaker(name string) {
	s, err := t.speakerLister.Get(name)
	if err != nil {
		s = nil
	}
	t.schedulePeers(t.network.setSpeaker(name, s))
	if t.answering[name] {
		t.work.Add(allPools)
	}
}

func (t *term) schedulePeers(names []string) {
	for _, name := range names {
		t.scheduleStanding(item{bgpPeer, lb.Key{Name: name}})
	}
}

// scheduleConfig has all objects of the configuration looked at.
func (t *term) scheduleConfig() {
	for kind, watch := range t.configWatches() {
		for _, name := range watch.GetStore().ListKeys() {
			t.scheduleStanding(item{kind, lb.Key{Name: name}})
		}
	}
}

// scheduleStanding has an object's status looked at: now, or when it may be written again.
func (t *term) scheduleStanding(i item) {
	memory := t.standings[i]
	if memory == nil {
		memory = &standing{}
		t.standings[i] = memory
	}
	if !memory.scheduled {
		memory.scheduled = true
		t.work.AddAfter(i, standingInterval-time.Since(memory.written))
	}
}

// pending tells whether a status is to be looked at again.
func (t *term) pending(i item) bool {
	if i.kind == poolStatus {
		return t.poolPending(i.key.Name)
	}
	memory := t.standings[i]
	return memory != nil && memory.scheduled
}

// decideStanding compares an object's status with what it should say, and returns what has to be written, nil if
// nothing.
func (t *term) decideStanding(i item) *job {
	memory := t.standings[i]
	if memory == nil { // our own write, or somebody's edit of the status
		memory = &standing{}
		t.standings[i] = memory
	}
	memory.scheduled = false
	object, exists, _ := t.configWatches()[i.kind].GetStore().GetByKey(i.key.Name)
	if !exists {
		t.forgetStanding(i)
		return nil
	}
	now := time.Now()
	again := func(wait time.Duration) *job {
		memory.scheduled = true
		t.work.AddAfter(i, wait)
		return nil
	}
	if wait := standingInterval - now.Sub(memory.written); wait > 0 {
		return again(wait)
	}
	j := t.judge(object)
	j.kind = kindNames[i.kind]
	if j.verdict.wrong == "" || complained(meta.FindStatusCondition(j.conditions, v1alpha1.ConditionReady)) {
		memory.doubted = time.Time{}
	} else {
		if memory.doubted.IsZero() {
			memory.doubted = now
		}
		if wait := doubt - now.Sub(memory.doubted); wait > 0 {
			return again(wait)
		}
	}
	t.metrics.faulty(j.kind, &memory.faulty, !j.verdict.ready)
	patch, events := j.change(now)
	if patch == nil {
		return nil
	}
	memory.written, memory.doubted = now, time.Time{}
	write := &job{object: strings.ToLower(j.kind), log: t.Log.With("kind", j.kind, "name", i.key.Name), base: j.meta.ResourceVersion, after: events}
	write.seen = func() (string, bool) {
		object, exists, _ := t.configWatches()[i.kind].GetStore().GetByKey(i.key.Name)
		if !exists {
			return "", false
		}
		return object.(metav1.Object).GetResourceVersion(), true
	}
	write.write = func(ctx context.Context) error {
		if err := t.patchStanding(ctx, i, patch); err != nil {
			return fmt.Errorf("writing the status of %s %s: %w", j.kind, i.key.Name, err)
		}
		return nil
	}
	return write
}

// judge says what an object's status should say.
func (t *term) judge(object any) (j judged) {
	pools, _ := t.poolLister.List(labels.Everything())
	switch o := object.(type) {
	case *v1alpha1.L2Advertisement:
		return judged{meta: &o.ObjectMeta, conditions: o.Status.Conditions, verdict: judgeL2Advertisement(o, pools)}
	case *v1alpha1.BGPAdvertisement:
		peers := map[string]bool{}
		for _, name := range t.peerWatch.GetStore().ListKeys() {
			peers[name] = true
		}
		return judged{meta: &o.ObjectMeta, conditions: o.Status.Conditions, verdict: judgeBGPAdvertisement(o, surroundings{pools, peers, t.aliases})}
	case *v1alpha1.BGPPeer:
		state := t.network.peer(o.Name)
		if o.Spec.BFDProfile != "" {
			_, exists, _ := t.profileWatch.GetStore().GetByKey(o.Spec.BFDProfile)
			state.noProfile = !exists
		}
		v, established := judgePeer(o, state)
		j = judged{meta: &o.ObjectMeta, conditions: o.Status.Conditions, verdict: v, fields: map[string]any{}}
		if n := int32(len(state.sessions)); o.Status.Nodes != n || o.Status.Established != int32(established) {
			j.fields["nodes"], j.fields["established"] = n, established
		}
		return j
	case *v1alpha1.BFDProfile:
		return judged{meta: &o.ObjectMeta, conditions: o.Status.Conditions, verdict: judgeProfile(),
			others: []metav1.Condition{profileUse(usedBy(o.Name, t.network.peers))}}
	case *v1alpha1.Community:
		return judged{meta: &o.ObjectMeta, conditions: o.Status.Conditions, verdict: judgeCommunity(t.aliasProblems[o.Name])}
	}
	panic(fmt.Sprintf("judging a %T", object))
}

// patchStanding writes a status.
func (t *term) patchStanding(ctx context.Context, i item, patch []byte) (err error) {
	api, name, kind := t.Cluster.Fairlead.FairleadV1alpha1(), i.key.Name, types.MergePatchType
	switch i.kind {
	case l2Advertisement:
		_, err = api.L2Advertisements().Patch(ctx, name, kind, patch, metav1.PatchOptions{}, "status")
	case bgpAdvertisement:
		_, err = api.BGPAdvertisements().Patch(ctx, name, kind, patch, metav1.PatchOptions{}, "status")
	case bgpPeer:
		_, err = api.BGPPeers().Patch(ctx, name, kind, patch, metav1.PatchOptions{}, "status")
	case bfdProfile:
		_, err = api.BFDProfiles().Patch(ctx, name, kind, patch, metav1.PatchOptions{}, "status")
	case community:
		_, err = api.Communities().Patch(ctx, name, kind, patch, metav1.PatchOptions{}, "status")
	}
	return err
}
