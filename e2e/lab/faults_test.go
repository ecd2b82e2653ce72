package lab

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestCutCable(t *testing.T) {
	for _, test := range []struct {
		side    Side
		carrier bool // stays
	}{
		{SwitchSide, true},
		{HostSide, false},
	} {
		t.Run(test.side.String(), func(t *testing.T) {
			ctx, l := sharedLab(t)
			client, node := l.Client(1), l.Node(1)
			deploy(ctx, t, l, Backend{Name: "cut", Node: "node1", HostNetwork: true})
			to := netip.AddrPortFrom(node.V4, BackendPort)
			if _, err := client.Await(ctx, "udp", to); err != nil {
				t.Fatal(err)
			}
			probe := client.Probe(ctx, "udp", to, 5*time.Millisecond)
			defer probe.Stop()
			time.Sleep(100 * time.Millisecond) // some answers before the cut

			if err := l.Cut(node.Host, test.side); err != nil {
				t.Fatal(err)
			}
			cut := time.Now()
			// IFF_LOWER_UP is the carrier.
			err := wait(ctx, "the carrier that the documentation promises", func(ctx context.Context) (bool, error) {
				flags, err := node.Run(ctx, "ip", "-o", "link", "show", "eth0")
				return strings.Contains(flags, "LOWER_UP") == test.carrier, err
			})
			if err != nil {
				t.Error(err)
			}
			const outage = 400 * time.Millisecond
			time.Sleep(outage)
			mended := time.Now()
			if err := l.Restore(node.Host); err != nil {
				t.Fatal(err)
			}
			if _, err := probe.AwaitAnswer(ctx, mended); err != nil {
				t.Fatal(err)
			}
			result := probe.Stop()
			gap := result.Longest
			t.Logf("%d requests, %d answers, longest gap %v", result.Sent, len(result.Answers), gap)
			if gap.Open || gap.Duration() < outage || gap.Start.After(cut) || gap.End.Before(mended) {
				t.Errorf("the gap is %+v, the cable was cut from %v to %v", gap, cut, mended)
			}
		})
	}
}

func TestOneWay(t *testing.T) {
	for _, test := range []struct {
		name    string
		cut     func(*Lab, *Host) error
		hears   bool // the host hears others
		isHeard bool
	}{
		{name: "a mute host hears and is not heard", cut: (*Lab).Mute, hears: true},
		{name: "a deaf host is heard and hears nothing", cut: (*Lab).Deafen, isHeard: true},
		{name: "a host that is both is cut off", cut: func(l *Lab, h *Host) error { return errors.Join(l.Mute(h), l.Deafen(h)) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, l := sharedLab(t)
			client, node := l.Client(1), l.Node(1)
			passes := func(from, to *Host) bool {
				t.Helper()
				passes, err := framePasses(from, to)
				if err != nil {
					t.Fatal(err)
				}
				return passes
			}
			if err := test.cut(l, node.Host); err != nil {
				t.Fatal(err)
			}
			if passes(client, node.Host) != test.hears || passes(node.Host, client) != test.isHeard {
				t.Error("the cut is not as it should be")
			}
			if !passes(client, l.Node(2).Host) || !passes(l.Node(2).Host, client) {
				t.Error("others are cut as well")
			}
			if carrier, err := node.Run(ctx, "ip", "-o", "link", "show", "eth0"); err != nil || !strings.Contains(carrier, "LOWER_UP") {
				t.Errorf("the carrier is gone: %s %v", carrier, err)
			}
			if err := l.Restore(node.Host); err != nil {
				t.Fatal(err)
			}
			if !passes(client, node.Host) || !passes(node.Host, client) {
				t.Error("the cut stays")
			}
		})
	}
}

