package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/connrotation"
	"k8s.io/klog/v2"
)

// agent plays a node's kubelet, with a kubelet's identity and rights, over connections that start in the
// node's namespace. See pods.go for what it does with Pods.
type agent struct {
	node   *Node
	client kubernetes.Interface
	dialer *connrotation.Dialer
	lease  *coordinationv1.Lease // the last one written; nil if unknown

	sandboxes map[types.UID]*sandbox // owned by the goroutine of watchPods
	due       chan types.UID         // Pods whose linger is over

	cancel context.CancelFunc
	done   chan struct{}
}

// beatTimeout bounds one heartbeat, and dialling: a cable that is cut swallows packets.
const beatTimeout = heartbeat * 3 / 4

func newAgent(n *Node) (*agent, error) {
	who, err := n.lab.authority.client("system:node:"+n.Name, "system:nodes")
	if err != nil {
		return nil, err
	}
	a := &agent{node: n, sandboxes: map[types.UID]*sandbox{}, due: make(chan types.UID)}
	a.dialer = connrotation.NewDialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		return n.Dial(ctx, &net.Dialer{Timeout: beatTimeout}, network, address)
	})
	config := n.lab.restConfig(n.Host, who)
	config.Dial = a.dialer.DialContext
	if a.client, err = kubernetes.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("making the client of %s: %w", n.Name, err)
	}
	return a, nil
}

// register makes the Node object if there is none, and waits until it is Ready.
func (a *agent) register(ctx context.Context) error {
	n := a.node
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, Labels: map[string]string{
			corev1.LabelHostname: n.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		}},
		Spec: corev1.NodeSpec{PodCIDR: n.Pods4.String(), PodCIDRs: []string{n.Pods4.String(), n.Pods6.String()}},
	}
	err := wait(ctx, "the API server to register "+n.Name, func(ctx context.Context) (bool, error) {
		_, err := a.client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
		return err == nil || apierrors.IsAlreadyExists(err), err
	})
	if err != nil {
		return err
	}
	return wait(ctx, "the first heartbeat of "+n.Name, func(ctx context.Context) (bool, error) {
		err := a.beat(ctx)
		return err == nil, err
	})
}

// run beats and serves Pods until ctx is done.
func (a *agent) run(ctx context.Context) {
	var g errgroup.Group
	g.Go(func() error { a.keepBeating(ctx); return nil })
	g.Go(func() error { a.watchPods(ctx); return nil })
	_ = g.Wait()
	a.dialer.CloseAll()
}

func (a *agent) keepBeating(ctx context.Context) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := a.beat(ctx); err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "heartbeat failed", "node", a.node.Name)
			// As a kubelet does: a connection that lost packets would wait for its retransmission long
			// after the cable is mended.
			a.dialer.CloseAll()
		}
	}
}

// beat renews the Lease, and says that the node is Ready if the node lifecycle controller thinks otherwise.
func (a *agent) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatTimeout)
	defer cancel()
	if err := a.renewLease(ctx); err != nil {
		return fmt.Errorf("renewing the Lease of %s: %w", a.node.Name, err)
	}
	node, err := a.client.CoreV1().Nodes().Get(ctx, a.node.Name, metav1.GetOptions{ResourceVersion: "0"})
	if err != nil {
		return fmt.Errorf("reading the Node %s: %w", a.node.Name, err)
	}
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return nil
		}
	}
	patch, err := json.Marshal(map[string]any{"status": a.status(node)})
	if err != nil {
		return fmt.Errorf("encoding the status of the Node %s: %w", a.node.Name, err)
	}
	// Not a strategic merge patch: that takes a node to have one address of each type.
	_, err = a.client.CoreV1().Nodes().Patch(ctx, a.node.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil {
		return fmt.Errorf("writing the status of the Node %s: %w", a.node.Name, err)
	}
	return nil
}

func (a *agent) renewLease(ctx context.Context) (err error) {
	leases := a.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	lease := a.lease.DeepCopy()
	a.lease = nil
	if lease == nil {
		if lease, err = leases.Get(ctx, a.node.Name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			seconds := int32(4 * heartbeat / time.Second)
			now := metav1.NowMicro()
			made, err := leases.Create(ctx, &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Name: a.node.Name},
				Spec:       coordinationv1.LeaseSpec{HolderIdentity: &a.node.Name, LeaseDurationSeconds: &seconds, RenewTime: &now},
			}, metav1.CreateOptions{})
			if err == nil {
				a.lease = made
			}
			return err
		} else if err != nil {
			return err
		}
	}
	now := metav1.NowMicro()
	lease.Spec.RenewTime = &now
	// A client returns an empty object beside an error, which is nothing to go on with.
	renewed, err := leases.Update(ctx, lease, metav1.UpdateOptions{})
	if err == nil {
		a.lease = renewed
	}
	return err
}

// status is what a healthy kubelet says of its node. Transition times are kept where nothing changes.
func (a *agent) status(node *corev1.Node) corev1.NodeStatus {
	n := a.node
	now := metav1.Now()
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason, message string) corev1.NodeCondition {
		c := corev1.NodeCondition{Type: kind, Status: status, Reason: reason, Message: message, LastHeartbeatTime: now, LastTransitionTime: now}
		for _, old := range node.Status.Conditions {
			if old.Type == kind && old.Status == status {
				c.LastTransitionTime = old.LastTransitionTime
			}
		}
		return c
	}
	resources := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("16Gi"), corev1.ResourcePods: resource.MustParse("110"),
	}
	return corev1.NodeStatus{
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: n.V4.String()},
			{Type: corev1.NodeInternalIP, Address: n.V6.String()},
			{Type: corev1.NodeHostName, Address: n.Name},
		},
		Capacity: resources, Allocatable: resources,
		Conditions: []corev1.NodeCondition{
			condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory", "the lab's agent runs no containers"),
			condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure", "the lab's agent runs no containers"),
			condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID", "the lab's agent runs no containers"),
			condition(corev1.NodeNetworkUnavailable, corev1.ConditionFalse, "RouteCreated", "the lab has routed the Pod ranges"),
			condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady", "the lab's agent is posting ready status"),
		},
		NodeInfo: corev1.NodeSystemInfo{
			KernelVersion: kernelVersion(), OperatingSystem: "linux", Architecture: "amd64", OSImage: "Fairlead lab",
			KubeletVersion: n.lab.Version, ContainerRuntimeVersion: "lab://none",
		},
	}
}

// kernelVersion is this machine's, which is every node's. It is left empty if the kernel does not tell.
func kernelVersion() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}
