package controller

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// outcome is what a Service has and what it was refused.
type outcome struct {
	assigned []allocator.Assignment
	refused  []allocator.Refusal
	// satisfied is false if something that was asked for is missing.
	satisfied bool
	// foreign is true if the status has a hostname, which is another's and stays.
	foreign bool
	// asked is the pool that was asked for when what is assigned was.
	asked string
}

// ips returns the addresses that the Service has.
func (o outcome) ips() []netip.Addr {
	ips := make([]netip.Addr, len(o.assigned))
	for i, a := range o.assigned {
		ips[i] = a.Address
	}
	return ips
}

// reasonAssigned is the condition's reason when nothing is missing.
const reasonAssigned = "Assigned"

// reason is the condition's.
func (o outcome) reason() string {
	switch {
	case o.satisfied:
		return reasonAssigned
	case len(o.refused) > 0:
		return string(o.refused[0].Reason)
	}
	return string(allocator.ReasonInvalidRequest)
}

// condition puts an outcome into words. It has no time of transition yet.
func (o outcome) condition() metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ServiceConditionAssigned, Reason: o.reason()}
	var refusals []string
	for _, r := range o.refused {
		refusals = append(refusals, r.Message)
	}
	why := strings.Join(refusals, "; ")
	has := describe(o.assigned)
	if o.satisfied {
		c.Status, c.Message = metav1.ConditionTrue, has
		if why != "" {
			c.Message += "; nothing more, as " + why
		}
		c.Message = k8s.Shorten(c.Message)
		return c
	}
	c.Status, c.Message = metav1.ConditionFalse, why
	c.Message = k8s.Shorten(c.Message)
	if has != "" {
		c.Message += "; it has " + has
	}
	return c
}

// conditions are those that a Service is to have of ours. They have no time of transition yet.
func (o outcome) conditions() []metav1.Condition {
	list := []metav1.Condition{o.condition()}
	if o.asked != "" {
		list = append(list, metav1.Condition{Type: v1alpha1.ServiceConditionPoolRequested, Status: metav1.ConditionTrue,
			Reason: reasonAssigned, Message: o.asked})
	}
	return list
}

// describe lists addresses, those of one pool together. Those that no pool holds are named in a refusal.
func describe(assigned []allocator.Assignment) string {
	assigned = slices.DeleteFunc(slices.Clone(assigned), func(a allocator.Assignment) bool { return a.Pool == "" })
	var parts []string
	for i := 0; i < len(assigned); {
		pool, of := assigned[i].Pool, i
		for i < len(assigned) && assigned[i].Pool == pool {
			i++
		}
		var ips []string
		for _, a := range assigned[of:i] {
			ips = append(ips, a.Address.String())
		}
		list := ips[len(ips)-1]
		if len(ips) > 1 {
			list = strings.Join(ips[:len(ips)-1], ", ") + " and " + list
		}
		parts = append(parts, list+" from pool "+pool)
	}
	return strings.Join(parts, ", ")
}

// change is what has to be written to a Service's status.
type change struct {
	patch []byte
	// leaving are the addresses that the status shows and will not show any more.
	leaving []netip.Addr
	// event is nil if what is written is no transition to tell of.
	event *k8s.Event
}

// changeOf compares a Service's status with an outcome, and returns nil if they agree.
func changeOf(svc *corev1.Service, o outcome, now time.Time) *change {
	ingress := ingressOf(o)
	sameIngress := o.foreign || slices.EqualFunc(svc.Status.LoadBalancer.Ingress, ingress, equalIngress)
	conditions := o.conditions()
	var status statusPatch
	for _, of := range conditionTypes {
		want, had := meta.FindStatusCondition(conditions, of), meta.FindStatusCondition(svc.Status.Conditions, of)
		switch {
		case want == nil && had != nil:
			status.remove(of)
		case want != nil && !says(had, want):
			want.LastTransitionTime = metav1.NewTime(now)
			if had != nil && had.Status == want.Status {
				want.LastTransitionTime = had.LastTransitionTime
			}
			status.Conditions = append(status.Conditions, want)
		}
	}
	if sameIngress && len(status.Conditions) == 0 {
		return nil
	}
	want, had := &conditions[0], k8s.AssignedCondition(svc)

	c := &change{}
	if !sameIngress {
		status.LoadBalancer = &loadBalancerPatch{Ingress: ingress}
		for _, ip := range k8s.IngressIPs(svc) {
			if !slices.Contains(o.ips(), ip) {
				c.leaving = append(c.leaving, ip)
			}
		}
	}
	c.patch = encode(svc.ResourceVersion, status)

	switch {
	case says(had, want): // the status is mended; it has been said what the Service has
	case o.satisfied && (!sameIngress || had == nil || had.Status != want.Status):
		c.event = &k8s.Event{Reason: "AddressAssigned", Message: "assigned " + describe(o.assigned)}
	case !o.satisfied && (!sameIngress || had == nil || had.Status != want.Status || had.Reason != want.Reason):
		c.event = &k8s.Event{Warning: true, Reason: want.Reason, Message: want.Message}
	}
	if c.event != nil {
		c.event.About = reference(svc)
	}
	return c
}

