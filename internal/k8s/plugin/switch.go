package plugin

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Switch is what becomes of the Services' addresses when Fairlead takes over from another load balancer.
type Switch struct {
	// Class is the spec.loadBalancerClass that Fairlead is taken to serve; empty for Services without one.
	Class    string            `json:"loadBalancerClass,omitempty"`
	Services []SwitchedService `json:"services"` // all of type LoadBalancer, those first that change
	Summary  SwitchSummary     `json:"summary"`
	// Notes are what is to be known besides.
	Notes []string `json:"notes,omitempty"`
}

// SwitchedService is what becomes of a Service's addresses.
type SwitchedService struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Change    Change   `json:"change"`
	Now       []string `json:"now,omitempty"`
	Then      []string `json:"then,omitempty"`
	Pools     []string `json:"pools,omitempty"`
	Why       string   `json:"why,omitempty"`
}

// Elsewhere is a Service that is neither of the systems'.
const Elsewhere Change = "elsewhere"

// SwitchSummary counts Services.
type SwitchSummary struct {
	Lost      int `json:"lost"`
	Moved     int `json:"moved"`
	Pending   int `json:"pending"`
	Assigned  int `json:"assigned"`
	Kept      int `json:"kept"`
	Elsewhere int `json:"elsewhere"`
}

// ExitStatus is 1 if a Service loses an address, whether it gets another or not.
func (s *Switch) ExitStatus() int {
	if s.Summary.Lost+s.Summary.Moved > 0 {
		return ExitMoves
	}
	return ExitSame
}

// LoadForSwitch reads the Services of the cluster, and Fairlead's pools if it is installed.
func LoadForSwitch(ctx context.Context, c *k8s.Cluster, made []*v1alpha1.IPAddressPool) (*Snapshot, error) {
	s := &Snapshot{Namespaces: map[string]map[string]string{}, Time: time.Now()}
	err := list(ctx, func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return c.Fairlead.FairleadV1alpha1().IPAddressPools().List(ctx, o)
	}, metav1.ListOptions{}, func(object runtime.Object) { s.Pools = append(s.Pools, object.(*v1alpha1.IPAddressPool)) })
	switch {
	case apierrors.IsNotFound(err): // not installed yet
	case apierrors.IsForbidden(err):
		s.Notes = append(s.Notes, trouble("IPAddressPools", err).Error()+": those that are there are not counted")
	case err != nil:
		return nil, trouble("IPAddressPools", err)
	}
	if s.Services, err = LoadServices(ctx, c, ""); err != nil {
		return nil, err
	}
	if err := s.LoadNamespaces(ctx, c, "", made...); err != nil {
		return nil, err
	}
	if len(s.Pools) == 0 {
		return s, nil
	}
	return s, s.LoadConflicts(ctx, c)
}

