package speaker

import (
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// advertisementOf puts an advertisement, and has the speaker look at it.
func (w *vipWorld) advertisementOf(name string, generation int64, annotation string, spec v1alpha1.L2AdvertisementSpec) {
	w.t.Helper()
	a := &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: generation}, Spec: spec}
	if annotation != "" {
		a.Annotations = map[string]string{v1alpha1.AnnotationRebalance: annotation}
	}
	w.put(w.advertisements.GetStore(), a)
	w.setAdvertisement(lb.Key{Name: name})
}

// A request is done once, also if the advertisement is edited after it.
func TestRebalance(t *testing.T) {
	w := newVIPWorld(t)
	var done []string
	w.rebalance = func(scope string) { done = append(done, scope) }
	request := time.Now().Format(time.RFC3339)
	expect := func(why string, want ...string) {
		t.Helper()
		if !slices.Equal(done, want) {
			t.Errorf("%s: rebalanced %q, want %q", why, done, want)
		}
		done = nil
	}
	w.advertisementOf("a", 1, "", v1alpha1.L2AdvertisementSpec{})
	expect("nobody asked")
	w.advertisementOf("a", 1, request, v1alpha1.L2AdvertisementSpec{})
	expect("asked", "a")
	w.advertisementOf("a", 2, request, v1alpha1.L2AdvertisementSpec{BindAddress: true})
	expect("edited")
	w.advertisementOf("a", 2, time.Now().Add(time.Second).Format(time.RFC3339), v1alpha1.L2AdvertisementSpec{BindAddress: true})
	expect("asked again", "a")
	w.advertisementOf("b", 1, time.Now().Add(-time.Hour).Format(time.RFC3339), v1alpha1.L2AdvertisementSpec{})
	expect("a request that is old news")

	before := &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "a", Generation: 1}}
	now := before.DeepCopy()
	if !onlyStatus(before, now) {
		t.Error("an update that changes nothing is looked at")
	}
	now.Annotations = map[string]string{v1alpha1.AnnotationRebalance: request}
	if onlyStatus(before, now) {
		t.Error("a request, which does not change the generation, is not looked at")
	}
}

func TestNoInterfaceMatches(t *testing.T) {
	const missed = "L2Advertisement a NoInterface: node n has no interface that matches spec.interfaces, eth7, bond*: " +
		"it answers for none of these addresses"
	edge := match("edge", "yes")
	named := v1alpha1.L2AdvertisementSpec{NodeSelectors: edge, Interfaces: []v1alpha1.InterfacePattern{"eth7", "bond*"}}
	link := func(name string) []layer2.Link { return []layer2.Link{{Interface: lb.Interface{Name: name}}} }
	for _, tt := range []struct {
		name string
		run  func(*vipWorld)
		want []string
	}{
		{"none does", func(w *vipWorld) {}, []string{missed}},
		{"told once, whatever else changes", func(w *vipWorld) {
			w.here = link("eth1")
			w.missInterfaces()
			w.advertisementOf("a", 1, "", named)
		}, []string{missed}},
		{"told again of another generation", func(w *vipWorld) { w.advertisementOf("a", 2, "", named) }, []string{missed, missed}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newVIPWorld(t)
			w.known["n"] = node{labels: map[string]string{"edge": "yes"}}
			w.here = link("eth0")
			w.advertisementOf("a", 1, "", named)
			tt.run(w)
			if !slices.Equal(w.events, tt.want) {
				t.Errorf("events %q, want %q", w.events, tt.want)
			}
		})
	}
	for _, tt := range []struct {
		name   string
		labels map[string]string
		here   []layer2.Link
		spec   v1alpha1.L2AdvertisementSpec
	}{
		{"one does", map[string]string{"edge": "yes"}, link("bond0"), named},
		{"no interface is named", map[string]string{"edge": "yes"}, link("eth0"), v1alpha1.L2AdvertisementSpec{NodeSelectors: edge}},
		{"the node is not selected", nil, link("eth0"), named},
		{"the interfaces are not known yet", map[string]string{"edge": "yes"}, nil, named},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newVIPWorld(t)
			w.known["n"] = node{labels: tt.labels}
			w.here = tt.here
			w.advertisementOf("a", 1, "", tt.spec)
			if len(w.events) > 0 {
				t.Errorf("events %q", w.events)
			}
		})
	}
	t.Run("the node comes to be selected", func(t *testing.T) {
		w := newVIPWorld(t)
		w.here = link("eth0")
		w.advertisementOf("a", 1, "", named)
		w.put(w.nodes.GetStore(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"edge": "yes"}}})
		w.setNode(lb.Key{Name: "n"})
		if !slices.Equal(w.events, []string{missed}) {
			t.Errorf("events %q", w.events)
		}
	})
}

func TestNoCapabilityToBind(t *testing.T) {
	const missed = "L2Advertisement a NoCapability: node n cannot have these addresses on its interfaces: its speaker is without the capability NET_ADMIN; " +
		"install with speaker.bindAddress=true (chart), or add it to the DaemonSet's securityContext; it answers for them all the same"
	bound := v1alpha1.L2AdvertisementSpec{NodeSelectors: match("edge", "yes"), BindAddress: true}
	for _, tt := range []struct {
		name   string
		lacks  bool
		labels map[string]string
		specs  []v1alpha1.L2AdvertisementSpec // one generation each
		want   []string
	}{
		{"it is lacking", true, map[string]string{"edge": "yes"}, []v1alpha1.L2AdvertisementSpec{bound}, []string{missed}},
		{"it comes to be asked for", true, map[string]string{"edge": "yes"}, []v1alpha1.L2AdvertisementSpec{{}, bound}, []string{missed}},
		{"told again of another generation", true, map[string]string{"edge": "yes"}, []v1alpha1.L2AdvertisementSpec{bound, bound}, []string{missed, missed}},
		{"it is there", false, map[string]string{"edge": "yes"}, []v1alpha1.L2AdvertisementSpec{bound}, nil},
		{"the node is not selected", true, nil, []v1alpha1.L2AdvertisementSpec{bound}, nil},
		{"addresses are not to be bound", true, map[string]string{"edge": "yes"}, []v1alpha1.L2AdvertisementSpec{{}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newVIPWorld(t)
			w.config.CannotBind = tt.lacks
			w.known["n"] = node{labels: tt.labels}
			for i, spec := range tt.specs {
				w.advertisementOf("a", int64(i+1), "", spec)
				w.advertisementOf("a", int64(i+1), "", spec) // told once
			}
			if !slices.Equal(w.events, tt.want) {
				t.Errorf("events %q, want %q", w.events, tt.want)
			}
		})
	}
}
