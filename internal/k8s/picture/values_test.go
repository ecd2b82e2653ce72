package picture

import (
	"fmt"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/page"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestNodeOf(t *testing.T) {
	drained, kept, excluded, cordoned, out, unreachable, offline := aNode("n"), aNode("n"), aNode("n"), aNode("n"), aNode("n"), aNode("n"), aNode("n")
	drained.Annotations = map[string]string{v1alpha1.AnnotationDrain: ""}
	kept.Annotations = map[string]string{v1alpha1.AnnotationDrain: "false"}
	excluded.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""}
	cordoned.Spec.Unschedulable = true
	out.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeOutOfService}}
	unreachable.Status.Conditions[0] = corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, Reason: "NodeStatusUnknown", Message: "Kubelet stopped posting node status."}
	offline.Status.Conditions = append(offline.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue})
	running := aSpeaker("n", "192.0.2.1", "192.0.2.2")
	running.Status.Layer2.StandingIn = 1
	for _, tt := range []struct {
		name    string
		node    *corev1.Node
		speaker *v1alpha1.Speaker
		want    string
	}{
		{"one that is as it should be", aNode("n"), running, `ready running v1 2+1 of 2 []`},
		{"one without a speaker", aNode("n"), nil, `ready none "no speaker has run on this node"  0+0 of 0 []`},
		{"one whose speaker was lost", aNode("n"), notReady(aSpeaker("n"), "Lost"), `ready lost "why" v1 0+0 of 0 []`},
		{"one whose speaker was stopped", aNode("n"), notReady(aSpeaker("n"), "Stopped"), `ready stopped "why" v1 0+0 of 0 []`},
		{"one whose speaker is alone", aNode("n"), notReady(aSpeaker("n"), "Alone"), `ready alone "why" v1 0+0 of 0 []`},
		{"one whose speaker starts", aNode("n"), notReady(aSpeaker("n"), "Joining"), `ready starting "why" v1 0+0 of 0 []`},
		{"one that the cluster has no longer", nil, running, `"the cluster has no such node any more" running v1 2+1 of 2 []`},
		{"one that is not ready", unreachable, running, `"Kubelet stopped posting node status." running v1 2+1 of 2 []`},
		{"one that is drained", drained, running, `ready running v1 2+1 of 2 [draining]`},
		{"one whose drain was called off", kept, running, `ready running v1 2+1 of 2 []`},
		{"one that is excluded", excluded, running, `ready running v1 2+1 of 2 [excluded]`},
		{"one that is cordoned", cordoned, running, `ready running v1 2+1 of 2 [cordoned]`},
		{"one that is out of service", out, running, `ready running v1 2+1 of 2 [outOfService]`},
		{"one without a network", offline, running, `ready running v1 2+1 of 2 [networkUnavailable]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := nodeOf("n", tt.node, tt.speaker, nil)
			got := "ready"
			if !n.Ready {
				got = fmt.Sprintf("%q", n.Why)
			}
			got += " " + n.Speaker
			if n.SpeakerWhy != "" {
				got += fmt.Sprintf(" %q", n.SpeakerWhy)
			}
			var holds []string
			for _, h := range n.Holds {
				holds = append(holds, h.Kind)
			}
			got += fmt.Sprintf(" %s %d+%d of %d %v", n.Version, n.Owned, n.StandingIn, n.Listed, holds)
			check(t, "shown", got, tt.want)
		})
	}
	check(t, "what two speakers say of it", *nodeOf("n", aNode("n"), nil, map[string]v1alpha1.SuppressedNode{
		"b": {Node: "n", Penalty: 7, ReuseTime: *at(30)}, "a": {Node: "n", Penalty: 9, ReuseTime: *at(20)},
	}).Suppressed, page.Suppression{Until: millisAt(30), Penalty: 9, By: []string{"a", "b"}})
}

func TestPoolOf(t *testing.T) {
	full := aPool("p", "192.0.2.0/24", "2001:db8::/64")
	full.Spec.ExcludeAddresses = []v1alpha1.AddressRange{"192.0.2.7"}
	full.Spec.AutoAssign = ptr.To(false)
	full.Spec.Disabled = true
	full.Spec.Quota = &v1alpha1.PoolQuota{PerNamespace: ptr.To[int32](3)}
	full.Spec.ServiceAllocation = &v1alpha1.ServiceAllocation{Priority: 5, Namespaces: []string{"shop", "web"},
		NamespaceSelectors: []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"team": "a"}}},
		ServiceSelectors:   []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"tier": "gold"}}}}
	full.Status.IPv6 = &v1alpha1.PoolFamilyStatus{Total: "18446744073709551616", Assigned: 1, Available: "18446744073709551615", First: "2001:db8::", Last: "2001:db8::ffff:ffff:ffff:ffff"}
	check(t, "plain", poolOf(aPool("p", "192.0.2.0/24")), page.Pool{Name: "p", Ranges: []string{"192.0.2.0/24"}})
	got := poolOf(full)
	check(t, "for", got.For, "namespaces shop, web, or namespaces with team=a; Services with tier=gold; priority 5; at most 3 a namespace")
	check(t, "ranges", got.Ranges, []string{"192.0.2.0/24", "2001:db8::/64", "not 192.0.2.7"})
	check(t, "IPv6", *got.IPv6, page.Family{Total: "18446744073709551616", Assigned: 1, Available: "18446744073709551615", First: "2001:db8::", Last: "2001:db8::ffff:ffff:ffff:ffff"})
	check(t, "disabled and on request", fmt.Sprint(got.Disabled, got.OnRequest), "true true")
}

func TestProblemsOf(t *testing.T) {
	condition := func(kind, status, reason, message string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: metav1.ConditionStatus(status), Reason: reason, Message: message}
	}
	for _, tt := range []struct {
		name, kind string
		conditions []metav1.Condition
		want       string // condition: severity, message
	}{
		{"nothing is wrong", "IPAddressPool", []metav1.Condition{condition("Ready", "True", "InForce", ""), condition("Exhausted", "False", "", "")}, "map[]"},
		{"a conflict is told once", "IPAddressPool", []metav1.Condition{condition("Ready", "False", "Conflicting", "old"), condition("Conflicting", "True", "Conflicting", "old")},
			"map[o/n/Conflicting:error old]"},
		{"a pool that is full works", "IPAddressPool", []metav1.Condition{condition("Ready", "True", "InForce", ""), condition("Exhausted", "True", "Exhausted", "9 of 9")},
			"map[o/n/Exhausted:warning 9 of 9]"},
		{"two things", "IPAddressPool", []metav1.Condition{condition("Ready", "False", "InvalidSpec", "bad"), condition("NotAdvertised", "True", "NotAdvertised", "none")},
			"map[o/n/NotAdvertised:error none o/n/Ready:error bad]"},
		{"a peer that is not established", "BGPPeer", []metav1.Condition{condition("Ready", "False", "NotEstablished", "0 of 3")}, "map[o/n/Ready:error 0 of 3]"},
		{"a profile that nobody names is no problem", "BFDProfile", []metav1.Condition{condition("Ready", "True", "", ""), condition("InUse", "False", "", "")}, "map[]"},
		{"a speaker that was stopped", "Speaker", []metav1.Condition{condition("Ready", "False", "Stopped", "told to")}, "map[o/n/Ready:warning told to]"},
		{"a speaker beside kube-proxy in IPVS mode", "Speaker", []metav1.Condition{condition("Ready", "True", "Serving", ""), condition("ARPNotStrict", "True", "IPVSWithoutStrictARP", "eth0")},
			"map[o/n/ARPNotStrict:warning eth0]"},
		{"a speaker that was lost", "Speaker", []metav1.Condition{condition("Ready", "False", "Lost", "no gossip")}, "map[o/n/Ready:error no gossip]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := map[string]string{}
			for key, p := range problemsOf(tt.kind, "n", tt.conditions) {
				got["o"+key[len(tt.kind):]] = p.Severity + " " + p.Message
			}
			check(t, "problems", got, tt.want)
		})
	}
}

func TestTakeoversAreTheNewest(t *testing.T) {
	reports := map[string][]v1alpha1.Takeover{}
	for i := range 300 {
		name := fmt.Sprint("node", i%10)
		reports[name] = append(reports[name], v1alpha1.Takeover{Time: metav1.NewMicroTime(at(i).Time), From: "x", Cause: v1alpha1.TakeoverMoved, Count: 1})
	}
	got := takeovers(reports)
	check(t, "how many", len(got), page.MostTakeovers)
	for key, took := range got {
		if took.Time < millisAt(100) {
			t.Errorf("%s is older than others that are left out", key)
		}
	}
}
