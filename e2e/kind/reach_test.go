//go:build kind

package kind

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
)

// reach also shows what users see of it with kubectl.
func (w *world) reach(t *attempt) {
	w.stand(t)
	distinct := slices.Compact(slices.SortedFunc(slices.Values(w.addresses), netip.Addr.Compare))
	if len(distinct) != standing*w.segment.families() {
		t.Errorf("%d Services share addresses: %s", standing, w.addresses)
	}
	shares := map[string]int{}
	for _, a := range w.addresses {
		t.Logf("%-20s is answered for by %s", a, w.owners[a])
		shares[w.owners[a]]++
	}
	for _, n := range w.excluded {
		if shares[n] > 0 {
			t.Errorf("%s, which is excluded, owns addresses", n)
		}
	}
	for _, n := range w.workers {
		if shares[n] == 0 {
			t.Errorf("%s owns none of %d addresses", n, len(w.addresses))
		}
	}
	for _, a := range w.addresses[:w.segment.families()] {
		for _, network := range []string{"tcp", "udp"} {
			backends := map[string]int{}
			// Which backend answers is chance; that one of two answers 50 times in a row is none.
			eventually(t, 30*time.Second, "both replicas answer", func() error {
				backend, _, err := w.client.ask(network, a)
				if err != nil {
					return err
				}
				if backends[backend]++; len(backends) < 2 {
					return fmt.Errorf("%s over %s was answered by %v", a, network, backends)
				}
				return nil
			})
			t.Logf("%s over %s: %s", a, network, strings.Join(slices.Sorted(maps.Keys(backends)), ", "))
		}
		mac, err := w.client.neighbor(a)
		if err != nil {
			t.Fatal(err)
		}
		if w.nodes[mac] != w.owners[a] {
			t.Errorf("the client's kernel has %q (%s) for %s, want the hardware address of %s", mac, w.nodes[mac], a, w.owners[a])
		}
	}
	w.speakersAgree(t)
	eventually(t, 10*time.Second, "the pool's status is true", func() error {
		s := get[v1alpha1.IPAddressPool](t, "ipaddresspool", "e2e").Status
		if s.IPv4 == nil || s.IPv4.Assigned != standing || w.segment.Dual() && (s.IPv6 == nil || s.IPv6.Assigned != standing) {
			return fmt.Errorf("it is %+v %+v, want %d assigned of each family", s.IPv4, s.IPv6, standing)
		}
		return nil
	})
	t.Log("\n" + kubectl(t, "get", "ipaddresspools,speakers,l2advertisements"))
	t.Log("\n" + kubectl(t, "get", "services"))
	t.Log("\n" + kubectl(t, "describe", "service", "echo-0"))
	t.Log("\n" + kubectl(t, "fairlead", "services"))
	t.Log("\n" + kubectl(t, "fairlead", "owners"))
}

// local has one backend, and moves it to another node.
func (w *world) local(t *attempt) {
	w.stand(t)
	last := len(w.workers) - 1
	w.deploy(t, "lone", 1, w.workers[last:])
	addresses := w.serve(t, serviceOf{Name: "lone", App: "lone", Policy: "Local"})
	for _, node := range []string{w.workers[last], w.workers[0]} {
		w.deploy(t, "lone", 1, []string{node})
		took := eventually(t, 15*time.Second, node+" owns all", func() error {
			for a, owner := range w.ask(t, addresses) {
				if owner != node {
					return fmt.Errorf("%s is %s's", a, owner)
				}
			}
			return nil
		})
		for _, a := range addresses {
			var saw string
			eventually(t, 5*time.Second, "the backend answers", func() (err error) {
				_, saw, err = w.client.ask("tcp", a)
				return err
			})
			t.Logf("%s is %s's %.1f s after its backend runs there; it saw %s", a, node, took.Seconds(), saw)
			from := netip.MustParseAddrPort(saw).Addr().Unmap()
			if w.kind != nil && !strings.Contains(docker(t, "inspect", w.kind.prefix+"-client"), fmt.Sprintf("%q", from)) {
				t.Errorf("the backend saw %s, which is not the client", from)
			}
		}
	}
	w.forget(t, "lone")
	kubectl(t, "delete", "deployment,poddisruptionbudget", "lone", "--wait=false")
}

// selectNodes edits the advertisement, live.
func (w *world) selectNodes(t *attempt) {
	w.stand(t)
	edit := func(selectors string) {
		kubectl(t, "patch", "l2advertisement", "e2e", "--type", "merge", "--patch", `{"spec": {"nodeSelectors": `+selectors+`}}`)
	}
	only := w.workers[0]
	edit(`[{"matchLabels": {"kubernetes.io/hostname": "` + only + `"}}]`)
	took := eventually(t, 10*time.Second, only+" owns all", func() error {
		for a, owner := range w.ask(t, w.addresses) {
			if owner != only {
				return fmt.Errorf("%s is %s's", a, owner)
			}
		}
		return nil
	})
	t.Logf("all are %s's %.1f s after the edit", only, took.Seconds())
	edit(`null`)
	w.owners = w.ask(t, w.addresses)
	if n := len(w.owned(only)); n != len(w.addresses) {
		t.Errorf("%d of %d addresses moved as they might again", len(w.addresses)-n, len(w.addresses))
	}
	w.spread(t)
	for _, n := range w.workers {
		if len(w.owned(n)) == 0 {
			t.Errorf("%s owns nothing after `kubectl fairlead rebalance`: %v", n, w.owners)
		}
	}
}
