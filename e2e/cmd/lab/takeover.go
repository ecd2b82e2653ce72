package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// probeAll asks every address again and again until the returned function is called, which tells what was seen.
func (s *story) probeAll(ctx context.Context) func() map[netip.Addr]lab.ProbeResult {
	probes := map[netip.Addr]*lab.Probe{}
	for _, vip := range s.vips {
		probes[vip] = s.client.Probe(ctx, "tcp", at(vip), probeInterval)
	}
	return func() map[netip.Addr]lab.ProbeResult {
		results := map[netip.Addr]lab.ProbeResult{}
		for vip, p := range probes {
			results[vip] = p.Stop()
		}
		return results
	}
}

// pull takes the owner's port out of the switch while the client asks.
func (s *story) pull(ctx context.Context) error {
	s.say("%s asks both addresses, each every %s, a new connection each time. Then the switch loses %s's port: "+
		"%s's own link stays up, so nothing tells it or the others.",
		s.client.Name, milliseconds(probeInterval), s.lost.Name, s.lost.Name)
	stop := s.probeAll(ctx)
	defer stop()
	if err := lab.Pause(ctx, settlingTime/2); err != nil {
		return err
	}
	pulled := time.Now()
	if err := s.Cut(s.lost.Host, lab.SwitchSide); err != nil {
		return err
	}
	before := s.owners
	s.owners = map[netip.Addr]*lab.Node{}
	for _, vip := range s.vips {
		_, err := until(ctx, "a new owner of "+vip.String(), func() (err error) {
			s.owners[vip], err = s.owner(ctx, vip)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := lab.Pause(ctx, settlingTime); err != nil {
		return err
	}
	results := stop()
	for _, vip := range s.vips {
		if gap := results[vip].Longest; gap.Open {
			return fmt.Errorf("%s answers for %s, but no request has been answered since %s", s.owners[vip].Name, vip, gap.Start.Format("15:04:05.000"))
		}
		gap := milliseconds(results[vip].Longest.Duration())
		if s.owners[vip] != before[vip] {
			s.fact("%s: no answer for %s, then %s had taken over from %s", vip, gap, s.owners[vip].Name, before[vip].Name)
		} else {
			s.fact("%s: still with %s, not affected; the longest time between two answers was %s", vip, before[vip].Name, gap)
		}
	}
	s.say("%s's kernel has the new place:", s.client.Name)
	if err := s.neighbors(); err != nil {
		return err
	}
	s.say("The others say which speaker they miss, and the Service's events what happened:")
	if err := s.speakersAgree(ctx); err != nil {
		return err
	}
	if _, err := until(ctx, s.lost.Name+"'s speaker to be shown as lost", func() error { return s.speakerReady(ctx, false) }); err != nil {
		return err
	}
	if err := s.kubectl(ctx, "get", "speakers"); err != nil {
		return err
	}
	if _, err := until(ctx, "the event about the takeover", func() error { return s.takeoverTold(ctx) }); err != nil {
		return err
	}
	err := s.kubectl(ctx, "get", "events", "--field-selector=involvedObject.kind=Service", "-o=custom-columns=MESSAGE:.message")
	if err != nil {
		return err
	}
	if _, err := until(ctx, "Kubernetes to miss "+s.lost.Name, func() error { return s.nodeMissed(ctx) }); err != nil {
		return err
	}
	s.say("%.1f seconds after the cable was pulled, Kubernetes itself has noticed:", time.Since(pulled).Seconds())
	return s.kubectl(ctx, "get", "nodes")
}

// nodeMissed fails while Kubernetes takes the cut-off node for Ready.
func (s *story) nodeMissed(ctx context.Context) error {
	node, err := s.Kubernetes.CoreV1().Nodes().Get(ctx, s.lost.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return errors.New("it is Ready")
		}
	}
	return nil
}

// speakerReady fails unless the cut-off node's Speaker says this of itself, or others of it.
func (s *story) speakerReady(ctx context.Context, want bool) error {
	speaker, err := s.fairlead.FairleadV1alpha1().Speakers().Get(ctx, s.lost.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if meta.IsStatusConditionTrue(speaker.Status.Conditions, v1alpha1.ConditionReady) != want {
		return fmt.Errorf("its Ready condition is not %v", want)
	}
	if want && (speaker.Status.Gossip == nil || int(speaker.Status.Gossip.Members) != len(s.Nodes)) {
		return errors.New("it does not see all the others")
	}
	return nil
}

// takeoverTold fails unless the Service has an event for every address that moved.
func (s *story) takeoverTold(ctx context.Context) error {
	events, err := s.Kubernetes.CoreV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.kind=Service,reason=OwnerChanged",
	})
	if err == nil && len(events.Items) == 0 {
		err = errors.New("there is none")
	}
	return err
}

// putBack mends the cable and checks that nothing moves.
func (s *story) putBack(ctx context.Context) error {
	stop := s.probeAll(ctx)
	defer stop()
	if err := s.Restore(s.lost.Host); err != nil {
		return err
	}
	took, err := until(ctx, s.lost.Name+"'s speaker among the others", func() error { return s.speakerReady(ctx, true) })
	if err != nil {
		return err
	}
	s.say("%s was back among the others after %.1f seconds. The addresses stay where they are, for a move would break "+
		"connections. %.0f seconds later:", s.lost.Name, took.Seconds(), observingStays.Seconds())
	if err := lab.Pause(ctx, observingStays); err != nil {
		return err
	}
	for _, vip := range s.vips {
		owner, err := s.owner(ctx, vip)
		if err != nil {
			return err
		}
		if owner != s.owners[vip] {
			return fmt.Errorf("%s has moved from %s to %s", vip, s.owners[vip].Name, owner.Name)
		}
	}
	results := stop()
	for _, vip := range s.vips {
		r := results[vip]
		if r.Longest.Open && r.Longest.Duration() > settlingTime {
			return fmt.Errorf("%s answers no more", vip)
		}
		failed := "none failed"
		if r.Failure != nil {
			failed = "not all, last: " + r.Failure.Error()
		}
		s.fact("%s: %s answers, nobody else; %d requests since were answered, %s; the longest time between two answers "+
			"was %s", vip, s.owners[vip].Name, len(r.Answers), failed, milliseconds(r.Longest.Duration()))
	}
	if err := s.speakersAgree(ctx); err != nil {
		return err
	}
	return s.kubectl(ctx, "get", "speakers")
}

// remove deletes the Service: its addresses fall silent and are free again.
func (s *story) remove(ctx context.Context) error {
	if err := s.kubectl(ctx, "delete", "service", serviceName); err != nil {
		return err
	}
	if _, err := until(ctx, "silence", func() error { return s.silent(ctx) }); err != nil {
		return err
	}
	for _, vip := range s.vips {
		short, cancel := context.WithTimeout(ctx, settlingTime/2)
		reply, err := s.client.Ask(short, "tcp", at(vip))
		cancel()
		if err == nil {
			return fmt.Errorf("%s still reaches %s at %s", s.client.Name, reply.Pod, url(vip))
		}
	}
	s.say("Nobody on the segment answers for %s or %s any more, %s reaches nothing there, and the pool has both "+
		"back:", s.vips[0], s.vips[1], s.client.Name)
	if _, err := until(ctx, "the pool to have both addresses back", func() error { return s.poolUsed(ctx, 0) }); err != nil {
		return err
	}
	return s.kubectl(ctx, "get", "ipaddresspools")
}

// tidy deletes what the story has made.
func (s *story) tidy(ctx context.Context) error {
	if err := s.kubectl(ctx, "delete", "-f="+examples+"backends.yaml", "-f="+examples+"pool.yaml"); err != nil {
		return err
	}
	pools := s.fairlead.FairleadV1alpha1().IPAddressPools()
	_, err := until(ctx, "the pool to be gone", func() error {
		_, err := pools.Get(ctx, poolName, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("it is still there"))
	})
	return err
}