// MakeSwitch has a controller start with the pools that there are and those that were made, and every Service as it
// is, and compares the addresses. Served is the class that the other system serves.
func MakeSwitch(s *Snapshot, made []*v1alpha1.IPAddressPool, served string) (*Switch, error) {
	var apply []Manifest
	for _, p := range made {
		apply = append(apply, Manifest{Pool: p, Source: "what is converted"})
	}
	pools, err := changePools(s, apply, nil)
	if err != nil {
		return nil, err
	}
	then := *s
	then.Pools = pools
	r := newReplay(&then)
	r.settle(r.queue())

	holders := map[string]string{}
	for _, key := range r.order {
		for _, a := range r.decided[key].Assignments {
			if holders[a.Address.String()] == "" {
				holders[a.Address.String()] = key.String()
			}
		}
	}
	sw := &Switch{Class: s.Class, Services: []SwitchedService{}, Notes: slices.Clone(s.Notes)}
	for _, svc := range s.Services {
		if svc.Spec.Type != corev1.ServiceTypeLoadBalancer {
			continue
		}
		row := SwitchedService{Namespace: svc.Namespace, Name: svc.Name, Now: addressTexts(k8s.IngressIPs(svc))}
		if d := r.decided[k8s.Key(svc)]; d != nil {
			row.follow(d, holders)
		} else {
			row.leave(svc, served, s.Class)
		}
		sw.Services = append(sw.Services, row)
		sw.Summary.add(row.Change)
	}
	order := append(slices.Clone(gravity), Elsewhere)
	slices.SortFunc(sw.Services, func(x, y SwitchedService) int {
		return cmp.Or(cmp.Compare(slices.Index(order, x.Change), slices.Index(order, y.Change)),
			cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	for _, c := range r.conflicts {
		sw.Notes = append(sw.Notes, fmt.Sprintf("pool %s: %s belongs to pool %s, which is older, or first by name", c.Pool, overlapText(c), c.With))
	}
	return sw, nil
}

// follow compares what a Service has with what it is given. Holders are by address.
func (row *SwitchedService) follow(d *decided, holders map[string]string) {
	var then []netip.Addr
	for _, a := range d.Assignments {
		then = append(then, a.Address)
		if !slices.Contains(row.Pools, a.Pool) && a.Pool != "" {
			row.Pools = append(row.Pools, a.Pool)
		}
	}
	row.Then = addressTexts(then)
	lost := slices.ContainsFunc(row.Now, func(a string) bool { return !slices.Contains(row.Then, a) })
	gained := slices.ContainsFunc(row.Then, func(a string) bool { return !slices.Contains(row.Now, a) })
	orphan := slices.ContainsFunc(d.Assignments, func(a allocator.Assignment) bool { return a.Pool == "" })
	if d.pending() {
		row.Why = reasons(d.missing())
	}
	for _, a := range row.Now {
		if other := holders[a]; other != "" && !slices.Contains(row.Then, a) {
			row.Why = fmt.Sprintf("%s is %s's too; Services share an address if all have one key in %s, or in an annotation that is read for it, and no port in common",
				a, other, k8s.AnnotationSharing)
		}
	}
	switch {
	case lost && gained:
		row.Change, row.Why = Moved, cmp.Or(row.Why, "no pool that may serve it has the address that it has")
	case lost:
		row.Change = Lost
	case orphan:
		row.Change, row.Why = Lost, cmp.Or(row.Why, "no pool has the address")
		row.Then = nil
	case d.pending():
		row.Change = Pending
	case gained:
		row.Change = Assigned
	default:
		row.Change = Kept
	}
}

// leave is for a Service that Fairlead does not serve.
func (row *SwitchedService) leave(svc *corev1.Service, served, class string) {
	of := ""
	if svc.Spec.LoadBalancerClass != nil {
		of = *svc.Spec.LoadBalancerClass
	}
	row.Change = Elsewhere
	switch {
	case of != served:
		row.Why = "neither system is known to serve its class " + of
		if of == "" {
			row.Why = "it has no class, and neither system serves such"
		}
		row.Then = row.Now
	case of == "":
		row.Why = "Fairlead serves the class " + class + " alone"
	default:
		row.Why = "Fairlead does not serve the class " + of + ": install it with loadBalancerClass: " + of
	}
	if of == served && len(row.Now) > 0 {
		row.Change = Lost
	}
}

func addressTexts(addresses []netip.Addr) (list []string) {
	for _, a := range addresses {
		if !slices.Contains(list, a.String()) {
			list = append(list, a.String())
		}
	}
	slices.Sort(list)
	return list
}

func (s *SwitchSummary) add(c Change) {
	switch c {
	case Lost:
		s.Lost++
	case Moved:
		s.Moved++
	case Pending:
		s.Pending++
	case Assigned:
		s.Assigned++
	case Elsewhere:
		s.Elsewhere++
	default:
		s.Kept++
	}
}

// String is the summary line.
func (s SwitchSummary) String() string {
	total := s.Lost + s.Moved + s.Pending + s.Assigned + s.Kept + s.Elsewhere
	text := fmt.Sprintf("%s: %d kept, %d moved, %d lost, %d pending, %d newly assigned", count(total, "Service"), s.Kept, s.Moved, s.Lost, s.Pending, s.Assigned)
	if s.Elsewhere > 0 {
		text += fmt.Sprintf(", %d of neither system", s.Elsewhere)
	}
	return text + "."
}

// then is the address that it will have, in a word where that is the one that it has.
func (row SwitchedService) then() string {
	if len(row.Now) > 0 && slices.Equal(row.Now, row.Then) {
		return "the same"
	}
	return orDash(strings.Join(row.Then, ","))
}

// WriteSwitch prints every Service with the address that it has and the one that it will have.
func WriteSwitch(w io.Writer, s *Switch, f Format) error {
	t := table{header: []string{"SERVICE", "CHANGE", "NOW", "THEN", "WHY"}}
	var names []string
	for _, row := range s.Services {
		names = append(names, row.Namespace+"/"+row.Name)
		t.add(row.Namespace+"/"+row.Name, string(row.Change), orDash(strings.Join(row.Now, ",")), row.then(), row.Why)
	}
	if len(t.rows) > 0 {
		if err := t.writeBeneath(w, f.Width, "Service", names); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	for _, n := range s.Notes {
		if err := writeParagraph(w, f.Width, "note: "+n); err != nil {
			return err
		}
	}
	return writeParagraph(w, f.Width, s.Summary.String())
}
