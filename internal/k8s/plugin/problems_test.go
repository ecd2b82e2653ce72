package plugin

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/portforward"
)

// The rest of the problems is in testdata/status-wrong.txtar. Here is what depends on what could be read.
func TestProblems(t *testing.T) {
	lease := func(age time.Duration) Installation {
		l := leaseOf("a_1")
		seconds, renewed := int32(15), metav1.NewMicroTime(now.Add(-age))
		l.Spec.LeaseDurationSeconds, l.Spec.RenewTime = &seconds, &renewed
		return Installation{Namespace: "ns", Lease: l}
	}
	with := func(in Installation, pods ...*corev1.Pod) Installation { in.Pods = pods; return in }
	electing := func(p *corev1.Pod) *corev1.Pod {
		p.Spec.Containers = []corev1.Container{{Args: []string{"--leader-elect"}}}
		return p
	}
	tests := []struct {
		name   string
		in     Installation
		unread []string
		want   string // the first problem's sentence, or none
	}{
		{name: "all is well", in: with(lease(time.Second), controllerPod("a", 1))},
		{name: "a leader outside of the cluster needs no Pod", in: lease(time.Second)},
		{name: "a clock that is off by half a minute is no dead leader", in: with(lease(30*time.Second), controllerPod("a", 1))},
		{name: "a leader that is dead", in: with(lease(2*time.Minute), electing(controllerPod("a", 1))), want: "no controller leads, although one is ready; nothing is assigned"},
		{name: "a controller that does not elect needs no Lease", in: Installation{Namespace: "ns", Pods: []*corev1.Pod{controllerPod("a", 1)}}},
		{name: "no controller at all", in: Installation{Namespace: "ns"}, want: "there is no controller in namespace ns; nothing is assigned"},
		{name: "no controller that is ready", in: Installation{Namespace: "ns", Pods: []*corev1.Pod{unready(controllerPod("a", 1))}}, want: "no controller is ready; nothing is assigned"},
		{name: "one of two", in: with(lease(time.Second), controllerPod("a", 1), unready(controllerPod("b", 1))), want: "1 of 2 controllers are ready: Pod b: "},
		{name: "a dead leader without the right to see Pods", in: func() Installation { in := lease(time.Hour); in.Unread = []string{"Pods"}; return in }(),
			want: "no controller leads, by the Lease ns/fairlead-controller"},
		{name: "nothing is claimed where nothing may be read", in: Installation{Namespace: "ns", Unread: []string{"Pods", "Leases"}},
			unread: []string{"IPAddressPools", "Services", "Speakers", "Nodes", "L2Advertisements", "BGPAdvertisements"}},
		{name: "an address without an owner is no problem where Nodes may not be read", in: with(lease(time.Second), controllerPod("a", 1)), unread: []string{"Nodes"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Snapshot{Time: now, Installation: tt.in, Unread: tt.unread, Namespaces: map[string]map[string]string{}}
			if len(tt.unread) < 2 {
				edge := pool("edge", "192.0.2.1-192.0.2.9")
				edge.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}}
				s.Pools, s.Nodes, s.Speakers = []*v1alpha1.IPAddressPool{edge}, nodes("node1"), []*v1alpha1.Speaker{speakerOf("node1")}
				s.Advertisements = []*v1alpha1.L2Advertisement{{ObjectMeta: metav1.ObjectMeta{Name: "main"}}}
				if len(tt.unread) == 1 {
					s.Nodes = nil
				}
			}
			st := MakeStatus(s)
			first := ""
			if len(st.Problems) > 0 {
				first = st.Problems[0].What
			}
			if (tt.want == "") != (first == "") || !strings.HasPrefix(first, tt.want) {
				t.Errorf("%q, want %q", first, tt.want)
			}
			if len(st.Unseen) != len(tt.unread)+len(tt.in.Unread) || st.Fine() != (tt.want == "" && len(st.Unseen) == 0) {
				t.Errorf("unseen %v, fine %v", st.Unseen, st.Fine())
			}
		})
	}
}

// Columns stand where they do without colours, and a header has none.
func TestColours(t *testing.T) {
	table := func(colour bool) string {
		x := table{header: []string{"NAME", "STATE", "NOTE"}, styles: map[int]func(string) style{1: stateStyle}, colour: colour}
		x.add("a", "Established", "x")
		x.add("b", "Idle", "y")
		x.add("c", "?", "")
		var out strings.Builder
		if err := x.write(&out, 0); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	coloured := table(true)
	if want := "a     \x1b[32mEstablished\x1b[0m  x\nb     \x1b[31mIdle\x1b[0m         y\nc     \x1b[33m?\x1b[0m\n"; !strings.HasSuffix(coloured, want) {
		t.Errorf("%q", coloured)
	}
	for _, code := range []string{"\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"} {
		coloured = strings.ReplaceAll(coloured, code, "")
	}
	if plain := table(false); coloured != plain {
		t.Errorf("%q without colours, %q else", coloured, plain)
	}
}

func TestDescribe(t *testing.T) {
	pod := controllerPod("a", 1)
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "a", errors.New("no"))
	tests := []struct {
		name          string
		err, dialling error
		want          string
	}{
		{"it was to end", nil, nil, ""},
		{"a right is missing", errors.New("upgrading"), forbidden, "a Role in namespace fairlead-system has to allow: create of pods/portforward"},
		{"the Pod is gone", portforward.ErrLostConnectionToPod, nil, "the connection to Pod a was lost"},
		{"the port is taken", errors.New("unable to listen"), nil, "forwarding a port of this machine to Pod a: unable to listen"},
	}
	for _, tt := range tests {
		got := ""
		if err := describe(tt.err, tt.dialling, pod); err != nil {
			got = err.Error()
		}
		if !strings.HasSuffix(got, tt.want) || (tt.want == "") != (got == "") {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
