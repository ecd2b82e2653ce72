package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// System is what to come from.
type System string

// The systems.
const (
	MetalLB System = "metallb"
	OpenELB System = "openelb"
	KubeVIP System = "kube-vip"
)

// Systems are all of them.
var Systems = []System{MetalLB, OpenELB, KubeVIP}

// Name is how the system calls itself.
func (s System) Name() string {
	switch s {
	case MetalLB:
		return "MetalLB"
	case OpenELB:
		return "OpenELB"
	}
	return string(s)
}

// Namespace is where the system runs unless somebody had another idea.
func (s System) Namespace() string {
	switch s {
	case MetalLB:
		return "metallb-system"
	case OpenELB:
		return "openelb-system"
	}
	return "kube-system"
}

// Source is an object as it was read.
type Source struct {
	Object map[string]any
	// Place is where: "config.yaml, document 2". Empty for the cluster.
	Place string
}

// Outcome is what becomes of a field.
type Outcome string

// The outcomes.
const (
	// Carried means the same under Fairlead, with the same value.
	Carried Outcome = "Carried"
	// Changed means much the same in another form.
	Changed Outcome = "Changed"
	// NoCounterpart has nothing in Fairlead that would take it.
	NoCounterpart Outcome = "NoCounterpart"
	// Unknown is not a field that this converter has heard of.
	Unknown Outcome = "Unknown"
)

// Finding is what becomes of a field.
type Finding struct {
	// Field is its path in the source: "spec.addresses". Empty if it is about the whole object.
	Field   string  `json:"field,omitempty"`
	Outcome Outcome `json:"outcome"`
	// Why is empty where a field is carried over, and where that is all to say.
	Why string `json:"why,omitempty"`
	// Do is what the user has to do.
	Do string `json:"do,omitempty"`
	// Command does it, where one command can.
	Command string `json:"command,omitempty"`
}

// Entry is what becomes of an object.
type Entry struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	Place      string `json:"place,omitempty"`
	// Made are the objects that it became: "IPAddressPool edge".
	Made     []string  `json:"made,omitempty"`
	Findings []Finding `json:"findings"`
}

// Title names the object.
func (e *Entry) Title() string {
	if e.Namespace == "" {
		return e.Kind + " " + e.Name
	}
	return e.Kind + " " + e.Namespace + "/" + e.Name
}

// Summary counts.
type Summary struct {
	Sources       int `json:"sources"`
	Objects       int `json:"objects"`
	Carried       int `json:"carried"`
	Changed       int `json:"changed"`
	NoCounterpart int `json:"noCounterpart"`
	Unknown       int `json:"unknown"`
}

// Result is what a conversion makes.
type Result struct {
	System  System   `json:"system"`
	Objects []Object `json:"objects"`
	Report  []*Entry `json:"report"`
	Summary Summary  `json:"summary"`
	// Class is the spec.loadBalancerClass that the system serves, as its workloads say; empty for Services without
	// one.
	Class string `json:"loadBalancerClass,omitempty"`
	// Running are the workloads of the system that are there: "DaemonSet metallb-system/speaker".
	Running []string `json:"running,omitempty"`
	nothing bool
}

// conversion is a conversion that is under way.
type conversion struct {
	system  System
	entries []*entry
	names   *names
	objects []Object
	class   string
	running []string
	// home is the namespace of the system: of objects of one name, that of home keeps it.
	home string
	// selected are the label keys by which something selects pools.
	selected map[string]bool
	// What OpenELB's objects say only together.
	eips eips
	conf conf
	// What kube-vip's workloads say.
	modes modes
	known map[string]handler
	// frrMode is true if MetalLB's BGP is FRR's, as its workloads say.
	frrMode bool
}

