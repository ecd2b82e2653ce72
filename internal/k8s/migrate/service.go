package migrate

import (
	"fmt"
	"slices"
	"strings"
)

const (
	readAsItIs = "Fairlead reads it as it is"
	// writesIt is in what is said of a key that the system itself writes.
	writesIt = " writes it"
	// saysNothing is said of a Service that has none of the system's keys.
	saysNothing = "it asks nothing of the system alone"
)

// serviceKeys are the annotations and labels that the systems read or write on Services.
var serviceKeys = map[System]map[string]setting{
	MetalLB: {
		"metallb.io/loadBalancerIPs":                 {Carried, readAsItIs, ""},
		"metallb.universe.tf/loadBalancerIPs":        {Carried, readAsItIs, ""},
		"metallb.io/address-pool":                    {Carried, readAsItIs, ""},
		"metallb.universe.tf/address-pool":           {Carried, readAsItIs, ""},
		"metallb.io/allow-shared-ip":                 {Carried, readAsItIs, ""},
		"metallb.universe.tf/allow-shared-ip":        {Carried, readAsItIs, ""},
		"metallb.io/ip-allocated-from-pool":          {NoCounterpart, "MetalLB writes it, and Fairlead asks nothing of it", ""},
		"metallb.universe.tf/ip-allocated-from-pool": {NoCounterpart, "MetalLB writes it, and Fairlead asks nothing of it", ""},
	},
	OpenELB: openKeys("openelb", "porter"),
	KubeVIP: {
		"kube-vip.io/loadbalancerIPs": {Carried, readAsItIs, ""},
		"kube-vip.io/ignore":          {NoCounterpart, "Fairlead serves every Service of its class", "give the Service a spec.loadBalancerClass that is not Fairlead's: make it anew"},
		"kube-vip.io/serviceInterface": {NoCounterpart, "an L2Advertisement says which interfaces its Services have, not the Service",
			"where the subnet alone does not tell, write an L2Advertisement with spec.interfaces and spec.serviceSelectors"},
		"kube-vip.io/loadbalancerHostname":     {NoCounterpart, "it is for DHCP, which Fairlead does not speak", "let the Service have an address of a pool"},
		"kube-vip.io/requestedIP":              {NoCounterpart, "kube-vip writes it", ""},
		"kube-vip.io/vipHost":                  {NoCounterpart, "kube-vip writes it; kubectl fairlead owners tells which node has an address", ""},
		"kube-vip.io/hwaddr":                   {NoCounterpart, "it is for DHCP; Fairlead answers with the node's own hardware address", ""},
		"kube-vip.io/active-endpoint":          {NoCounterpart, "kube-vip writes it for egress", ""},
		"kube-vip.io/active-endpoint-ipv6":     {NoCounterpart, "kube-vip writes it for egress", ""},
		"kube-vip.io/flush-conntrack":          egress,
		"kube-vip.io/egress":                   egress,
		"kube-vip.io/egress-internal":          egress,
		"kube-vip.io/egress-ipv6":              egress,
		"kube-vip.io/egress-destination-ports": egress,
		"kube-vip.io/egress-source-ports":      egress,
		"kube-vip.io/egress-allowed-networks":  egress,
		"kube-vip.io/egress-denied-networks":   egress,
		"kube-vip.io/ignore-service-security":  {NoCounterpart, "Fairlead filters no traffic", ""},
		"kube-vip.io/forwardUPNP":              {NoCounterpart, "Fairlead asks no gateway for ports", "forward the ports on the gateway"},
		"kube-vip.io/upnp-lease-duration":      {NoCounterpart, "Fairlead asks no gateway for ports", ""},
		"kube-vip.io/rp_filter":                {NoCounterpart, "Fairlead sets nothing of the kernel's", "set it on the nodes"},
		"kube-vip.io/leaseName":                {NoCounterpart, "owners are elected by gossip, without Leases", ""},
		"implementation":                       {NoCounterpart, "kube-vip's cloud provider writes it", ""},
		"ipam-address":                         {NoCounterpart, "kube-vip's cloud provider writes it", ""},
	},
}

var egress = setting{NoCounterpart, "Fairlead has nothing to do with traffic that leaves the cluster", "use the egress gateway of the CNI"}

// openKeys are those of OpenELB under its names.
func openKeys(names ...string) map[string]setting {
	keys := map[string]setting{
		"lb.kubesphere.io/v1alpha1": {Changed, "Fairlead serves every Service without a spec.loadBalancerClass, with it or not", ""},
	}
	for _, n := range names {
		keys["eip."+n+".kubesphere.io/v1alpha1"] = setting{Carried, readAsItIs, ""}
		keys["eip."+n+".kubesphere.io/v1alpha2"] = setting{Carried, readAsItIs, ""}
		keys["protocol."+n+".kubesphere.io/v1alpha1"] = setting{Changed, "the advertisement of the pool says how its addresses are made known", ""}
		keys["layer2."+n+".kubesphere.io/v1alpha1"] = setting{NoCounterpart, "OpenELB writes it; kubectl fairlead owners tells which node has an address", ""}
		keys["node-proxy."+n+".kubesphere.io/type"] = setting{NoCounterpart, "Fairlead does not forward by Pods on nodes' own addresses",
			"give the Service an address of a pool, or a NodePort"}
		keys["node-proxy."+n+".kubesphere.io/external-ip"] = setting{NoCounterpart, "OpenELB writes it", ""}
		keys["node-proxy."+n+".kubesphere.io/internal-ip"] = setting{NoCounterpart, "OpenELB writes it", ""}
	}
	return keys
}

