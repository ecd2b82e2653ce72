package controller

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// poolState is what the controller knows of a pool.
type poolState struct {
	usage    [2]allocator.Usage
	retained []allocator.Retained
	// conflicts are those in which this pool is the younger.
	conflicts []allocator.Conflict
	// problems are what cannot be read of the spec.
	problems []string
	// aside are the addresses that foreign hosts use, each with its host, in words.
	aside      []string
	advertised bool
}

// ready tells whether the pool's condition Ready is True.
func (s poolState) ready() bool {
	return len(s.problems) == 0 && len(s.conflicts) == 0 && !s.empty()
}

// empty tells whether no address is left to give.
func (s poolState) empty() bool {
	return !s.usage[lb.IPv4].First.IsValid() && !s.usage[lb.IPv6].First.IsValid()
}

// Reasons of a pool's conditions and events.
const (
	reasonReady         = "InForce"
	reasonConflicting   = "Conflicting"
	reasonInvalidSpec   = "InvalidSpec"
	reasonResolved      = "ConflictResolved"
	reasonEmpty         = "Empty"
	reasonDisabled      = "Disabled"
	reasonExhausted     = "Exhausted"
	reasonAvailable     = "Available"
	reasonNotAdvertised = "NotAdvertised"
	reasonAdvertised    = "Advertised"
	reasonGivenUp       = "RetainedAddressGivenUp"
	reasonNoConflict    = "NoAddressConflict"
)

// poolChangeOf compares a pool's status with what is known of it. It returns a nil patch if they agree,
// and the transitions to tell of.
func poolChangeOf(pool *v1alpha1.IPAddressPool, s poolState, now time.Time) (patch []byte, events []k8s.Event) {
	want := v1alpha1.IPAddressPoolStatus{
		IPv4:     familyStatus(s.usage[lb.IPv4]),
		IPv6:     familyStatus(s.usage[lb.IPv6]),
		Retained: k8s.RetainedStatus(s.retained),
	}
	for _, c := range pool.Status.Conditions {
		want.Conditions = append(want.Conditions, *c.DeepCopy())
	}
	tell := func(warning bool, reason, message string) {
		events = append(events, k8s.Event{About: poolReference(pool), Warning: warning, Reason: reason, Message: message})
	}
	set := func(kind string, status metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&want.Conditions, metav1.Condition{
			Type: kind, Status: status, Reason: reason, Message: message,
			ObservedGeneration: pool.Generation, LastTransitionTime: metav1.NewTime(now),
		})
	}
	// trouble sets a condition that is True while something is wrong, and absent on a pool that never had it.
	// It tells of the change, and of another message if retell: one that counts changes all the time.
	trouble := func(kind, reason, message string, retell bool, over, overMessage string) {
		before := meta.FindStatusCondition(pool.Status.Conditions, kind)
		was := before != nil && before.Status == metav1.ConditionTrue
		switch {
		case message != "":
			if !was || retell && before.Message != message {
				tell(true, reason, message)
			}
			set(kind, metav1.ConditionTrue, reason, message)
		case before != nil:
			if was {
				tell(false, over, overMessage)
			}
			set(kind, metav1.ConditionFalse, over, overMessage)
		}
	}

	conflict := k8s.Shorten(describeConflicts(s.conflicts, s.usage))
	invalid := k8s.Shorten(strings.Join(s.problems, "; "))
	switch ready := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady); {
	case invalid != "":
		message := "cannot be read and is left out: " + invalid
		if ready == nil || ready.Reason != reasonInvalidSpec || ready.Message != message {
			tell(true, reasonInvalidSpec, message)
		}
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, reasonInvalidSpec, message)
	case conflict != "":
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, reasonConflicting, conflict)
	case s.empty() && len(s.aside) > 0:
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, reasonEmpty, "no address is left to give: foreign hosts use those that spec.excludeAddresses leaves")
	case s.empty():
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, reasonEmpty, "no address is left to give: spec.excludeAddresses has all of them")
	case pool.Spec.Disabled:
		set(v1alpha1.ConditionReady, metav1.ConditionTrue, reasonDisabled, "spec.disabled: nothing new is assigned; what is assigned stays")
	default:
		set(v1alpha1.ConditionReady, metav1.ConditionTrue, reasonReady, "in force as written")
	}
	trouble(v1alpha1.ConditionConflicting, reasonConflicting, conflict, true, reasonResolved, "all addresses of this pool are its own again")
	trouble(v1alpha1.ConditionExhausted, reasonExhausted, describeExhaustion(s.usage), false, reasonAvailable,
		"an address is free, or waits for a deleted Service and is given up when needed")
	aside := ""
	if len(s.aside) > 0 {
		aside = k8s.Shorten("set aside: " + strings.Join(s.aside, "; "))
	}
	trouble(v1alpha1.ConditionAddressConflict, k8s.ReasonAddressConflict, aside, true, reasonNoConflict, "no address is set aside any more")
	unadvertised := ""
	if !s.advertised {
		unadvertised = "no advertisement selects this pool: its addresses are assigned, and nobody answers for them"
	}
	trouble(v1alpha1.ConditionNotAdvertised, reasonNotAdvertised, unadvertised, true, reasonAdvertised, "an advertisement selects this pool")

	if equality.Semantic.DeepEqual(pool.Status, want) {
		return nil, nil
	}
	return encodePool(pool.ResourceVersion, want), events
}