// framePasses tells whether a broadcast of a host is received by another one.
func framePasses(from, to *Host) (bool, error) {
	const kind = 0x88b5 // for experiments (IEEE 802, section 9.2.3)
	ear, err := to.ListenFrames(kind)
	if err != nil {
		return false, err
	}
	defer ear.Close()
	mouth, err := from.ListenFrames(kind)
	if err != nil {
		return false, err
	}
	defer mouth.Close()
	frame := &ethernet.Frame{Destination: ethernet.Broadcast, Source: from.MAC, EtherType: kind, Payload: make([]byte, 46)}
	text, err := frame.MarshalBinary()
	if err != nil {
		return false, err
	}
	if _, err := mouth.WriteTo(text, &packet.Addr{HardwareAddr: ethernet.Broadcast}); err != nil {
		return false, err
	}
	if err := ear.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		return false, err
	}
	_, _, err = ear.ReadFrom(make([]byte, 64))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return false, nil
	}
	return err == nil, err
}

func TestPartition(t *testing.T) {
	ctx, l := sharedLab(t)
	client, node1, node2 := l.Client(1), l.Node(1), l.Node(2)
	answers := func(asking *Host, asked *Node) bool {
		t.Helper()
		macs, err := asking.Answerers(ctx, asked.V4, 100*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		return len(macs) == 1
	}
	if err := l.Partition(client, node1.Host); err != nil {
		t.Fatal(err)
	}
	if !answers(client, node1) || answers(client, node2) || answers(node2.Host, node1) {
		t.Error("the island of client1 and node1 is none")
	}
	for _, h := range []*Host{client, node1.Host} {
		if err := l.Restore(h); err != nil {
			t.Fatal(err)
		}
	}
	if !answers(client, node2) || !answers(node2.Host, node1) {
		t.Error("the island stays")
	}
}

// nodeStatus waits for the Ready condition of a node.
func nodeStatus(ctx context.Context, t *testing.T, l *Lab, name string, want corev1.ConditionStatus) {
	t.Helper()
	err := wait(ctx, "Ready of "+name+" to be "+string(want), func(ctx context.Context) (bool, error) {
		node, err := l.Kubernetes.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady {
				return c.Status == want, nil
			}
		}
		return false, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPowerOffAndOn(t *testing.T) {
	ctx, l := sharedLab(t)
	node := l.Node(2)
	deploy(ctx, t, l, Backend{Name: "gone", Node: "node2"})
	s := service(ctx, t, l, "gone", nil)
	to := netip.AddrPortFrom(netip.MustParseAddr(s.Spec.ClusterIP), 80)
	if _, err := l.Node(1).Await(ctx, "tcp", to); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if err := node.PowerOff(); err != nil {
		t.Fatal(err)
	}
	nodeStatus(ctx, t, l, "node2", corev1.ConditionUnknown)
	t.Logf("node2 is not ready after %.1f s", time.Since(begin).Seconds())
	begin = time.Now()
	if err := node.PowerOn(ctx); err != nil {
		t.Fatal(err)
	}
	nodeStatus(ctx, t, l, "node2", corev1.ConditionTrue)
	for _, n := range l.Nodes {
		if _, err := n.Await(ctx, "tcp", to); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("node2 is back after %.1f s", time.Since(begin).Seconds())
}

func TestAPIServerRestart(t *testing.T) {
	ctx, l := sharedLab(t)
	if err := l.Namespace(ctx, "kept"); err != nil {
		t.Fatal(err)
	}
	if err := l.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Kubernetes.CoreV1().Namespaces().Get(ctx, "kept", metav1.GetOptions{}); err == nil {
		t.Error("the API server answers while it is stopped")
	}
	begin := time.Now()
	if err := l.StartAPIServer(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("the API server is ready after %.1f s", time.Since(begin).Seconds())
	if _, err := l.Kubernetes.CoreV1().Namespaces().Get(ctx, "kept", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	deploy(ctx, t, l, Backend{Name: "after", Node: "node1"}) // the agents and the controllers are back as well
}

func TestFreeze(t *testing.T) {
	_, l := sharedLab(t)
	p := l.Process("kube-proxy-node1")
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	if !p.Running() {
		t.Error("a frozen process counts as ended")
	}
	before, err := p.CPUTime()
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if after, err := p.CPUTime(); err != nil || after != before {
		t.Errorf("it went on from %v to %v: %v", before, after, err)
	}
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err == nil {
		t.Error("a running process was started")
	}
}
