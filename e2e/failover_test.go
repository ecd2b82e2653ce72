package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A node that is cut off is seen to be: its Speaker says that it is not Ready, and shows nothing that it may not
// have any more. What clients notice of the cut is measured in e2e/layer2.
func TestLostSpeakerShows(t *testing.T) {
	ctx, w := within(t, 2*time.Minute)
	w.service(ctx, t, "lost", nil)
	vips, _ := w.addresses(ctx, t, "lost", 2)
	owner := w.owner(ctx, t, vips[0])
	if err := w.Cut(owner.Host, lab.SwitchSide); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Restore(owner.Host) })
	took := eventually(ctx, t, "the lost speaker's status", 10*time.Second, func() error {
		s, err := w.fairlead.FairleadV1alpha1().Speakers().Get(ctx, owner.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if c := condition(s.Status.Conditions, "Ready"); c[:5] != "False" || s.Status.Layer2 == nil || s.Status.Layer2.Owned > 0 || s.Status.Layer2.Addresses != nil {
			return fmt.Errorf("Ready is %s, owned %+v", c, s.Status.Layer2)
		}
		return nil
	})
	t.Logf("its status said so after %s", took.Round(time.Millisecond))
	if err := w.Restore(owner.Host); err != nil {
		t.Fatal(err)
	}
	w.awaitServing(ctx, t, owner.Name)
}

// awaitServing waits until a node's speaker says that it sees all the others.
func (w *world) awaitServing(ctx context.Context, t *testing.T, node string) {
	t.Helper()
	eventually(ctx, t, node+" among the others", 20*time.Second, func() error {
		s, err := w.fairlead.FairleadV1alpha1().Speakers().Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if c := condition(s.Status.Conditions, "Ready"); c[:4] != "True" || s.Status.Gossip == nil || s.Status.Gossip.Members != int32(len(w.Nodes)) {
			return fmt.Errorf("Ready is %s, gossip %+v", c, s.Status.Gossip)
		}
		return nil
	})
}

// The controller is killed and started again: nothing changes, nothing is written.
func TestControllerRestart(t *testing.T) {
	ctx, w := within(t, 2*time.Minute)
	for i := range 5 {
		w.service(ctx, t, fmt.Sprint("kept-", i), nil)
	}
	before := map[string]string{}
	for i := range 5 {
		name := fmt.Sprint("kept-", i)
		w.addresses(ctx, t, name, 2)
		w.awaitCondition(ctx, t, name, "True Assigned")
		s, err := w.get(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		before[name] = s.ResourceVersion
	}
	if err := w.Controllers[0].Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-w.Controllers[0].Ended()
	if err := w.Controllers[0].Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	// it works again: the next Service gets the next address. A killed leader's Lease has to run out first.
	w.service(ctx, t, "after-restart", nil)
	eventually(ctx, t, "an address of the new Service", 40*time.Second, func() error {
		s, err := w.get(ctx, "after-restart")
		if err == nil && len(s.Status.LoadBalancer.Ingress) == 0 {
			err = fmt.Errorf("condition %s", condition(s.Status.Conditions, "fairlead.dev/Assigned"))
		}
		return err
	})
	t.Logf("first new address %s after the start of a killed controller", time.Since(began).Round(time.Millisecond))
	for name, version := range before {
		s, err := w.get(ctx, name)
		if err != nil {
			t.Fatal(err)
		}
		if s.ResourceVersion != version {
			t.Errorf("%s was written: %s", name, condition(s.Status.Conditions, "fairlead.dev/Assigned"))
		}
	}
}

// awaitKubeProxies has Kubernetes' own parts follow the API server again, for the tests that come after. They
// would by themselves too, but their back-off grows to a minute.
func (w *world) awaitKubeProxies(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	s, err := w.get(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	restart := []*lab.Process{w.Process("kube-controller-manager")}
	for _, n := range w.Nodes {
		restart = append(restart, n.KubeProxy)
	}
	for _, p := range restart {
		if err := p.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
	}
	w.deploy(ctx, t, name, "node1")
	for _, n := range w.Nodes {
		if _, err := n.Await(ctx, "tcp", at(netip.MustParseAddr(s.Spec.ClusterIP))); err != nil {
			t.Fatal(err)
		}
	}
}
