package k8s

import (
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/fairlead-lb/fairlead/internal/generated/informers/externalversions/api/v1alpha1"
)

// WatchBGPPeers watches the BGPPeers.
func WatchBGPPeers(c *Cluster, log *slog.Logger) *Watch {
	return NewWatch("BGPPeers", v1alpha1.NewBGPPeerInformer(c.Fairlead, 0, cache.Indexers{}), Trim, log)
}

// WatchBGPAdvertisements watches the BGPAdvertisements.
func WatchBGPAdvertisements(c *Cluster, log *slog.Logger) *Watch {
	return NewWatch("BGPAdvertisements", v1alpha1.NewBGPAdvertisementInformer(c.Fairlead, 0, cache.Indexers{}), Trim, log)
}

// WatchBFDProfiles watches the BFDProfiles.
func WatchBFDProfiles(c *Cluster, log *slog.Logger) *Watch {
	return NewWatch("BFDProfiles", v1alpha1.NewBFDProfileInformer(c.Fairlead, 0, cache.Indexers{}), Trim, log)
}

// WatchCommunities watches the Communities.
func WatchCommunities(c *Cluster, log *slog.Logger) *Watch {
	return NewWatch("Communities", v1alpha1.NewCommunityInformer(c.Fairlead, 0, cache.Indexers{}), Trim, log)
}

// WatchPasswords watches the Secrets of type kubernetes.io/basic-auth in one namespace, of which only the password
// is kept. The API server does the selection: no other Secret is ever seen here. It begins once a password is needed.
func WatchPasswords(c *Cluster, namespace string, log *slog.Logger) *Watch {
	informer := coreinformers.NewFilteredSecretInformer(c.Core, namespace, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("type", string(corev1.SecretTypeBasicAuth)).String()
	})
	return NewWatch("Secrets of type "+string(corev1.SecretTypeBasicAuth), informer, trimSecret, log).OnDemand()
}

func trimSecret(object any) (any, error) {
	s, ok := object.(*corev1.Secret)
	if !ok {
		return object, nil // a tombstone
	}
	trimmed := &corev1.Secret{TypeMeta: s.TypeMeta, Type: s.Type, ObjectMeta: metav1.ObjectMeta{
		Namespace: s.Namespace, Name: s.Name, UID: s.UID, ResourceVersion: s.ResourceVersion,
	}}
	if password, ok := s.Data[corev1.BasicAuthPasswordKey]; ok {
		trimmed.Data = map[string][]byte{corev1.BasicAuthPasswordKey: password}
	}
	return trimmed, nil
}
