package controller

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const inForce = "in force as written"

// verdict says how an object stands: its condition Ready.
type verdict struct {
	ready  bool
	reason string
	// wrong is what is wrong with the object, empty if nothing is. An event tells of it.
	wrong string
	// message is what there is to say besides.
	message string
	// note is a warning about what works as written, and noteReason that of its event.
	note, noteReason string
}

// complain adds something that is wrong. The first gives the reason.
func (v *verdict) complain(reason, message string) {
	if v.wrong == "" {
		v.reason, v.wrong = reason, message
	} else {
		v.wrong += "; " + message
	}
	v.wrong = k8s.Shorten(v.wrong)
}

func (v *verdict) describe(message string) { v.message = message }

// text is the condition's message. It begins with what is wrong.
func (v *verdict) text() string {
	var parts []string
	for _, part := range []string{v.wrong, v.message} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	text := k8s.Shorten(strings.Join(parts, "; "))
	if v.note != "" {
		text += "; " + v.note
	}
	return text
}

// complained tells whether a condition Ready has said that something is wrong with the object, not only that it
// has no effect yet.
func complained(ready *metav1.Condition) bool {
	return ready != nil && ready.Status == metav1.ConditionFalse && ready.Reason != reasonNotEstablished
}

// judged is an object with what its status should say.
type judged struct {
	kind       string
	meta       *metav1.ObjectMeta
	conditions []metav1.Condition // as they are
	verdict    verdict
	// others are further conditions; fields are further fields of the status that are not as they should be.
	others []metav1.Condition
	fields map[string]any
}

// change compares a status with what it should say. It returns a nil patch if they agree, and the transitions to
// tell of.
func (j judged) change(now time.Time) (patch []byte, events []k8s.Event) {
	before, v := meta.FindStatusCondition(j.conditions, v1alpha1.ConditionReady), j.verdict
	want := make([]metav1.Condition, 0, len(j.conditions)+1)
	for _, c := range j.conditions {
		want = append(want, *c.DeepCopy())
	}
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v.reason, Message: v.text()}
	if v.ready {
		ready.Status = metav1.ConditionTrue
	}
	for _, c := range append([]metav1.Condition{ready}, j.others...) {
		c.ObservedGeneration, c.LastTransitionTime = j.meta.Generation, metav1.NewTime(now)
		meta.SetStatusCondition(&want, c)
	}
	if len(j.fields) == 0 && equality.Semantic.DeepEqual(j.conditions, want) {
		return nil, nil
	}

	tell := func(warning bool, reason, message string) {
		events = append(events, k8s.Event{About: j.reference(), Warning: warning, Reason: reason, Message: message})
	}
	switch was := complained(before); {
	case v.wrong != "" && !(was && before.Reason == v.reason && strings.HasPrefix(before.Message, v.wrong)):
		tell(true, v.reason, v.wrong)
	case v.wrong == "" && was:
		tell(false, "Resolved", "no longer "+before.Reason)
	}
	if v.note != "" && !(before != nil && strings.HasSuffix(before.Message, v.note)) {
		tell(true, v.noteReason, v.note)
	}

	status := map[string]any{"conditions": want}
	for name, value := range j.fields {
		status[name] = value
	}
	// The list of conditions is replaced as a whole, so that the patch holds for this version alone.
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": j.meta.ResourceVersion}, "status": status})
	if err != nil {
		panic(fmt.Sprintf("encoding the status of a %s: %v", j.kind, err)) // strings, numbers and times only
	}
	return patch, events
}

func (j judged) reference() corev1.ObjectReference {
	return corev1.ObjectReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: j.kind, Name: j.meta.Name,
		UID: j.meta.UID, ResourceVersion: j.meta.ResourceVersion,
	}
}
