package speaker

import (
	"math"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// takeover puts a takeover into the API's form.
func takeover(t layer2.Takeover) v1alpha1.Takeover {
	o := v1alpha1.Takeover{
		Time: metav1.NewMicroTime(t.Time.Truncate(time.Microsecond)), From: t.From, Cause: v1alpha1.TakeoverCause(t.Cause),
		Count: int32(t.Count), Reason: t.Reason[:min(len(t.Reason), mostReason)],
		Duration: int32(min(t.Duration.Milliseconds(), math.MaxInt32)),
	}
	for _, a := range t.Addresses {
		o.Addresses = append(o.Addresses, a.String())
	}
	return o
}

// withFormer returns the takeovers that are written, those of a former life of the speaker among them, as this life
// knows them, and those that it knows besides: the last ones of all.
func withFormer(written, known []v1alpha1.Takeover) []v1alpha1.Takeover {
	all := slices.Clone(known)
	for _, w := range written {
		if !slices.ContainsFunc(known, func(k v1alpha1.Takeover) bool { return k.Time.Equal(&w.Time) && k.From == w.From && k.Cause == w.Cause }) {
			all = append(all, w)
		}
	}
	slices.SortStableFunc(all, func(a, b v1alpha1.Takeover) int { return a.Time.Compare(b.Time.Time) })
	return all[max(len(all)-mostTakeovers, 0):]
}

// ownership is what is known of how this node came to own addresses: in a former life of the speaker, and in this one,
// as it may have answered nothing for a moment and have gone on then.
type ownership map[string]v1alpha1.Layer2Address

// formerOwnership is what the status that a former life left behind says: the addresses that it owned if it crashed,
// and what it took over if it was told to stop.
func formerOwnership(left *v1alpha1.Layer2Status) ownership {
	former := ownership{}
	if left == nil {
		return former
	}
	for _, t := range left.Takeovers {
		for _, a := range t.Addresses {
			since := metav1.NewTime(t.Time.Truncate(time.Second))
			former[a] = v1alpha1.Layer2Address{Since: &since, Cause: t.Cause, From: t.From}
		}
	}
	for _, a := range left.Addresses {
		if a.For == "" && a.Since != nil {
			former[a.Address] = a
		}
	}
	return former
}

// recall fills in how this node came to own the addresses with which it went on, and remembers the others.
func (o ownership) recall(addresses []v1alpha1.Layer2Address) {
	for i := range addresses {
		a := &addresses[i]
		before, known := o[a.Address]
		switch {
		case a.For != "":
		case a.Cause != "":
			o[a.Address] = *a
		case known:
			a.Since, a.Cause, a.From = before.Since, before.Cause, before.From
		}
	}
}
