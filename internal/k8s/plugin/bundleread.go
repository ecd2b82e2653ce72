package plugin

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// objects adds the objects that Fairlead decides by.
func (b *Bundle) objects(ctx context.Context, a *archive, s *Snapshot) error {
	ours, core := v1alpha1.SchemeGroupVersion, corev1.SchemeGroupVersion
	for _, err := range []error{
		addObjects(a, "objects/ipaddresspools.yaml", "IPAddressPools", ours.WithKind("IPAddressPool"), s.Pools),
		addObjects(a, "objects/l2advertisements.yaml", "L2Advertisements", ours.WithKind("L2Advertisement"), s.Advertisements),
		addObjects(a, "objects/bgpadvertisements.yaml", "BGPAdvertisements", ours.WithKind("BGPAdvertisement"), s.BGPAdvertisements),
		addObjects(a, "objects/bgppeers.yaml", "BGPPeers", ours.WithKind("BGPPeer"), s.Peers),
		addObjects(a, "objects/bfdprofiles.yaml", "BFDProfiles", ours.WithKind("BFDProfile"), s.Profiles),
		addObjects(a, "objects/communities.yaml", "Communities", ours.WithKind("Community"), s.Communities),
		addObjects(a, "objects/speakers.yaml", "Speakers: what each node says of itself", ours.WithKind("Speaker"), s.Speakers),
		addObjects(a, "objects/services.yaml", "Services of type LoadBalancer", core.WithKind("Service"), s.Services),
		addObjects(a, "objects/nodes.yaml", "Nodes, without their lists of images", core.WithKind("Node"), s.Nodes),
	} {
		if err != nil {
			return err
		}
	}
	endpoints, err := b.endpoints(ctx, s)
	if err != nil {
		a.lack("EndpointSlices", err)
	}
	return addObjects(a, "objects/endpointslices.yaml", "EndpointSlices of these Services", discoveryv1.SchemeGroupVersion.WithKind("EndpointSlice"), endpoints)
}

// endpoints reads the EndpointSlices of the Services.
func (b *Bundle) endpoints(ctx context.Context, s *Snapshot) ([]*discoveryv1.EndpointSlice, error) {
	of := map[string]bool{}
	for _, svc := range s.Services {
		of[svc.Namespace+"/"+svc.Name] = true
	}
	list, err := all[*discoveryv1.EndpointSlice](ctx, "EndpointSlices", b.Cluster.Core.DiscoveryV1().EndpointSlices(s.ServicesOf).List)
	return slices.DeleteFunc(list, func(x *discoveryv1.EndpointSlice) bool {
		return !of[x.Namespace+"/"+x.Labels[discoveryv1.LabelServiceName]]
	}), err
}

// events adds the events about these objects, and all of Fairlead's namespace.
func (b *Bundle) events(ctx context.Context, a *archive, s *Snapshot) error {
	var list []*corev1.Event
	read := func(namespace, what string, o metav1.ListOptions) error {
		events, err := b.Cluster.Core.CoreV1().Events(namespace).List(ctx, o)
		if err != nil {
			a.lack(what, trouble(what, err))
			return err
		}
		for i := range events.Items {
			list = append(list, &events.Items[i])
		}
		return nil
	}
	_ = read(s.Installation.Namespace, "Events in namespace "+s.Installation.Namespace, metav1.ListOptions{})
	shown := map[string]bool{}
	for _, svc := range s.Services {
		shown["Service/"+svc.Namespace+"/"+svc.Name] = true
	}
	for _, kind := range []string{"Node", "IPAddressPool", "L2Advertisement", "BGPAdvertisement", "BGPPeer", "BFDProfile", "Community", "Speaker", "Service"} {
		namespace := ""
		if kind == "Service" {
			namespace = s.ServicesOf
		}
		before := len(list)
		err := read(namespace, "Events about objects of kind "+kind, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("involvedObject.kind", kind).String()})
		if apierrors.IsForbidden(err) {
			break // of the others too
		}
		if kind == "Service" { // most are not of type LoadBalancer
			list = append(list[:before], slices.DeleteFunc(list[before:], func(e *corev1.Event) bool {
				return !shown["Service/"+e.InvolvedObject.Namespace+"/"+e.InvolvedObject.Name]
			})...)
		}
	}
	slices.SortStableFunc(list, func(x, y *corev1.Event) int { return eventTime(x).Compare(eventTime(y)) })
	return addObjects(a, "objects/events.yaml", "Events about these, and of Fairlead's namespace, by time", corev1.SchemeGroupVersion.WithKind("Event"), list)
}

