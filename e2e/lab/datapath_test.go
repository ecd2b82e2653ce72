package lab

import (
	"context"
	"net/netip"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var protocols = []string{"tcp", "udp"}

func TestClusterIPAndNodePort(t *testing.T) {
	ctx, l := sharedLab(t)
	deploy(ctx, t, l, Backend{Name: "inner", Node: "node2"})
	s := service(ctx, t, l, "inner", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort })
	for _, ip := range s.Spec.ClusterIPs {
		for _, protocol := range protocols {
			for _, n := range l.Nodes {
				reply, err := n.Await(ctx, protocol, netip.AddrPortFrom(netip.MustParseAddr(ip), 80))
				if err != nil {
					t.Fatal(err)
				}
				if reply.Pod != "inner" || reply.Node != "node2" || reply.Protocol != protocol {
					t.Errorf("%s asked %s over %s and %v answered", n.Name, ip, protocol, reply)
				}
			}
		}
	}
	for i, protocol := range protocols {
		for _, ip := range []netip.Addr{l.Node(1).V4, l.Node(1).V6} {
			reply, err := l.Client(1).Await(ctx, protocol, netip.AddrPortFrom(ip, uint16(s.Spec.Ports[i].NodePort)))
			if err != nil {
				t.Fatal(err)
			}
			if reply.Pod != "inner" {
				t.Errorf("client1 asked %s over %s and %v answered", ip, protocol, reply)
			}
		}
	}
}

// loadBalancer makes a LoadBalancer Service and plays the controller: it writes these addresses to the status.
func loadBalancer(ctx context.Context, t *testing.T, l *Lab, name string, policy corev1.ServiceExternalTrafficPolicy, addresses ...netip.Addr) {
	t.Helper()
	s := service(ctx, t, l, name, func(s *corev1.Service) {
		s.Spec.Type, s.Spec.ExternalTrafficPolicy = corev1.ServiceTypeLoadBalancer, policy
	})
	for _, a := range addresses {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a.String()})
	}
	if _, err := l.Kubernetes.CoreV1().Services("default").UpdateStatus(ctx, s, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestLoadBalancerThroughKubeProxy(t *testing.T) {
	vips := []netip.Addr{netip.MustParseAddr("192.0.2.200"), netip.MustParseAddr("2001:db8::200")}
	// send makes the client send to a node by hand: nobody answers ARP or NDP for the address here.
	send := func(t *testing.T, l *Lab, vip netip.Addr, node int) {
		t.Helper()
		if err := l.Client(1).SetNeighbor(vip, l.Node(node).MAC); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Client(1).FlushNeighbor(vip) })
	}
	for _, test := range []struct {
		name   string
		policy corev1.ServiceExternalTrafficPolicy
		via    int
		// The Pod runs on node2. With Cluster it sees the node that the packet came through, since that node
		// has to see the answer; with Local it sees the client.
		sees func(l *Lab) *Host
	}{
		{"Cluster goes on to the other node and hides the client", corev1.ServiceExternalTrafficPolicyCluster, 1,
			func(l *Lab) *Host { return l.Node(1).Host }},
		{"Local keeps the client's address", corev1.ServiceExternalTrafficPolicyLocal, 2,
			func(l *Lab) *Host { return l.Client(1) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, l := sharedLab(t)
			deploy(ctx, t, l, Backend{Name: "web", Node: "node2"})
			loadBalancer(ctx, t, l, "web", test.policy, vips...)
			for _, vip := range vips {
				send(t, l, vip, test.via)
				for _, protocol := range protocols {
					reply, err := l.Client(1).Await(ctx, protocol, netip.AddrPortFrom(vip, 80))
					if err != nil {
						t.Fatal(err)
					}
					if seen := reply.Client.Addr(); seen != test.sees(l).V4 && seen != test.sees(l).V6 {
						t.Errorf("%v on %s, want %s to be seen", reply, vip, test.sees(l).Name)
					}
				}
			}
		})
	}
	t.Run("Local answers nothing on a node without a Pod", func(t *testing.T) {
		ctx, l := sharedLab(t)
		deploy(ctx, t, l, Backend{Name: "web", Node: "node2"})
		loadBalancer(ctx, t, l, "web", corev1.ServiceExternalTrafficPolicyLocal, vips...)
		for _, vip := range vips {
			to := netip.AddrPortFrom(vip, 80)
			send(t, l, vip, 2)
			if _, err := l.Client(1).Await(ctx, "tcp", to); err != nil {
				t.Fatal(err)
			}
			send(t, l, vip, 1)
			ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			if reply, err := l.Client(1).Await(ctx, "tcp", to); err == nil {
				t.Errorf("%v on %s through node1", reply, vip)
			}
		}
	})
}

func TestPodLifeReachesEndpoints(t *testing.T) {
	ctx, l := sharedLab(t)
	deploy(ctx, t, l, Backend{Name: "a", Labels: map[string]string{"app": "life"}, Node: "node1"})
	b := deploy(ctx, t, l, Backend{Name: "b", Labels: map[string]string{"app": "life"}, Node: "node2", Linger: 500 * time.Millisecond})
	s := service(ctx, t, l, "life", nil)
	to := netip.AddrPortFrom(netip.MustParseAddr(s.Spec.ClusterIP), 80)

	// answering waits until exactly these Pods answer.
	answering := func(want ...string) {
		t.Helper()
		err := wait(ctx, "the right Pods to answer", func(ctx context.Context) (bool, error) {
			seen := map[string]bool{}
			for range 20 {
				if reply, err := l.Node(1).Ask(ctx, "tcp", to); err == nil {
					seen[reply.Pod] = true
				}
			}
			for _, pod := range want {
				if !seen[pod] {
					return false, nil
				}
			}
			return len(seen) == len(want), nil
		})
		if err != nil {
			t.Fatalf("%v: %v", want, err)
		}
	}
	answering("a", "b")
	if err := b.SetReady(ctx, false); err != nil {
		t.Fatal(err)
	}
	answering("a")
	if err := b.SetReady(ctx, true); err != nil {
		t.Fatal(err)
	}
	answering("a", "b")

	begin := time.Now()
	if err := b.Delete(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 500*time.Millisecond {
		t.Errorf("the Pod was gone after %v, before its linger", took)
	}
	answering("a")
}

func TestHostNetworkPod(t *testing.T) {
	ctx, l := sharedLab(t)
	p := deploy(ctx, t, l, Backend{Name: "host", Node: "node1", HostNetwork: true})
	if p.V4 != l.Node(1).V4 || p.V6 != l.Node(1).V6 {
		t.Errorf("the Pod has %s and %s", p.V4, p.V6)
	}
	for _, ip := range []netip.Addr{p.V4, p.V6} {
		if reply, err := l.Client(1).Ask(ctx, "udp", netip.AddrPortFrom(ip, BackendPort)); err != nil || reply.Pod != "host" {
			t.Errorf("%v, %v", reply, err)
		}
	}
}
