package plugin

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/duration"
)

// Explanation is what `kubectl fairlead explain service` says.
type Explanation struct {
	Service lb.Key `json:"-"`
	Name    string `json:"service"`
	// NotOurs says why Fairlead leaves the Service alone; empty if it does not, and then the rest counts.
	NotOurs string `json:"notOurs,omitempty"`
	// Ignored are annotations that look like Fairlead's and mean nothing.
	Ignored []string `json:"ignored,omitempty"`
	// Asks, Has and Condition are what the Service asks for, what its status shows, and what its condition
	// says.
	Asks      []string            `json:"asks,omitempty"`
	Has       []string            `json:"has,omitempty"`
	Condition string              `json:"condition,omitempty"`
	Families  []FamilyExplanation `json:"families,omitempty"`
	// Endpoints says which nodes have ready endpoints, where only those may answer.
	Endpoints []string `json:"endpoints,omitempty"`
	// Answers are who answers for its addresses on the local segment; empty if they are for BGP alone.
	Answers []Answer `json:"answers,omitempty"`
	// Routes are what BGP does with its addresses; empty if these are not for BGP.
	Routes []RouteRow `json:"routes,omitempty"`
	// Outcome is what follows, in sentences.
	Outcome string `json:"outcome,omitempty"`
}

// FamilyExplanation is what every pool is to a Service in one family, in the order in which the controller
// tries them.
type FamilyExplanation struct {
	Family lb.Family     `json:"-"`
	Name   string        `json:"family"`
	Pools  []PoolVerdict `json:"pools"`
}

// PoolVerdict is what a pool is to a Service.
type PoolVerdict struct {
	Pool   string `json:"pool"`
	Serves Serves `json:"serves"`
	Why    string `json:"why,omitempty"`
	reason allocator.Reason
}

// Serves tells whether a pool serves a Service.
type Serves string

// What a pool is to a Service. Unknown is what cannot be told with the user's rights.
const (
	servesHas     Serves = "has it"
	servesYes     Serves = "yes"
	servesNo      Serves = "no"
	servesUnknown Serves = "unknown"
)

// Explain says what a Service of the snapshot has, and why. It returns an error if it is not there.
func Explain(s *Snapshot, key lb.Key) (*Explanation, error) {
	i := slices.IndexFunc(s.Services, func(svc *corev1.Service) bool { return k8s.Key(svc) == key })
	if i < 0 {
		return nil, noSuch("Service", key.String())
	}
	svc := s.Services[i]
	e := &Explanation{Service: key, Name: key.String(), NotOurs: NotOurs(svc, s.Class)}
	if e.NotOurs != "" {
		return e, nil
	}
	r := newReplay(s)
	d := r.decided[key]
	e.Asks, e.Has, e.Condition = asks(svc, d), has(r, d), conditionText(s, svc)
	e.Ignored = ignored(svc)
	if len(d.problems) == 0 { // else the pools would be tried for something that it does not ask for
		e.explainFamilies(s, r, d)
	}
	r.decide(key)
	v, addresses := newAdvertising(s), k8s.IngressIPs(svc)
	if covered := v.covered(addresses); len(covered) > 0 && v.unknown() == "" {
		e.Routes = v.routesOf(covered, Selection{})
	}
	silent := e.answers(s, d, addresses)
	sentences := append([]string{outcome(d, e.Families), cmp.Or(unanswered(s, d), silent)}, v.outcome(addresses, e.Routes)...)
	e.Outcome = strings.Join(slices.DeleteFunc(sentences, func(s string) bool { return s == "" }), " ")
	return e, nil
}

// explainAlone is what can be said of a Service by one who may read neither the pools nor the others that may have what it
// wants.
func explainAlone(svc *corev1.Service, class string) *Explanation {
	key := k8s.Key(svc)
	s := &Snapshot{Services: []*corev1.Service{svc}, Class: class, Namespaces: map[string]map[string]string{}, Time: time.Now()}
	e := &Explanation{Service: key, Name: key.String(), Asks: asks(svc, newReplay(s).decided[key]), Has: texts(k8s.IngressIPs(svc)),
		Condition: conditionText(s, svc), Ignored: ignored(svc)}
	if len(e.Has) == 0 {
		e.Has = []string{"no address"}
	}
	e.Outcome = fmt.Sprintf("The condition is what the controller says; kubectl -n %s describe service %s has its events. What each pool is to the Service, and who "+
		"answers for its addresses, is for those to see who may list the IPAddressPools and all Services.", svc.Namespace, svc.Name)
	return e
}

