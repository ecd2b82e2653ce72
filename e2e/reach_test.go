package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The main job: an address in time, and a client's own kernel reaches the backend through it.
func TestReachable(t *testing.T) {
	ctx, w := within(t, time.Minute)
	w.deploy(ctx, t, "web", "node2")
	begin := time.Now()
	w.service(ctx, t, "web", nil)
	vips, took := w.addresses(ctx, t, "web", 2)
	t.Logf("addresses %v after %s", vips, took.Round(time.Millisecond))
	for _, vip := range vips {
		for _, network := range []string{"tcp", "udp"} {
			reply, err := w.Client(1).Await(ctx, network, at(vip))
			if err != nil {
				t.Fatal(err)
			}
			if reply.Pod != "web-node2" {
				t.Errorf("%s over %s: %s answered", vip, network, reply)
			}
		}
		owner := w.owner(ctx, t, vip)
		// what the client's kernel believes is what is on the wire
		n, ok, err := w.Client(1).Neighbor(vip)
		if err != nil || !ok || n.MAC.String() != owner.MAC.String() {
			t.Errorf("the client's kernel has %v for %s, %s answers with %s (%v)", n, vip, owner.Name, owner.MAC, err)
		}
	}
	if took := time.Since(begin); took > 4*time.Second {
		t.Errorf("reachable after %s, more than 4 s", took)
	}
	w.awaitEvent(ctx, t, "web", "AddressAssigned", vips[0].String())
	w.awaitEvent(ctx, t, "web", "OwnerElected", "answers for "+vips[0].String())
}

func TestStatusIsTrue(t *testing.T) {
	ctx, w := within(t, time.Minute)
	w.service(ctx, t, "shown", nil)
	vips, _ := w.addresses(ctx, t, "shown", 2)
	for _, vip := range vips {
		owner := w.owner(ctx, t, vip)
		eventually(ctx, t, "the owner in its Speaker status", 5*time.Second, func() error {
			speakers, err := w.fairlead.FairleadV1alpha1().Speakers().List(ctx, metav1.ListOptions{})
			if err != nil {
				return err
			}
			if len(speakers.Items) != len(w.Nodes) {
				return fmt.Errorf("%d Speakers for %d nodes", len(speakers.Items), len(w.Nodes))
			}
			for _, s := range speakers.Items {
				shows := s.Status.Layer2 != nil && has(s.Status.Layer2, vip.String())
				if shows != (s.Name == owner.Name) {
					return fmt.Errorf("Speaker %s shows %+v; %s owns %s", s.Name, s.Status.Layer2, owner.Name, vip)
				}
				if s.Status.Gossip == nil || s.Status.Gossip.Members != int32(len(w.Nodes)) {
					return fmt.Errorf("Speaker %s shows gossip %+v", s.Name, s.Status.Gossip)
				}
			}
			return nil
		})
	}
}

func has(status *v1alpha1.Layer2Status, address string) bool {
	for _, a := range status.Addresses {
		if a.Address == address {
			return true
		}
	}
	return false
}

// Local: the client's address is kept, and the owner moves along with the endpoints, before the old one is
// useless: nobody but a node with a ready endpoint answers.
func TestLocal(t *testing.T) {
	ctx, w := within(t, time.Minute)
	pod := w.deploy(ctx, t, "local", "node3")
	w.service(ctx, t, "local", func(s *corev1.Service) {
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	})
	vips, _ := w.addresses(ctx, t, "local", 2)
	for _, vip := range vips {
		if owner := w.owner(ctx, t, vip); owner.Name != "node3" {
			t.Errorf("%s owns %s; the only endpoint is on node3", owner.Name, vip)
		}
		reply, err := w.Client(1).Await(ctx, "tcp", at(vip))
		if err != nil {
			t.Fatal(err)
		}
		if saw := reply.Client.Addr(); saw != w.Client(1).V4 && saw != w.Client(1).V6 {
			t.Errorf("the backend saw %s, not the client", saw)
		}
	}
	w.deploy(ctx, t, "local", "node1")
	if owner := w.owner(ctx, t, vips[0]); owner.Name != "node3" {
		t.Errorf("%s owns the address though node3 still may", owner.Name)
	}
	if err := pod.SetReady(ctx, false); err != nil {
		t.Fatal(err)
	}
	for _, vip := range vips {
		eventually(ctx, t, "node1 as owner", 5*time.Second, func() error {
			if owner := w.owner(ctx, t, vip); owner.Name != "node1" {
				return fmt.Errorf("it is %s", owner.Name)
			}
			return nil
		})
		reply, err := w.Client(1).Await(ctx, "tcp", at(vip))
		if err != nil || reply.Pod != "local-node1" {
			t.Errorf("%v %v", reply, err)
		}
	}
}

// Without a single endpoint nobody answers for a Local Service; with the first one somebody does.
func TestLocalWithoutEndpoints(t *testing.T) {
	ctx, w := within(t, time.Minute)
	w.service(ctx, t, "empty", func(s *corev1.Service) {
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	})
	vips, _ := w.addresses(ctx, t, "empty", 2)
	if err := w.silent(ctx, vips[0]); err != nil {
		t.Error(err)
	}
	w.deploy(ctx, t, "empty", "node2")
	if owner := w.owner(ctx, t, vips[0]); owner.Name != "node2" {
		t.Errorf("%s owns the address", owner.Name)
	}
}

// patchNode changes a node's labels for the length of the test; an empty value removes a label.
func (w *world) patchNode(ctx context.Context, t *testing.T, node, label, value string) {
	t.Helper()
	set := func(ctx context.Context, json string) {
		patch := fmt.Sprintf(`{"metadata": {"labels": {%q: %s}}}`, label, json)
		if _, err := w.Kubernetes.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	set(ctx, fmt.Sprintf("%q", value))
	t.Cleanup(func() { set(context.Background(), "null") })
}

// Only selected nodes ever answer, and an edit of the advertisement takes effect at once.
func TestNodeSelector(t *testing.T) {
	ctx, w := within(t, time.Minute)
	w.service(ctx, t, "selected", func(s *corev1.Service) { s.Labels = map[string]string{"tier": "edge"} })
	vips, _ := w.addresses(ctx, t, "selected", 2)
	owner := w.owner(ctx, t, vips[0])
	target := w.Node(1)
	if owner == target {
		target = w.Node(2)
	}
	w.patchNode(ctx, t, target.Name, "edge", "yes")
	client := w.fairlead.FairleadV1alpha1().L2Advertisements()
	edit := func(selectors string) {
		patch := `{"spec": {"nodeSelectors": ` + selectors + `}}`
		if _, err := client.Patch(context.Background(), "edge", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	edit(`[{"matchLabels": {"edge": "yes"}}]`)
	t.Cleanup(func() { edit("null") })
	for _, vip := range vips {
		eventually(ctx, t, "the selected node as owner", 5*time.Second, func() error {
			if now := w.owner(ctx, t, vip); now.Name != target.Name {
				return fmt.Errorf("%s answers", now.Name)
			}
			return nil
		})
	}
	edit(`[{"matchLabels": {"edge": "nowhere"}}]`)
	eventually(ctx, t, "silence", 5*time.Second, func() error { return w.silent(ctx, vips[0]) })
}
