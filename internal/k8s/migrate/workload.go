package migrate

import (
	"regexp"
	"slices"
	"strings"
)

// setting is what becomes of a flag, a variable of the environment, or an annotation or label of a Service.
type setting struct {
	outcome Outcome
	why, do string
}

var workloads = []string{"DaemonSet.apps", "Deployment.apps", "StatefulSet.apps", "Pod"}

func isWorkload(e *entry) bool { return slices.Contains(workloads, e.kindKey()) }

// podSpec is where a workload has its Pods' spec.
func podSpec(e *entry) path {
	if e.Kind == "Pod" {
		return path{"spec"}
	}
	return path{"spec", "template", "spec"}
}

// images are the names that the systems' images end in.
var images = map[System]*regexp.Regexp{
	MetalLB: regexp.MustCompile(`(^|/)metallb/(speaker|controller)([:@]|$)|(^|/)metallb-(speaker|controller)([:@]|$)`),
	OpenELB: regexp.MustCompile(`(^|/)(openelb|porter)(-controller|-speaker|-manager|-agent)?([:@]|$)`),
	KubeVIP: regexp.MustCompile(`(^|/)(kube-vip|kube-vip-iptables|kube-vip-cloud-provider)([:@]|$)`),
}

// runs tells whether a workload is the system's, by its images.
func (c *conversion) runs(e *entry) bool {
	pod := podSpec(e)
	for i := range e.list(pod.with("containers")) {
		if images[c.system].MatchString(e.text(pod.with("containers", i, "image"))) {
			return true
		}
	}
	return false
}

// workload accounts for what runs the system: flags, environment, and where its Pods may run. The rest of its
// template is how the system itself is installed.
func (c *conversion) workload(e *entry) {
	if !c.runs(e) {
		e.skip("it does not run "+c.system.Name(), "")
		return
	}
	pod := podSpec(e)
	c.placement(e, pod)
	for i := range e.list(pod.with("containers")) {
		p := pod.with("containers", i)
		if !images[c.system].MatchString(e.text(p.with("image"))) {
			continue // a sidecar: FRR, kube-rbac-proxy
		}
		switch c.system {
		case MetalLB:
			c.metalLBFlags(e, p)
		case OpenELB:
			c.flags(e, p, openELBFlags, "it is about OpenELB's own Pods")
		case KubeVIP:
			c.kubeVIPContainer(e, p)
		}
	}
	e.Findings = append(e.Findings, Finding{Outcome: NoCounterpart, Why: "the rest of it is how " + c.system.Name() + " itself is installed"})
	e.skipped = true
}

// placement accounts for where the Pods may run.
func (c *conversion) placement(e *entry, pod path) {
	part := "controller"
	if e.Kind == "DaemonSet" || e.Kind == "Pod" {
		part = "speaker"
	}
	note := func(p path, why, do string) {
		if v, ok := e.at(p); ok && !isEmpty(v) {
			e.changed(p, why)
			e.Findings[len(e.Findings)-1].Do = do
		}
	}
	if selector := e.dict(pod.with("nodeSelector")); len(selector) == 1 && selector["kubernetes.io/os"] == "linux" {
		e.carried(pod.with("nodeSelector"))
	} else {
		note(pod.with("nodeSelector"), part+".nodeSelector of Fairlead's chart says it", "set "+part+".nodeSelector alike")
	}
	note(pod.with("affinity"), "Fairlead's chart has nodeSelector and tolerations", "say it with "+part+".nodeSelector")
	tolerations := part + ".tolerations of Fairlead's chart says it"
	if part == "speaker" {
		note(pod.with("tolerations"), tolerations+"; Fairlead's speaker tolerates every taint", "")
	} else {
		note(pod.with("tolerations"), tolerations, "set "+part+".tolerations alike, if the controller is to run on such nodes")
	}
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return v == nil || v == ""
}

// flags accounts for the arguments and the environment of a container.
func (c *conversion) flags(e *entry, container path, known map[string]setting, rest string) map[string]string {
	values := map[string]string{}
	list := e.list(container.with("args"))
	for i, v := range list {
		text, _ := v.(string)
		if !strings.HasPrefix(text, "-") {
			e.note(container.with("args", i), Finding{Outcome: NoCounterpart, Why: rest})
			continue
		}
		name, value, _ := strings.Cut(strings.TrimLeft(text, "-"), "=")
		if value == "" && i+1 < len(list) {
			if next, _ := list[i+1].(string); !strings.HasPrefix(next, "-") {
				value = next
			}
		}
		values[name] = value
		c.setting(e, container.with("args", i), name, known, rest)
	}
	for i := range e.list(container.with("env")) {
		p := container.with("env", i)
		name := e.text(p.with("name"))
		values[name] = e.text(p.with("value"))
		c.setting(e, p, name, known, rest)
	}
	return values
}

