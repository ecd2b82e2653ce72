package controller

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// A patch that an API server applies makes of any status the one that was decided, so that there is nothing left to
// write, and touches nothing else of the Service. What is cleared then leaves no trace of us, and nothing less.
func TestPatchesLeadToWhatWasDecided(t *testing.T) {
	for seed := range uint64(3000) {
		random := rand.New(rand.NewPCG(seed, 0))
		svc, o := someService(random), someOutcome(random)
		o.foreign = hostname(svc) != ""
		c := changeOf(svc, o, noon)
		after := svc
		if c != nil {
			after = patched(t, svc, c.patch)
		}
		if again := changeOf(after, o, noon.Add(time.Minute)); again != nil {
			t.Fatalf("seed %d: %s after %s of %+v", seed, again.patch, c.patch, svc.Status)
		}
		if !o.foreign && !slices.Equal(k8s.IngressIPs(after), o.ips()) {
			t.Fatalf("seed %d: shows %v, not %v", seed, k8s.IngressIPs(after), o.ips())
		}
		for _, a := range k8s.IngressIPs(svc) {
			if leaves := c != nil && slices.Contains(c.leaving, a); leaves == slices.Contains(k8s.IngressIPs(after), a) {
				t.Fatalf("seed %d: %s leaves: %v", seed, a, leaves)
			}
		}
		if diff := cmp.Diff(others(svc), others(after)); diff != "" {
			t.Fatalf("seed %d: %s changes what is not ours:\n%s", seed, c.patch, diff)
		}
		cleared := after
		if patch := clearing(after, o.ips()); patch != nil {
			cleared = patched(t, after, patch)
		}
		if left := clearing(cleared, o.ips()); left != nil {
			t.Fatalf("seed %d: %s is left to clear", seed, left)
		}
		if slices.ContainsFunc(cleared.Status.Conditions, func(c metav1.Condition) bool { return slices.Contains(conditionTypes, c.Type) }) || !o.foreign && len(k8s.IngressIPs(cleared)) > 0 {
			t.Fatalf("seed %d: cleared is %+v", seed, cleared.Status)
		}
		if diff := cmp.Diff(others(svc), others(cleared)); diff != "" {
			t.Fatalf("seed %d: clearing changes what is not ours:\n%s", seed, diff)
		}
	}
}

// patched is what an API server makes of a Service.
func patched(t *testing.T, svc *corev1.Service, patch []byte) *corev1.Service {
	t.Helper()
	before, err := json.Marshal(svc)
	if err != nil {
		t.Fatal(err)
	}
	text, err := strategicpatch.StrategicMergePatch(before, patch, corev1.Service{})
	after := &corev1.Service{}
	if err == nil {
		err = json.Unmarshal(text, after)
	}
	if err != nil {
		t.Fatalf("%s cannot be applied: %v", patch, err)
	}
	return after
}

// others is what of a Service is not the controller's: all but our condition and, without a foreign hostname, the ingress.
func others(svc *corev1.Service) *corev1.Service {
	svc = svc.DeepCopy()
	svc.Status.Conditions = slices.DeleteFunc(svc.Status.Conditions, func(c metav1.Condition) bool { return slices.Contains(conditionTypes, c.Type) })
	if len(svc.Status.Conditions) == 0 {
		svc.Status.Conditions = nil
	}
	if hostname(svc) == "" {
		svc.Status.LoadBalancer.Ingress = nil
	}
	return svc
}

func someService(random *rand.Rand) *corev1.Service {
	svc := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", ResourceVersion: "7", Labels: map[string]string{"a": "b"}}}
	svc.Spec.LoadBalancerIP = "192.0.2.9"
	for range random.IntN(3) {
		i := corev1.LoadBalancerIngress{IP: someAddress(random).String()}
		if slices.ContainsFunc(svc.Status.LoadBalancer.Ingress, func(x corev1.LoadBalancerIngress) bool { return x.IP == i.IP }) {
			continue
		}
		mode := [...]corev1.LoadBalancerIPMode{corev1.LoadBalancerIPModeVIP, corev1.LoadBalancerIPModeVIP, corev1.LoadBalancerIPModeProxy}[random.IntN(3)]
		if random.IntN(3) > 0 {
			i.IPMode = &mode
		}
		if random.IntN(6) == 0 {
			i = corev1.LoadBalancerIngress{Hostname: "lb.example"}
		}
		if random.IntN(8) == 0 {
			i.Ports = []corev1.PortStatus{{Port: 80, Protocol: corev1.ProtocolTCP}}
		}
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, i)
	}
	conditions := append(someOutcome(random).conditions(), metav1.Condition{Type: "example.com/Other", Status: metav1.ConditionTrue}, metav1.Condition{Type: "Z", Status: metav1.ConditionFalse})
	random.Shuffle(len(conditions), func(i, j int) { conditions[i], conditions[j] = conditions[j], conditions[i] })
	for _, c := range conditions {
		if random.IntN(2) == 0 {
			c.LastTransitionTime = metav1.NewTime(noon.Add(-time.Duration(random.IntN(3)) * time.Hour).Local())
			svc.Status.Conditions = append(svc.Status.Conditions, c)
		}
	}
	return svc
}

func someOutcome(random *rand.Rand) outcome {
	o := outcome{satisfied: random.IntN(2) == 0, asked: []string{"", "p0", "p1"}[random.IntN(3)]}
	for _, a := range []netip.Addr{ip200, ip201, ipv6} {
		if random.IntN(3) == 0 {
			o.assigned = append(o.assigned, allocator.Assignment{Address: a, Pool: fmt.Sprint("p", random.IntN(2))})
		}
	}
	for range random.IntN(2) {
		o.refused = append(o.refused, allocator.Refusal{Reason: allocator.ReasonExhausted, Message: "pool p: exhausted"})
	}
	return o
}

func someAddress(random *rand.Rand) netip.Addr {
	return []netip.Addr{ip200, ip201, ipv6, netip.MustParseAddr("198.51.100.1")}[random.IntN(4)]
}
