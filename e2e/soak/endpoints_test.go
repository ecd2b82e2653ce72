package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// rolled is the label of the Pods that are replaced all the time, and the beginning of the names of the Services that stay
// and have them as endpoints.
const rolled = "rolled"

const (
	podsPerNode = 2
	// linger is for how long a Pod serves on when it is deleted: until every kube-proxy, and every router, has heard of it.
	linger = 5 * time.Second
)

// startRolled makes the Pods, and Services of both pools and policies for them, which stay.
func (l *life) startRolled(ctx context.Context) (err error) {
	l.pods = map[string][]*lab.Pod{}
	for _, n := range l.Nodes {
		for range podsPerNode {
			if err := l.deploy(ctx, n.Name); err != nil {
				return err
			}
		}
	}
	var names []string
	for _, pool := range []string{fleet.SegmentPool, fleet.RoutedPool} {
		for _, policy := range []corev1.ServiceExternalTrafficPolicy{corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal} {
			s := lab.BackedService(fmt.Sprintf("%s-%s-%s", rolled, pool, map[bool]string{true: "local", false: "cluster"}[policy == "Local"]))
			s.Annotations[fleet.PoolAnnotation] = pool
			s.Spec.Selector = map[string]string{"app": rolled}
			s.Spec.ExternalTrafficPolicy = policy
			if _, err := l.Kubernetes.CoreV1().Services(fleet.Namespace).Create(ctx, s, metav1.CreateOptions{}); err != nil {
				return err
			}
			names = append(names, s.Name)
		}
	}
	l.rolled, err = l.Await(ctx, names...)
	return err
}

func (l *life) deploy(ctx context.Context, node string) error {
	l.podNumber++
	p, err := l.Deploy(ctx, lab.Backend{
		Name: fmt.Sprintf("%s-%05d", rolled, l.podNumber), Labels: map[string]string{"app": rolled}, Node: node, Linger: linger,
	})
	if err == nil {
		l.pods[node] = append(l.pods[node], p)
	}
	return err
}

// endpointActs are what a Deployment does, and what people do with it.
var endpointActs = []string{"replace", "replace", "replace", "unready", "restart", "leave"}

func (l *life) endpointStep(ctx context.Context, act string, r *rand.Rand) error {
	node := l.Nodes[r.IntN(len(l.Nodes))].Name
	l.did("Pods: " + act)
	switch act {
	case "replace": // as a rolling update does: the new one is ready before the old one goes
		if err := l.deploy(ctx, node); err != nil {
			return err
		}
		if err := lab.Pause(ctx, time.Second); err != nil {
			return err
		}
		return l.retire(ctx, node, 1)
	case "unready": // one of those of a node fails its readiness probe for a while
		p := l.pods[node][0]
		if err := p.SetReady(ctx, false); err != nil {
			return err
		}
		if err := lab.Pause(ctx, time.Second); err != nil {
			return err
		}
		return p.SetReady(ctx, true)
	case "restart": // what kubectl rollout restart leaves behind
		_, err := l.Kubernetes.CoreV1().Pods(fleet.Namespace).Patch(ctx, l.pods[node][0].Name, types.MergePatchType,
			fmt.Appendf(nil, `{"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": %q}}}`, time.Now().Format(time.RFC3339Nano)), metav1.PatchOptions{})
		return err
	}
	// They leave the node. A Service with the policy Local needs another one then.
	end := l.diary.begin(cause{what: "no Pod on " + node, node: node, kinds: []kind{moved, told, doubled, failed}})
	err := l.retire(ctx, node, podsPerNode)
	if err == nil {
		err = lab.Pause(ctx, time.Second)
	}
	end()
	if err != nil {
		return err
	}
	// Routers spread the connections anew when the node is a next hop again, as after a drain.
	defer l.diary.begin(cause{what: "Pods on " + node + " again", ways: []string{fleet.WithBFD, fleet.Graceful}, kinds: []kind{failed}})()
	for range podsPerNode {
		if err := l.deploy(ctx, node); err != nil {
			return err
		}
	}
	return lab.Pause(ctx, 2*time.Second)
}

// retire deletes the oldest Pods of a node and waits until they are gone.
func (l *life) retire(ctx context.Context, node string, n int) error {
	errs := make(chan error, n)
	for _, p := range l.pods[node][:n] {
		go func() { errs <- p.Delete(ctx) }()
	}
	l.pods[node] = l.pods[node][n:]
	var err error
	for range n {
		if e := <-errs; e != nil {
			err = e
		}
	}
	return err
}
