package controller

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// known is what the term remembers of a Service beside what the allocator does.
type known struct {
	uid types.UID
	// counted is the reason that the metrics count the Service under; empty while they do not.
	counted string
	// has is what it was given, and shows what its status showed when that was last adopted or written.
	has   []allocator.Assignment
	shows []netip.Addr
	// leaving are the addresses in its status that are not its own any more, and what to say of them
	// before they leave the status.
	leaving map[netip.Addr]*farewell
	mended  mending
	// released is true once it is gone or no longer ours. Cleared is set by the writer when nothing of
	// ours is left on it.
	released, cleared bool
}

// farewell is an event about an address that leaves. Told is set by the writer.
type farewell struct {
	reason, message string
	told            bool
}

func (k *known) leave(addr netip.Addr, reason, message string) {
	if k.leaving == nil {
		k.leaving = map[netip.Addr]*farewell{}
	}
	k.leaving[addr] = &farewell{reason: reason, message: message}
}

// adopt lets every Service keep what its status shows, before any gets something new: otherwise one could
// be given what another has and only comes later. Then all are queued as they stood in line before.
func (t *term) adopt() (services, adopted int) {
	all, _ := t.serviceLister.List(labels.Everything()) // a lister's List does not fail
	ours := slices.DeleteFunc(slices.Clone(all), func(svc *corev1.Service) bool { return !k8s.Ours(svc, t.LoadBalancerClass) })
	k8s.ByAge(ours)
	for _, svc := range k8s.Adopting(ours) {
		if request, _ := t.request(svc); len(request.Current) > 0 {
			request.Given = k8s.Given(svc)
			adopted += len(t.admit(svc, request).has)
		}
	}
	for _, svc := range k8s.LeftBehind(all, t.LoadBalancerClass) {
		t.heed(k8s.Key(svc), svc)
	}
	if n := len(t.leftBehind); n > 0 {
		t.Log.Warn("Services of another class keep in their status what Fairlead gave them, and nobody else gets it", "services", n, "class", t.LoadBalancerClass)
	}
	pools, _ := t.poolLister.List(labels.Everything())
	for _, pool := range pools {
		t.alloc.Retain(k8s.Retained(pool, time.Now()))
	}
	for _, svc := range k8s.InLine(ours) {
		t.work.Add(item{service, k8s.Key(svc)})
	}
	return len(ours), adopted
}

// heed has a Service that was left behind, nil if it is gone, keep what we gave it, as long as it shows that. It is not
// for us to clear: another Fairlead may serve that class, and with the former --load-balancer-class it is ours again.
func (t *term) heed(key lb.Key, svc *corev1.Service) {
	if t.leftBehind[key] {
		t.again(t.alloc.Forget(key))
		delete(t.leftBehind, key)
	}
	if svc == nil || !k8s.WasLeftBehind(svc, t.LoadBalancerClass) {
		return
	}
	request, _ := t.request(svc)
	request.Hold, request.Addresses = true, request.Current
	t.again(t.alloc.Decide(request).Again)
	t.leftBehind[key] = true
}

// mostFarewells bounds the events about a status that was never ours, however long it is.
const mostFarewells = 16

// admit makes a Service known with what its status shows, and gives it nothing new.
func (t *term) admit(svc *corev1.Service, r allocator.Request) *known {
	k := &known{uid: svc.UID, shows: r.Current}
	t.known[r.Service] = k
	r.Hold = true
	d := t.alloc.Decide(r)
	k.has = d.Assignments
	for _, n := range d.NotAdopted[:min(len(d.NotAdopted), mostFarewells)] {
		if n.Reason == allocator.ReasonLost {
			k.leave(n.Address, string(n.Reason), n.Message)
			continue
		}
		k.leave(n.Address, string(allocator.ReasonNotAdopted), fmt.Sprintf("the status has %s, which cannot be kept: %s", n.Address, n.Message))
	}
	return k
}

func (t *term) request(svc *corev1.Service) (allocator.Request, []allocator.Refusal) {
	r, problems := k8s.Request(svc, t.namespaceLabels(svc.Namespace))
	if len(problems) > 0 {
		// It keeps what it has until they are resolved, and after a restart that is what its status shows: how many
		// addresses it asked for when it got them cannot be read any more.
		r.Addresses = r.Current
	}
	return r, problems
}

