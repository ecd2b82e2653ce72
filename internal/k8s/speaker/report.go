package speaker

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What the custom resource definition takes.
const (
	mostAddresses  = 256
	mostMembers    = 128
	mostLinks      = 64
	mostPrefixes   = 64
	mostInterfaces = 32 // of one address
)

// fewMembers may all write at once.
const fewMembers = 16

// wanted is the status as things are; conditions are those that the object has.
func (s *Status) wanted(conditions []metav1.Condition) v1alpha1.SpeakerStatus {
	status := speakerStatus(s.engine.Status(), s.members())
	status.Version = s.version
	others := 0
	for _, name := range s.nodes.ListKeys() {
		if name != s.node {
			others++
		}
	}
	status.Conditions = withCondition(conditions, ready(s.engine.State(), others))
	return status
}

// stopped is the status of a speaker that was told to stop.
func (s *Status) stopped(conditions []metav1.Condition) v1alpha1.SpeakerStatus {
	return v1alpha1.SpeakerStatus{Version: s.version, Conditions: withCondition(conditions, metav1.Condition{
		Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "Stopped", Message: "the speaker was told to stop",
	})}
}

// ready is the condition Ready of a speaker beside whose node the cluster has others.
func ready(state layer2.State, others int) metav1.Condition {
	c := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: string(state)}
	switch state {
	case layer2.Serving:
		c.Status = metav1.ConditionTrue
		c.Message = "takes part in gossip and answers for what it owns"
	case layer2.Alone:
		var though string
		switch others {
		case 0: // they were removed meanwhile
		case 1:
			though = " though there is 1 other node"
		default:
			though = fmt.Sprintf(" though there are %d other nodes", others)
		}
		c.Message = "no other speaker answers" + though + ": it decides alone, and another one may answer for the same " +
			"addresses. Check that the gossip port, 7956 by default, is open between the nodes for TCP and for UDP, and that all " +
			"speakers have the same gossip key"
	default:
		c.Message = "has not heard the other speakers yet"
	}
	return c
}

// canWait tells whether a status differs from the written one only in what it says of others, such that many
// speakers have the same to write at the same time: who takes part, and how many nodes there are. A few
// speakers need not wait to say who takes part.
func canWait(written, wanted v1alpha1.SpeakerStatus) bool {
	return equality.Semantic.DeepEqual(ofItself(written), ofItself(wanted)) &&
		(wanted.Gossip.Members > fewMembers || !equality.Semantic.DeepEqual(written.Conditions, wanted.Conditions))
}

// ofItself is what a status says of its speaker alone.
func ofItself(s v1alpha1.SpeakerStatus) v1alpha1.SpeakerStatus {
	s.Gossip = nil
	s.Conditions = slices.Clone(s.Conditions)
	for i := range s.Conditions {
		s.Conditions[i].Message = ""
	}
	return s
}

// withCondition returns conditions with one set; the time of its last transition stays if its status does.
func withCondition(conditions []metav1.Condition, c metav1.Condition) []metav1.Condition {
	conditions = slices.Clone(conditions)
	meta.SetStatusCondition(&conditions, c)
	return conditions
}

// speakerStatus puts into the API's form what the engine shows.
func speakerStatus(engine layer2.Status, members []string) v1alpha1.SpeakerStatus {
	status := v1alpha1.SpeakerStatus{
		Gossip: &v1alpha1.GossipStatus{Members: int32(len(members)), Truncated: len(members) > mostMembers, Names: members[:min(len(members), mostMembers)]},
		Layer2: &v1alpha1.Layer2Status{Owned: int32(len(engine.Owned)), Truncated: len(engine.Owned) > mostAddresses},
	}
	for _, l := range engine.Links[:min(len(engine.Links), mostLinks)] {
		i := v1alpha1.SpeakerInterface{Name: l.Name, HardwareAddress: l.HardwareAddr.String()}
		for _, p := range l.Prefixes[:min(len(l.Prefixes), mostPrefixes)] {
			i.Addresses = append(i.Addresses, p.String())
		}
		status.Interfaces = append(status.Interfaces, i)
	}
	owned := slices.SortedFunc(maps.Keys(engine.Owned), netip.Addr.Compare)
	for _, a := range owned[:min(len(owned), mostAddresses)] {
		o := engine.Owned[a]
		interfaces := o.Interfaces[:min(len(o.Interfaces), mostInterfaces)]
		status.Layer2.Addresses = append(status.Layer2.Addresses,
			v1alpha1.Layer2Address{Address: a.String(), Service: o.Service.String(), Interfaces: interfaces})
	}
	return status
}
