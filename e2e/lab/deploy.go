package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// BackendPort is the port that a Backend serves, over TCP and UDP, unless it names its own.
const BackendPort = 8080

// Backend is a Pod to be run on a node.
type Backend struct {
	Namespace string // made if missing; "default" if empty
	Name      string
	Labels    map[string]string // app=Name if nil
	Node      string
	Ports     []corev1.ContainerPort // TCP speaks HTTP, UDP answers; BackendPort over both if nil

	HostNetwork bool
	Unready     bool          // starts unready
	Linger      time.Duration // goes on serving so long when it is deleted
}

// Pod is a Backend that runs.
type Pod struct {
	Namespace, Name string
	UID             types.UID
	Node            string
	V4, V6          netip.Addr

	lab *Lab
}

// Deploy runs a Pod and waits until it serves and its status says so. It is ready unless it is to start
// unready. Endpoint slices and kube-proxy's rules follow within some tens of milliseconds.
func (l *Lab) Deploy(ctx context.Context, b Backend) (*Pod, error) {
	if b.Namespace == "" {
		b.Namespace = metav1.NamespaceDefault
	}
	if b.Labels == nil {
		b.Labels = map[string]string{"app": b.Name}
	}
	if b.Ports == nil {
		b.Ports = []corev1.ContainerPort{
			{Name: "tcp", ContainerPort: BackendPort, Protocol: corev1.ProtocolTCP},
			{Name: "udp", ContainerPort: BackendPort, Protocol: corev1.ProtocolUDP},
		}
	}
	if err := l.Namespace(ctx, b.Namespace); err != nil {
		return nil, err
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: b.Name, Labels: b.Labels, Annotations: map[string]string{
			ReadyAnnotation: strconv.FormatBool(!b.Unready), LingerAnnotation: b.Linger.String(),
		}},
		Spec: corev1.PodSpec{
			NodeName: b.Node, HostNetwork: b.HostNetwork,
			Containers: []corev1.Container{{Name: "backend", Image: "lab", Ports: b.Ports}},
		},
	}
	created, err := l.Kubernetes.CoreV1().Pods(b.Namespace).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("making the Pod %s/%s: %w", b.Namespace, b.Name, err)
	}
	p := &Pod{Namespace: b.Namespace, Name: b.Name, UID: created.UID, Node: b.Node, lab: l}
	return p, p.waitReady(ctx, !b.Unready)
}

// Namespace makes a namespace unless it exists, and waits for its default service account, without which no
// Pod can be made there.
func (l *Lab) Namespace(ctx context.Context, name string) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := l.Kubernetes.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("making the namespace %s: %w", name, err)
	}
	return wait(ctx, "the default service account of the namespace "+name, func(ctx context.Context) (bool, error) {
		_, err := l.Kubernetes.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, err
	})
}

// SetReady makes the Pod ready or unready, and waits until its status says so. It serves either way.
func (p *Pod) SetReady(ctx context.Context, ready bool) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, ReadyAnnotation, strconv.FormatBool(ready))
	_, err := p.lab.Kubernetes.CoreV1().Pods(p.Namespace).Patch(ctx, p.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("annotating the Pod %s/%s: %w", p.Namespace, p.Name, err)
	}
	return p.waitReady(ctx, ready)
}

// waitReady waits for the status, and learns the Pod's addresses from it.
func (p *Pod) waitReady(ctx context.Context, ready bool) error {
	want, word := corev1.ConditionTrue, "ready"
	if !ready {
		want, word = corev1.ConditionFalse, "unready"
	}
	what := fmt.Sprintf("the Pod %s/%s on %s to be %s", p.Namespace, p.Name, p.Node, word)
	return wait(ctx, what, func(ctx context.Context) (bool, error) {
		pod, err := p.lab.Kubernetes.CoreV1().Pods(p.Namespace).Get(ctx, p.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == want && len(pod.Status.PodIPs) == 2 {
				var err4, err6 error
				p.V4, err4 = netip.ParseAddr(pod.Status.PodIPs[0].IP)
				p.V6, err6 = netip.ParseAddr(pod.Status.PodIPs[1].IP)
				return true, errors.Join(err4, err6)
			}
		}
		return false, nil
	})
}

// Delete deletes the Pod and waits until its object is gone: its linger, and a moment.
func (p *Pod) Delete(ctx context.Context) error {
	pods := p.lab.Kubernetes.CoreV1().Pods(p.Namespace)
	err := pods.Delete(ctx, p.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(p.UID))})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("deleting the Pod %s/%s: %w", p.Namespace, p.Name, err)
	}
	return wait(ctx, fmt.Sprintf("the Pod %s/%s to be gone from %s", p.Namespace, p.Name, p.Node), func(ctx context.Context) (bool, error) {
		pod, err := pods.Get(ctx, p.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return err == nil && pod.UID != p.UID, err
	})
}
