package controller

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// uninstall deletes the namespace as an API server does: it is there as long as anything is in it.
func (w *world) uninstall() {
	w.t.Helper()
	now := metav1.Now()
	w.must(w.core.Tracker().Update(namespacesGVR, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "fairlead-system", UID: "own", ResourceVersion: w.next(), DeletionTimestamp: &now, Finalizers: []string{"kubernetes"},
	}}, ""))
}

// installed is a world with the namespace, a pool of three addresses and five Services: two have one, one shows an
// address of nobody's pool, one has a hostname of another load balancer, and one waits.
func installed(t *testing.T) *world {
	w := newWorld(t)
	w.must(w.core.Tracker().Create(namespacesGVR, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "fairlead-system", UID: "own", ResourceVersion: w.next(),
	}}, ""))
	w.pool("edge", "198.51.100.10-198.51.100.11")
	w.service("a")
	w.service("b")
	w.service("restored", showing("192.0.2.200"))
	w.service("foreign", func(svc *corev1.Service) {
		svc.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{Hostname: "lb.example.com"}}
	})
	w.age()
	w.service("waits")
	return w
}

// failFor has the API server fail for some time.
func (w *world) failFor(d time.Duration) {
	mended := time.Now().Add(d)
	w.refuse(func(string, string) error {
		if time.Now().Before(mended) {
			return apierrors.NewInternalError(errors.New("etcd has no leader"))
		}
		return nil
	})
}

func TestUninstall(t *testing.T) {
	tests := []struct {
		name string
		do   func(*world)
		want map[string]string // what each Service shows then
	}{
		{name: "the namespace is being deleted: what was given is taken back", do: func(w *world) { w.uninstall() }},
		{name: "the namespace is gone before the watch says that it goes", do: func(w *world) {
			w.must(w.core.Tracker().Delete(namespacesGVR, "", "fairlead-system"))
		}},
		{name: "the pools go in the same moment", do: func(w *world) {
			w.uninstall()
			w.deletePool("edge")
		}},
		{name: "the pools go a moment before", do: func(w *world) {
			w.deletePool("edge")
			w.uninstall()
		}},
		{name: "a Service changes at the same time", do: func(w *world) {
			w.refuse(func(kind, name string) error {
				if name == "a" {
					w.refuse(nil)
					return apierrors.NewConflict(servicesGVR.GroupResource(), name, errors.New("it has changed"))
				}
				return nil
			})
			w.uninstall()
		}},
		{name: "the API server fails for a moment", do: func(w *world) {
			w.failFor(time.Second)
			w.uninstall()
		}},
		{name: "the rights are gone already: what is left is left", do: func(w *world) {
			w.refuse(func(kind, name string) error {
				return apierrors.NewForbidden(servicesGVR.GroupResource(), name, errors.New("no role"))
			})
			w.uninstall()
		}, want: map[string]string{"a": "198.51.100.10 Assigned: 198.51.100.10 from pool edge", "b": "198.51.100.11 Assigned: 198.51.100.11 from pool edge"}},
		{name: "another namespace is deleted", do: func(w *world) {
			w.must(w.core.Tracker().Delete(namespacesGVR, "", "default"))
		}, want: map[string]string{"a": "198.51.100.10 Assigned: 198.51.100.10 from pool edge", "b": "198.51.100.11 Assigned: 198.51.100.11 from pool edge"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := installed(t)
				_, stop := w.run()
				defer stop()
				before := len(w.events("a"))
				tt.do(w)
				w.settle()
				for _, name := range []string{"a", "b"} {
					w.expect(name, tt.want[name])
				}
				for name, keeps := range map[string]string{"restored": "192.0.2.200", "foreign": ""} {
					if got := w.says(name); tt.want == nil && got != keeps {
						t.Errorf("Service %s shows %q, want %q", name, got, keeps)
					}
				}
				if host := hostname(w.get("foreign")); host != "lb.example.com" {
					t.Errorf("the other load balancer's hostname is %q", host)
				}
				if told := w.events("a")[before:]; len(told) > 0 && !strings.Contains(tt.name, "the pools go") {
					t.Errorf("events: %q", told)
				}
			})
		})
	}
}

func TestUninstallGivesNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := installed(t)
		_, stop := w.run()
		w.uninstall()
		w.settle()
		w.writes()
		w.service("new")
		w.settle()
		w.expect("new", "")
		w.expect("waits", "")
		if writes := w.writes(); len(writes) > 0 {
			t.Errorf("written: %q", writes)
		}
		stop()

		// Nor does one that starts then.
		_, stop = w.run()
		w.expect("new", "")
		stop()
	})
}

// Whoever stands by, or starts, when the namespace goes takes back what is left once it leads.
func TestUninstallWhereNobodyLed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := installed(t)
		_, stop := w.run()
		stop()
		w.expect("a", "198.51.100.10 Assigned: 198.51.100.10 from pool edge")
		w.uninstall()
		_, stop = w.run()
		w.expect("a", "")
		stop()
	})
}

// Told to stop, as its Pod is a moment later, it goes on as long as it is let.
func TestUninstallGoesOnWhenToldToStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := installed(t)
		_, stop := w.run()
		w.failFor(2 * time.Second)
		began := time.Now()
		w.uninstall()
		time.Sleep(100 * time.Millisecond)
		stop()
		w.expect("a", "")
		w.expect("b", "")
		if took := time.Since(began); took > takeBackTime {
			t.Errorf("it took %s", took)
		}
	})
}

// Informers lag writes: an address that was written a moment ago is taken back, though the Service is not seen to show it.
func TestTakingsCountWhatWasWrittenAndNotSeen(t *testing.T) {
	key, ip := lb.Key{Namespace: "default", Name: "a"}, netip.MustParseAddr("198.51.100.10")
	given := []allocator.Assignment{{Address: ip, Pool: "edge"}}
	services := []*corev1.Service{{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", ResourceVersion: "1"}}}
	for _, tt := range []struct {
		name  string
		known *known
		want  int
	}{
		{"it was never given any", nil, 0},
		{"it was to have one, and nothing was written yet", &known{has: given}, 0},
		{"it was written", &known{has: given, shows: []netip.Addr{ip}}, 1},
		{"what it shows is another's", &known{shows: []netip.Addr{ip}}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := takings(services, map[lb.Key]*known{key: tt.known}); len(got) != tt.want {
				t.Errorf("%d Services are written to, want %d", len(got), tt.want)
			}
		})
	}
}