// unanswered says of which of its addresses nobody tells the network, as the pools' conditions have it; empty if
// there are none.
func unanswered(s *Snapshot, d *decided) string {
	var addrs, pools []string
	for _, p := range s.Pools {
		if !meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionNotAdvertised) {
			continue
		}
		for _, a := range d.Assignments {
			if a.Pool == p.Name {
				addrs = append(addrs, a.Address.String())
				if !slices.Contains(pools, p.Name) {
					pools = append(pools, p.Name)
				}
			}
		}
	}
	if len(addrs) == 0 {
		return ""
	}
	return fmt.Sprintf("But nobody answers for %s: no advertisement selects %s.", enumerate(addrs), counted("pool", pools))
}

// NotOurs says why Fairlead leaves a Service alone; empty if it does not. Class is --load-balancer-class.
func NotOurs(svc *corev1.Service, class string) string {
	of := svc.Spec.LoadBalancerClass
	const left = "Fairlead leaves it alone: "
	switch {
	case k8s.Ours(svc, class):
		return ""
	case svc.Spec.Type != corev1.ServiceTypeLoadBalancer:
		return left + fmt.Sprintf("its spec.type is %s, and only Services of type LoadBalancer get addresses.", svc.Spec.Type)
	case of == nil:
		return left + fmt.Sprintf("it has no spec.loadBalancerClass, and --load-balancer-class is %s.", class)
	case class == "":
		return left + fmt.Sprintf("its spec.loadBalancerClass is %q, and without --load-balancer-class only Services with none or with %s count. "+
			"If the controller was started with that flag, give it here, too.", *of, k8s.DefaultClass)
	}
	return left + fmt.Sprintf("its spec.loadBalancerClass is %q, and --load-balancer-class is %s.", *of, class)
}

// asks says what a Service asks for.
func asks(svc *corev1.Service, d *decided) (lines []string) {
	r := d.request
	var families []string
	for _, f := range r.Families {
		families = append(families, f.String())
	}
	var what string
	switch {
	case len(families) == 0:
		what = "nothing: spec.ipFamilies is empty"
	case len(families) == 1:
		what = "an " + families[0] + " address"
	case r.Policy == lb.PreferDualStack:
		what = "addresses of " + enumerate(families) + ", or of one of them (PreferDualStack)"
	default:
		what = "addresses of " + enumerate(families) + " (RequireDualStack)"
	}
	lines = append(lines, what)
	if len(r.Addresses) > 0 {
		lines = append(lines, "exactly "+enumerate(texts(r.Addresses)))
	}
	if r.Pool != "" {
		lines = append(lines, "from pool "+r.Pool)
	}
	if r.Sharing.Key != "" {
		var ports []string
		for _, p := range r.Sharing.Ports {
			ports = append(ports, p.String())
		}
		lines = append(lines, fmt.Sprintf("to share it with others of the key %q, for %s", r.Sharing.Key, enumerate(ports)))
	}
	if svc.Spec.LoadBalancerClass != nil {
		lines = append(lines, "of class "+*svc.Spec.LoadBalancerClass)
	}
	return lines
}

// ignored names annotations under Fairlead's own prefix that it does not know: typos, which would otherwise go
// unnoticed.
func ignored(svc *corev1.Service) (lines []string) {
	known := []string{k8s.AnnotationPool, k8s.AnnotationSharing, k8s.AnnotationIPs}
	for _, name := range slices.Sorted(maps.Keys(svc.Annotations)) {
		if strings.HasPrefix(name, v1alpha1.GroupName+"/") && !slices.Contains(known, name) {
			lines = append(lines, fmt.Sprintf("annotation %s, which Fairlead does not know; it knows %s", name, enumerate(known)))
		}
	}
	return lines
}

