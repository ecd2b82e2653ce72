package picture

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/page"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
)

// noon is the time of what tests make up.
var noon = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func at(seconds int) *metav1.Time {
	return ptr.To(metav1.NewTime(noon.Add(time.Duration(seconds) * time.Second)))
}

// millisAt is a time as the page has it.
func millisAt(seconds int) int64 { return at(seconds).UnixMilli() }

// scene is a cluster as informers have it, and the state that a viewer of it holds.
type scene struct {
	objects stores
	history page.History
	picture *picture
	state   *page.State
	dirty   map[thing]struct{}
}

func newScene() *scene {
	s := &scene{objects: stores{}, dirty: map[thing]struct{}{}}
	for _, k := range []kind{service, pool, l2Advertisement, bgpAdvertisement, bgpPeer, bfdProfile, community, speaker, node} {
		s.objects[k] = cache.NewStore(cache.MetaNamespaceKeyFunc)
	}
	return s
}

func kindOf(object any) kind {
	switch object.(type) {
	case *corev1.Service:
		return service
	case *corev1.Node:
		return node
	case *v1alpha1.IPAddressPool:
		return pool
	case *v1alpha1.L2Advertisement:
		return l2Advertisement
	case *v1alpha1.BGPAdvertisement:
		return bgpAdvertisement
	case *v1alpha1.BGPPeer:
		return bgpPeer
	case *v1alpha1.Speaker:
		return speaker
	}
	panic(fmt.Sprintf("%T", object))
}

// put stores objects, as an informer does.
func (s *scene) put(objects ...metav1.Object) {
	for _, o := range objects {
		k, name := kindOf(o), k8s.Key(o).String()
		if o.GetNamespace() == "" {
			name = o.GetName()
		}
		if o.GetUID() == "" {
			o.SetUID(types.UID(name))
		}
		_ = s.objects[k].Update(o)
		s.dirty[thing{k, name}] = struct{}{}
		if p, ok := o.(*v1alpha1.IPAddressPool); ok {
			v4, v6 := assignedOf(p)
			s.history.Note(p.Name, noon, v4, v6)
		}
	}
}

func (s *scene) remove(k kind, name string) {
	if object, exists, _ := s.objects[k].GetByKey(name); exists {
		_ = s.objects[k].Delete(object)
	}
	s.dirty[thing{k, name}] = struct{}{}
	if k == pool {
		s.history.Forget(name)
	}
}

// show brings the viewer's state up to date, and returns what it was told.
func (s *scene) show() *page.Change {
	if s.picture == nil {
		s.picture, s.state = newPicture(s.objects, "", &s.history), page.NewState()
		s.dirty = s.picture.all()
	}
	c := s.picture.update(s.dirty)
	s.dirty = map[thing]struct{}{}
	s.state.Merge(c)
	return c
}

// anew is the state as somebody who begins to look has it.
func (s *scene) anew() *page.State {
	state := page.NewState()
	p := newPicture(s.objects, "", &s.history)
	state.Merge(p.update(p.all()))
	return state
}

func aService(name string, addresses ...string) *corev1.Service {
	svc := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, CreationTimestamp: *at(0)},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	for _, a := range addresses {
		svc.Status.LoadBalancer.Ingress = append(svc.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
	}
	status, reason, message := metav1.ConditionTrue, "Assigned", fmt.Sprint(addresses)
	if len(addresses) == 0 {
		status, reason, message = metav1.ConditionFalse, "Exhausted", "no address is left"
	}
	svc.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ServiceConditionAssigned, Status: status, Reason: reason, Message: message, LastTransitionTime: *at(1)}}
	return svc
}

func aPool(name string, ranges ...v1alpha1.AddressRange) *v1alpha1.IPAddressPool {
	return &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1, CreationTimestamp: *at(0)}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: ranges}}
}

func anAdvertisement(name string, pools ...string) *v1alpha1.L2Advertisement {
	return &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}, Spec: v1alpha1.L2AdvertisementSpec{IPAddressPools: pools}}
}

func aBGPAdvertisement(name string, peers ...string) *v1alpha1.BGPAdvertisement {
	return &v1alpha1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}, Spec: v1alpha1.BGPAdvertisementSpec{Peers: peers}}
}

func aPeer(name, address string) *v1alpha1.BGPPeer {
	return &v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1, CreationTimestamp: *at(0)},
		Spec: v1alpha1.BGPPeerSpec{MyASN: 64500, PeerASN: 64501, PeerAddress: address}}
}

func aNode(name string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}}
}

func aSpeaker(name string, owned ...string) *v1alpha1.Speaker {
	s := &v1alpha1.Speaker{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: v1alpha1.SpeakerStatus{
		Version: "v1", Gossip: &v1alpha1.GossipStatus{Members: 3}, Layer2: &v1alpha1.Layer2Status{Owned: int32(len(owned))},
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: "Serving"}},
	}}
	for _, a := range owned {
		s.Status.Layer2.Addresses = append(s.Status.Layer2.Addresses, v1alpha1.Layer2Address{Address: a, Since: at(2), Cause: v1alpha1.TakeoverElected})
	}
	return s
}

func notReady(s *v1alpha1.Speaker, reason string) *v1alpha1.Speaker {
	s.Status.Layer2, s.Status.Gossip = nil, nil
	s.Status.Conditions[0] = metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: "why"}
	return s
}

func withSession(s *v1alpha1.Speaker, peer string, state v1alpha1.BGPSessionState, prefixes int32) *v1alpha1.Speaker {
	b := v1alpha1.BGPSessionStatus{Peer: peer, State: state, PrefixesAdvertised: prefixes}
	if state == v1alpha1.BGPSessionEstablished {
		b.EstablishedTime = at(3)
	} else {
		b.DownTime, b.LastError = at(4), "connection refused"
	}
	s.Status.BGPSessions = append(s.Status.BGPSessions, b)
	return s
}

// keys are what a change tells of.
func told(c *page.Change) (list []string) {
	for _, table := range [][]string{names("pool", c.Pools), names("service", c.Services), names("node", c.Nodes), names("session", c.Sessions),
		names("route", c.Routes), names("takeover", c.Takeovers), names("conflict", c.Conflicts), names("problem", c.Problems), names("peer", c.Peers)} {
		list = append(list, table...)
	}
	return list
}

func names[T any](what string, table map[string]*T) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(table)) {
		sign := ""
		if table[name] == nil {
			sign = "-"
		}
		list = append(list, sign+what+" "+name)
	}
	return list
}

func check(t *testing.T, what string, got, want any) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("%s:\n%s, want\n%s", what, g, w)
	}
}
