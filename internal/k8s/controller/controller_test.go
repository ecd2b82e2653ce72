package controller

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// scenario runs a test in a bubble with a world of its own.
func scenario(t *testing.T, name string, run func(t *testing.T, w *world)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { run(t, newWorld(t)) })
	})
}

func annotate(key, value string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Annotations = map[string]string{key: value} }
}

func asking(ip string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.LoadBalancerIP = ip }
}

func showing(ips ...string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Status.LoadBalancer.Ingress = nil
		for _, ip := range ips {
			s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
		}
	}
}

func TestServices(t *testing.T) {
	scenario(t, "a Service gets an address, and the next one when it is gone", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200")
		_, stop := w.run()
		defer stop()
		w.service("web")
		w.settle()
		w.service("db")
		w.settle()
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		w.expect("db", "PoolExhausted: pool edge: exhausted, 1 of 1 IPv4 addresses in use")
		w.delete("web")
		w.settle()
		w.expect("db", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		w.expectEvents("web", "Normal AddressAssigned: assigned 192.0.2.200 from pool edge")
		w.expectEvents("db", "Warning PoolExhausted: pool edge: exhausted, 1 of 1 IPv4 addresses in use",
			"Normal AddressAssigned: assigned 192.0.2.200 from pool edge")
	})

	scenario(t, "it is served when a pool comes", func(t *testing.T, w *world) {
		w.service("web")
		_, stop := w.run()
		defer stop()
		w.expect("web", "NoPool: there is no IPAddressPool")
		w.pool("edge", "192.0.2.200")
		w.settle()
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
	})

	scenario(t, "a pool is given out in the order of arrival, and who gets nothing is told what is true now", func(t *testing.T, w *world) {
		_, stop := w.run()
		defer stop()
		for _, name := range []string{"d", "c", "b", "a"} {
			w.service(name)
			w.settle()
			w.expect(name, "NoPool: there is no IPAddressPool")
		}
		w.pool("edge", "192.0.2.200-192.0.2.201")
		w.settle()
		w.expect("d", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		w.expect("c", "192.0.2.201 Assigned: 192.0.2.201 from pool edge")
		w.expect("b", "PoolExhausted: pool edge: exhausted, 2 of 2 IPv4 addresses in use")
		w.expect("a", "PoolExhausted: pool edge: exhausted, 2 of 2 IPv4 addresses in use")
		w.pool("edge", "192.0.2.200-192.0.2.202")
		w.settle()
		w.expect("b", "192.0.2.202 Assigned: 192.0.2.202 from pool edge")
		w.expect("a", "PoolExhausted: pool edge: exhausted, 3 of 3 IPv4 addresses in use")
	})

	scenario(t, "who has one family of two is told what is true of the other", func(t *testing.T, w *world) {
		w.pool("edge", "2001:db8::1-2001:db8::2", "192.0.2.200")
		_, stop := w.run()
		defer stop()
		w.service("web")
		w.settle()
		for _, name := range []string{"db", "mail"} {
			w.service(name, func(s *corev1.Service) {
				policy := corev1.IPFamilyPolicyPreferDualStack
				s.Spec.IPFamilyPolicy, s.Spec.IPFamilies = &policy, []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}
			})
			w.settle()
		}
		w.expect("mail", "2001:db8::2 Assigned: 2001:db8::2 from pool edge; nothing more, as pool edge: exhausted, 1 of 1 IPv4 addresses in use")
		w.pool("edge", "2001:db8::1-2001:db8::2", "192.0.2.200-192.0.2.201")
		w.settle()
		w.expect("mail", "2001:db8::2 Assigned: 2001:db8::2 from pool edge; nothing more, as pool edge: exhausted, 2 of 2 IPv4 addresses in use")
	})

	scenario(t, "another's class is not touched", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200")
		class := "example.com/other"
		w.service("web", func(s *corev1.Service) { s.Spec.LoadBalancerClass = &class }, showing("198.51.100.1"))
		_, stop := w.run()
		defer stop()
		w.edit("web", showing("198.51.100.2"))
		w.settle()
		w.expect("web", "198.51.100.2")
	})

	scenario(t, "a Service that is no LoadBalancer any more keeps nothing of ours", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200")
		w.service("web")
		_, stop := w.run()
		defer stop()
		w.edit("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		w.service("db")
		w.settle()
		w.expect("web", "")
		w.expect("db", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		w.edit("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer })
		w.settle()
		w.expect("web", "PoolExhausted: pool edge: exhausted, 1 of 1 IPv4 addresses in use")
	})

	scenario(t, "a status edited by hand is mended", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.201")
		w.service("web")
		_, stop := w.run()
		defer stop()
		w.edit("web", showing("192.0.2.201"))
		w.settle()
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
	})

	scenario(t, "it moves to the address it asks for", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.service("web")
		_, stop := w.run()
		defer stop()
		w.edit("web", asking("192.0.2.209"))
		w.settle()
		w.expect("web", "192.0.2.209 Assigned: 192.0.2.209 from pool edge")
	})

	scenario(t, "a Service made anew under the same name is a new one", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.service("web", asking("192.0.2.205"))
		_, stop := w.run()
		defer stop()
		w.delete("web")
		w.service("web")
		w.settle()
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
	})
}

