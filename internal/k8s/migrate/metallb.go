package migrate

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// metalLB are the kinds of MetalLB: metallb.io/v1beta1 and v1beta2, the older AddressPool, and the ConfigMap of
// before 0.13. Their fields are those of api/v1beta1 and api/v1beta2 of MetalLB 0.16.2, and of 0.13.5 for AddressPool.
func (c *conversion) metalLB() map[string]handler {
	h := map[string]handler{
		"ConfigMap":                {5, c.nameLegacy, c.legacy},
		"Community.metallb.io":     {10, c.naming("Community"), c.community},
		"BFDProfile.metallb.io":    {11, c.naming("BFDProfile"), c.bfdProfile},
		"BGPPeer.metallb.io":       {12, c.naming("BGPPeer"), c.bgpPeer},
		"IPAddressPool.metallb.io": {13, c.naming("IPAddressPool"), c.ipAddressPool},
		"AddressPool.metallb.io":   {14, c.nameAddressPool, c.addressPool},
		"BGPAdvertisement.metallb.io": {15, func(e *entry) {
			c.selects(e)
			c.naming("BGPAdvertisement")(e)
		}, c.bgpAdvertisement},
		"L2Advertisement.metallb.io": {16, func(e *entry) {
			c.selects(e)
			c.naming("L2Advertisement")(e)
		}, c.l2Advertisement},
	}
	for _, kind := range []string{"ServiceL2Status", "ServiceBGPStatus", "ConfigurationState"} {
		h[kind+".metallb.io"] = handler{rank: 30, convert: func(e *entry) {
			e.skip("it is status that MetalLB writes; kubectl fairlead owners and routes tell the same of Fairlead", "")
		}}
	}
	for _, kind := range []string{"FRRConfiguration", "FRRNodeState", "BGPSessionState", "FRRK8sConfiguration"} {
		h[kind+".frrk8s.metallb.io"] = handler{rank: 31, convert: c.frr}
	}
	return h
}

// naming registers the name of an object that becomes one of a kind.
func (c *conversion) naming(kind string) func(*entry) {
	return func(e *entry) {
		given, why := c.names.give(kind, e.Namespace, e.Name, e.Title())
		c.named(e, kind, given, why)
	}
}

// selects takes note of the labels by which pools are selected: they have to stay, whoever wrote them.
func (c *conversion) selects(e *entry) {
	for _, s := range e.list(path{"spec", "ipAddressPoolSelectors"}) {
		m, _ := s.(map[string]any)
		labels, _ := m["matchLabels"].(map[string]any)
		for key := range labels {
			c.selected[key] = true
		}
		expressions, _ := m["matchExpressions"].([]any)
		for _, x := range expressions {
			if x, ok := x.(map[string]any); ok {
				key, _ := x["key"].(string)
				c.selected[key] = true
			}
		}
	}
}

func (c *conversion) ipAddressPool(e *entry) {
	d := e.draft("IPAddressPool", c.names.of("IPAddressPool", e.Namespace, e.Name))
	c.metadata(d)
	d.keep("autoAssign", "avoidBuggyIPs")
	if allocation := e.dict(path{"spec", "serviceAllocation"}); allocation != nil {
		out := map[string]any{}
		for _, field := range []string{"priority", "namespaces", "namespaceSelectors", "serviceSelectors"} {
			p := path{"spec", "serviceAllocation", field}
			if v, ok := e.at(p); ok {
				out[field] = v
				e.carried(p)
				if field == "namespaces" && isList(v) {
					out[field] = e.set(p)
				}
			}
		}
		if len(out) > 0 {
			d.spec["serviceAllocation"] = out
		}
	} else {
		d.keepNoList("serviceAllocation") // and no map either
	}
	d.addresses(path{"spec", "addresses"})
	c.makePool(d)
}

// addresses carries the ranges of a pool over, but for those that no pool may have.
func (d *draft) addresses(p path) {
	var kept []any
	var dropped bool
	for i, a := range d.e.set(p) {
		text, _ := a.(string)
		if err := checkRange(text); err != nil {
			dropped = true
			d.e.lacks(p.with(i), err.Error(), "")
			continue
		}
		kept = append(kept, a)
	}
	if dropped {
		d.e.seen[p.String()] = true
	} else {
		d.e.carried(p)
	}
	if len(kept) > 0 {
		d.spec["addresses"] = kept
	}
}

// checkRange tells why a pool may not have a range.
func checkRange(text string) error {
	_, err := lb.ParseRange(text)
	return err
}

func (c *conversion) makePool(d *draft) {
	if d.spec["addresses"] == nil {
		d.e.leaveOut("it has no address that a pool may have", "correct it in the source")
		return
	}
	c.make(d)
}