// has says what a Service's status shows.
func has(r *replay, d *decided) (lines []string) {
	for _, addr := range d.request.Current {
		a, has := d.holding(addr)
		switch i := slices.IndexFunc(d.NotAdopted, func(n allocator.NotAdopted) bool { return n.Address == addr }); {
		case has && a.Pool == "":
			lines = append(lines, addr.String()+", which no pool holds")
		case has:
			line := fmt.Sprintf("%s from pool %s", addr, a.Pool)
			if others := r.others(addr, d.request.Service); len(others) > 0 {
				line += ", shared with " + counted("Service", others)
			}
			lines = append(lines, line)
		case i >= 0:
			lines = append(lines, fmt.Sprintf("%s, which it cannot keep: %s", addr, d.NotAdopted[i].Message))
		default:
			lines = append(lines, addr.String())
		}
	}
	if len(lines) == 0 {
		return []string{"no address"}
	}
	return lines
}

// others are the other Services that have an address, sorted.
func (r *replay) others(addr netip.Addr, but lb.Key) (names []string) {
	for key, d := range r.decided {
		if _, has := d.holding(addr); has && key != but {
			names = append(names, key.String())
		}
	}
	slices.Sort(names)
	return names
}

func conditionText(s *Snapshot, svc *corev1.Service) string {
	c := k8s.AssignedCondition(svc)
	if c == nil {
		return "none: no controller has decided on it yet"
	}
	text := fmt.Sprintf("%s, %s: %s", c.Status, c.Reason, c.Message)
	if !c.LastTransitionTime.IsZero() {
		text += fmt.Sprintf(" (for %s)", duration.HumanDuration(s.Time.Sub(c.LastTransitionTime.Time)))
	}
	return text
}

func (e *Explanation) explainFamilies(s *Snapshot, r *replay, d *decided) {
	_, known := s.Namespaces[d.request.Service.Namespace]
	selecting := selectingPools(s.Pools)
	closed := map[string]bool{} // by a quota of 0, which nobody can give back
	pools := map[string]lb.Pool{}
	for _, p := range s.Pools {
		pools[p.Name], _ = k8s.Pool(p)
		q := p.Spec.Quota
		closed[p.Name] = q != nil && q.PerNamespace != nil && *q.PerNamespace <= 0
	}
	for _, v := range r.alloc.Explain(d.request) {
		if len(e.Families) == 0 || e.Families[len(e.Families)-1].Family != v.Family {
			e.Families = append(e.Families, FamilyExplanation{Family: v.Family, Name: v.Family.String()})
		}
		row := PoolVerdict{Pool: v.Pool, Serves: servesNo, Why: v.Message, reason: v.Reason}
		switch {
		case v.Held:
			row.Serves = servesHas
		case v.Reason == "":
			row.Serves = servesYes
		case v.Reason == allocator.ReasonQuotaExceeded && closed[v.Pool]:
			row.reason = ""
		case v.Reason == allocator.ReasonNotSelected && !known && slices.Contains(selecting, v.Pool):
			row.Serves = servesUnknown
			row.Why = "selects namespaces by their labels, and those of namespace " + d.request.Service.Namespace + " could not be read"
		case v.Reason == allocator.ReasonNotSelected:
			row.Why += selects(pools[v.Pool], v.Message)
		case v.Reason == allocator.ReasonExhausted:
			row.Why += r.aside.more(v.Pool, v.Family)
		case v.Reason == allocator.ReasonNotRequested && (d.request.Pool == "" || d.request.Pool == v.Pool):
			for _, a := range d.request.Addresses {
				if lb.FamilyOf(a) == v.Family && slices.Contains(r.aside.pools[v.Pool], a) {
					row.Why = "set aside: " + r.aside.users[a]
				}
			}
		}
		family := &e.Families[len(e.Families)-1]
		family.Pools = append(family.Pools, row)
	}
}

// selects says what a Service that a pool excludes would have to be, given the words of the refusal.
func selects(p lb.Pool, refusal string) string {
	rule := servicesRule(p)
	if strings.Contains(refusal, "namespace") {
		_, rule = namespacesRule(p)
	}
	if rule == "" {
		return ""
	}
	return ": the pool is for " + rule
}

func texts(addrs []netip.Addr) []string {
	list := make([]string, len(addrs))
	for i, a := range addrs {
		list[i] = a.String()
	}
	return list
}
