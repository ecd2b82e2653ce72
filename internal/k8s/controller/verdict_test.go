package controller

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestJudgePeer(t *testing.T) {
	up := func(node string) nodeSession { return nodeSession{node, session{established: true}} }
	down := func(node, why string) nodeSession { return nodeSession{node, session{why: why}} }
	tests := []struct {
		name  string
		spec  v1alpha1.BGPPeerSpec
		state peerState
		want  string
	}{
		{name: "established everywhere", state: peerState{sessions: []nodeSession{up("a"), up("b")}}, want: "2 True Established: 2 of 2 nodes"},
		{name: "down on one node", state: peerState{sessions: []nodeSession{up("a"), down("b", "refused")}}, want: "1 False NotEstablished: 1 of 2 nodes; b: refused"},
		{
			name: "down on more nodes than a message names",
			state: peerState{sessions: []nodeSession{
				down("a", "x"), down("b", "x"), down("c", "x"), down("d", "x"), down("e", "x"), down("f", "x"), down("g", "x"), up("h"),
			}},
			want: "1 False NotEstablished: 1 of 8 nodes; a: x; b: x; c: x; d: x; e: x; and 2 more",
		},
		{
			name:  "a long story is cut",
			state: peerState{sessions: []nodeSession{down("a", strings.Repeat("ä", 100))}},
			want:  "0 False NotEstablished: 0 of 1 nodes; a: " + strings.Repeat("ä", 80) + "...",
		},
		{name: "no node", want: "0 False NoNodes: there is no node"},
		{name: "nodes without speakers", state: peerState{unserved: 2}, want: "0 False NoNodes: no speaker runs on a node that it selects"},
		{
			name: "the same session as two others",
			state: peerState{sessions: []nodeSession{up("c")},
				conflicts: []conflict{{"a", "one"}, {"b", "another"}, {"d", "one"}}},
			want: "1 False Conflicting: the same session as BGPPeer another, one, which is older and has it; Conflicting on a, b, d; 1 of 1 nodes",
		},
		{
			name: "several things are wrong", spec: v1alpha1.BGPPeerSpec{BFDProfile: "fast"},
			state: peerState{noProfile: true, conflicts: []conflict{{"a", "old"}}, sessions: []nodeSession{
				{"b", session{reason: v1alpha1.BGPSessionNoSecret, problem: "no Secret x", why: "no Secret x"}},
				{"c", session{reason: v1alpha1.BGPSessionNoSecret, problem: "no Secret x", established: true}},
			}},
			want: `1 False Conflicting: the same session as BGPPeer old, which is older and has it; there is no BFDProfile "fast": sessions that had it keep its last values, others are without BFD; ` +
				`no Secret x; Conflicting on a; NoSecret on b, c; 1 of 2 nodes`,
		},
		{
			name: "prefixes without a next hop are not counted: each Service more would be an event",
			state: peerState{sessions: []nodeSession{
				{"a", session{established: true, reason: v1alpha1.BGPSessionNoNextHop, problem: "17 prefixes are not advertised: why"}}, up("b"),
			}},
			want: "2 False NoNextHop: prefixes are not advertised: the node has no InternalIP of their family, which would be the next hop; NoNextHop on a; 2 of 2 nodes",
		},
		{name: "what cannot be read", state: peerState{invalid: "spec.peerAddress: nonsense"}, want: "0 False InvalidSpec: cannot be read, sessions stay as they were: spec.peerAddress: nonsense"},
		{
			name: "graceful restart beside BFD", spec: v1alpha1.BGPPeerSpec{BFDProfile: "fast", EnableGracefulRestart: true},
			state: peerState{sessions: []nodeSession{up("a")}}, want: "1 True Established: 1 of 1 nodes; " + contradiction,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, established := judgePeer(&v1alpha1.BGPPeer{Spec: tt.spec}, tt.state)
			status := map[bool]string{true: "True", false: "False"}[v.ready]
			if got := fmt.Sprintf("%d %s %s: %s", established, status, v.reason, v.text()); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestChangeOfStanding(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	fine := verdict{ready: true, reason: reasonReady, message: inForce}
	wrong := func(reason, message string) (v verdict) {
		v.complain(reason, message)
		v.conclude()
		return v
	}
	noted := verdict{ready: true, reason: reasonReady, message: inForce, note: "take care", noteReason: "Care"}
	down := verdict{reason: reasonNotEstablished, message: "0 of 1 nodes"}
	tests := []struct {
		name   string
		was    *verdict
		is     verdict
		writes bool
		events string
	}{
		{name: "at first nothing is told", is: fine, writes: true},
		{name: "nothing is written if nothing differs", was: &fine, is: fine},
		{name: "something is wrong", was: &fine, is: wrong("UnknownPool", "there is no x"), writes: true, events: "Warning UnknownPool: there is no x"},
		{name: "it is wrong from the beginning", is: wrong("UnknownPool", "there is no x"), writes: true, events: "Warning UnknownPool: there is no x"},
		{name: "something else is wrong", was: ptr(wrong("UnknownPool", "there is no x")), is: wrong("UnknownPool", "there is no y"), writes: true,
			events: "Warning UnknownPool: there is no y"},
		{name: "it is wrong still", was: ptr(wrong("UnknownPool", "there is no x")), is: wrong("UnknownPool", "there is no x")},
		{name: "it is over", was: ptr(wrong("UnknownPool", "there is no x")), is: fine, writes: true, events: "Normal Resolved: no longer UnknownPool"},
		{name: "a session that is down is no fault of the object", was: &fine, is: down, writes: true},
		{name: "neither is one that comes up an event", was: &down, is: fine, writes: true},
		{name: "a note is told once", was: &fine, is: noted, writes: true, events: "Warning Care: take care"},
		{name: "a note is not told again", was: &noted, is: func() verdict { v := noted; v.message = "otherwise"; return v }(), writes: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := judged{kind: "BGPAdvertisement", meta: &metav1.ObjectMeta{Name: "x", Generation: 2, ResourceVersion: "7"}}
			if tt.was != nil {
				j.verdict = *tt.was
				j.conditions = conditionsOf(t, j, noon.Add(-time.Hour))
			}
			j.verdict = tt.is
			patch, events := j.change(noon)
			if (patch != nil) != tt.writes {
				t.Errorf("patch = %s", patch)
			}
			var told []string
			for _, e := range events {
				told = append(told, fmt.Sprintf("%s %s: %s", map[bool]string{true: "Warning", false: "Normal"}[e.Warning], e.Reason, e.Message))
			}
			if got := strings.Join(told, "\n"); got != tt.events {
				t.Errorf("events %q, want %q", got, tt.events)
			}
			if patch != nil && !strings.Contains(string(patch), `"resourceVersion":"7"`) {
				t.Errorf("a patch that holds for any version: %s", patch)
			}
		})
	}
}

func ptr[T any](v T) *T { return &v }

// conditionsOf are those that a status has when what is wanted was written.
func conditionsOf(t *testing.T, j judged, at time.Time) []metav1.Condition {
	t.Helper()
	patch, _ := j.change(at)
	var v struct {
		Status struct{ Conditions []metav1.Condition }
	}
	if err := json.Unmarshal(patch, &v); err != nil {
		t.Fatal(err)
	}
	return v.Status.Conditions
}

// What speakers refuse is not in force.
func TestJudgeL2AdvertisementThatCannotBeRead(t *testing.T) {
	bad := v1alpha1.LabelSelector{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "rack", Operator: "Sometimes"}}}
	for field, spec := range map[string]v1alpha1.L2AdvertisementSpec{
		"ipAddressPoolSelectors": {IPAddressPoolSelectors: []v1alpha1.LabelSelector{bad}},
		"serviceSelectors":       {ServiceSelectors: []v1alpha1.LabelSelector{bad}},
		"nodeSelectors":          {NodeSelectors: []v1alpha1.LabelSelector{bad}},
		"preferredNodeSelectors": {PreferredNodeSelectors: []v1alpha1.PreferredNodeSelector{{Weight: 1, Preference: bad}}},
	} {
		if v := judgeL2Advertisement(&v1alpha1.L2Advertisement{Spec: spec}, nil); v.reason != reasonInvalidSpec || !strings.Contains(v.wrong, "spec."+field) {
			t.Errorf("%s: %s: %s", field, v.reason, v.text())
		}
	}
}
