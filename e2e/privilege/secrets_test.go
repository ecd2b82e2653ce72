package privilege

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestWithoutSecrets runs a speaker that may read no Secret, as manifests/overlays/layer2 installs it: nothing is missed, and
// nothing said, until a BGPPeer needs a password; then the peer says what is missing, and the rest goes on.
func TestWithoutSecrets(t *testing.T) {
	ctx, w := start(t, time.Minute)
	bindings := w.Kubernetes.RbacV1().RoleBindings(lab.ProductNamespace)
	binding, err := bindings.Get(ctx, "fairlead-speaker", metav1.GetOptions{})
	if err == nil {
		err = bindings.Delete(ctx, binding.Name, metav1.DeleteOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	name := w.name("without")
	speaker := w.Node(1).Speaker
	t.Cleanup(func() {
		ctx := context.Background()
		binding.ResourceVersion, binding.UID = "", ""
		_, err := bindings.Create(ctx, binding, metav1.CreateOptions{})
		_, again := restart(speaker)
		if err := errors.Join(err, again, w.cleanServices(ctx), w.fairlead.FairleadV1alpha1().BGPPeers().Delete(ctx, name, metav1.DeleteOptions{})); err != nil {
			t.Error(err)
		}
	})
	from, err := restart(speaker)
	if err == nil {
		err = w.announced(ctx, name, "192.0.2.248")
	}
	if err != nil {
		t.Fatal(err)
	}
	await(ctx, t, "the speaker to be ready", 15*time.Second, func() error { return ready(ctx, w.Node(1).Host, lab.SpeakerHTTPPort) })
	await(ctx, t, "an owner", 10*time.Second, func() error { return w.told(ctx, name, "OwnerElected") })
	time.Sleep(3 * time.Second) // more than a denial takes to be said
	if log := since(speaker, from); strings.Contains(log, "level=WARN") {
		t.Errorf("it is not silent:\n%s", log)
	}
	if err := w.peer(ctx, name, ", passwordSecret: {name: nothing}"); err != nil {
		t.Fatal(err)
	}
	const says = "Secret fairlead-system/nothing cannot be read: forbidden to list secrets: the Role fairlead-speaker in fairlead-system does not grant it"
	await(ctx, t, "the BGPPeer to say what is missing", 15*time.Second, func() error {
		peer, err := w.fairlead.FairleadV1alpha1().BGPPeers().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if c := meta.FindStatusCondition(peer.Status.Conditions, "Ready"); c == nil || c.Reason != "NoSecret" || !strings.HasPrefix(c.Message, says) {
			return fmt.Errorf("its conditions are %+v", peer.Status.Conditions)
		}
		return nil
	})
	if err := ready(ctx, w.Node(1).Host, lab.SpeakerHTTPPort); err != nil {
		t.Error(err)
	}
}
