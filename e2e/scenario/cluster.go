// Package scenario runs the scripts that specify the address management against a real API server and the
// controller's binary, with the rights that its manifests grant: here in the lab, and for e2e/kind as it is deployed.
package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Product is a cluster with Fairlead's controller.
type Product interface {
	Apply(ctx context.Context, yaml []byte) error
	// Stop and Start are of the controller.
	Stop() error
	Start() error
	Running() bool
	// Metrics reads the page of the controller that leads.
	Metrics(ctx context.Context) ([]byte, error)
}

// Cluster is where scripts run: a real API server.
type Cluster struct {
	ctx     context.Context
	product Product
	api     *k8s.Cluster
	nodes   map[string]bool // that were there before
}

// New prepares a cluster without Services and pools, and with an advertisement of every pool.
func New(ctx context.Context, product Product, api *k8s.Cluster) (*Cluster, error) {
	c := &Cluster{ctx: ctx, product: product, api: api, nodes: map[string]bool{}}
	nodes, err := api.Core.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, n := range nodes.Items {
		c.nodes[n.Name] = true
	}
	return c, product.Apply(ctx, []byte("apiVersion: fairlead.dev/v1alpha1\nkind: L2Advertisement\nmetadata: {name: all}\n"))
}

func (c *Cluster) eventually(what string, check func() (bool, error)) error {
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
func (c *Cluster) Apply(yaml []byte) error {
	for document := range strings.SplitSeq(string(yaml), "---\n") {
		if err := c.product.Apply(c.ctx, []byte(document)); err != nil {
			return err
		}
		if !c.product.Running() {
			continue
		}
		if strings.Contains(document, "kind: Service") {
			time.Sleep(50 * time.Millisecond) // the order in which they begin to wait is the order in which they are made
		}
	}
	if !c.product.Running() {
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

func (c *Cluster) Delete(kind string, key lb.Key) error {
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

func (c *Cluster) Object(kind, name string) (any, error) {
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

func (c *Cluster) SetStatus(service lb.Key, ips []string) error {
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

func (c *Cluster) SetConflicts(node string, conflicts []v1alpha1.AddressConflict) error {
	return c.speaker(node, func(s *v1alpha1.SpeakerStatus) { s.Layer2 = &v1alpha1.Layer2Status{Conflicts: conflicts} })
}

func (c *Cluster) SetSessions(node string, sessions []v1alpha1.BGPSessionStatus) error {
	return c.speaker(node, func(s *v1alpha1.SpeakerStatus) { s.BGPSessions = sessions })
}

// speaker edits the status of a node's Speaker, as the speaker does.
func (c *Cluster) speaker(node string, edit func(*v1alpha1.SpeakerStatus)) error {
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

func (c *Cluster) Status(service lb.Key) (corev1.ServiceStatus, error) {
	s, err := c.api.Core.CoreV1().Services(service.Namespace).Get(c.ctx, service.Name, metav1.GetOptions{})
	if err != nil {
		return corev1.ServiceStatus{}, err
	}
	return s.Status, nil
}

func (c *Cluster) Stop() error { return c.product.Stop() }

func (c *Cluster) Start() error { return c.product.Start() }

func (c *Cluster) Wait(d time.Duration) { time.Sleep(d) }

// Settled gives what should not change a moment to do so, and what should change ten seconds.
func (c *Cluster) Settled(check func() bool) {
	time.Sleep(300 * time.Millisecond)
	_ = c.eventually("", func() (bool, error) { return check(), nil })
}

func (c *Cluster) Snapshot() (*plugin.Snapshot, error) {
	s, err := plugin.Load(c.ctx, c.api, "", "")
	if err != nil {
		return nil, err
	}
	return s, s.LoadNamespaces(c.ctx, c.api, "")
}

func (c *Cluster) Events(kind string, key lb.Key) (told []string, err error) {
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

// Empty leaves nothing of a scenario to the next.
func (c *Cluster) Empty() error {
	if !c.product.Running() {
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
	); err != nil {
		return err
	}
	nodes, err := c.api.Core.CoreV1().Nodes().List(c.ctx, all)
	if err != nil {
		return err
	}
	for _, n := range nodes.Items {
		if c.nodes[n.Name] {
			continue
		}
		if err := c.api.Core.CoreV1().Nodes().Delete(c.ctx, n.Name, options); err != nil {
			return err
		}
	}
	events := c.api.Core.CoreV1().Events("default")
	if err := events.DeleteCollection(c.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		return err
	}
	return c.eventually("a controller that has forgotten the scenario", func() (bool, error) {
		page, err := c.product.Metrics(c.ctx)
		return !bytes.Contains(page, []byte("fairlead_controller_pool_addresses{")) &&
			bytes.Contains(page, []byte("fairlead_controller_leader 1")) &&
			!bytes.Contains(page, []byte(`fairlead_controller_services{state="assigned"} 1`)), err
	})
}
