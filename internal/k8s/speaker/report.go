package speaker

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"

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
	mostSessions   = 64
	mostSuppressed = 64
	mostConflicts  = 64
	mostTakeovers  = 32
	mostReason     = 256
)

// fewMembers may all write at once. More write what all have to write at a pace that the API server does not notice:
// the loss of one of 2,000 nodes would cost it 400 writes a second.
const (
	fewMembers      = 16
	writesPerSecond = 50
)

// wanted is the status as things are; written is what the object has.
func (s *Status) wanted(written v1alpha1.SpeakerStatus) v1alpha1.SpeakerStatus {
	engine := s.engine.Status()
	status := speakerStatus(engine, s.members())
	if written.Layer2 != nil {
		keepPenalties(status.Layer2.SuppressedNodes, written.Layer2.SuppressedNodes)
		status.Layer2.Takeovers = withFormer(written.Layer2.Takeovers, status.Layer2.Takeovers)
	}
	if s.former == nil {
		s.former = formerOwnership(written.Layer2)
	}
	s.former.recall(status.Layer2.Addresses)
	status.BGPSessions = s.sessions()
	keepSessions(status.BGPSessions, written.BGPSessions)
	status.Version = s.version
	others := 0
	for _, name := range s.nodes.ListKeys() {
		if name != s.node {
			others++
		}
	}
	status.Conditions = withCondition(written.Conditions, ready(s.engine.State(), others))
	status.Conditions = withLooseARP(withConflicts(status.Conditions, engine.Conflicts), engine.LooseARP)
	return status
}