func familyStatus(u allocator.Usage) *v1alpha1.PoolFamilyStatus {
	if u.Total == nil || !u.First.IsValid() {
		return nil
	}
	return &v1alpha1.PoolFamilyStatus{
		Total: u.Total.String(), Assigned: u.Assigned, Retained: u.Retained, Available: u.Available.String(),
		First: u.First.String(), Last: u.Last.String(),
	}
}

// describeExhaustion names the families of which no address is left, "" if there are none. A retained address
// is left: whoever needs it gets it.
func describeExhaustion(usage [2]allocator.Usage) string {
	var parts []string
	for _, f := range lb.Families {
		if u := usage[f]; u.Total != nil && u.First.IsValid() && u.Available.Sign() == 0 && u.Retained == 0 {
			parts = append(parts, fmt.Sprintf("%s of %s %s addresses in use", u.Total, u.Total, f))
		}
	}
	return strings.Join(parts, "; ")
}

func describeConflicts(conflicts []allocator.Conflict, usage [2]allocator.Usage) string {
	var parts []string
	for _, c := range conflicts {
		overlap := c.Overlap.String()
		if c.Overlap.From() == c.Overlap.To() {
			overlap = c.Overlap.From().String()
		}
		parts = append(parts, fmt.Sprintf("%s belongs to pool %s, which is older", overlap, c.With))
	}
	if len(parts) == 0 {
		return ""
	}
	if !usage[lb.IPv4].First.IsValid() && !usage[lb.IPv6].First.IsValid() {
		return strings.Join(parts, "; ") + "; nothing is left of this pool"
	}
	return strings.Join(parts, "; ") + "; this pool works with the rest of its addresses"
}

func poolReference(pool *v1alpha1.IPAddressPool) corev1.ObjectReference {
	return corev1.ObjectReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "IPAddressPool", Name: pool.Name,
		UID: pool.UID, ResourceVersion: pool.ResourceVersion,
	}
}

// encodePool makes a JSON merge patch, the only kind that custom resources have. It carries the
// resourceVersion, since it replaces the list of conditions; an absent family is null, which removes it.
func encodePool(resourceVersion string, status v1alpha1.IPAddressPoolStatus) []byte {
	data, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": resourceVersion},
		"status": map[string]any{"ipv4": status.IPv4, "ipv6": status.IPv6,
			"retained": status.Retained, "conditions": status.Conditions},
	})
	if err != nil {
		panic(fmt.Sprintf("encoding a pool's status: %v", err)) // strings, numbers and times only
	}
	return data
}
