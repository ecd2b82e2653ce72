package speaker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// lostFor is how long a speaker that is not the first keeps in mind that another one was lost: should the
// first be lost too, or restart, before it has marked the object, it is seen to be missing long before.
const lostFor = time.Minute

// lostPatch takes from a lost speaker's status all that it says of the present. What it took over once stays true.
const lostPatch = `{"status": {"gossip": null, "failureDetection": null, "bgpSessions": null, "layer2": {"owned": 0,
	"standingIn": null, "addresses": null, "truncated": null, "suppressedNodes": null, "conflicts": null}, "conditions": [
	{"type": "Ready", "status": "False", "reason": "Lost", "message": %q, "lastTransitionTime": %q}]}}`

// Lost has the object of another speaker marked: that one cannot do it any more, and its object would go on
// to say that it serves. The first of the speakers that are left does it.
func (s *Status) Lost(node string) {
	s.mu.Lock()
	s.lost[node] = time.Now()
	s.mu.Unlock()
	s.Kick()
}

// markLost marks the objects of lost speakers, if this is the speaker to do it. Otherwise it keeps them in
// mind: who is first now may be lost itself, and only not known to be yet. It returns when it will have
// forgotten one of them, zero if it has none in mind.
func (s *Status) markLost(ctx context.Context) (again time.Time, err error) {
	s.mu.Lock()
	lost := maps.Clone(s.lost)
	s.mu.Unlock()
	members := s.members()
	first := len(members) > 0 && members[0] == s.node
	var failures []error
	for _, name := range slices.Sorted(maps.Keys(lost)) {
		expiry := lost[name].Add(lostFor)
		switch {
		case slices.Contains(members, name): // it says itself how it is
		case first:
			if err := s.mark(ctx, name); err != nil {
				failures = append(failures, err)
				continue
			}
		case time.Now().Before(expiry):
			if again.IsZero() || expiry.Before(again) {
				again = expiry
			}
			continue
		}
		s.mu.Lock()
		if s.lost[name].Equal(lost[name]) { // else lost once more meanwhile
			delete(s.lost, name)
		}
		s.mu.Unlock()
	}
	return again, errors.Join(failures...)
}

// mark writes into a lost speaker's object that it was lost. It is fine if there is none.
func (s *Status) mark(ctx context.Context, name string) error {
	patch := fmt.Sprintf(lostPatch, "no gossip from this speaker, says "+s.node, time.Now().UTC().Format(time.RFC3339))
	_, err := s.cluster.Fairlead.FairleadV1alpha1().Speakers().Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("marking Speaker %s as lost: %w", name, err)
	}
	return nil
}