// stopped is the status of a speaker that was told to stop. Its node's interfaces are what others go on to answer
// with on its behalf.
func (s *Status) stopped(written v1alpha1.SpeakerStatus) v1alpha1.SpeakerStatus {
	var left *v1alpha1.Layer2Status
	if last := s.wanted(written).Layer2; len(last.Takeovers) > 0 {
		left = &v1alpha1.Layer2Status{Takeovers: last.Takeovers}
	}
	return v1alpha1.SpeakerStatus{Version: s.version, Interfaces: written.Interfaces, Layer2: left,
		Conditions: withCondition(withLooseARP(withConflicts(written.Conditions, nil), nil), metav1.Condition{
			Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "Stopped",
			Message: fmt.Sprintf("the speaker was told to stop; its addresses stay with the node for %s (--restart-grace)", s.grace),
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

// waitOf returns how long a change of the status can wait, and up to how much longer at random, zero if it cannot.
// What can is what many speakers have to write at the same time: who takes part, who is suppressed, how many nodes
// there are, and what they count. A few speakers need not wait to say who takes part.
func waitOf(written, wanted v1alpha1.SpeakerStatus) (least, jitter time.Duration) {
	few := wanted.Gossip.Members <= fewMembers
	counted := written
	counted.BGPSessions = wanted.BGPSessions
	switch {
	case !equality.Semantic.DeepEqual(ofItself(written), ofItself(wanted)):
		return 0, 0
	case equality.Semantic.DeepEqual(counted, wanted) && few:
		return countsEvery, 1
	case equality.Semantic.DeepEqual(counted, wanted):
		return countsDelay, countsDelay
	case few && equality.Semantic.DeepEqual(written.Conditions, wanted.Conditions):
		return 0, 0
	}
	// So many writes a second at most, of all speakers together, however many they are.
	return gossipDelay, max(gossipJitter, time.Duration(wanted.Gossip.Members)*time.Second/writesPerSecond)
}

// ofItself is what a status says of its speaker alone.
func ofItself(s v1alpha1.SpeakerStatus) v1alpha1.SpeakerStatus {
	s.Gossip = nil
	s.BGPSessions = atOnce(s.BGPSessions)
	if s.Layer2 != nil {
		layer2 := *s.Layer2
		layer2.SuppressedNodes = nil
		s.Layer2 = &layer2
	}
	s.Conditions = slices.Clone(s.Conditions)
	for i := range s.Conditions {
		s.Conditions[i].Message = ""
	}
	return s
}

// keepPenalties takes over what was written of the nodes that are still to be reused at the same time: their
// penalty has only decayed.
func keepPenalties(wanted, written []v1alpha1.SuppressedNode) {
	for i, w := range wanted {
		for _, before := range written {
			if w.Node == before.Node && w.ReuseTime.Sub(before.ReuseTime.Time).Abs() <= 2*time.Second {
				wanted[i] = before
			}
		}
	}
}

// withCondition returns conditions with one set; the time of its last transition stays if its status does.
func withCondition(conditions []metav1.Condition, c metav1.Condition) []metav1.Condition {
	conditions = slices.Clone(conditions)
	meta.SetStatusCondition(&conditions, c)
	return conditions
}

// withConflicts returns conditions with or without the one that says that foreign hosts use addresses.
func withConflicts(conditions []metav1.Condition, conflicts []layer2.ConflictReport) []metav1.Condition {
	conditions = slices.Clone(conditions)
	if len(conflicts) == 0 {
		meta.RemoveStatusCondition(&conditions, v1alpha1.ConditionAddressConflict)
		return conditions
	}
	var parts []string
	for _, c := range conflicts {
		parts = append(parts, fmt.Sprintf("%s is in use by %s, seen on %s", c.Address, c.HardwareAddr, c.Interface))
	}
	return withCondition(conditions, metav1.Condition{
		Type: v1alpha1.ConditionAddressConflict, Status: metav1.ConditionTrue, Reason: "ForeignHost", Message: firstOf(parts, "; "),
	})
}

// withLooseARP returns conditions with or without the one that says that the node's kernel speaks ARP for addresses
// whoever owns them.
func withLooseARP(conditions []metav1.Condition, interfaces []string) []metav1.Condition {
	conditions = slices.Clone(conditions)
	if len(interfaces) == 0 {
		meta.RemoveStatusCondition(&conditions, v1alpha1.ConditionARPNotStrict)
		return conditions
	}
	return withCondition(conditions, metav1.Condition{
		Type: v1alpha1.ConditionARPNotStrict, Status: metav1.ConditionTrue, Reason: "IPVSWithoutStrictARP",
		Message: "kube-proxy runs in IPVS mode without strictARP: on " + firstOf(interfaces, ", ") + " this node's kernel speaks ARP for the " +
			"addresses of all Services, whoever owns them, and clients may come here instead. Set strictARP: true in kube-proxy's " +
			"configuration (--ipvs-strict-arp) and restart it",
	})
}

// firstOf joins the first few of a list, and says how many more there are.
func firstOf(list []string, separator string) string {
	const named = 5
	text := strings.Join(list[:min(len(list), named)], separator)
	if more := len(list) - named; more > 0 {
		text += fmt.Sprintf("%s%d more", separator, more)
	}
	return text
}

// speakerStatus puts into the API's form what the engine shows.
func speakerStatus(engine layer2.Status, members []string) v1alpha1.SpeakerStatus {
	status := v1alpha1.SpeakerStatus{
		Gossip:           &v1alpha1.GossipStatus{Members: int32(len(members)), Truncated: len(members) > mostMembers, Names: members[:min(len(members), mostMembers)]},
		FailureDetection: failureDetection(engine),
		Layer2:           layer2Status(engine),
	}
	for _, l := range engine.Links[:min(len(engine.Links), mostLinks)] {
		i := v1alpha1.SpeakerInterface{Name: l.Name, HardwareAddress: l.HardwareAddr.String()}
		for _, p := range l.Prefixes[:min(len(l.Prefixes), mostPrefixes)] {
			i.Addresses = append(i.Addresses, p.String())
		}
		status.Interfaces = append(status.Interfaces, i)
	}
	return status
}

func failureDetection(engine layer2.Status) *v1alpha1.FailureDetectionStatus {
	if engine.Detection == "" && len(engine.Sessions) == 0 {
		return nil
	}
	status := &v1alpha1.FailureDetectionStatus{Timing: engine.Detection, Truncated: len(engine.Sessions) > mostSessions}
	for _, s := range engine.Sessions[:min(len(engine.Sessions), mostSessions)] {
		session := v1alpha1.FailureDetectionSession{Node: s.Node, State: v1alpha1.FailureDetectionDown}
		if s.Up {
			session.State = v1alpha1.FailureDetectionUp
		}
		if !s.Since.IsZero() {
			since := seconds(s.Since)
			session.Since = &since
		}
		status.Sessions = append(status.Sessions, session)
	}
	return status
}

func layer2Status(engine layer2.Status) *v1alpha1.Layer2Status {
	status := &v1alpha1.Layer2Status{Truncated: len(engine.Owned) > mostAddresses}
	for _, o := range engine.Owned {
		if o.For == "" {
			status.Owned++
		} else {
			status.StandingIn++
		}
	}
	addresses := slices.SortedFunc(maps.Keys(engine.Owned), netip.Addr.Compare)
	for _, a := range addresses[:min(len(addresses), mostAddresses)] {
		o := engine.Owned[a]
		interfaces := o.Interfaces[:min(len(o.Interfaces), mostInterfaces)]
		address := v1alpha1.Layer2Address{Address: a.String(), Service: o.Service.String(), For: o.For, Interfaces: interfaces, From: o.From}
		if !o.Since.IsZero() {
			since := seconds(o.Since)
			address.Since = &since
		}
		if o.Cause != layer2.Resumed {
			address.Cause = v1alpha1.TakeoverCause(o.Cause)
		}
		status.Addresses = append(status.Addresses, address)
	}
	for _, t := range engine.Takeovers {
		status.Takeovers = append(status.Takeovers, takeover(t))
	}
	for _, d := range engine.Damped[:min(len(engine.Damped), mostSuppressed)] {
		status.SuppressedNodes = append(status.SuppressedNodes, v1alpha1.SuppressedNode{
			Node: d.Node, Penalty: int32(min(max(d.Penalty, 0), math.MaxInt32)), ReuseTime: seconds(d.Reuse),
		})
	}
	for _, c := range engine.Conflicts[:min(len(engine.Conflicts), mostConflicts)] {
		status.Conflicts = append(status.Conflicts, v1alpha1.AddressConflict{
			Address: c.Address.String(), HardwareAddress: c.HardwareAddr.String(), Interface: c.Interface,
			Service: c.Service.String(), Since: seconds(c.Since), Detected: c.Detected,
		})
	}
	return status
}

// seconds is a time as the API server gives it back.
func seconds(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }
