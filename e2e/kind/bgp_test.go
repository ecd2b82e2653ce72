//go:build kind

package kind

import (
	"fmt"
	"strings"
	"time"
)

// bgp has every node tell a router of a Service, with a password and BFD; and all speakers updated while clients
// come through that router.
func (w *world) bgp(t *attempt) {
	w.stand(t)
	w.route(t, true)
	r := w.routing
	t.Log("\n" + kubectl(t, "get", "bgppeers,bgpadvertisements"))
	t.Log("\n" + kubectl(t, "fairlead", "peers"))
	t.Log("\n" + kubectl(t, "fairlead", "routes"))
	t.Log("\n" + docker(t, "exec", r.container, "vtysh", "-c", "show bgp summary", "-c", "show bfd peers brief"))
	for _, a := range r.addresses {
		text, err := r.kernel(a)
		t.Logf("the router's kernel (%v):\n%s", err, text)
		for _, network := range []string{"tcp", "udp"} {
			eventually(t, 10*time.Second, "the visitor is answered", func() error {
				_, _, err := r.visitor.ask(network, a)
				return err
			})
		}
	}

	monitor := "/tmp/monitor"
	docker(t, "exec", "--detach", r.container, "sh", "-c", "exec ip monitor route >"+monitor)
	// That it tells of changes is seen by two that are made.
	for _, control := range []string{"203.0.113.254", "2001:db8:ffff::1"} {
		eventually(t, 10*time.Second, "the router tells of changes of its routes", func() error {
			docker(t, "exec", r.container, "ip", "route", "replace", "blackhole", control)
			docker(t, "exec", r.container, "ip", "route", "delete", "blackhole", control)
			if told := docker(t, "exec", r.container, "cat", monitor); !strings.Contains(told, control) {
				return fmt.Errorf("of %s there is nothing in %q", control, told)
			}
			return nil
		})
	}
	l := r.visitor.load(t, established, perSecond, r.addresses...)
	kubectl(t, "rollout", "restart", "daemonset/fairlead-speaker", "--namespace", namespace)
	w.awaitRollout(t, "daemonset/fairlead-speaker")
	w.awaitSpeakers(t, 20*time.Second)
	r.awaitHops(t, w.workers...)
	l.flawless(t)
	changes := docker(t, "exec", r.container, "cat", monitor)
	for _, a := range r.addresses {
		if strings.Contains(changes, a.String()) {
			t.Errorf("the router's route to %s changed:\n%s", a, changes)
		}
	}
	w.stay(t)
	w.noRestarts(t)
}
