package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/klog/v2"
)

// Annotations by which a Pod tells the agent of its node how to behave.
const (
	// ReadyAnnotation set to "false" makes the Pod fail its readiness probe, so to speak. It goes on serving.
	ReadyAnnotation = "lab.fairlead.dev/ready"
	// LingerAnnotation is how long a Pod that is being deleted goes on serving, as a Go duration.
	LingerAnnotation = "lab.fairlead.dev/linger"
)

// watchPods runs the Pods that are bound to the node until ctx is done.
func (a *agent) watchPods(ctx context.Context) {
	defer func() {
		for uid := range a.sandboxes {
			a.closeSandbox(uid)
		}
	}()
	for ctx.Err() == nil {
		if err := a.watchPodsOnce(ctx); err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "serving Pods", "node", a.node.Name)
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

// watchPodsOnce lists, then follows the changes until the watch ends or something fails. The list that comes
// next repairs whatever was missed.
func (a *agent) watchPodsOnce(ctx context.Context) error {
	// A node may list no other Pods than its own: the authorizer looks at the selector.
	options := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("spec.nodeName", a.node.Name).String()}
	list, err := a.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, options)
	if err != nil {
		return fmt.Errorf("listing the Pods of %s: %w", a.node.Name, err)
	}
	present := map[types.UID]bool{}
	for i := range list.Items {
		present[list.Items[i].UID] = true
		if err := a.reconcile(ctx, &list.Items[i]); err != nil {
			return err
		}
	}
	for uid := range a.sandboxes {
		if !present[uid] {
			a.closeSandbox(uid)
		}
	}
	options.ResourceVersion = list.ResourceVersion
	w, err := a.client.CoreV1().Pods(metav1.NamespaceAll).Watch(ctx, options)
	if err != nil {
		return fmt.Errorf("watching the Pods of %s: %w", a.node.Name, err)
	}
	defer w.Stop()
	for {
		select {
		case event, ok := <-w.ResultChan():
			if !ok {
				return nil
			}
			if err := a.handle(ctx, event); err != nil {
				return err
			}
		case uid := <-a.due:
			if s := a.sandboxes[uid]; s != nil {
				s.lingered = true
				if err := a.finish(ctx, s.pod); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *agent) handle(ctx context.Context, event watch.Event) error {
	switch event.Type {
	case watch.Added, watch.Modified:
		return a.reconcile(ctx, event.Object.(*corev1.Pod))
	case watch.Deleted:
		a.closeSandbox(event.Object.(*corev1.Pod).UID)
		return nil
	default:
		return fmt.Errorf("watching the Pods of %s: %w", a.node.Name, apierrors.FromObject(event.Object))
	}
}

// reconcile makes a Pod serve and say so, or stop.
func (a *agent) reconcile(ctx context.Context, pod *corev1.Pod) error {
	s := a.sandboxes[pod.UID]
	if pod.DeletionTimestamp != nil {
		if s == nil || s.lingered {
			return a.finish(ctx, pod)
		}
		if s.linger != nil {
			return nil
		}
		// Nothing to wait for is a wait too: the controllers see a terminating Pod first, as they always do.
		linger, _ := time.ParseDuration(pod.Annotations[LingerAnnotation])
		s.pod = pod
		s.linger = time.AfterFunc(linger, func() {
			select {
			case a.due <- pod.UID:
			case <-ctx.Done():
			}
		})
		return nil
	}
	if s == nil {
		var err error
		if s, err = a.openSandbox(pod); err != nil {
			return err
		}
		a.sandboxes[pod.UID] = s
	}
	return a.report(ctx, pod, s)
}

// finish closes the sockets of a Pod and removes its object, which only a kubelet does.
func (a *agent) finish(ctx context.Context, pod *corev1.Pod) error {
	a.closeSandbox(pod.UID)
	now := metav1.NewDeleteOptions(0)
	now.Preconditions = metav1.NewUIDPreconditions(string(pod.UID))
	err := a.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, *now)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("removing the Pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// report writes the Pod's status unless it says all that already. The node lifecycle controller makes the
// Pods of a lost node unready; this makes them ready again.
func (a *agent) report(ctx context.Context, pod *corev1.Pod, s *sandbox) error {
	ready := corev1.ConditionTrue
	if pod.Annotations[ReadyAnnotation] == "false" {
		ready = corev1.ConditionFalse
	}
	old := map[corev1.PodConditionType]corev1.PodCondition{}
	for _, c := range pod.Status.Conditions {
		old[c.Type] = c
	}
	if pod.Status.Phase == corev1.PodRunning && old[corev1.PodReady].Status == ready && pod.Status.PodIP == s.addresses[0].String() {
		return nil
	}
	now := metav1.Now()
	condition := func(kind corev1.PodConditionType, status corev1.ConditionStatus) corev1.PodCondition {
		c := corev1.PodCondition{Type: kind, Status: status, LastTransitionTime: now}
		if old[kind].Status == status {
			c.LastTransitionTime = old[kind].LastTransitionTime
		}
		return c
	}
	status := corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: s.addresses[0].String(), HostIP: a.node.V4.String(),
		HostIPs:   []corev1.HostIP{{IP: a.node.V4.String()}, {IP: a.node.V6.String()}},
		StartTime: &s.started,
		Conditions: []corev1.PodCondition{
			condition(corev1.PodScheduled, corev1.ConditionTrue), condition(corev1.PodInitialized, corev1.ConditionTrue),
			condition(corev1.ContainersReady, ready), condition(corev1.PodReady, ready),
		},
	}
	for _, ip := range s.addresses {
		status.PodIPs = append(status.PodIPs, corev1.PodIP{IP: ip.String()})
	}
	for _, c := range pod.Spec.Containers {
		isReady, started := ready == corev1.ConditionTrue, true
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: isReady, Started: &started,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: s.started}},
		})
	}
	// A JSON merge patch replaces the lists. A strategic one would merge them, and a Pod that was restarted
	// would keep its old addresses too.
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return fmt.Errorf("encoding the status of the Pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	_, err = a.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("writing the status of the Pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}
