package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// pool lets the administrator say which addresses there are.
func (s *story) pool(ctx context.Context) error {
	s.say("The administrator says which addresses Services may get, and that they are announced on the segment:")
	if err := s.apply(ctx, "pool.yaml"); err != nil {
		return err
	}
	if _, err := until(ctx, "the pool to be in force, with all of it free", func() error { return s.poolUsed(ctx, 0) }); err != nil {
		return err
	}
	return s.kubectl(ctx, "get", "ipaddresspools")
}

// poolUsed fails unless the pool's status shows this many addresses of each family as assigned.
func (s *story) poolUsed(ctx context.Context, want int64) error {
	p, err := s.fairlead.FairleadV1alpha1().IPAddressPools().Get(ctx, poolName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if p.Status.IPv4 == nil || p.Status.IPv6 == nil {
		return errors.New("its status has no count yet")
	}
	if p.Status.IPv4.Assigned != want || p.Status.IPv6.Assigned != want {
		return fmt.Errorf("its status shows %d IPv4 and %d IPv6 addresses as assigned", p.Status.IPv4.Assigned, p.Status.IPv6.Assigned)
	}
	return nil
}

// service makes a Service and waits for its addresses.
func (s *story) service(ctx context.Context) error {
	services := s.Kubernetes.CoreV1().Services(metav1.NamespaceDefault)
	// Watched from before it exists, the Service's own history tells how long it waited, kubectl's start not
	// included.
	list, err := services.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	changes, err := services.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion, FieldSelector: "metadata.name=" + serviceName})
	if err != nil {
		return fmt.Errorf("watching the Service: %w", err)
	}
	defer changes.Stop()
	assigned := make(chan time.Duration, 1)
	go func() { assigned <- s.awaitAddresses(changes) }()
	if err := s.apply(ctx, "service.yaml"); err != nil {
		return err
	}
	select {
	case took := <-assigned:
		s.say("It had its addresses %s after the API server had taken it.", milliseconds(took))
	case <-time.After(stepLimit):
		return fmt.Errorf("the Service has no address of each family after %s", stepLimit)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := s.kubectl(ctx, "get", "svc", serviceName); err != nil {
		return err
	}
	if _, err := until(ctx, "the pool's count", func() error { return s.poolUsed(ctx, 1) }); err != nil {
		return err
	}
	return s.kubectl(ctx, "get", "ipaddresspools")
}

// awaitAddresses reads the Service's history until it has an address of each family, and returns how long it
// took. It returns late, or never, if that does not come.
func (s *story) awaitAddresses(changes watch.Interface) time.Duration {
	var created time.Time
	for event := range changes.ResultChan() {
		service, ok := event.Object.(*corev1.Service)
		if !ok {
			continue
		}
		if event.Type == watch.Added {
			created = time.Now()
		}
		if ingress := service.Status.LoadBalancer.Ingress; len(ingress) == 2 {
			for _, i := range ingress {
				if a, err := netip.ParseAddr(i.IP); err == nil {
					s.vips = append(s.vips, a)
				}
			}
			return time.Since(created)
		}
	}
	select {}
}

// ownership asks on the wire who answers.
func (s *story) ownership(ctx context.Context) error {
	s.say("%s asks everybody on the segment, by one ARP request and one Neighbor Solicitation, and listens %s "+
		"for answers:", s.client.Name, milliseconds(answerWindow))
	s.owners = map[netip.Addr]*lab.Node{}
	for _, vip := range s.vips {
		_, err := until(ctx, "one owner of "+vip.String(), func() (err error) {
			s.owners[vip], err = s.owner(ctx, vip)
			return err
		})
		if err != nil {
			return err
		}
		s.fact("%s: one answer, %s, which is %s", vip, s.owners[vip].MAC, s.owners[vip].Name)
	}
	s.say("The speakers say the same in their status:")
	if err := s.speakersAgree(ctx); err != nil {
		return err
	}
	return s.kubectl(ctx, "get", "speakers")
}

// speakersAgree waits until the Speakers' status shows the owners that the wire has shown.
func (s *story) speakersAgree(ctx context.Context) error {
	_, err := until(ctx, "the speakers' status to show the owners", func() error {
		list, err := s.fairlead.FairleadV1alpha1().Speakers().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, vip := range s.vips {
			var holders []string
			for _, speaker := range list.Items {
				if owns(speaker, vip) {
					holders = append(holders, speaker.Name)
				}
			}
			if len(holders) != 1 || holders[0] != s.owners[vip].Name {
				return fmt.Errorf("%s is shown as owned by %s, %s answers", vip, enumerate(holders), s.owners[vip].Name)
			}
		}
		return nil
	})
	return err
}

func owns(speaker v1alpha1.Speaker, address netip.Addr) bool {
	if speaker.Status.Layer2 == nil {
		return false
	}
	for _, a := range speaker.Status.Layer2.Addresses {
		if a.Address == address.String() {
			return true
		}
	}
	return false
}

// ask lets the client reach Pods behind the Service.
func (s *story) ask(ctx context.Context) error {
	s.lost = s.owners[s.vips[0]]
	var away []string
	for _, n := range s.Nodes {
		if n != s.lost {
			away = append(away, n.Name)
		}
	}
	s.say("Two Pods are to answer, on %s and not on %s, which owns %s: so what is pulled next takes away the "+
		"address alone, not a Pod.", enumerate(away), s.lost.Name, s.vips[0])
	if err := s.kubectl(ctx, append(append([]string{"label", "node"}, away...), backendLabel)...); err != nil {
		return err
	}
	if err := s.kubectl(ctx, "apply", "-f", examples+"backends.yaml"); err != nil {
		return err
	}
	if err := s.kubectl(ctx, "rollout", "status", "deployment", serviceName); err != nil {
		return err
	}
	s.say("%s knows nothing but the two addresses. It asks:", s.client.Name)
	for _, vip := range s.vips {
		limited, cancel := context.WithTimeout(ctx, stepLimit)
		defer cancel()
		if _, err := s.client.Await(limited, "tcp", at(vip)); err != nil {
			return err
		}
		begin := time.Now()
		reply, err := s.client.Ask(limited, "tcp", at(vip))
		if err != nil {
			return err
		}
		s.fact("%s: answered in %s by the Pod %s on %s", url(vip), milliseconds(time.Since(begin)), reply.Pod, reply.Node)
	}
	s.say("Its kernel has found them by ARP and NDP:")
	return s.neighbors()
}

// neighbors says what the client's ARP and NDP caches have, and checks that it is the owners.
func (s *story) neighbors() error {
	for _, vip := range s.vips {
		entry, ok, err := s.client.Neighbor(vip)
		if err != nil {
			return err
		}
		if want := s.owners[vip].MAC; !ok || entry.MAC.String() != want.String() {
			return fmt.Errorf("%s's kernel has %s for %s, not %s", s.client.Name, entry.MAC, vip, want)
		}
		s.fact("%s is at %s (%s)", vip, entry.MAC, entry.State)
	}
	return nil
}