// Another --load-balancer-class than before: what Services of the former class were given is in their statuses still.
func TestClassChanged(t *testing.T) {
	internal := "example.com/internal"
	serving := func(c *Config) { c.LoadBalancerClass = internal }
	classed := func(s *corev1.Service) { s.Spec.LoadBalancerClass = &internal }
	start := func(w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.201")
		w.service("db")
		_, stop := w.run()
		stop()
	}
	const db = "192.0.2.200 Assigned: 192.0.2.200 from pool edge"

	scenario(t, "nobody gets what one of the former class has, and that one has it when its class is served again", func(t *testing.T, w *world) {
		start(w)
		_, stop := w.run(serving)
		w.service("web", classed)
		w.service("asks", classed, asking("192.0.2.200"))
		w.settle()
		w.expect("web", "192.0.2.201 Assigned: 192.0.2.201 from pool edge")
		w.expect("asks", "AddressInUse: the requested address 192.0.2.200 is in use by Service default/db")
		w.expect("db", db)
		if v4 := w.getPool("edge").Status.IPv4; v4 == nil || v4.Assigned != 2 {
			t.Errorf("pool edge has %+v assigned", v4)
		}
		stop()
		_, stop = w.run()
		defer stop()
		w.expect("db", db)
		w.expectEvents("db", "Normal AddressAssigned: assigned 192.0.2.200 from pool edge")
	})

	scenario(t, "it is given out when the one of the former class is gone", func(t *testing.T, w *world) {
		start(w)
		_, stop := w.run(serving)
		defer stop()
		w.service("asks", classed, asking("192.0.2.200"))
		w.settle()
		w.expect("asks", "AddressInUse: the requested address 192.0.2.200 is in use by Service default/db")
		w.delete("db")
		w.settle()
		w.expect("asks", db)
	})

	scenario(t, "it is given out when another load balancer has given that one another", func(t *testing.T, w *world) {
		start(w)
		_, stop := w.run(serving)
		defer stop()
		w.edit("db", showing("198.51.100.1"))
		w.service("web", classed)
		w.settle()
		w.expect("web", db)
	})

	scenario(t, "it stays that one's over an edit of the pool", func(t *testing.T, w *world) {
		start(w)
		_, stop := w.run(serving)
		defer stop()
		w.pool("edge", "192.0.2.201")
		w.settle()
		w.pool("edge", "192.0.2.200-192.0.2.201")
		w.settle()
		w.service("web", classed)
		w.settle()
		w.expect("web", "192.0.2.201 Assigned: 192.0.2.201 from pool edge")
	})

	scenario(t, "who had got it before both were known keeps it", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.201")
		w.service("db")
		w.service("web", classed, showing("192.0.2.200"))
		_, stop := w.run()
		stop()
		w.expect("db", db)
		_, stop = w.run(serving)
		defer stop()
		w.expect("web", db)
	})
}