// Convert converts the objects of a system. The order of the sources does not matter, but that of several with
// one name the last counts, as with kubectl apply.
func Convert(system System, sources []Source) *Result {
	c := &conversion{system: system, home: system.Namespace(), selected: map[string]bool{}}
	byKey := map[string]*entry{}
	for _, s := range sources {
		e := newEntry(s)
		// The API server has one object of a name, whatever its versions.
		group, _, _ := strings.Cut(e.APIVersion, "/")
		if e.APIVersion == "v1" {
			group = ""
		}
		key := fmt.Sprintf("%s/%s/%s/%s", group, e.Kind, e.Namespace, e.Name)
		if e.Name != "" {
			if before := byKey[key]; before != nil {
				before.skip("the same object is there again, "+cmp.Or(e.Place, "in the cluster")+", and the last counts", "")
			}
			byKey[key] = e
		}
		c.entries = append(c.entries, e)
	}
	c.findHome()
	slices.SortStableFunc(c.entries, func(x, y *entry) int {
		return cmp.Or(cmp.Compare(c.rank(x), c.rank(y)), cmp.Compare(x.Kind, y.Kind), c.compareHome(x, y), cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name))
	})
	c.names = newNames()
	c.convert()

	nothing := len(c.objects)+len(c.running) == 0 && !slices.ContainsFunc(c.entries, func(e *entry) bool {
		return e.ofSystem(system) || slices.ContainsFunc(e.Findings, func(f Finding) bool { return f.Outcome == Unknown })
	})
	r := &Result{nothing: nothing, System: system, Objects: c.objects, Report: []*Entry{}, Class: c.class, Running: c.running}
	for _, e := range c.entries {
		e.close()
		r.Report = append(r.Report, &e.Entry)
		for _, f := range e.Findings {
			r.Summary.count(f.Outcome)
		}
	}
	sortObjects(r.Objects)
	r.Summary.Sources, r.Summary.Objects = len(r.Report), len(r.Objects)
	return r
}

// findHome is where the system runs, or where all of its objects are.
func (c *conversion) findHome() {
	var of []string
	for _, e := range c.entries {
		if isWorkload(e) && c.runs(e) {
			c.running = append(c.running, e.Title())
			c.home = e.Namespace
			c.frrMode = c.frrMode || usesFRR(e)
		}
		if e.ofSystem(c.system) && e.Namespace != "" && !slices.Contains(of, e.Namespace) {
			of = append(of, e.Namespace)
		}
	}
	slices.Sort(c.running)
	if c.running == nil && len(of) == 1 {
		c.home = of[0]
	}
}

// compareHome has what is in the system's own namespace first.
func (c *conversion) compareHome(x, y *entry) int {
	switch {
	case (x.Namespace == c.home) == (y.Namespace == c.home):
		return 0
	case x.Namespace == c.home:
		return -1
	}
	return 1
}

func (s *Summary) count(o Outcome) {
	switch o {
	case Carried:
		s.Carried++
	case Changed:
		s.Changed++
	case NoCounterpart:
		s.NoCounterpart++
	case Unknown:
		s.Unknown++
	}
}

// convert has the converter of each kind look at each object.
func (c *conversion) convert() {
	handlers := c.handlers()
	for _, pass := range []bool{true, false} { // names first, since objects refer to each other
		for _, e := range c.entries {
			h, ok := handlers[e.kindKey()]
			switch {
			case e.skipped || !pass && ok && h.convert == nil:
			case pass && ok && h.name != nil:
				h.name(e)
			case !pass && ok:
				h.convert(e)
			case !pass:
				c.other(e)
			}
		}
	}
}

// handler knows a kind.
type handler struct {
	// rank orders the report.
	rank int
	// name registers the names of what the object becomes.
	name func(*entry)
	// convert makes it, and accounts for each field.
	convert func(*entry)
}

func (c *conversion) rank(e *entry) int {
	if h, ok := c.handlers()[e.kindKey()]; ok {
		return h.rank
	}
	return 99
}

func (c *conversion) handlers() map[string]handler {
	if c.known != nil {
		return c.known
	}
	var h map[string]handler
	switch c.system {
	case MetalLB:
		h = c.metalLB()
	case OpenELB:
		h = c.openELB()
	default:
		h = c.kubeVIP()
	}
	h["Service"] = handler{rank: 50, convert: c.service}
	for _, kind := range workloads {
		h[kind] = handler{rank: 40, convert: c.workload} // before the Services, whose class they say
	}
	c.known = h
	return h
}

// other accounts for an object that configures nothing.
func (c *conversion) other(e *entry) {
	switch {
	case strings.HasPrefix(e.APIVersion, "fairlead.dev/"):
		e.skip("it is Fairlead's already", "")
	case e.ofSystem(c.system):
		e.unknown("this converter does not know the kind", "read its documentation, and whether Fairlead has something for it")
	case e.Kind == "Secret":
		e.skip("Secrets are not converted and not printed", "")
	default:
		e.skip("it is no configuration of "+c.system.Name()+"'s", "")
	}
}