// decideService decides what a Service has, and returns what has to be written, nil if nothing.
func (t *term) decideService(key lb.Key) *job {
	svc, err := t.serviceLister.Services(key.Namespace).Get(key.Name)
	k := t.known[key]
	if k == nil {
		t.heed(key, svc)
	}
	if err != nil || !k8s.Ours(svc, t.LoadBalancerClass) {
		return t.release(key, k)
	}
	if k != nil && (k.released || k.uid != svc.UID) { // deleted and created anew
		t.release(key, k)
		k = nil
	}
	if t.selecting && !t.namespaceKnown(key.Namespace) {
		// It is there, since the Service is, and the watches keep no order among them. Without its labels a pool
		// that is not for it might select it. The namespace's own event has the Service looked at again.
		t.early[key.Namespace] = append(t.early[key.Namespace], key)
		return nil
	}
	request, problems := t.request(svc)
	host := hostname(svc)
	foreign := host != "" && len(request.Current) == 0 && (k == nil || len(k.has) == 0)
	if foreign {
		problems = append([]allocator.Refusal{{Reason: allocator.ReasonNotAdopted, Message: fmt.Sprintf("the status has hostname %s of "+
			"another load balancer: it is not replaced; remove it from the status, or have spec.loadBalancerClass say who serves", host)}}, problems...)
	}
	if k != nil && slices.Equal(request.Current, outcome{assigned: k.has}.ips()) {
		k.shows = request.Current // also if the answer to our write was lost
	}
	if k != nil && overtaken(k, request.Current) {
		t.again(t.alloc.Forget(key))
		t.count(k, "")
		k = nil
	}
	if k == nil {
		k = t.admit(svc, request)
	}
	request.Hold = len(problems) > 0
	d := t.alloc.Decide(request)
	t.again(d.Again)
	for _, left := range d.LeftShare {
		k.leave(left.Address, string(allocator.ReasonLost), fmt.Sprintf("%s cannot be shared any more: %s", left.Address, left.Message))
	}
	for _, r := range d.GivenUp {
		t.tellGivenUp(r, key)
	}
	o := outcome{d.Assignments, k8s.ExplainAside(t.aside, request.Addresses, d.Refusals), d.Satisfied, foreign, d.Asked}
	if len(problems) > 0 {
		o.refused, o.satisfied = problems, false
	}
	k.has = o.assigned
	t.count(k, o.reason())
	for ip, f := range k.leaving {
		if slices.Contains(o.ips(), ip) || f.told && !slices.Contains(request.Current, ip) {
			delete(k.leaving, ip)
		}
	}
	now := time.Now()
	c := changeOf(svc, o, now)
	if c == nil {
		return nil
	}
	if wait := t.patience(svc, k, o, now); wait > 0 {
		t.work.AddAfter(item{service, key}, wait)
		return nil
	}
	return t.statusJob(svc, k, c, o)
}

// overtaken tells whether another controller, that led too for a moment, wrote a Service's status before our
// own decision could be: then what it wrote counts, since clients may use it already.
func overtaken(k *known, current []netip.Addr) bool {
	ours := outcome{assigned: k.has}.ips()
	return len(current) > 0 && !slices.Equal(current, k.shows) && !slices.Equal(current, ours) && !slices.Equal(k.shows, ours)
}

// statusJob writes a Service's status, after what is to be said before.
func (t *term) statusJob(svc *corev1.Service, k *known, c *change, o outcome) *job {
	key := k8s.Key(svc)
	j := &job{object: "service", log: t.Log.With("service", key.String()), base: svc.ResourceVersion}
	j.seen = func() (string, bool) { return t.serviceVersion(key) }
	for _, ip := range c.leaving {
		if f := k.leaving[ip]; f != nil && !f.told {
			j.before = append(j.before, saying{k8s.Event{About: reference(svc), Warning: true, Reason: f.reason, Message: f.message}, &f.told})
		}
	}
	if c.event != nil {
		j.after = []k8s.Event{*c.event}
	}
	j.write = func(ctx context.Context) error {
		if err := t.Cluster.PatchServiceStatus(ctx, key, c.patch); err != nil {
			return fmt.Errorf("writing the status of Service %s: %w", key, err)
		}
		return nil
	}
	j.done = func() {
		k.shows = o.ips()
		k.mended.wrote(o, time.Now())
		switch e := c.event; {
		case e == nil:
			j.log.Debug("status refreshed")
		case e.Warning:
			j.log.Info("pending", "reason", e.Reason, "message", e.Message)
		default:
			j.log.Info(e.Message)
		}
	}
	return j
}

// release takes back what a Service has that is gone or no longer ours, and returns what is to be written
// to it if it still exists. It is called again until that has succeeded.
func (t *term) release(key lb.Key, k *known) *job {
	switch {
	case k == nil:
		return nil
	case k.cleared:
		delete(t.known, key)
		return nil
	case !k.released:
		k.released = true
		t.count(k, "")
		t.metrics.decisions.WithLabelValues("released").Inc()
		t.again(t.alloc.Release(key, time.Now()))
	}
	had := outcome{assigned: k.has}.ips()
	j := &job{object: "service", log: t.Log.With("service", key.String())}
	j.write = func(ctx context.Context) error { return t.clear(ctx, key, k.uid, had) }
	j.done = func() {
		k.cleared = true
		t.work.Add(j.item) // for the decider to forget it
	}
	return j
}

// clear takes what we wrote from a Service that is no longer ours. A watch by field selector reports one
// whose type changed as deleted, so only the API server can tell if there is anything left to clear.
func (t *term) clear(ctx context.Context, key lb.Key, uid types.UID, had []netip.Addr) error {
	services := t.Cluster.Core.CoreV1().Services(key.Namespace)
	svc, err := services.Get(ctx, key.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("reading Service %s, which is to be cleared: %w", key, err)
	case svc.UID != uid, k8s.Ours(svc, t.LoadBalancerClass): // another one, or ours again
		return nil
	}
	patch := clearing(svc, had)
	if patch == nil {
		return nil
	}
	err = t.Cluster.PatchServiceStatus(ctx, key, patch)
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("clearing the status of Service %s: %w", key, err)
	}
	return nil
}

func (t *term) again(keys []lb.Key) {
	for _, key := range keys {
		t.work.Add(item{service, key})
	}
}

// count moves a Service from one reason of the metrics to another, "" for none.
func (t *term) count(k *known, reason string) {
	switch reason {
	case "":
	case reasonAssigned:
		t.metrics.decisions.WithLabelValues("assigned").Inc()
	default:
		t.metrics.decisions.WithLabelValues("pending").Inc()
	}
	if k.counted == reason {
		return
	}
	if k.counted != "" {
		t.metrics.count(k.counted, -1)
	}
	if reason != "" {
		t.metrics.count(reason, 1)
	}
	k.counted = reason
}