// says tells whether a condition, nil if there is none, says what is wanted.
func says(had, want *metav1.Condition) bool {
	return had != nil && had.Status == want.Status && had.Reason == want.Reason && had.Message == want.Message
}

func ingressOf(o outcome) []corev1.LoadBalancerIngress {
	var ingress []corev1.LoadBalancerIngress
	for _, ip := range o.ips() {
		mode := corev1.LoadBalancerIPModeVIP
		ingress = append(ingress, corev1.LoadBalancerIngress{IP: ip.String(), IPMode: &mode})
	}
	return ingress
}

// equalIngress compares two entries. An absent ipMode means VIP: API servers before 1.30 do not keep it.
func equalIngress(x, y corev1.LoadBalancerIngress) bool {
	isVIP := func(m *corev1.LoadBalancerIPMode) bool { return m == nil || *m == corev1.LoadBalancerIPModeVIP }
	return x.IP == y.IP && x.Hostname == y.Hostname && isVIP(x.IPMode) == isVIP(y.IPMode) && len(x.Ports) == 0 && len(y.Ports) == 0
}

// hostname returns a hostname that a Service's status shows, "" if there is none. We never write one.
func hostname(svc *corev1.Service) string {
	for _, ingress := range svc.Status.LoadBalancer.Ingress {
		if ingress.Hostname != "" {
			return ingress.Hostname
		}
	}
	return ""
}

func reference(svc *corev1.Service) corev1.ObjectReference {
	return corev1.ObjectReference{
		APIVersion: "v1", Kind: "Service", Namespace: svc.Namespace, Name: svc.Name,
		UID: svc.UID, ResourceVersion: svc.ResourceVersion,
	}
}

// The patch is a strategic merge patch: others' conditions stay, and ingress, an atomic list, is replaced.
// It is a patch and not an update, since an update carries labels and annotations too, and since what is
// in memory is trimmed. With the resourceVersion that the decision was made from, the API server refuses
// it if anything has changed in between.
type (
	servicePatch struct {
		Metadata struct {
			ResourceVersion string `json:"resourceVersion,omitempty"`
		} `json:"metadata"`
		Status statusPatch `json:"status"`
	}
	statusPatch struct {
		LoadBalancer *loadBalancerPatch `json:"loadBalancer,omitempty"`
		Conditions   []any              `json:"conditions,omitempty"` // to write or to remove, by their type
	}
	loadBalancerPatch struct {
		// Ingress is null in the patch when there is none, which removes it.
		Ingress []corev1.LoadBalancerIngress `json:"ingress"`
	}
)

// conditionTypes are those of our conditions on a Service.
var conditionTypes = []string{v1alpha1.ServiceConditionAssigned, v1alpha1.ServiceConditionPoolRequested}

func (s *statusPatch) remove(conditionType string) {
	s.Conditions = append(s.Conditions, map[string]string{"$patch": "delete", "type": conditionType})
}

// removeOurs removes our conditions, of those that a Service has.
func (s *statusPatch) removeOurs(svc *corev1.Service) {
	for _, of := range conditionTypes {
		if meta.FindStatusCondition(svc.Status.Conditions, of) != nil {
			s.remove(of)
		}
	}
}

func encode(resourceVersion string, status statusPatch) []byte {
	patch := servicePatch{Status: status}
	patch.Metadata.ResourceVersion = resourceVersion
	data, err := json.Marshal(patch)
	if err != nil {
		panic(fmt.Sprintf("encoding a status patch: %v", err)) // strings and times only
	}
	return data
}

// clearing is the patch that takes what we wrote from a Service that is no longer ours; nil if it has
// nothing of it. The ingress goes only if it is exactly what the Service had from us: by now it may be
// another's.
func clearing(svc *corev1.Service, had []netip.Addr) []byte {
	var status statusPatch
	status.removeOurs(svc)
	if shown := k8s.IngressIPs(svc); len(shown) > 0 && len(shown) == len(svc.Status.LoadBalancer.Ingress) && slices.Equal(shown, had) {
		status.LoadBalancer = &loadBalancerPatch{}
	}
	if status.Conditions == nil && status.LoadBalancer == nil {
		return nil
	}
	return encode(svc.ResourceVersion, status)
}
