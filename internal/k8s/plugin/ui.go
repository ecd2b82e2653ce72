package plugin

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// controllerPort is the controller's --http-address, unless its Pod names another port "http".
const controllerPort = 7572

// choosePod returns the controller to talk to: of those that are ready the one that leads, for it knows what it is
// about to do, else the oldest, which is likely to stay. Nil if none is ready.
func choosePod(in *Installation) *corev1.Pod {
	var best *corev1.Pod
	leads := in.Lease != nil && in.Lease.Spec.HolderIdentity != nil
	for _, p := range in.of(componentController) {
		switch {
		case !podReady(p):
		case leads && leadsAs(p, *in.Lease.Spec.HolderIdentity):
			return p
		case best == nil || p.CreationTimestamp.Before(&best.CreationTimestamp):
			best = p
		}
	}
	return best
}

// httpPort is the port that a Pod names "http", or else another.
func httpPort(p *corev1.Pod, or int) int {
	for _, c := range p.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == "http" {
				return int(port.ContainerPort)
			}
		}
	}
	return or
}

// UI forwards a local port to the status page of a controller, to another one's when that goes, until ctx ends.
type UI struct {
	Cluster   *k8s.Cluster
	Forwarder *Forwarder
	Namespace string
	// Port on this machine; 0 for any that is free.
	Port int
	// Open is called once with the page's address when it answers.
	Open func(address string)
	Say  func(format string, args ...any)
}

// Run forwards. It returns an error if it never got through, or may not any more.
func (u *UI) Run(ctx context.Context) error {
	if err := u.vacant(); err != nil {
		return err
	}
	port, told := u.Port, ""
	shown := false
	for ctx.Err() == nil {
		pod, err := u.find(ctx)
		if err == nil {
			connected, end := context.WithCancel(ctx)
			err = u.Forwarder.Forward(connected, pod, port, httpPort(pod, controllerPort), func(local int) {
				address := fmt.Sprintf("http://localhost:%d/ui/", local)
				if !shown {
					u.Say("The status page is at %s as long as this runs; Ctrl-C ends it.", address)
				}
				u.Say("It comes from Pod %s.", pod.Name)
				if !shown && u.Open != nil {
					u.Open(address)
				}
				shown, port, told = true, local, ""
				go beat(connected, local)
			})
			end()
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (!shown || apierrors.IsForbidden(err)):
			return err
		case err != nil && err.Error() != told:
			told = err.Error()
			u.Say("waiting on: %s", told)
		}
		pause(ctx, retryAfter)
	}
	return nil
}

// vacant returns an error if another program has the port. What forwards does not say why it cannot listen.
func (u *UI) vacant() error {
	if u.Port == 0 {
		return nil
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("localhost:%d", u.Port))
	if err != nil {
		return fmt.Errorf("port %d of this machine cannot be used: %w; without --port any that is free is taken", u.Port, err)
	}
	return listener.Close()
}

// beat asks a port that is forwarded for something every few seconds, until ctx ends. That a Pod is gone nobody tells:
// forwarding ends when the next connection to it fails, which would else be the one of whoever opens the page.
func beat(ctx context.Context, port int) {
	for pause(ctx, beatEvery); ctx.Err() == nil; pause(ctx, beatEvery) {
		asking, end := context.WithTimeout(ctx, perPod)
		_, _ = get(asking, fmt.Sprintf("http://localhost:%d/healthz", port))
		end()
	}
}

const beatEvery = 2 * time.Second

// retryAfter is how long to wait until a connection that was lost is tried again.
const retryAfter = 500 * time.Millisecond

// find reads which controller to talk to.
func (u *UI) find(ctx context.Context) (*corev1.Pod, error) {
	in := &Installation{Namespace: u.Namespace}
	pods, err := u.Cluster.Core.CoreV1().Pods(u.Namespace).List(ctx, metav1.ListOptions{LabelSelector: appLabel + "," + componentLabel + "=" + componentController})
	if err != nil {
		return nil, missingRight(trouble("Pods in namespace "+u.Namespace, err), "list", "pods", u.Namespace)
	}
	for i := range pods.Items {
		in.Pods = append(in.Pods, &pods.Items[i])
	}
	// Which one leads is good to know, no more.
	var lease *coordinationv1.Lease
	if lease, err = u.Cluster.Core.CoordinationV1().Leases(u.Namespace).Get(ctx, leaseName, metav1.GetOptions{}); err == nil {
		in.Lease = lease
	}
	all := in.of(componentController)
	if pod := choosePod(in); pod != nil {
		return pod, nil
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no controller in namespace %s: is Fairlead in another one? --fairlead-namespace names it", u.Namespace)
	}
	return nil, fmt.Errorf("no controller is ready: Pod %s: %s", all[0].Name, ailment(all[0]))
}

// missingRight adds to what the API server says of a right that is missing what to ask for.
func missingRight(err error, verb, resource, namespace string) error {
	if !apierrors.IsForbidden(err) {
		return err
	}
	return fmt.Errorf("%w; a Role in namespace %s has to allow: %s of %s", err, namespace, verb, resource)
}
