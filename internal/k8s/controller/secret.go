package controller

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// The Secret that the speakers mount.
const (
	GossipSecret    = "fairlead-gossip"
	GossipSecretKey = "secretkey"
)

// gossipKey is the task that creates the gossip key. It creates and never reads, so the controller needs
// no permission to see any Secret; if there is one already, the API server says so.
type gossipKey struct {
	client    kubernetes.Interface
	namespace string
	log       *slog.Logger
}

// Run tries until the Secret is there.
func (g *gossipKey) Run(ctx context.Context) error {
	complaint := k8s.Complaint{What: "the gossip key cannot be created, trying again", Log: g.log}
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		created, err := g.create(ctx)
		if err == nil {
			if created {
				g.log.Info("gossip key created", "secret", g.namespace+"/"+GossipSecret)
			}
			return nil
		}
		complaint.Report(err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
}

func (g *gossipKey) create(ctx context.Context) (created bool, err error) {
	key := make([]byte, 32)
	rand.Read(key) // never fails: crypto/rand
	_, err = g.client.CoreV1().Secrets(g.namespace).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: GossipSecret, Namespace: g.namespace, Labels: map[string]string{"app.kubernetes.io/name": "fairlead"}},
		Type:       corev1.SecretTypeOpaque,
		// Text: it is mounted as a file, and people copy files.
		Data: map[string][]byte{GossipSecretKey: []byte(base64.StdEncoding.EncodeToString(key))},
	}, metav1.CreateOptions{})
	switch {
	case apierrors.IsAlreadyExists(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("creating Secret %s/%s: %w", g.namespace, GossipSecret, err)
	}
	return true, nil
}