// finalizers that a system puts on Services. Without the system nobody takes them off, and the Service cannot be
// deleted.
var finalizers = map[System][]string{
	OpenELB: {"finalizer.lb.kubesphere.io/v1alpha1", "node-proxy.openelb.kubesphere.io/finalizer", "node-proxy.porter.kubesphere.io/finalizer"},
	KubeVIP: {"service.kubernetes.io/load-balancer-cleanup"},
}

// poolKeys name a pool.
var poolKeys = []string{"metallb.io/address-pool", "metallb.universe.tf/address-pool", "eip.openelb.kubesphere.io/v1alpha2", "eip.porter.kubesphere.io/v1alpha2"}

// prefixes of the keys that a system has on Services.
var prefixes = map[System][]string{
	MetalLB: {"metallb.io/", "metallb.universe.tf/"},
	OpenELB: {"lb.kubesphere.io/", "openelb.kubesphere.io/", ".openelb.kubesphere.io/", ".porter.kubesphere.io/"},
	KubeVIP: {"kube-vip.io/", "kube-vip.io"},
}

func (s System) owns(key string) bool {
	domain, _, _ := strings.Cut(key, "/")
	return slices.ContainsFunc(prefixes[s], func(p string) bool {
		p = strings.TrimSuffix(p, "/")
		if sub, ok := strings.CutPrefix(p, "."); ok {
			return strings.HasSuffix(domain, "."+sub)
		}
		return domain == p
	})
}

// service accounts for what a Service says to the system. Services are not changed by moving.
func (c *conversion) service(e *entry) {
	if e.text(path{"spec", "type"}) != "LoadBalancer" {
		e.skip("it is not of type LoadBalancer", "")
		return
	}
	var findings []Finding
	note := func(p path, f Finding) {
		if _, ok := e.at(p); ok {
			f.Field = p.String()
			findings = append(findings, f)
		}
	}
	for _, field := range []string{"annotations", "labels"} {
		all := e.dict(path{"metadata", field})
		for _, key := range sortedKeys(all) {
			p := path{"metadata", field, key}
			k, known := serviceKeys[c.system][key]
			switch {
			case known && field == "annotations" && slices.Contains(poolKeys, key):
				name := e.text(p)
				if now := c.poolNamed(name); now != name {
					note(p, Finding{Outcome: Changed, Why: "pool " + name + " is " + now + " now",
						Do:      "annotate the Service once Fairlead serves it",
						Command: "kubectl annotate service " + quoted(e.Name) + " -n " + quoted(e.Namespace) + " fairlead.dev/address-pool=" + now})
					continue
				}
				note(p, Finding{Outcome: k.outcome, Why: k.why, Do: k.do})
			case field == "labels" && strings.HasPrefix(key, "eip."):
				note(p, Finding{Outcome: NoCounterpart, Why: c.system.Name() + " writes it"})
			case known:
				note(p, Finding{Outcome: k.outcome, Why: k.why, Do: k.do})
			case c.system.owns(key):
				note(p, Finding{Outcome: Unknown, Why: "this converter does not know it", Do: "read what it does, and whether Fairlead has something for it"})
			}
		}
	}
	note(path{"spec", "loadBalancerIP"}, Finding{Outcome: Carried, Why: readAsItIs})
	for i, f := range e.list(path{"metadata", "finalizers"}) {
		if slices.Contains(finalizers[c.system], fmt.Sprint(f)) {
			note(path{"metadata", "finalizers", i}, Finding{Outcome: NoCounterpart,
				Why: fmt.Sprintf("%s takes it off when the Service is deleted; without it the Service could not be deleted", c.system.Name()),
				Do:  fmt.Sprintf("when %s is gone, take %s off the Service", c.system.Name(), f),
				Command: fmt.Sprintf("kubectl patch service %s -n %s --type=json -p '[{\"op\":\"remove\",\"path\":\"/metadata/finalizers/%d\"}]'",
					quoted(e.Name), quoted(e.Namespace), i)})
		}
	}
	c.serviceClass(e, note)
	if findings == nil {
		findings = []Finding{{Outcome: Carried, Why: saysNothing}}
	}
	e.Findings, e.skipped = findings, true // the rest of a Service is Kubernetes', and stays as it is
}

// poolNamed is how the pool is called now that a Service names.
func (c *conversion) poolNamed(name string) string {
	if c.system == OpenELB { // Eips are of no namespace
		return c.names.of("IPAddressPool", "", name)
	}
	return c.names.of("IPAddressPool", c.home, name)
}

func (c *conversion) serviceClass(e *entry, note func(path, Finding)) {
	p := path{"spec", "loadBalancerClass"}
	class := e.text(p)
	switch {
	case class == "":
	case class == "fairlead.dev/fairlead":
		note(p, Finding{Outcome: Carried, Why: "it is Fairlead's"})
	case class == c.class:
		note(p, Finding{Outcome: Changed, Why: "a class cannot be edited: Fairlead has to serve " + class,
			Do: "install Fairlead with loadBalancerClass: " + class + "; it serves that class alone then"})
	case strings.Contains(class, string(c.system)):
		note(p, Finding{Outcome: Changed, Why: "nothing was read that tells whether " + c.system.Name() + " serves it",
			Do: "if it does, install Fairlead with loadBalancerClass: " + class + "; it serves that class alone then"})
	default:
		note(p, Finding{Outcome: NoCounterpart, Why: "it is another system's"})
	}
}
