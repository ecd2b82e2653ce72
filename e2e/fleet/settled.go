package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Settled waits until all that must hold does, and says how long that took. The error names the first that does not when
// ctx is done.
func (f *Fleet) Settled(ctx context.Context) (took time.Duration, err error) {
	return await(ctx, func() error { return f.Holds(ctx) })
}

// Holds looks once whether all that must hold does, and names the first that does not:
//
//   - every process that should run runs, and every Node is Ready;
//   - all speakers see each other, and answer; one controller leads;
//   - no address is in two Services, but for those that share it; pools count what Services have;
//   - each address of a Service is answered for by exactly one node, or routed to exactly the expected nodes by each
//     router, and nobody has an address that no Service has;
//   - Speakers' statuses say the same as the segment and the routers.
func (f *Fleet) Holds(ctx context.Context) error {
	if err := f.Dead(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := f.together(ctx); err != nil {
		return err
	}
	s, err := f.state(ctx)
	if err != nil {
		return err
	}
	for _, check := range []func(context.Context, *state) error{
		s.nodesReady, s.addressesOnce, s.poolsCount, f.owned, f.routed,
	} {
		if err := check(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// Page gets a page of a node's speaker.
func (f *Fleet) Page(ctx context.Context, n *lab.Node, path string) (string, error) {
	return page(ctx, n.Host, lab.SpeakerHTTPPort, path)
}

func page(ctx context.Context, h *lab.Host, port int, path string) (string, error) {
	status, text, err := h.Page(ctx, port, path)
	if err == nil && status != http.StatusOK {
		err = errors.New(http.StatusText(status))
	}
	if err != nil {
		return "", fmt.Errorf("getting %s of %s: %w", path, h.Name, err)
	}
	return text, nil
}

// together checks what the processes say of themselves: all speakers are in one group, in sessions that are up, and
// answer; one controller leads.
func (f *Fleet) together(ctx context.Context) error {
	for _, n := range f.Nodes {
		text, err := f.Page(ctx, n, "/metrics")
		if err != nil {
			return err
		}
		if members := lab.Sum(text, "fairlead_gossip_members", ""); members != float64(len(f.Nodes)) {
			return fmt.Errorf("%s sees %v speakers, itself included", n.Speaker.Name, members)
		}
		if down := lab.Sum(text, "fairlead_bfd_sessions", `state="down"`); down > 0 {
			return fmt.Errorf("%s has %v sessions with other speakers that are down", n.Speaker.Name, down)
		}
		if lab.Sum(text, "fairlead_layer2_answering", "") != 1 {
			return fmt.Errorf("%s does not answer", n.Speaker.Name)
		}
		if in := lab.Sum(text, "fairlead_layer2_addresses_stood_in_for", ""); in > 0 {
			return fmt.Errorf("%s stands in for %v addresses", n.Speaker.Name, in)
		}
		if lab.Sum(text, "fairlead_api_up", "") != 1 {
			return fmt.Errorf("%s does not hear the API server", n.Speaker.Name)
		}
	}
	leaders := 0.0
	for i, p := range f.Controllers {
		text, err := page(ctx, p.Host, lab.ControllerHTTPPort+i, "/metrics")
		if err != nil {
			return err
		}
		leaders += lab.Sum(text, "fairlead_controller_leader", "")
	}
	if leaders != 1 {
		return fmt.Errorf("%v controllers lead", leaders)
	}
	return nil
}

// state is what the API server has.
type state struct {
	nodes    []corev1.Node
	services []corev1.Service
	pools    []v1alpha1.IPAddressPool
	speakers map[string]v1alpha1.SpeakerStatus

	owners map[netip.Addr][]*corev1.Service // Services with this address
}

func (f *Fleet) state(ctx context.Context) (*state, error) {
	s := &state{speakers: map[string]v1alpha1.SpeakerStatus{}, owners: map[netip.Addr][]*corev1.Service{}}
	nodes, err := f.Kubernetes.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing Nodes: %w", err)
	}
	services, err := f.Kubernetes.CoreV1().Services("").List(ctx, metav1.ListOptions{FieldSelector: "spec.type=LoadBalancer"})
	if err != nil {
		return nil, fmt.Errorf("listing Services: %w", err)
	}
	pools, err := f.Fairlead.FairleadV1alpha1().IPAddressPools().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing IPAddressPools: %w", err)
	}
	speakers, err := f.Fairlead.FairleadV1alpha1().Speakers().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing Speakers: %w", err)
	}
	s.nodes, s.services, s.pools = nodes.Items, services.Items, pools.Items
	for _, x := range speakers.Items {
		s.speakers[x.Name] = x.Status
	}
	for i := range s.services {
		for _, in := range s.services[i].Status.LoadBalancer.Ingress {
			a, err := netip.ParseAddr(in.IP)
			if err != nil {
				return nil, fmt.Errorf("the Service %s has the address %q: %w", s.services[i].Name, in.IP, err)
			}
			s.owners[a] = append(s.owners[a], &s.services[i])
		}
	}
	return s, nil
}

func (*state) nodesReady(_ context.Context, s *state) error {
	for _, n := range s.nodes {
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
				return fmt.Errorf("the Node %s is not Ready: %s", n.Name, c.Message)
			}
		}
	}
	return nil
}

// sharingAnnotation is the key by which Services agree to share an address.
const sharingAnnotation = "fairlead.dev/allow-shared-ip"

func (*state) addressesOnce(_ context.Context, s *state) error {
	for a, services := range s.owners {
		for _, other := range services[1:] {
			if key := services[0].Annotations[sharingAnnotation]; key == "" || key != other.Annotations[sharingAnnotation] {
				return fmt.Errorf("the address %s is in the Services %s and %s", a, services[0].Name, other.Name)
			}
		}
	}
	return nil
}

func (*state) poolsCount(_ context.Context, s *state) error {
	for _, p := range s.pools {
		ranges, err := poolRanges(p)
		if err != nil {
			return err
		}
		var has [2]int64
		for a := range s.owners {
			if ranges.Contains(a) {
				has[family(a)]++
			}
		}
		for i, status := range []*v1alpha1.PoolFamilyStatus{p.Status.IPv4, p.Status.IPv6} {
			if status != nil && status.Assigned != has[i] {
				return fmt.Errorf("the IPAddressPool %s says that %d addresses of %s are assigned, and Services have %d",
					p.Name, status.Assigned, []string{"IPv4", "IPv6"}[i], has[i])
			}
		}
	}
	return nil
}

func family(a netip.Addr) int {
	if a.Is6() {
		return 1
	}
	return 0
}
