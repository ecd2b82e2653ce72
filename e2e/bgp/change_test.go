package bgp

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// uptimes are since when a router has each of its sessions, as the Speakers and the router itself say.
func (w *world) uptimes(ctx context.Context, t *testing.T, peer string) map[string]time.Time {
	t.Helper()
	list := map[string]time.Time{}
	for _, n := range w.Nodes {
		s := w.says(ctx, t, n.Name, peer, "the session is Established", func(s v1alpha1.BGPSessionStatus) bool {
			return s.State == v1alpha1.BGPSessionEstablished && s.EstablishedTime != nil
		})
		if s.EstablishedTime != nil {
			list[n.Name] = s.EstablishedTime.Time
		}
	}
	return list
}

// same fails if a session was not there all the time.
func (w *world) same(ctx context.Context, t *testing.T, r *lab.Router, peer string, before map[string]time.Time, since time.Time) {
	t.Helper()
	for name, at := range w.uptimes(ctx, t, peer) {
		if !at.Equal(before[name]) {
			t.Errorf("the session of %s with %s is from %s, and was from %s", name, peer, at.Format(time.TimeOnly), before[name].Format(time.TimeOnly))
		}
		s, err := r.Peer(ctx, name)
		// The router's clock is in whole seconds.
		if err != nil || !s.Established || s.Up < time.Since(since)-2*time.Second {
			t.Errorf("%s has the session with %s for %s, want it for %s at least: %v", r.Name, name, s.Up, time.Since(since).Round(time.Second), err)
		}
	}
}

