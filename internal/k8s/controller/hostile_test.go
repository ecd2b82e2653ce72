package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

func ports(numbers ...int32) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Spec.Ports = nil
		for _, n := range numbers {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: n, Protocol: corev1.ProtocolTCP})
		}
	}
}

// Of two that share an address one comes to have a key that cannot be read. It keeps to the key that it had, and a restart
// changes nothing for either.
func TestUnreadableSharingKey(t *testing.T) {
	const key, alias, other = k8s.AnnotationSharing, "metallb.io/allow-shared-ip", "metallb.universe.tf/allow-shared-ip"
	const says = "192.0.2.200 InvalidSharingKey: fairlead.dev/allow-shared-ip is empty; give a key, or remove it; it has 192.0.2.200 from pool edge"
	for name, order := range map[string][]string{"the older": {"web", "mail"}, "the younger": {"mail", "web"}} {
		start := func(w *world) {
			w.pool("edge", "192.0.2.200-192.0.2.209")
			for _, service := range order {
				w.service(service, annotate(key, "k"), ports(map[string]int32{"web": 80, "mail": 25}[service]))
				w.age()
			}
		}
		both := func(w *world, says string) {
			w.t.Helper()
			w.expect("web", says)
			w.expect("mail", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		}
		scenario(t, name+" has an empty one", func(t *testing.T, w *world) {
			start(w)
			_, stop := w.run()
			w.edit("web", annotate(key, ""))
			w.settle()
			both(w, says)
			stop()
			_, stop = w.run()
			defer stop()
			both(w, says)
			w.edit("web", annotate(key, "k"))
			w.settle()
			both(w, "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		})
		scenario(t, name+" has two that contradict each other", func(t *testing.T, w *world) {
			start(w)
			_, stop := w.run()
			w.edit("web", func(s *corev1.Service) { s.Annotations = map[string]string{alias: "k", other: "l"} })
			w.settle()
			before := w.says("web")
			stop()
			_, stop = w.run()
			defer stop()
			both(w, before)
		})
	}
}

func TestHostile(t *testing.T) {
	scenario(t, "another that writes the status too does not make for a flood", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.service("web")
		_, stop := w.run()
		defer stop()
		w.writes()
		before := len(w.events("web"))
		// another load balancer's controller, such as K3s' ServiceLB: it mends the status as quickly as we do
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); {
			if !slices.Contains(showsOf(w, "web"), "10.0.0.7") {
				w.edit("web", showing("10.0.0.7"))
			}
			time.Sleep(50 * time.Millisecond)
			synctest.Wait()
		}
		if n := len(w.writes()); n > 30 {
			t.Errorf("%d writes in ten minutes", n)
		}
		if n := len(w.events("web")) - before; n > 5 {
			t.Errorf("%d events in ten minutes, the last: %q", n, w.events("web")[before+n-1])
		}
		time.Sleep(20 * time.Minute)
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		w.edit("web", showing("10.0.0.7"))
		w.settle()
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
	})

	scenario(t, "a key that cannot be read does not open the ports to others", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.service("web", annotate(k8s.AnnotationSharing, "k"), ports(80))
		w.age()
		w.service("mail", annotate(k8s.AnnotationSharing, "k"), ports(25))
		_, stop := w.run()
		defer stop()
		w.edit("web", annotate(k8s.AnnotationSharing, "  "))
		w.settle()
		w.service("other", annotate(k8s.AnnotationSharing, "k"), ports(80))
		w.settle()
		if slices.Contains(showsOf(w, "other"), "192.0.2.200") {
			t.Error("two Services have port 80 of 192.0.2.200:", w.says("web"), "|", w.says("other"))
		}
		w.edit("web", annotate(k8s.AnnotationSharing, "k"))
		w.settle()
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
	})

	scenario(t, "a restart takes no address from a Service whose request cannot be read", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.service("web", annotate(k8s.AnnotationIPs, "192.0.2.203, 192.0.2.204, 192.0.2.205"))
		_, stop := w.run()
		w.edit("web", annotate(k8s.AnnotationIPs, "192.0.2.203, 192.0.2.204, 192.0.2.205, nonsense"))
		w.settle()
		before := w.says("web")
		stop()
		_, stop = w.run()
		defer stop()
		w.expect("web", before)
	})

	scenario(t, "a hostname of another's in the status is not wiped", func(t *testing.T, w *world) {
		w.service("web", func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "a1.elb.example.com"}}
		})
		_, stop := w.run()
		defer stop()
		if in := w.get("web").Status.LoadBalancer.Ingress; len(in) != 1 || in[0].Hostname == "" {
			t.Errorf("ingress is %v, condition %s", in, w.says("web"))
		}
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.settle()
		if in := w.get("web").Status.LoadBalancer.Ingress; len(in) != 1 || in[0].Hostname == "" {
			t.Errorf("ingress is %v, condition %s", in, w.says("web"))
		}
	})

	scenario(t, "a status edited by hand is mended also if the answer to our write was lost", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.service("web")
		_, stop := w.run()
		defer stop()
		lost := false
		w.core.PrependReactor("patch", "services", loseAnswer(w, &lost))
		w.edit("web", asking("192.0.2.209"))
		w.settle()
		if !lost {
			t.Fatal("no answer was lost")
		}
		w.edit("web", asking("")) // any will do
		w.settle()
		w.expect("web", "192.0.2.209 Assigned: 192.0.2.209 from pool edge")
		w.edit("web", showing("192.0.2.205"))
		w.settle()
		w.expect("web", "192.0.2.209 Assigned: 192.0.2.209 from pool edge")
	})

	scenario(t, "a wait in a status is no longer than the pool's retention", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		p := w.getPool("edge").DeepCopy()
		p.Spec.Retention = &metav1.Duration{Duration: time.Minute}
		p.ResourceVersion = w.next()
		for i := range 4096 {
			p.Status.Retained = append(p.Status.Retained, v1alpha1.RetainedAddress{
				Address: fmt.Sprintf("192.0.2.%d", i%256), Namespace: "gone", Name: fmt.Sprint("x", i), Until: metav1.NewTime(time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC))})
		}
		p.Status.Retained = append(p.Status.Retained, v1alpha1.RetainedAddress{}, v1alpha1.RetainedAddress{Address: "::ffff:192.0.2.1"}, v1alpha1.RetainedAddress{Address: "💥"})
		w.must(w.fairlead.Tracker().Update(poolsGVR, p, ""))
		w.service("asks", asking("192.0.2.205"))
		_, stop := w.run()
		defer stop()
		time.Sleep(2 * time.Minute)
		w.expect("asks", "192.0.2.205 Assigned: 192.0.2.205 from pool edge")
		if n := len(w.getPool("edge").Status.Retained); n > 0 {
			t.Errorf("%d still retained", n)
		}
	})

	scenario(t, "one Service that cannot be cleared keeps none of the others from it", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.service("a")
		w.service("b")
		_, stop := w.run()
		stop()
		for _, name := range []string{"a", "b"} {
			w.edit(name, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		}
		w.refuse(func(kind, name string) error {
			if name == "a" {
				return apierrors.NewForbidden(servicesGVR.GroupResource(), name, errors.New("a policy says no"))
			}
			return nil
		})
		_, stop = w.run()
		defer stop()
		w.settle()
		w.expect("b", "")
	})

	scenario(t, "a pool edited under many that wait makes no event for each", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		for i := range 100 {
			w.service(fmt.Sprint("s", i))
		}
		_, stop := w.run()
		defer stop()
		count := func() (n int) {
			for i := range 100 {
				n += len(w.events(fmt.Sprint("s", i)))
			}
			return n
		}
		before := count()
		w.pool("edge", "192.0.2.200-192.0.2.210")
		w.settle()
		if n := count() - before; n > 1 {
			t.Errorf("%d events for one more address", n)
		}
	})

	scenario(t, "a wait that has just begun outlives a restart", func(t *testing.T, w *world) {
		retain := func(s *v1alpha1.IPAddressPool) { s.Spec.Retention = &metav1.Duration{Duration: time.Hour} }
		w.pool("edge", "192.0.2.200-192.0.2.209")
		p := w.getPool("edge").DeepCopy()
		retain(p)
		p.ResourceVersion = w.next()
		w.must(w.fairlead.Tracker().Update(poolsGVR, p, ""))
		w.service("web", asking("192.0.2.205"))
		_, stop := w.run()
		w.service("other") // the pool's status is written
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		w.delete("web")
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		stop()
		_, stop = w.run()
		defer stop()
		w.service("web")
		w.settle()
		w.expect("web", "192.0.2.205 Assigned: 192.0.2.205 from pool edge")
	})

	scenario(t, "a pool's status that is refused is not tried each second for ever", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.refuse(func(kind, name string) error {
			if kind == "ipaddresspools" {
				return apierrors.NewForbidden(poolsGVR.GroupResource(), name, errors.New("no right to"))
			}
			return nil
		})
		_, stop := w.run()
		defer stop()
		time.Sleep(10 * time.Minute)
		if n := len(w.writes()); n > 100 {
			t.Errorf("%d tries in ten minutes", n)
		}
		w.refuse(nil)
		time.Sleep(11 * time.Second)
		if s := w.getPool("edge").Status.IPv4; s == nil {
			t.Error("no status when it may be written again")
		}
	})

	scenario(t, "a status of thirty thousand addresses holds nobody up", func(t *testing.T, w *world) {
		w.pool("edge", "10.0.0.0/12")
		var ips []string
		for i := range 30_000 {
			ips = append(ips, fmt.Sprintf("10.0.%d.%d", i/250, i%250))
		}
		w.service("web", showing(ips...))
		w.service("db")
		_, stop := w.run()
		defer stop()
		time.Sleep(time.Minute)
		if n := len(w.events("web")); n > 100 {
			t.Errorf("%d events", n)
		}
		if got := showsOf(w, "web"); len(got) != 1 {
			t.Errorf("%d addresses", len(got))
		}
	})
}

// A Service deleted while all are listed keeps nobody from leading.
func TestCatchUpWithTheDeleted(t *testing.T) {
	w := newWorld(t)
	c, err := New(Config{Cluster: &k8s.Cluster{Core: w.core, Fairlead: w.fairlead}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()})
	w.must(err)
	w.core.PrependReactor("list", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
		gone := corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "gone", ResourceVersion: "7"}}
		return true, &corev1.ServiceList{Items: []corev1.Service{gone}}, nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := c.catchUp(ctx); err != nil {
		t.Error("while Services are deleted all the time:", err)
	}
}

func showsOf(w *world, name string) (ips []string) {
	for _, ip := range k8s.IngressIPs(w.get(name)) {
		ips = append(ips, ip.String())
	}
	return ips
}

// loseAnswer has the first patch take effect and its answer lost.
func loseAnswer(w *world, lost *bool) clienttesting.ReactionFunc {
	return func(a clienttesting.Action) (bool, runtime.Object, error) {
		if *lost {
			return false, nil, nil
		}
		*lost = true
		if _, _, err := w.patch(a); err != nil {
			return true, nil, err
		}
		return true, nil, context.DeadlineExceeded
	}
}