// eventTime is when an event was last seen.
func eventTime(e *corev1.Event) time.Time {
	for _, t := range []time.Time{e.LastTimestamp.Time, e.EventTime.Time, e.CreationTimestamp.Time} {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

// workloads adds how Fairlead itself is deployed.
func (b *Bundle) workloads(ctx context.Context, a *archive, s *Snapshot) error {
	in := &s.Installation
	deployments, err := all[*appsv1.Deployment](ctx, "Deployments", b.Cluster.Core.AppsV1().Deployments(in.Namespace).List)
	if err != nil {
		a.lack("Deployments", err)
	}
	daemonSets, err := all[*appsv1.DaemonSet](ctx, "DaemonSets", b.Cluster.Core.AppsV1().DaemonSets(in.Namespace).List)
	if err != nil {
		a.lack("DaemonSets", err)
	}
	if !in.lacks("Pods") { // besides Fairlead's own: what else is in its namespace
		if in.Pods, err = all[*corev1.Pod](ctx, "Pods", b.Cluster.Core.CoreV1().Pods(in.Namespace).List); err != nil {
			a.lack("Pods", err)
		}
	}
	leases := []*coordinationv1.Lease{}
	if in.Lease != nil {
		leases = append(leases, in.Lease)
	}
	for _, err := range []error{
		addObjects(a, "installation/deployments.yaml", "Deployments of Fairlead's namespace", appsv1.SchemeGroupVersion.WithKind("Deployment"), deployments),
		addObjects(a, "installation/daemonsets.yaml", "DaemonSets of Fairlead's namespace", appsv1.SchemeGroupVersion.WithKind("DaemonSet"), daemonSets),
		addObjects(a, "installation/pods.yaml", "Pods of Fairlead's namespace", corev1.SchemeGroupVersion.WithKind("Pod"), in.Pods),
		addObjects(a, "installation/leases.yaml", "the Lease of the controller that leads", coordinationv1.SchemeGroupVersion.WithKind("Lease"), leases),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// logs adds what the containers wrote, and those before them that ended.
func (b *Bundle) logs(ctx context.Context, a *archive, s *Snapshot) error {
	for _, p := range s.Installation.Pods {
		for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			for _, previous := range []bool{false, true} {
				if previous && c.RestartCount == 0 {
					continue
				}
				what, file := fmt.Sprintf("log of %s", p.Name), fmt.Sprintf("logs/%s/%s.log", p.Name, c.Name)
				if previous {
					what, file = what+" before it last restarted", fmt.Sprintf("logs/%s/%s.previous.log", p.Name, c.Name)
				}
				text, err := b.log(ctx, p, &corev1.PodLogOptions{Container: c.Name, Previous: previous, TailLines: &b.LogLines, Timestamps: true})
				if err != nil {
					a.lack(what, err)
					if apierrors.IsForbidden(err) {
						return nil // of the others too
					}
					continue
				}
				if err := a.add(file, what, text); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// mostOfLog bounds the log of one container.
const mostOfLog = 64 << 20

func (b *Bundle) log(ctx context.Context, p *corev1.Pod, o *corev1.PodLogOptions) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, perPod)
	defer cancel()
	stream, err := b.Cluster.Core.CoreV1().Pods(p.Namespace).GetLogs(p.Name, o).Stream(ctx)
	if err != nil {
		return "", trouble("the log of Pod "+p.Name, err)
	}
	defer stream.Close()
	text, err := io.ReadAll(io.LimitReader(stream, mostOfLog))
	return string(text), trouble("the log of Pod "+p.Name, err)
}

// metrics adds the metrics of each Pod of Fairlead's.
func (b *Bundle) metrics(ctx context.Context, a *archive, s *Snapshot) error {
	if b.Fetch == nil {
		return nil
	}
	for _, component := range []string{componentController, componentSpeaker} {
		or := controllerPort
		if component == componentSpeaker {
			or++
		}
		for _, p := range s.Installation.of(component) {
			if p.Status.Phase != corev1.PodRunning {
				continue
			}
			text, err := b.fetch(ctx, p, httpPort(p, or), "/metrics")
			if err != nil {
				a.lack("metrics of Pod "+p.Name, err)
				if apierrors.IsForbidden(err) {
					return nil // of the others too
				}
				continue
			}
			if err := a.add("metrics/"+p.Name+".txt", "metrics of "+p.Name, text); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Bundle) fetch(ctx context.Context, p *corev1.Pod, port int, path string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, perPod)
	defer cancel()
	return b.Fetch(ctx, p, port, path)
}
