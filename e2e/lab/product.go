package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Where the product is installed, and what the controller makes for the speakers.
const (
	ProductNamespace         = "fairlead-system"
	controllerServiceAccount = "fairlead-controller"
	speakerServiceAccount    = "fairlead-speaker"
	gossipSecret             = "fairlead-gossip"
	gossipSecretKey          = "secretkey"
)

// ControllerHTTPPort is where the first controller serves health and metrics on 127.0.0.1 of the cp host;
// the second one has the next.
const ControllerHTTPPort = 7472

// startProduct installs the manifests, as far as they are not workloads, and runs the programs with the
// credentials of their service accounts: what the manifests do not grant, they cannot do.
func (l *Lab) startProduct(ctx context.Context) error {
	if l.config.ControllerBinary == "" && l.config.SpeakerBinary == "" {
		return nil
	}
	files, err := l.manifests()
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := l.ApplyFile(ctx, file); err != nil {
			return err
		}
	}
	if err := l.startControllers(ctx); err != nil {
		return err
	}
	return l.startSpeakers(ctx)
}

// Product returns the controllers and the speakers.
func (l *Lab) Product() []*Process {
	list := slices.Clone(l.Controllers)
	for _, n := range l.Nodes {
		list = append(list, n.Speaker)
	}
	return list
}

func (l *Lab) startControllers(ctx context.Context) error {
	if l.config.ControllerBinary == "" {
		return nil
	}
	kubeconfig, err := l.serviceAccountKubeconfig(ctx, controllerServiceAccount, nil)
	if err != nil {
		return err
	}
	for i := range l.config.Controllers {
		arguments := []string{
			filepath.Base(l.config.ControllerBinary),
			"--kubeconfig", kubeconfig, "--namespace", ProductNamespace, "--leader-elect",
			"--http-address", net.JoinHostPort("127.0.0.1", strconv.Itoa(ControllerHTTPPort+i)),
		}
		arguments = append(arguments, l.config.ControllerArgs...)
		p := l.newProcess(fmt.Sprintf("controller%d", i+1), l.CP, l.config.ControllerBinary, arguments...)
		l.Controllers = append(l.Controllers, p)
		if err := p.Start(); err != nil {
			return err
		}
	}
	return nil
}

func (l *Lab) startSpeakers(ctx context.Context) error {
	if l.config.SpeakerBinary == "" {
		return nil
	}
	key, err := l.awaitGossipKey(ctx)
	if err != nil {
		return err
	}
	if err := l.write("gossip.key", key); err != nil {
		return err
	}
	for _, n := range l.Nodes {
		kubeconfig, err := l.serviceAccountKubeconfig(ctx, speakerServiceAccount, n)
		if err != nil {
			return err
		}
		arguments := []string{
			filepath.Base(l.config.SpeakerBinary),
			"--kubeconfig", kubeconfig, "--namespace", ProductNamespace,
			"--node-name", n.Name, "--gossip-key-file", l.path("gossip.key"),
		}
		arguments = append(arguments, l.config.SpeakerArgs...)
		n.Speaker = l.newProcess("speaker-"+n.Name, n.Host, l.config.SpeakerBinary, arguments...)
		if err := n.Speaker.Start(); err != nil {
			return err
		}
	}
	return nil
}

// awaitGossipKey waits for the Secret that the controller makes and reads it as a kubelet would: with rights
// that the speaker need not have.
func (l *Lab) awaitGossipKey(ctx context.Context) (key []byte, err error) {
	name := ProductNamespace + "/" + gossipSecret
	err = wait(ctx, "the controller to make the Secret "+name, func(ctx context.Context) (bool, error) {
		for _, c := range l.Controllers {
			if !c.Running() {
				return false, errors.New(c.Name + " has ended")
			}
		}
		secret, err := l.Kubernetes.CoreV1().Secrets(ProductNamespace).Get(ctx, gossipSecret, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if key = secret.Data[gossipSecretKey]; len(key) == 0 {
			return false, fmt.Errorf("it has no %s", gossipSecretKey)
		}
		return true, nil
	})
	return key, err
}

// serviceAccountKubeconfig writes a kubeconfig with a token that the API server has issued for a service
// account of the product. With a node the token is bound to it and the file has its name: the API server knows from which
// node a request comes, as it does of a token that a kubelet hands to a Pod.
func (l *Lab) serviceAccountKubeconfig(ctx context.Context, name string, n *Node) (string, error) {
	seconds := int64(24 * 3600)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	file := name
	if n != nil {
		node, err := l.Kubernetes.CoreV1().Nodes().Get(ctx, n.Name, metav1.GetOptions{})
		if err != nil {
			return "", fmt.Errorf("reading Node %s for a token of its speaker: %w", n.Name, err)
		}
		request.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Node", Name: n.Name, UID: node.UID}
		file += "-" + n.Name
	}
	token, err := l.Kubernetes.CoreV1().ServiceAccounts(ProductNamespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("requesting a token of the service account %s/%s: %w", ProductNamespace, name, err)
	}
	return l.kubeconfig(file+".kubeconfig", name, tokenAuth(token.Status.Token))
}
