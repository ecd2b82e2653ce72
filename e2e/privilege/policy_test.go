package privilege

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// TestTokenOfANode is what somebody can write who has taken node1 over, and so has its speaker's token: the Speaker object
// of node1, events of node1's speaker, and of other nodes that they were lost.
func TestTokenOfANode(t *testing.T) {
	ctx, w := start(t, 2*time.Minute)
	config, err := clientcmd.LoadFromFile(filepath.Join(w.Directory, "fairlead-speaker-node1.kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	stolen := rest.AnonymousClientConfig(w.RESTConfig())
	stolen.BearerToken = config.AuthInfos["fairlead-speaker"].Token
	core, err := kubernetes.NewForConfig(stolen)
	if err != nil {
		t.Fatal(err)
	}
	fairlead, err := versioned.NewForConfig(stolen)
	if err != nil {
		t.Fatal(err)
	}
	speakers := fairlead.FairleadV1alpha1().Speakers()
	for _, n := range []string{"node1", "node2"} {
		await(ctx, t, "the Speaker object of "+n, 20*time.Second, func() error {
			s, err := w.fairlead.FairleadV1alpha1().Speakers().Get(ctx, n, metav1.GetOptions{})
			if err == nil && s.Status.Version == "" {
				err = errors.New("it is empty")
			}
			return err
		})
	}
	patch := func(text string) func() error {
		return func() error {
			_, err := speakers.Patch(ctx, "node2", types.MergePatchType, []byte(text), metav1.PatchOptions{}, "status")
			return err
		}
	}
	const lost = `{"status":{"gossip":null,"failureDetection":null,"bgpSessions":null,
		"layer2":{"owned":0,"standingIn":null,"addresses":null,"truncated":null,"suppressedNodes":null,"conflicts":null%s},
		"conditions":[{"type":"Ready","status":"False","reason":"%s","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]%s}}`
	event := func(component, instance string) func() error {
		return func() error {
			e := &corev1.Event{
				ObjectMeta:     metav1.ObjectMeta{GenerateName: "policy-", Namespace: "default"},
				InvolvedObject: corev1.ObjectReference{Kind: "Service", Namespace: "default", Name: "any"}, Reason: "Test", Message: "test",
				ReportingController: component, ReportingInstance: instance, Source: corev1.EventSource{Component: component, Host: instance},
			}
			_, err := core.CoreV1().Events("default").Create(ctx, e, metav1.CreateOptions{})
			return err
		}
	}
	create := func(name string) func() error {
		return func() error {
			_, err := speakers.Create(ctx, &v1alpha1.Speaker{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
			if apierrors.IsAlreadyExists(err) {
				err = nil // it would have been let
			}
			return err
		}
	}
	for _, tt := range []struct {
		name   string
		does   func() error
		denied string
	}{
		{"writes the status of its own node", func() error {
			_, err := speakers.Patch(ctx, "node1", types.MergePatchType, []byte(`{"status":{"version":"stolen"}}`), metav1.PatchOptions{}, "status")
			return err
		}, ""},
		{"makes the object of its own node", create("node1"), ""},
		{"makes the object of a node that there is not", create("node99"), "makes the Speaker object of its own node"},
		{"says that another was lost", patch(fmt.Sprintf(lost, "", "Lost", "")), ""},
		{"says that another is ready", patch(`{"status":{"conditions":[{"type":"Ready","status":"True","reason":"Lost","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}`), "of another's"},
		{"says why else another is not ready", patch(fmt.Sprintf(lost, "", "Hacked", "")), "of another's"},
		{"says which addresses another owns", patch(fmt.Sprintf(lost, `,"owned":7`, "Lost", "")), "of another's"},
		{"says what another took over", patch(fmt.Sprintf(lost, `,"takeovers":[{"address":"192.0.2.1","time":"2026-01-01T00:00:00.000000Z","from":"x","cause":"Lost","count":1}]`, "Lost", "")), "of another's"},
		{"says which release another has", patch(fmt.Sprintf(lost, "", "Lost", `,"version":"v9"`)), "of another's"},
		{"says which interfaces another has", patch(fmt.Sprintf(lost, "", "Lost", `,"interfaces":[{"name":"eth9"}]`)), "of another's"},
		{"tells an event of its speaker", event("fairlead-speaker", "node1"), ""},
		{"tells an event of another's speaker", event("fairlead-speaker", "node2"), "tells events as"},
		{"tells an event as the controller", event("fairlead-controller", "node1"), "tells events as"},
		{"takes the label off a Speaker object", func() error {
			_, err := speakers.Patch(ctx, "node2", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
			return err
		}, "cannot patch resource"}, // that is RBAC's
		{"changes a Service's status", func() error {
			_, err := core.CoreV1().Services("default").Patch(ctx, "kubernetes", types.MergePatchType, []byte(`{"status":{}}`), metav1.PatchOptions{}, "status")
			return err
		}, "cannot patch resource"},
		{"drains another node", func() error {
			_, err := core.CoreV1().Nodes().Patch(ctx, "node2", types.MergePatchType, []byte(`{"metadata":{"annotations":{"fairlead.dev/drain":"true"}}}`), metav1.PatchOptions{})
			return err
		}, "cannot patch resource"},
		{"reads a Secret elsewhere", func() error {
			_, err := core.CoreV1().Secrets("default").List(ctx, metav1.ListOptions{})
			return err
		}, "cannot list resource"},
		{"makes a token for the controller", func() error {
			_, err := core.CoreV1().Secrets(lab.ProductNamespace).Create(ctx, &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: "t", Annotations: map[string]string{corev1.ServiceAccountNameKey: "fairlead-controller"}}, Type: corev1.SecretTypeServiceAccountToken,
			}, metav1.CreateOptions{})
			return err
		}, "cannot create resource"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			switch err := tt.does(); {
			case tt.denied == "" && err != nil:
				t.Error(err)
			case tt.denied != "" && (err == nil || !strings.Contains(err.Error(), tt.denied)):
				t.Errorf("got %v, want a denial with %q", err, tt.denied)
			}
		})
	}
	t.Run("what was written is put right by the node itself", func(t *testing.T) {
		for _, n := range []string{"node1", "node2"} {
			await(ctx, t, n+"'s own words", 20*time.Second, func() error {
				s, err := w.fairlead.FairleadV1alpha1().Speakers().Get(ctx, n, metav1.GetOptions{})
				if err == nil && (s.Status.Version == "stolen" || !meta.IsStatusConditionTrue(s.Status.Conditions, "Ready")) {
					err = fmt.Errorf("its status is %+v", s.Status)
				}
				return err
			})
		}
	})
	t.Run("the policy is without a mistake in its types", func(t *testing.T) {
		await(ctx, t, "the check of its types", 30*time.Second, func() error {
			p, err := w.Kubernetes.AdmissionregistrationV1().ValidatingAdmissionPolicies().Get(ctx, "fairlead-speaker", metav1.GetOptions{})
			if err == nil && (p.Status.TypeChecking == nil || p.Status.ObservedGeneration != p.Generation) {
				err = errors.New("it was not checked yet")
			}
			if err == nil && len(p.Status.TypeChecking.ExpressionWarnings) > 0 {
				t.Fatalf("%+v", p.Status.TypeChecking.ExpressionWarnings)
			}
			return err
		})
	})
}

// TestLostSpeakerIsMarkedUnderThePolicy: what the policy allows of others is what the product does.
func TestLostSpeakerIsMarkedUnderThePolicy(t *testing.T) {
	ctx, w := start(t, time.Minute)
	speakers := w.fairlead.FairleadV1alpha1().Speakers()
	await(ctx, t, "two members", 20*time.Second, func() error {
		s, err := speakers.Get(ctx, "node1", metav1.GetOptions{})
		if err == nil && (s.Status.Gossip == nil || s.Status.Gossip.Members != 2) {
			err = fmt.Errorf("its status is %+v", s.Status)
		}
		return err
	})
	victim := w.Node(2).Speaker
	if err := victim.Kill(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := victim.Start(); err != nil {
			t.Error(err)
		}
		await(context.Background(), t, "node2's speaker to be ready again", 20*time.Second, func() error { return ready(context.Background(), w.Node(2).Host, lab.SpeakerHTTPPort) })
	})
	await(ctx, t, "node2 to be marked as lost", 30*time.Second, func() error {
		s, err := speakers.Get(ctx, "node2", metav1.GetOptions{})
		if c := meta.FindStatusCondition(s.Status.Conditions, "Ready"); err == nil && (c == nil || c.Reason != "Lost") {
			err = fmt.Errorf("its conditions are %+v\n%s", s.Status.Conditions, w.Node(1).Speaker.Tail(5))
		}
		return err
	})
}
