// Package scenario runs the scripts that specify the address management against a real API server and the
// controller's binary, with the rights that its manifests grant.
package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	scripts "github.com/fairlead-lb/fairlead/internal/k8s/scenario"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestMain(m *testing.M) { lab.Main(m) }

func TestScenarios(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	controller := filepath.Join(root, "build", "controller")
	if _, err := os.Stat(controller); err != nil {
		t.Fatalf("%v: run `make build` first", err)
	}
	l, err := lab.Start(ctx, lab.Config{Nodes: lab.None, ControllerBinary: controller})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Stop()
	fairlead, err := versioned.NewForConfig(l.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{ctx: ctx, lab: l, api: &k8s.Cluster{Core: l.Kubernetes, Fairlead: fairlead}}
	if err := l.Apply(ctx, []byte("apiVersion: fairlead.dev/v1alpha1\nkind: L2Advertisement\nmetadata: {name: all}\n")); err != nil {
		t.Fatal(err)
	}
	for _, path := range scripts.Files(t, filepath.Join(root, "internal/k8s/controller/testdata")) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Log(l.Controllers[0].Tail(20))
				}
				if err := c.empty(); err != nil {
					t.Fatal(err)
				}
			}()
			scripts.Run(t, c, path, false)
		})
	}
}

// cluster is a lab as scenarios see it.
type cluster struct {
	ctx context.Context
	lab *lab.Lab
	api *k8s.Cluster
}

func (c *cluster) eventually(what string, check func() (bool, error)) error {
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		ok, err := check()
		if ok && err == nil {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("%s did not come about (%v)", what, err)
		}
	}
}

// Apply returns once the controller knows the pools: its watches keep no order between kinds, and a script
// means one.
func (c *cluster) Apply(yaml []byte) error {
	for document := range strings.SplitSeq(string(yaml), "---\n") {
		if err := c.lab.Apply(c.ctx, []byte(document)); err != nil {
			return err
		}
		if !c.lab.Controllers[0].Running() {
			continue
		}
		if strings.Contains(document, "kind: Service") {
			time.Sleep(50 * time.Millisecond) // the order in which they begin to wait is the order in which they are made
		}
	}
	if !c.lab.Controllers[0].Running() {
		return nil
	}
	return c.eventually("a status of each pool", func() (bool, error) {
		pools, err := plugin.LoadPools(c.ctx, c.api)
		return !slices.ContainsFunc(pools, func(p *v1alpha1.IPAddressPool) bool {
			ready := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
			return ready == nil || ready.ObservedGeneration < p.Generation
		}), err
	})
}

func (c *cluster) Delete(kind string, key lb.Key) error {
	api, options := c.api.Fairlead.FairleadV1alpha1(), metav1.DeleteOptions{}
	switch kind {
	case "Service":
		return c.api.Core.CoreV1().Services(key.Namespace).Delete(c.ctx, key.Name, options)
	case "IPAddressPool":
		return api.IPAddressPools().Delete(c.ctx, key.Name, options)
	case "BGPPeer":
		return api.BGPPeers().Delete(c.ctx, key.Name, options)
	case "BFDProfile":
		return api.BFDProfiles().Delete(c.ctx, key.Name, options)
	case "Community":
		return api.Communities().Delete(c.ctx, key.Name, options)
	}
	return fmt.Errorf("no scenario deletes a %s", kind)
}

func (c *cluster) Object(kind, name string) (any, error) {
	api, options := c.api.Fairlead.FairleadV1alpha1(), metav1.GetOptions{}
	switch kind {
	case "L2Advertisement":
		return api.L2Advertisements().Get(c.ctx, name, options)
	case "BGPAdvertisement":
		return api.BGPAdvertisements().Get(c.ctx, name, options)
	case "BGPPeer":
		return api.BGPPeers().Get(c.ctx, name, options)
	case "BFDProfile":
		return api.BFDProfiles().Get(c.ctx, name, options)
	case "Community":
		return api.Communities().Get(c.ctx, name, options)
	}
	return nil, fmt.Errorf("no scenario looks at a %s", kind)
}