// Peers come and go while others stay: those never notice.
func TestOthersStay(t *testing.T) {
	ctx, w := start(t, 4*time.Minute)
	stays, goes := w.routers[lab.FRR], w.routers[lab.BIRD]
	prefixes := w.service(ctx, t, "field")
	w.everything(ctx, t, stays, "")
	routed(ctx, t, stays, 3, prefixes[:]...)
	speaks := w.speaks(both, "IPv4")
	if err := goes.Speak(ctx, speaks); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	before := w.uptimes(ctx, t, "router")
	watch, err := stays.WatchRoutes(prefixes[:]...)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	updates := map[string]int{}
	for _, n := range w.Nodes {
		s, err := stays.Peer(ctx, n.Name)
		if err != nil {
			t.Fatal(err)
		}
		updates[n.Name] = s.UpdatesReceived
	}
	const rounds = 100
	seen := 0
	for i := range rounds {
		w.apply(ctx, t, `
apiVersion: fairlead.dev/v1alpha1
kind: BGPPeer
metadata: {name: visitor}
spec: {myASN: 64512, peerASN: 64500, peerAddress: %s, families: [IPv4, IPv6]}
`, goes.V4)
		// Now and then it is let come up; else it is gone before.
		if i%10 == 0 {
			if err := goes.AwaitEstablished(ctx, names(speaks)...); err != nil {
				t.Fatal(err)
			}
			seen++
		}
		if err := w.fairlead.FairleadV1alpha1().BGPPeers().Delete(ctx, "visitor", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	took := time.Since(begin)
	w.same(ctx, t, stays, "router", before, begin)
	told := 0
	for _, n := range w.Nodes {
		s, err := stays.Peer(ctx, n.Name)
		if err != nil {
			t.Fatal(err)
		}
		told += s.UpdatesReceived - updates[n.Name]
	}
	changes := len(watch.Events()) - len(prefixes)
	measure.Report(t, len(w.Nodes), fmt.Sprintf("a peer added and removed %d times", rounds), "other sessions stay, 0 UPDATEs to them",
		"3 of 3 other sessions kept their uptime, %d UPDATEs to them, %d changes of their routes, in %.0f s; %d times it was waited for until all was Established",
		told, changes, took.Seconds(), seen)
	if told > 0 || changes > 0 {
		t.Errorf("%d UPDATEs, %d changes", told, changes)
	}
}

// An edit of a peer touches its session alone; one of what it is told resets none.
func TestEdits(t *testing.T) {
	ctx, w := start(t, 3*time.Minute)
	edited, other := w.routers[lab.BIRD], w.routers[lab.FRR]
	prefix := w.service(ctx, t, "field")[0]
	w.everything(ctx, t, other, "")
	if err := edited.Speak(ctx, w.speaks(both, "IPv4")); err != nil {
		t.Fatal(err)
	}
	spec := fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s", edited.V4)
	w.peer(ctx, t, "edited", spec)
	if err := edited.AwaitEstablished(ctx, "node1", "node2", "node3"); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	others, own := w.uptimes(ctx, t, "router"), w.uptimes(ctx, t, "edited")
	for _, test := range []struct {
		name, spec, advertisement string
		resets                    bool
	}{
		{"communities are added to the advertisement", "", `communities: ["65000:1"]`, false},
		{"the advertisement is narrowed to other peers", "", `peers: [router]`, false},
		{"the advertisement is widened again", "", "", false},
		{"connectTime changes", ", connectTime: 5s", "", false},
		{"graceful restart is switched on", ", connectTime: 5s, enableGracefulRestart: true", "", true},
		{"the hold time changes", ", holdTime: 30s", "", true},
		{"a family is added", ", families: [IPv4, IPv6]", "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			measure.Pause(ctx, t, 1100*time.Millisecond) // a new session is to be told from an old one, in whole seconds
			w.apply(ctx, t, `
apiVersion: fairlead.dev/v1alpha1
kind: BGPPeer
metadata: {name: edited}
spec: {%s%s}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPAdvertisement
metadata: {name: all}
spec: {%s}
`, spec, test.spec, test.advertisement)
			if test.resets {
				measure.Eventually(ctx, t, "new sessions", 10*time.Second, func() error {
					for _, n := range w.Nodes {
						s, err := w.session(ctx, n.Name, "edited")
						if err != nil || s.EstablishedTime == nil || !s.EstablishedTime.After(own[n.Name]) {
							return fmt.Errorf("%s: %s, %v", n.Name, sessionText(s), err)
						}
					}
					return nil
				})
			} else {
				measure.Pause(ctx, t, time.Second)
				w.same(ctx, t, edited, "edited", own, begin)
			}
			own = w.uptimes(ctx, t, "edited")
			if test.resets {
				begin = time.Now().Add(time.Second)
			}
		})
	}
	w.same(ctx, t, other, "router", others, begin)
	want := 3
	measure.Eventually(ctx, t, "all paths at both", 5*time.Second, func() error {
		for _, r := range []*lab.Router{edited, other} {
			if paths, err := r.Paths(ctx, prefix); err != nil || len(paths) != want {
				return fmt.Errorf("%s has %v: %v", r.Name, paths, err)
			}
		}
		return nil
	})
}

// A BFDProfile in use is deleted: the sessions go on, and the peer says so.
func TestProfileDeleted(t *testing.T) {
	ctx, w := start(t, time.Minute)
	r := w.routers[lab.FRR]
	w.service(ctx, t, "field")
	w.withBFD(ctx, t, r, "")
	begin := time.Now()
	before := w.uptimes(ctx, t, "v4")
	if err := w.fairlead.FairleadV1alpha1().BFDProfiles().Delete(ctx, "fast", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	measure.Eventually(ctx, t, "the condition", 6*time.Second, func() error {
		return w.condition(ctx, "v4", "NoBFDProfile")
	})
	measure.Pause(ctx, t, time.Second)
	w.same(ctx, t, r, "v4", before, begin)
	w.bfdUp(ctx, t, r, names(w.speaks(nil, "IPv4", "IPv6"))...)
	w.says(ctx, t, "node1", "v4", "BFD goes on", func(s v1alpha1.BGPSessionStatus) bool { return s.BFDState == v1alpha1.BFDSessionUp })
	w.apply(ctx, t, fastBFD)
	measure.Eventually(ctx, t, "the end of the condition", 6*time.Second, func() error {
		return w.condition(ctx, "v4", "Established")
	})
}

// condition fails unless the Ready condition of a BGPPeer has this reason.
func (w *world) condition(ctx context.Context, peer, reason string) error {
	p, err := w.fairlead.FairleadV1alpha1().BGPPeers().Get(ctx, peer, metav1.GetOptions{})
	if err != nil {
		return err
	}
	c := apimeta.FindStatusCondition(p.Status.Conditions, "Ready")
	if c == nil || c.Reason != reason {
		return fmt.Errorf("the Ready condition of %s is %+v, %d of %d established", peer, c, p.Status.Established, p.Status.Nodes)
	}
	return nil
}

// What is not consistent between objects is said on the object, and the rest works on.
func TestBadConfiguration(t *testing.T) {
	ctx, w := start(t, 2*time.Minute)
	r := w.routers[lab.FRR]
	prefix := w.service(ctx, t, "field")[0]
	w.everything(ctx, t, r, "")
	routed(ctx, t, r, 3, prefix)
	begin := time.Now()
	before := w.uptimes(ctx, t, "router")
	measure.Pause(ctx, t, 1100*time.Millisecond) // of two objects, one has to be the older, and they know whole seconds
	for _, test := range []struct{ name, peer, spec, reason string }{
		{"two peers that are the same session", "again", fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s", r.V4), "Conflicting"},
		{"a BFDProfile that is not there", "unwatched", fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s, bfdProfile: none", w.routers[lab.BIRD].V4), "NoBFDProfile"},
		{"a Secret that is not there", "secret", fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s, passwordSecret: {name: none}", w.routers[lab.BIRD].V4), "NoSecret"},
		{"selectors that match no node", "nowhere", fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s, nodeSelectors: [{matchLabels: {no: node}}]", w.routers[lab.BIRD].V4), "NoNodes"},
		{"a router that is not there", "absent", "myASN: 64512, peerASN: 64500, peerAddress: 192.0.2.199", "NotEstablished"},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.apply(ctx, t, "apiVersion: fairlead.dev/v1alpha1\nkind: BGPPeer\nmetadata: {name: %s}\nspec: {%s}\n", test.peer, test.spec)
			measure.Eventually(ctx, t, "the condition", 8*time.Second, func() error { return w.condition(ctx, test.peer, test.reason) })
			p, err := w.fairlead.FairleadV1alpha1().BGPPeers().Get(ctx, test.peer, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			t.Log(apimeta.FindStatusCondition(p.Status.Conditions, "Ready").Message)
			if err := w.fairlead.FairleadV1alpha1().BGPPeers().Delete(ctx, test.peer, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("an unknown community leaves the others", func(t *testing.T) {
		w.apply(ctx, t, `
apiVersion: fairlead.dev/v1alpha1
kind: BGPAdvertisement
metadata: {name: all}
spec: {communities: ["65000:7", nowhere-defined]}
`)
		measure.Eventually(ctx, t, "the paths with the other community", 6*time.Second, func() error {
			paths, err := r.Paths(ctx, prefix)
			if err != nil || len(paths) != 3 {
				return fmt.Errorf("%v: %v", paths, err)
			}
			for _, p := range paths {
				if strings.Join(p.Communities, " ") != "65000:7" {
					return fmt.Errorf("%s", p)
				}
			}
			a, err := w.fairlead.FairleadV1alpha1().BGPAdvertisements().Get(ctx, "all", metav1.GetOptions{})
			if err != nil {
				return err
			}
			for _, c := range a.Status.Conditions {
				if c.Status == metav1.ConditionFalse && strings.Contains(c.Message, "nowhere-defined") {
					return nil
				}
			}
			return fmt.Errorf("the advertisement's conditions are %+v", a.Status.Conditions)
		})
	})
	w.same(ctx, t, r, "router", before, begin)
}
