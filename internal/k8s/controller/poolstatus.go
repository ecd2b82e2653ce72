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
	usage [2]allocator.Usage
	// conflicts are those in which this pool is the younger.
	conflicts []allocator.Conflict
	// problems are entries of spec.addresses that cannot be read.
	problems []string
}

// Reasons of a pool's conditions and events.
const (
	reasonReady            = "InForce"
	reasonConflicting      = "Conflicting"
	reasonNoOverlap        = "NoOverlap"
	reasonInvalidAddresses = "InvalidAddresses"
	reasonResolved         = "ConflictResolved"
)

// poolChangeOf compares a pool's status with what is known of it. It returns a nil patch if they agree,
// and the transitions to tell of.
func poolChangeOf(pool *v1alpha1.IPAddressPool, s poolState, now time.Time) (patch []byte, events []k8s.Event) {
	want := v1alpha1.IPAddressPoolStatus{
		IPv4: familyStatus(s.usage[lb.IPv4]),
		IPv6: familyStatus(s.usage[lb.IPv6]),
	}
	for _, c := range pool.Status.Conditions {
		want.Conditions = append(want.Conditions, *c.DeepCopy())
	}
	tell := func(warning bool, reason, message string) {
		events = append(events, k8s.Event{About: poolReference(pool), Warning: warning, Reason: reason, Message: message})
	}
	set := func(kind string, status metav1.ConditionStatus, reason, message string) (before *metav1.Condition) {
		if c := meta.FindStatusCondition(pool.Status.Conditions, kind); c != nil {
			before = c.DeepCopy()
		}
		meta.SetStatusCondition(&want.Conditions, metav1.Condition{
			Type: kind, Status: status, Reason: reason, Message: message,
			ObservedGeneration: pool.Generation, LastTransitionTime: metav1.NewTime(now),
		})
		return before
	}

	conflict := k8s.Shorten(describeConflicts(s.conflicts))
	invalid := k8s.Shorten(strings.Join(s.problems, "; "))
	conflicted := meta.IsStatusConditionTrue(pool.Status.Conditions, v1alpha1.ConditionConflicting)
	switch {
	case conflict != "":
		before := set(v1alpha1.ConditionConflicting, metav1.ConditionTrue, reasonConflicting, conflict)
		if !conflicted || before.Message != conflict {
			tell(true, reasonConflicting, conflict)
		}
	case meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionConflicting) != nil:
		set(v1alpha1.ConditionConflicting, metav1.ConditionFalse, reasonNoOverlap, "no older pool has addresses of this one")
		if conflicted {
			tell(false, reasonResolved, "all addresses of this pool are its own again")
		}
	}
	switch {
	case invalid != "":
		message := "not counted in spec.addresses: " + invalid
		before := set(v1alpha1.ConditionReady, metav1.ConditionFalse, reasonInvalidAddresses, message)
		if before == nil || before.Reason != reasonInvalidAddresses || before.Message != message {
			tell(true, reasonInvalidAddresses, message)
		}
	case conflict != "":
		set(v1alpha1.ConditionReady, metav1.ConditionFalse, reasonConflicting, conflict)
	default:
		set(v1alpha1.ConditionReady, metav1.ConditionTrue, reasonReady, "every address of spec.addresses may be assigned")
	}

	if equality.Semantic.DeepEqual(pool.Status, want) {
		return nil, nil
	}
	return encodePool(pool.ResourceVersion, want), events
}

func familyStatus(u allocator.Usage) *v1alpha1.PoolFamilyStatus {
	if u.Total == nil || u.Total.Sign() == 0 {
		return nil
	}
	return &v1alpha1.PoolFamilyStatus{
		Total: u.Total.String(), Assigned: u.Assigned, Available: u.Available.String(),
		First: u.First.String(), Last: u.Last.String(),
	}
}

func describeConflicts(conflicts []allocator.Conflict) string {
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
		"status":   map[string]any{"ipv4": status.IPv4, "ipv6": status.IPv6, "conditions": status.Conditions},
	})
	if err != nil {
		panic(fmt.Sprintf("encoding a pool's status: %v", err)) // strings, numbers and times only
	}
	return data
}
