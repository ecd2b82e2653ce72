package soak

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/generated/informers/externalversions"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

const (
	askEvery = 500 * time.Millisecond // of each address who has it
	// foldEvery is how often what the segment said is read and forgotten: an hour of it is more than memory is for.
	foldEvery = 20 * time.Second
)

// owners follow who answers for the addresses that stay: on the wire, and in what the speakers say of themselves.
type owners struct {
	fleet *fleet.Fleet
	diary *diary

	mu        sync.Mutex
	rounds    int
	takeovers map[string]takeover // by node, time, former node and cause
}

// takeover is what a Speaker's status says.
type takeover struct {
	v1alpha1.Takeover
	by string
}

func newOwners(f *fleet.Fleet, d *diary) *owners {
	return &owners{fleet: f, diary: d, takeovers: map[string]takeover{}}
}

// follow asks the segment until ctx is done, from a host that does nothing else.
func (o *owners) follow(ctx context.Context, addresses []netip.Addr) error {
	last := map[netip.Addr]sighting{}
	for ctx.Err() == nil {
		begin := time.Now()
		watch, err := o.fleet.Watcher.Watch(ctx, askEvery, addresses...)
		if err != nil {
			return err
		}
		select {
		case <-time.After(foldEvery):
		case <-ctx.Done():
		}
		if err := watch.Stop(); err != nil {
			return err
		}
		for _, a := range addresses {
			rounds := watch.Rounds(a, begin)
			// The last one was stopped while it waited for its answer.
			if len(rounds) > 0 {
				rounds = rounds[:len(rounds)-1]
			}
			list, now := sightings(a, last[a], rounds, o.nodeOf)
			last[a] = now
			for _, h := range list {
				o.diary.note(h)
			}
			o.mu.Lock()
			o.rounds += len(rounds)
			o.mu.Unlock()
		}
	}
	return nil
}

func (o *owners) nodeOf(mac net.HardwareAddr) string {
	if host := o.fleet.HostByMAC(mac); host != nil {
		return host.Name
	}
	return mac.String()
}

// sighting is the last time that a node answered alone.
type sighting struct {
	node   string
	at     time.Time
	misses int // rounds since, without any answer
}

// sightings folds rounds of questions about one address into what happened. One round without an answer is forgiven: a
// frame may be late.
func sightings(a netip.Addr, last sighting, rounds []lab.Round, nodeOf func(net.HardwareAddr) string) (list []happening, now sighting) {
	note := func(k kind, at time.Time, why string) {
		list = append(list, happening{kind: k, way: fleet.OnSegment, address: a, node: last.node, from: last.at, to: at, why: why})
	}
	for _, r := range rounds {
		switch len(r.MACs) {
		case 0:
			if last.misses++; last.misses == 2 {
				note(silent, r.At, "")
			}
			continue
		case 1:
			node := nodeOf(r.MACs[0])
			if last.node != "" && node != last.node {
				note(moved, r.At, "to "+node)
			}
			last.node = node
		default:
			note(doubled, r.At, r.Since(last.at))
		}
		last.at, last.misses = r.At, 0
	}
	return list, last
}

// listen reads Speakers and Services as they change, until ctx is done.
func (o *owners) listen(ctx context.Context) error {
	ours := externalversions.NewSharedInformerFactory(o.fleet.Fairlead, 0)
	_, err := ours.Fairlead().V1alpha1().Speakers().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(x any) { o.hear(x.(*v1alpha1.Speaker)) },
		UpdateFunc: func(_, x any) { o.hear(x.(*v1alpha1.Speaker)) },
	})
	if err != nil {
		return fmt.Errorf("following Speakers: %w", err)
	}
	core := informers.NewSharedInformerFactory(o.fleet.Kubernetes, 0)
	_, err = core.Core().V1().Services().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(before, now any) { o.compare(before.(*corev1.Service), now.(*corev1.Service)) },
	})
	if err != nil {
		return fmt.Errorf("following Services: %w", err)
	}
	ours.Start(ctx.Done())
	core.Start(ctx.Done())
	ours.WaitForCacheSync(ctx.Done())
	core.WaitForCacheSync(ctx.Done())
	return nil
}

// hear notes what a speaker took over, as far as it is new. Several addresses within a second are one takeover, whose
// count grows.
func (o *owners) hear(s *v1alpha1.Speaker) {
	if s.Status.Layer2 == nil {
		return
	}
	for _, t := range s.Status.Layer2.Takeovers {
		if t.Cause == v1alpha1.TakeoverElected {
			continue
		}
		key := fmt.Sprint(s.Name, t.Time.UnixMicro(), t.From, t.Cause)
		o.mu.Lock()
		_, known := o.takeovers[key]
		o.takeovers[key] = takeover{t, s.Name}
		o.mu.Unlock()
		if known {
			continue
		}
		h := happening{kind: told, node: t.From, from: t.Time.Time, to: t.Time.Time.Add(time.Millisecond)}
		h.why = fmt.Sprintf("%s took %d addresses of %s over: %s %s", s.Name, t.Count, t.From, t.Cause, t.Reason)
		if t.Cause != v1alpha1.TakeoverMoved && t.Cause != v1alpha1.TakeoverRebalanced {
			h.kind = lost
		}
		o.diary.note(h)
	}
}

// compare notes a Service that has another address than before. One that had none has not changed.
func (o *owners) compare(before, now *corev1.Service) {
	had, has := ingress(before), ingress(now)
	if len(had) == 0 || slices.Equal(had, has) || now.DeletionTimestamp != nil {
		return
	}
	at := time.Now()
	o.diary.note(happening{kind: changed, subject: now.Name, from: at, to: at.Add(time.Millisecond), why: fmt.Sprintf("%s: from %v to %v", now.Name, had, has)})
}

func ingress(s *corev1.Service) (list []string) {
	for _, i := range s.Status.LoadBalancer.Ingress {
		list = append(list, i.IP)
	}
	slices.Sort(list)
	return list
}

// moves is how many addresses were taken over, as the speakers say, and for which cause.
func (o *owners) moves() (total int, causes map[v1alpha1.TakeoverCause]int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	causes = map[v1alpha1.TakeoverCause]int{}
	for _, t := range o.takeovers {
		total += int(t.Count)
		causes[t.Cause] += int(t.Count)
	}
	return total, causes
}