func (c *cluster) SetStatus(service lb.Key, ips []string) error {
	var status corev1.ServiceStatus
	status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{}
	for _, ip := range ips {
		status.LoadBalancer.Ingress = append(status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: ip})
	}
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"loadBalancer": map[string]any{"ingress": status.LoadBalancer.Ingress}}})
	if err != nil {
		return err
	}
	_, err = c.api.Core.CoreV1().Services(service.Namespace).Patch(c.ctx, service.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

func (c *cluster) SetConflicts(node string, conflicts []v1alpha1.AddressConflict) error {
	return c.speaker(node, func(s *v1alpha1.SpeakerStatus) { s.Layer2 = &v1alpha1.Layer2Status{Conflicts: conflicts} })
}

func (c *cluster) SetSessions(node string, sessions []v1alpha1.BGPSessionStatus) error {
	return c.speaker(node, func(s *v1alpha1.SpeakerStatus) { s.BGPSessions = sessions })
}

// speaker edits the status of a node's Speaker, as the speaker does.
func (c *cluster) speaker(node string, edit func(*v1alpha1.SpeakerStatus)) error {
	speakers := c.api.Fairlead.FairleadV1alpha1().Speakers()
	s, err := speakers.Get(c.ctx, node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		s, err = speakers.Create(c.ctx, &v1alpha1.Speaker{ObjectMeta: metav1.ObjectMeta{Name: node}}, metav1.CreateOptions{})
	}
	if err != nil {
		return err
	}
	edit(&s.Status)
	_, err = speakers.UpdateStatus(c.ctx, s, metav1.UpdateOptions{})
	return err
}

func (c *cluster) Status(service lb.Key) (corev1.ServiceStatus, error) {
	s, err := c.api.Core.CoreV1().Services(service.Namespace).Get(c.ctx, service.Name, metav1.GetOptions{})
	if err != nil {
		return corev1.ServiceStatus{}, err
	}
	return s.Status, nil
}

func (c *cluster) Stop() error { return c.lab.Controllers[0].Kill() }

func (c *cluster) Start() error { return c.lab.Controllers[0].Start() }

func (c *cluster) Wait(d time.Duration) { time.Sleep(d) }

// Settled gives what should not change a moment to do so, and what should change ten seconds.
func (c *cluster) Settled(check func() bool) {
	time.Sleep(300 * time.Millisecond)
	_ = c.eventually("", func() (bool, error) { return check(), nil })
}

func (c *cluster) Snapshot() (*plugin.Snapshot, error) {
	s, err := plugin.Load(c.ctx, c.api, "", "")
	if err != nil {
		return nil, err
	}
	return s, s.LoadNamespaces(c.ctx, c.api, "")
}

func (c *cluster) Events(kind string, key lb.Key) (told []string, err error) {
	list, err := c.api.Core.CoreV1().Events(metav1.NamespaceAll).List(c.ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list.Items, func(x, y corev1.Event) int { return strings.Compare(x.Name, y.Name) })
	for _, e := range list.Items {
		o := e.InvolvedObject
		if o.Kind == kind && o.Name == key.Name && o.Namespace == key.Namespace && e.ReportingController == "fairlead-controller" {
			told = append(told, e.Type+" "+e.Reason+": "+e.Message)
		}
	}
	return told, nil
}

// empty leaves nothing of a scenario to the next.
func (c *cluster) empty() error {
	if !c.lab.Controllers[0].Running() {
		if err := c.Start(); err != nil {
			return err
		}
	}
	services, err := plugin.LoadServices(c.ctx, c.api, "")
	if err != nil {
		return err
	}
	others, err := c.api.Core.CoreV1().Services("default").List(c.ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range others.Items {
		if s := &others.Items[i]; s.Name != "kubernetes" && s.Spec.Type != corev1.ServiceTypeLoadBalancer {
			services = append(services, s)
		}
	}
	for _, s := range services {
		if err := c.Delete("Service", k8s.Key(s)); err != nil {
			return err
		}
	}
	if err := c.api.Fairlead.FairleadV1alpha1().Speakers().DeleteCollection(c.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return err
	}
	api, options, all := c.api.Fairlead.FairleadV1alpha1(), metav1.DeleteOptions{}, metav1.ListOptions{}
	if err := errors.Join(
		api.IPAddressPools().DeleteCollection(c.ctx, options, all),
		api.BGPPeers().DeleteCollection(c.ctx, options, all),
		api.BGPAdvertisements().DeleteCollection(c.ctx, options, all),
		api.BFDProfiles().DeleteCollection(c.ctx, options, all),
		api.Communities().DeleteCollection(c.ctx, options, all),
		// that of the test itself selects every pool
		api.L2Advertisements().DeleteCollection(c.ctx, options, metav1.ListOptions{FieldSelector: "metadata.name!=all"}),
		c.api.Core.CoreV1().Nodes().DeleteCollection(c.ctx, options, all),
	); err != nil {
		return err
	}
	events := c.api.Core.CoreV1().Events("default")
	if err := events.DeleteCollection(c.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return err
	}
	return c.eventually("a controller that has forgotten the scenario", func() (bool, error) {
		page, err := metrics(c.ctx, c.lab)
		return !bytes.Contains(page, []byte("fairlead_controller_pool_addresses{")) &&
			bytes.Contains(page, []byte("fairlead_controller_leader 1")) &&
			!bytes.Contains(page, []byte(`fairlead_controller_services{state="assigned"} 1`)), err
	})
}

// metrics reads the controller's own page.
func metrics(ctx context.Context, l *lab.Lab) ([]byte, error) {
	client := http.Client{Transport: l.CP.HTTPTransport(), Timeout: time.Second}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", lab.ControllerHTTPPort), nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}