// setting reports one by its name, since the number in a list says nothing.
func (c *conversion) setting(e *entry, p path, name string, known map[string]setting, rest string) {
	s, ok := known[name]
	if !ok {
		s = setting{Unknown, "this converter does not know it", "read what it does, and whether Fairlead has something for it"}
	}
	if s.why == "" {
		s.why = rest
	}
	e.note(p, Finding{Outcome: s.outcome, Why: name + ": " + s.why, Do: s.do})
}

// own are settings that are about the system's own working.
func own(names ...string) map[string]setting {
	m := map[string]setting{}
	for _, n := range names {
		m[n] = setting{NoCounterpart, "", ""}
	}
	return m
}

func with(m map[string]setting, more map[string]setting) map[string]setting {
	for k, v := range more {
		m[k] = v
	}
	return m
}

// metalLBFlags are those of the speaker and the controller of MetalLB 0.16.2, and of earlier versions.
var metalLBFlags = with(own("port", "host", "namespace", "node-name", "pod-name", "deployment", "config", "config-ns", "kubeconfig", "ml-secret-name",
	"ml-secret-key-path", "ml-labels", "ml-namespace", "cert-dir", "cert-service-name", "disable-cert-rotation", "webhook-mode", "webhook-secret",
	"webhook-http2", "tls-min-version", "tls-cipher-suites", "tls-curve-preferences", "metrics-cert-dir", "health-probe-port", "frrk8s-namespace",
	"pprof-bind-address", "METALLB_NODE_NAME", "METALLB_POD_NAME", "METALLB_NAMESPACE", "METALLB_HOST", "METALLB_ML_LABELS", "METALLB_ML_NAMESPACE", "METALLB_ML_SECRET_NAME",
	"METALLB_DEPLOYMENT", "FRRK8S_NAMESPACE", "METALLB_BGP_TYPE", "METALLB_BGP_DEBOUNCE_TIMEOUT", "bgp-debounce-timeout"), map[string]setting{
	"lb-class":  {Changed, "loadBalancerClass of Fairlead's chart, or --load-balancer-class", "install Fairlead with the same class as loadBalancerClass"},
	"log-level": {Changed, "logLevel of Fairlead's chart, or --log-level", ""},
	"ignore-exclude-lb": {NoCounterpart, "Fairlead always keeps addresses off nodes with the label node.kubernetes.io/exclude-from-external-load-balancers",
		"take the label off the nodes that are to have addresses"},
	"gratuitous-arp-interval":    {NoCounterpart, "Fairlead repeats its announcements at a slow pace without being told to", ""},
	"frrk8s-secret-passthrough":  {NoCounterpart, "Fairlead has no FRR", ""},
	"ml-bindaddr":                {NoCounterpart, "Fairlead's speakers gossip on the node's address; --gossip-address says another", ""},
	"ml-bindport":                {Changed, "speaker.gossipPort, which is 7956 and does not collide with MetalLB's 7946", ""},
	"ml-wan-config":              {NoCounterpart, "Fairlead finds failures by its own sessions, not by gossip; speaker.failureDetection paces them", ""},
	"METALLB_ML_BIND_ADDR":       {NoCounterpart, "Fairlead's speakers gossip on the node's address; --gossip-address says another", ""},
	"METALLB_ML_BIND_PORT":       {Changed, "speaker.gossipPort, which is 7956 and does not collide with MetalLB's 7946", ""},
	"METALLB_ML_SECRET_KEY":      {NoCounterpart, "Fairlead's controller makes a gossip key of its own", ""},
	"METALLB_ML_SECRET_KEY_PATH": {NoCounterpart, "Fairlead's controller makes a gossip key of its own", ""},
})

// usesFRR tells whether a speaker of MetalLB leaves BGP to FRR.
func usesFRR(e *entry) bool {
	pod := podSpec(e)
	for i := range e.list(pod.with("containers")) {
		env := pod.with("containers", i, "env")
		for j := range e.list(env) {
			if e.text(env.with(j, "name")) == "METALLB_BGP_TYPE" && strings.HasPrefix(e.text(env.with(j, "value")), "frr") {
				return true
			}
		}
	}
	return false
}

func (c *conversion) metalLBFlags(e *entry, container path) {
	values := c.flags(e, container, metalLBFlags, "it is about MetalLB's own Pods")
	if class := values["lb-class"]; class != "" {
		c.class = class
	}
}

var openELBFlags = own("metrics-addr", "metrics-secure", "webhook-port", "leader-elect", "enable-keepalive-vip", "enable-layer2", "enable-bgp", "enable-speaker", "api-hosts", "apiserver-hosts",
	"OPENELB_NAMESPACE", "PORTER_NAMESPACE", "NODE_NAME", "OPENELB_MANAGER_NAMESPACE", "v", "log-level", "debug", "enable-leader-election", "server-addr", "ready-addr",
	"readiness-addr", "memberlist-secret", "MEMBER_LIST_SECRET", "OPENELB_MEMBERLIST_SECRET")