func TestLoss(t *testing.T) {
	scenario(t, "the event is there before the address goes", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200")
		w.service("web")
		_, stop := w.run()
		defer stop()
		w.refuse(func(string, string) error { // the status write is tried, and fails
			return apierrors.NewInternalError(errors.New("etcd has no leader"))
		})
		w.deletePool("edge")
		time.Sleep(time.Minute)
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		told := []string{"Normal AddressAssigned: assigned 192.0.2.200 from pool edge",
			"Warning AddressLost: no pool holds 192.0.2.200 any more; it was of pool edge"}
		w.expectEvents("web", told...)
		w.refuse(nil)
		time.Sleep(time.Minute)
		w.expect("web", "NoPool: there is no IPAddressPool")
		w.expectEvents("web", append(told, "Warning NoPool: there is no IPAddressPool")...)
	})

	scenario(t, "a pool edited while no controller leads takes its addresses all the same", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.service("web")
		_, stop := w.run()
		stop()
		w.pool("edge", "192.0.2.210-192.0.2.219")
		_, stop = w.run()
		defer stop()
		w.expect("web", "192.0.2.210 Assigned: 192.0.2.210 from pool edge")
		w.expectEvents("web", "Normal AddressAssigned: assigned 192.0.2.200 from pool edge",
			"Warning AddressLost: no pool holds 192.0.2.200 any more", "Normal AddressAssigned: assigned 192.0.2.210 from pool edge")
	})

	scenario(t, "what a controller could not write any more the next one does", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.service("web")
		_, stop := w.run()
		w.refuse(func(string, string) error { return apierrors.NewInternalError(errors.New("etcd has no leader")) })
		w.pool("edge", "192.0.2.210-192.0.2.219")
		w.settle()
		stop()
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		w.refuse(nil)
		_, stop = w.run()
		defer stop()
		w.expect("web", "192.0.2.210 Assigned: 192.0.2.210 from pool edge")
	})

	scenario(t, "a pool that was deleted while no controller led gives back what it took", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.201")
		w.service("db")
		w.age()
		w.service("web")
		_, stop := w.run()
		stop()
		w.deletePool("edge")
		w.pool("other", "2001:db8::1")
		_, stop = w.run()
		defer stop()
		w.expect("web", "NoAddressOfFamily: pool other: no IPv4 addresses")
		w.delete("db")
		w.pool("edge", "192.0.2.200-192.0.2.201")
		w.settle()
		w.expect("web", "192.0.2.201 Assigned: 192.0.2.201 from pool edge")
	})

	scenario(t, "while there is no pool at all after a restart nothing leaves", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.201")
		w.service("web")
		_, stop := w.run()
		stop()
		w.deletePool("edge")
		_, stop = w.run()
		defer stop()
		w.expect("web", "192.0.2.200 NotAdopted: the status has 192.0.2.200, which no pool holds: it is neither announced nor replaced; "+
			"add it to a pool, or ask for another address")
		w.pool("edge", "192.0.2.200-192.0.2.201")
		w.settle()
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
	})

	scenario(t, "an address that another system has written since stays, and is no pool's", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.209")
		w.service("web")
		_, stop := w.run()
		stop()
		w.edit("web", func(s *corev1.Service) {
			showing("198.51.100.1")(s)
			s.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "metallb", Subresource: "status", FieldsType: "FieldsV1",
				FieldsV1: &metav1.FieldsV1{Raw: []byte(`{"f:status":{"f:loadBalancer":{"f:ingress":{}}}}`)}}}
		})
		_, stop = w.run()
		defer stop()
		w.expect("web", "198.51.100.1 NotAdopted: the status has 198.51.100.1, which no pool holds: it is neither announced nor replaced; "+
			"add it to a pool, or ask for another address")
	})

	scenario(t, "a pool under another name takes its addresses along, silently", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200")
		w.service("web")
		_, stop := w.run()
		defer stop()
		w.age()
		w.pool("public", "192.0.2.200")
		w.settle()
		w.deletePool("edge")
		w.settle()
		w.expect("web", "192.0.2.200 Assigned: 192.0.2.200 from pool public")
		w.expectEvents("web", "Normal AddressAssigned: assigned 192.0.2.200 from pool edge")
	})
}