// set is a list without what is in it twice, which the API server would refuse.
func (e *entry) set(p path) (set []any) {
	for i, v := range e.list(p) {
		if has(set, v) {
			e.changed(p.with(i), "it is there twice")
			continue
		}
		set = append(set, v)
	}
	return set
}

// has tells whether a list has a value. What is no list of texts or numbers is left to the API server to refuse.
func has(list []any, v any) bool {
	return slices.ContainsFunc(list, func(x any) bool { return reflect.DeepEqual(x, v) })
}

// advertised carries over which pools, Services and nodes an advertisement is for.
func (c *conversion) advertised(d *draft) {
	e := d.e
	if pools := e.set(path{"spec", "ipAddressPools"}); len(pools) > 0 {
		p := path{"spec", "ipAddressPools"}
		d.spec["ipAddressPools"] = c.references(e, p, pools, "IPAddressPool")
	} else {
		e.carried(path{"spec", "ipAddressPools"})
	}
	d.keep("ipAddressPoolSelectors", "serviceSelectors")
	d.keepNoList("ipAddressPools", "interfaces", "peers", "communities")
	d.nodeSelectors(path{"spec", "nodeSelectors"})
}

// references are the names of other objects as they are called now.
func (c *conversion) references(e *entry, p path, list []any, kind string) (names []any) {
	changed := ""
	for _, v := range list {
		name, _ := v.(string)
		now := c.names.of(kind, e.Namespace, name)
		if now != name {
			changed += fmt.Sprintf("%s is %s now; ", name, now)
		}
		names = append(names, now)
	}
	if changed != "" {
		e.changed(p, changed[:len(changed)-2])
	} else {
		e.carried(p)
	}
	return names
}

func (c *conversion) l2Advertisement(e *entry) {
	d := e.draft("L2Advertisement", c.names.of("L2Advertisement", e.Namespace, e.Name))
	c.metadata(d)
	c.advertised(d)
	d.keep("preferredNodeSelectors")
	if interfaces := e.set(path{"spec", "interfaces"}); len(interfaces) > 0 {
		d.spec["interfaces"] = interfaces
		e.carried(path{"spec", "interfaces"})
	} else {
		e.carried(path{"spec", "interfaces"})
		e.everyInterface()
	}
	c.make(d)
}

// everyInterface warns of pools that are in no subnet of the nodes, which MetalLB answers for all the same.
func (e *entry) everyInterface() {
	e.Findings = append(e.Findings, Finding{Outcome: Changed, Why: "without spec.interfaces MetalLB answers on every interface of a node, and Fairlead on " +
		"those that have an address in the subnet of the Service's", Do: "where the nodes have no address in a pool's subnet, name spec.interfaces"})
}

func (c *conversion) bgpAdvertisement(e *entry) {
	d := e.draft("BGPAdvertisement", c.names.of("BGPAdvertisement", e.Namespace, e.Name))
	c.metadata(d)
	c.advertised(d)
	d.keep("aggregationLength", "aggregationLengthV6")
	if v := e.text(path{"spec", "localPref"}); v == "0" {
		e.changed(path{"spec", "localPref"}, "0 means none in MetalLB, and Fairlead sends 100 then")
	} else {
		d.keep("localPref")
	}
	if communities := c.communities(e, path{"spec", "communities"}); len(communities) > 0 {
		d.spec["communities"] = communities
	}
	e.lacks(path{"spec", "asPathPrepend"}, "Fairlead prepends nothing to the AS path",
		"have the router prepend for a community, or prefer a path by spec.localPref")
	if peers := e.set(path{"spec", "peers"}); len(peers) > 0 {
		d.spec["peers"] = c.references(e, path{"spec", "peers"}, peers, "BGPPeer")
	} else {
		e.carried(path{"spec", "peers"})
	}
	c.make(d)
}

// frr accounts for what users have frr-k8s do beside MetalLB.
func (c *conversion) frr(e *entry) {
	owned := false
	for _, v := range e.list(path{"metadata", "ownerReferences"}) {
		owned = owned || v != nil
	}
	labels := e.dict(path{"metadata", "labels"})
	if e.Kind != "FRRConfiguration" {
		e.skip("it is status that frr-k8s writes", "")
	} else if owned || labels["app.kubernetes.io/managed-by"] == "metallb" || labels["app"] == "metallb" {
		e.skip("it is what MetalLB tells FRR, made from its own objects", "")
	} else {
		e.skip("Fairlead has no FRR: it holds its own BGP sessions and takes no routes from peers",
			"where nodes need routes from FRR keep frr-k8s for that, without the sessions that Fairlead takes over")
	}
}
