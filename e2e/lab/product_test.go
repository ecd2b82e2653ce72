package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Programs that only show how they were called stand for the product.
func TestProductRunsWithItsOwnCredentials(t *testing.T) {
	ctx, l := sharedLab(t)
	binary := filepath.Join(l.Directory, "stand-in")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\necho \"$0 $*\"\nip -o link show eth0\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	withoutProduct(t, l)
	l.config.ControllerBinary, l.config.SpeakerBinary = binary, binary
	l.config.Manifests = []string{"testdata/product.yaml"}
	l.config.SpeakerArgs = []string{"--log-level=debug"}
	secret := make(chan error, 1)
	go func() { secret <- makeGossipKey(ctx, l) }()
	if err := l.startProduct(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-secret; err != nil {
		t.Fatal(err)
	}

	speaker := l.Node(2).Speaker
	var log string
	err := wait(ctx, "the speaker to say how it was called", func(context.Context) (bool, error) {
		var err error
		log, err = speaker.Log()
		return strings.Count(log, "\n") == 2, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--node-name node2", "--namespace fairlead-system", "--log-level=debug", l.Node(2).MAC.String()} {
		if !strings.Contains(log, want) {
			t.Errorf("the speaker's log lacks %q: %s", want, log)
		}
	}
	arguments := strings.Fields(log)
	key, err := os.ReadFile(arguments[slices.Index(arguments, "--gossip-key-file")+1])
	if err != nil || string(key) != "0123456789abcdef" {
		t.Errorf("the gossip key is %q: %v", key, err)
	}
	checkSpeakerRights(ctx, t, l, arguments[slices.Index(arguments, "--kubeconfig")+1])
	if sets, err := l.Kubernetes.AppsV1().DaemonSets(ProductNamespace).List(ctx, metav1.ListOptions{}); err != nil || len(sets.Items) > 0 {
		t.Errorf("workloads are applied: %v, %v", sets, err)
	}

	if err := speaker.Kill(); err != nil {
		t.Fatal(err)
	}
	if code, err := speaker.ExitCode(); err != nil || code != 128+9 {
		t.Errorf("killed, it has the exit status %d: %v", code, err)
	}
	if err := speaker.Start(); err != nil {
		t.Fatal(err)
	}
	stop, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := speaker.Stop(stop); err != nil {
		t.Error(err)
	}
	if err := speaker.Start(); err != nil {
		t.Fatal(err)
	}
}

// makeGossipKey does what the controller does, once its namespace is there.
func makeGossipKey(ctx context.Context, l *Lab) error {
	return wait(ctx, "the namespace of the product", func(ctx context.Context) (bool, error) {
		_, err := l.Kubernetes.CoreV1().Secrets(ProductNamespace).Create(ctx, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: gossipSecret}, Data: map[string][]byte{gossipSecretKey: []byte("0123456789abcdef")},
		}, metav1.CreateOptions{})
		return err == nil || apierrors.IsAlreadyExists(err), err
	})
}

// withoutProduct brings the shared lab back to what it is now, when the test is over.
func withoutProduct(t *testing.T, l *Lab) {
	config, processes := l.config, l.Processes()
	t.Cleanup(func() {
		for _, p := range l.Processes()[len(processes):] {
			if err := errors.Join(p.Kill(), os.Remove(p.LogPath())); err != nil {
				t.Error(err)
			}
		}
		l.config, l.processes, l.Controllers = config, processes, nil
		for _, n := range l.Nodes {
			n.Speaker = nil
		}
	})
}

// checkSpeakerRights sees that the kubeconfig is the service account's and may do what its role says, no more.
func checkSpeakerRights(ctx context.Context, t *testing.T, l *Lab, kubeconfig string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.Dial = l.Node(2).DialContext
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	self, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := self.Status.UserInfo.Username, "system:serviceaccount:fairlead-system:fairlead-speaker"; got != want {
		t.Errorf("the speaker is %s, want %s", got, want)
	}
	err = client.CoreV1().RESTClient().Get().AbsPath("/apis/lab.fairlead.dev/v1/buoys/red").Do(ctx).Error()
	if err != nil {
		t.Errorf("what the role grants: %v", err)
	}
	_, err = client.CoreV1().Secrets(ProductNamespace).List(ctx, metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("what the role does not grant: %v", err)
	}
}
