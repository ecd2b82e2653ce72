package controller

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	scenarios "github.com/fairlead-lb/fairlead/internal/k8s/scenario"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write what the scenarios show into testdata")

// The scenarios are the specification of the address management. e2e runs the same files against a real API
// server.
func TestScenarios(t *testing.T) {
	for _, path := range scenarios.Files(t, "testdata") {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &simulated{world: newWorld(t)}
				w.must(w.Start())
				defer func() { w.must(w.Stop()) }()
				scenarios.Run(t, w, path, *update)
			})
		})
	}
}

// simulated is a world as scenarios see it.
type simulated struct {
	*world
	stop func()
}

func (w *simulated) Start() error {
	if w.stop != nil {
		return errors.New("it runs")
	}
	_, w.stop = w.run()
	return nil
}

func (w *simulated) Stop() error {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
	return nil
}

func (w *simulated) Wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (w *simulated) Settled(check func() bool) {
	w.settle()
	check()
}

// kinds are what scenarios make.
var kinds = map[string]struct {
	gvr schema.GroupVersionResource
	new func() object
}{
	"Service":         {servicesGVR, func() object { return &corev1.Service{} }},
	"Namespace":       {namespacesGVR, func() object { return &corev1.Namespace{} }},
	"IPAddressPool":   {poolsGVR, func() object { return &v1alpha1.IPAddressPool{} }},
	"L2Advertisement": {advertisementsGVR, func() object { return &v1alpha1.L2Advertisement{} }},

	"Node":             {nodesGVR, func() object { return &corev1.Node{} }},
	"BGPPeer":          {v1alpha1.SchemeGroupVersion.WithResource("bgppeers"), func() object { return &v1alpha1.BGPPeer{} }},
	"BGPAdvertisement": {v1alpha1.SchemeGroupVersion.WithResource("bgpadvertisements"), func() object { return &v1alpha1.BGPAdvertisement{} }},
	"BFDProfile":       {v1alpha1.SchemeGroupVersion.WithResource("bfdprofiles"), func() object { return &v1alpha1.BFDProfile{} }},
	"Community":        {v1alpha1.SchemeGroupVersion.WithResource("communities"), func() object { return &v1alpha1.Community{} }},
}

type object interface {
	metav1.Object
	runtime.Object
}

// Apply does what an API server does to what kubectl sends, as far as the controller can tell.
func (w *simulated) Apply(data []byte) error {
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var meta metav1.TypeMeta
		if err := yaml.Unmarshal(document, &meta); err != nil {
			return err
		}
		kind, ok := kinds[meta.Kind]
		if !ok {
			return fmt.Errorf("no kind %q in scenarios", meta.Kind)
		}
		o := kind.new()
		if err := yaml.UnmarshalStrict(document, o); err != nil {
			return err
		}
		if svc, ok := o.(*corev1.Service); ok {
			defaultService(svc)
		}
		tracker := w.tracker(kind.gvr.Resource)
		o.SetResourceVersion(w.next())
		before, err := tracker.Get(kind.gvr, o.GetNamespace(), o.GetName())
		if apierrors.IsNotFound(err) {
			w.age()
			o.SetUID(types.UID(w.next()))
			o.SetGeneration(1)
			o.SetCreationTimestamp(metav1.NewTime(w.created))
			err = tracker.Create(kind.gvr, o, o.GetNamespace())
		} else if err == nil {
			old := before.(object)
			o.SetUID(old.GetUID())
			o.SetGeneration(old.GetGeneration() + 1)
			o.SetCreationTimestamp(old.GetCreationTimestamp())
			if status := reflect.ValueOf(o).Elem().FieldByName("Status"); status.IsValid() {
				status.Set(reflect.ValueOf(before).Elem().FieldByName("Status"))
			}
			err = tracker.Update(kind.gvr, o, o.GetNamespace())
		}
		if err != nil {
			return err
		}
		synctest.Wait()
	}
}

func defaultService(svc *corev1.Service) {
	if svc.Namespace == "" {
		svc.Namespace = metav1.NamespaceDefault
	}
	if svc.Spec.ExternalTrafficPolicy == "" && svc.Spec.Type == corev1.ServiceTypeLoadBalancer {
		svc.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
	}
	dual := svc.Spec.IPFamilyPolicy != nil && *svc.Spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack
	if len(svc.Spec.IPFamilies) == 0 {
		svc.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	if dual && len(svc.Spec.IPFamilies) == 1 {
		other := corev1.IPv6Protocol
		if svc.Spec.IPFamilies[0] == other {
			other = corev1.IPv4Protocol
		}
		svc.Spec.IPFamilies = append(svc.Spec.IPFamilies, other)
	}
	for i := range svc.Spec.Ports {
		if svc.Spec.Ports[i].Protocol == "" {
			svc.Spec.Ports[i].Protocol = corev1.ProtocolTCP
		}
	}
}

func (w *simulated) Delete(kind string, key lb.Key) error {
	gvr := kinds[kind].gvr
	return w.tracker(gvr.Resource).Delete(gvr, key.Namespace, key.Name)
}

func (w *simulated) SetStatus(key lb.Key, ips []string) error {
	o, err := w.core.Tracker().Get(servicesGVR, key.Namespace, key.Name)
	if err != nil {
		return err
	}
	svc := o.(*corev1.Service).DeepCopy()
	showing(ips...)(svc)
	svc.ResourceVersion = w.next()
	return w.core.Tracker().Update(servicesGVR, svc, key.Namespace)
}

func (w *simulated) SetConflicts(node string, conflicts []v1alpha1.AddressConflict) error {
	return w.speaker(node, func(s *v1alpha1.SpeakerStatus) { s.Layer2 = &v1alpha1.Layer2Status{Conflicts: conflicts} })
}

func (w *simulated) SetSessions(node string, sessions []v1alpha1.BGPSessionStatus) error {
	return w.speaker(node, func(s *v1alpha1.SpeakerStatus) { s.BGPSessions = sessions })
}

func (w *simulated) Object(kind, name string) (any, error) {
	k, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("no kind %q in scenarios", kind)
	}
	return w.tracker(k.gvr.Resource).Get(k.gvr, "", name)
}

func (w *simulated) Status(key lb.Key) (corev1.ServiceStatus, error) {
	o, err := w.core.Tracker().Get(servicesGVR, key.Namespace, key.Name)
	if err != nil {
		return corev1.ServiceStatus{}, err
	}
	return o.(*corev1.Service).Status, nil
}

func (w *simulated) Snapshot() (*plugin.Snapshot, error) {
	s := &plugin.Snapshot{Namespaces: map[string]map[string]string{}, Time: time.Now()}
	for kind, k := range kinds {
		list, err := w.tracker(k.gvr.Resource).List(k.gvr, k.gvr.GroupVersion().WithKind(kind), metav1.NamespaceAll)
		if err != nil {
			return nil, err
		}
		switch list := list.(type) {
		case *corev1.ServiceList:
			for i := range list.Items {
				s.Services = append(s.Services, &list.Items[i])
			}
		case *corev1.NamespaceList:
			for _, n := range list.Items {
				s.Namespaces[n.Name] = n.Labels
			}
		case *v1alpha1.IPAddressPoolList:
			for i := range list.Items {
				s.Pools = append(s.Pools, &list.Items[i])
			}
		}
	}
	return s, nil
}

func (w *simulated) Events(kind string, key lb.Key) ([]string, error) {
	return w.events(key.Name), nil
}
