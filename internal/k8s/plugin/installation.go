package plugin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// Installation is how Fairlead itself runs.
type Installation struct {
	Namespace string
	// Pods of the controller and of the speakers.
	Pods []*corev1.Pod
	// Lease of the controller that leads; nil if there is none.
	Lease *coordinationv1.Lease
	// Unread are kinds of these that could not be read.
	Unread []string
}

// These name Fairlead's own objects, in manifests/ and in the chart.
const (
	leaseName           = "fairlead-controller"
	appLabel            = "app.kubernetes.io/name=fairlead"
	componentLabel      = "app.kubernetes.io/component"
	componentController = "controller"
	componentSpeaker    = "speaker"
)

// leaseField selects the Lease of the controllers.
var leaseField = fields.OneTermEqualSelector(metav1.ObjectNameField, leaseName).String()

// LoadInstallation reads how Fairlead itself runs. That it may not be read is a note, not an error.
func (s *Snapshot) LoadInstallation(ctx context.Context, c *k8s.Cluster, namespace string) error {
	in := &s.Installation
	in.Namespace = namespace
	var refused, err error
	failed := func(kind string) bool {
		if apierrors.IsForbidden(err) {
			in.Unread = append(in.Unread, kind)
			refused, err = cmp.Or(refused, err), nil
		}
		return err != nil
	}
	pods, err := c.Core.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: appLabel})
	if err = trouble("Pods in namespace "+namespace, err); failed("Pods") {
		return err
	}
	for i := range pods.Items {
		in.Pods = append(in.Pods, &pods.Items[i])
	}
	lease, err := c.Core.CoordinationV1().Leases(namespace).Get(ctx, leaseName, metav1.GetOptions{})
	switch {
	case err == nil:
		in.Lease = lease
	case apierrors.IsNotFound(err):
	default:
		if err = trouble("Lease "+namespace+"/"+leaseName, err); failed("Leases") {
			return err
		}
	}
	if refused != nil {
		s.Notes = append(s.Notes, fmt.Sprintf("%v: how Fairlead itself runs is known in part", refused))
	}
	return nil
}

// lacks tells whether a kind of objects could not be read.
func (in *Installation) lacks(kind string) bool { return slices.Contains(in.Unread, kind) }

// of are the Pods of a component that are not ending, by name.
func (in *Installation) of(component string) (pods []*corev1.Pod) {
	for _, p := range in.Pods {
		if p.Labels[componentLabel] == component && p.DeletionTimestamp == nil {
			pods = append(pods, p)
		}
	}
	slices.SortFunc(pods, func(x, y *corev1.Pod) int { return cmp.Compare(x.Name, y.Name) })
	return pods
}

// podReady tells whether a Pod is ready.
func podReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// leaseSlack is by how much the clock here may be off the leader's before it is taken for dead.
const leaseSlack = 45 * time.Second

// leads is the identity of the controller that leads; empty if none does, as far as the Lease says.
func (in *Installation) leads(now time.Time) string {
	if in.Lease == nil || in.Lease.Spec.HolderIdentity == nil || in.Lease.Spec.RenewTime == nil || in.Lease.Spec.LeaseDurationSeconds == nil {
		return ""
	}
	lasts := time.Duration(*in.Lease.Spec.LeaseDurationSeconds)*time.Second + leaseSlack
	if now.Sub(in.Lease.Spec.RenewTime.Time) > lasts {
		return ""
	}
	return *in.Lease.Spec.HolderIdentity
}

// leader is the name of the Pod that leads, or whatever else leads; empty if none does. An identity is the Pod's name
// and something that tells its containers apart.
func (in *Installation) leader(now time.Time) string {
	identity := in.leads(now)
	for _, p := range in.Pods {
		if leadsAs(p, identity) {
			return p.Name
		}
	}
	return identity
}

func leadsAs(p *corev1.Pod, identity string) bool {
	rest, is := strings.CutPrefix(identity, p.Name)
	return is && (rest == "" || rest[0] == '_')
}

// elects tells whether the controllers were started to choose a leader.
func (in *Installation) elects() bool {
	return slices.ContainsFunc(in.of(componentController), func(p *corev1.Pod) bool {
		return slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool {
			return slices.ContainsFunc(c.Args, func(arg string) bool {
				return strings.HasPrefix(arg, "--leader-elect") && arg != "--leader-elect=false"
			})
		})
	})
}

// tags are the tags of the images that the Pods of a component run, each once, sorted.
func (in *Installation) tags(component string) (tags []string) {
	for _, p := range in.of(component) {
		for _, c := range p.Spec.Containers {
			image, _, _ := strings.Cut(c.Image, "@")
			if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
				tags = append(tags, image[i+1:])
			}
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// ailment says why a Pod is not ready, as its containers' states or else its conditions tell.
func ailment(p *corev1.Pod) string {
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		why := ""
		switch last := c.LastTerminationState.Terminated; {
		case c.State.Waiting != nil && c.State.Waiting.Reason != "ContainerCreating" && c.State.Waiting.Reason != "PodInitializing":
			why = c.State.Waiting.Reason
			if last != nil && last.Message != "" {
				why = joinedBy(": ", why, last.Message) // the last words of its log
			} else {
				why = joinedBy(": ", why, c.State.Waiting.Message)
			}
		case c.State.Terminated != nil && c.State.Terminated.ExitCode != 0:
			why = joinedBy(": ", fmt.Sprintf("ended with status %d", c.State.Terminated.ExitCode), c.State.Terminated.Message)
		}
		if why != "" {
			return strings.TrimSpace(why)
		}
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.PodReady} {
		for _, c := range p.Status.Conditions {
			if c.Type == kind && c.Status != corev1.ConditionTrue {
				return joinedBy(": ", c.Reason, c.Message)
			}
		}
	}
	return "it is starting"
}

// joinedBy are what there is of texts.
func joinedBy(between string, texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(s string) bool { return s == "" }), between)
}