func TestStart(t *testing.T) {
	scenario(t, "nothing is written after a restart", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.201")
		for _, name := range []string{"web", "db", "waiting"} {
			w.service(name)
			w.age()
		}
		w.service("wrong", annotate(k8s.AnnotationIPs, "no"))
		_, stop := w.run()
		stop()
		w.writes()
		before := len(w.events("web"))
		_, stop = w.run()
		defer stop()
		if got := w.writes(); len(got) > 0 {
			t.Errorf("writes after a restart: %v", got)
		}
		if after := len(w.events("web")); after != before || before != 1 {
			t.Errorf("%d events before a restart, %d after", before, after)
		}
		w.expect("waiting", "PoolExhausted: pool edge: exhausted, 2 of 2 IPv4 addresses in use")
	})

	scenario(t, "what a Service shows is its own before another gets something new", func(t *testing.T, w *world) {
		const unheld = "the status has 198.51.100.1, which no pool holds: it is neither announced nor replaced; " +
			"add it to a pool, or ask for another address"
		w.pool("edge", "192.0.2.200-192.0.2.201")
		w.service("oldest") // has nothing
		w.age()
		w.service("lost", showing("198.51.100.1")) // shows what no pool holds
		w.age()
		w.service("asks", asking("192.0.2.200"))
		w.age()
		w.service("youngest", showing("192.0.2.200"))
		_, stop := w.run()
		defer stop()
		w.expect("youngest", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		w.expect("lost", "198.51.100.1 NotAdopted: "+unheld)
		w.expect("asks", "AddressInUse: the requested address 192.0.2.200 is in use by Service default/youngest")
		w.expect("oldest", "192.0.2.201 Assigned: 192.0.2.201 from pool edge")
		w.expectEvents("lost", "Warning NotAdopted: "+unheld)
		w.pool("restored", "198.51.100.0/24")
		w.settle()
		w.expect("lost", "198.51.100.1 Assigned: 198.51.100.1 from pool restored")
	})

	scenario(t, "of two that show the same address the older keeps it", func(t *testing.T, w *world) {
		w.pool("edge", "192.0.2.200-192.0.2.201")
		w.service("b", showing("192.0.2.200"))
		w.age()
		w.service("a", showing("192.0.2.200"))
		_, stop := w.run()
		defer stop()
		w.expect("b", "192.0.2.200 Assigned: 192.0.2.200 from pool edge")
		w.expect("a", "192.0.2.201 Assigned: 192.0.2.201 from pool edge")
		w.expectEvents("a", "Warning NotAdopted: the status has 192.0.2.200, which cannot be kept: 192.0.2.200 is in use by Service default/b",
			"Normal AddressAssigned: assigned 192.0.2.201 from pool edge")
	})

	scenario(t, "it is ready when everything is in memory", func(t *testing.T, w *world) {
		c, stop := w.run()
		defer stop()
		if err := c.Ready(); err != nil {
			t.Error(err)
		}
	})

	scenario(t, "the gossip key is made once", func(t *testing.T, w *world) {
		key := func() string {
			s, err := w.core.CoreV1().Secrets("fairlead-system").Get(t.Context(), GossipSecret, metav1.GetOptions{})
			w.must(err)
			return string(s.Data[GossipSecretKey])
		}
		_, stop := w.run()
		first := key()
		stop()
		_, stop = w.run()
		stop()
		if second := key(); len(first) != 44 || second != first {
			t.Errorf("key %q, after a restart %q", first, second)
		}
	})
}
