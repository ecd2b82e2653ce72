package migrate

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go4.org/netipx"
)

// kubeVIP are the ConfigMap of kube-vip's cloud provider (its fields: 0.0.12), which has the addresses, and what runs
// kube-vip itself, whose environment says how they are made known.
func (c *conversion) kubeVIP() map[string]handler {
	return map[string]handler{"ConfigMap": {45, nil, c.kubeVIPConfig}} // after the workloads, which say how to advertise
}

// modes are how kube-vip's workloads make addresses known.
type modes struct {
	seen       bool // a workload was there
	layer2     bool
	bgp        bool
	interfaces []any // of Services
}

const global = "global"

// kubeVIPConfig makes a pool of what each namespace has.
func (c *conversion) kubeVIPConfig(e *entry) {
	data := e.dict(path{"data"})
	if !slices.ContainsFunc(sortedKeys(data), func(key string) bool {
		return strings.HasPrefix(key, "cidr-") || strings.HasPrefix(key, "range-")
	}) {
		e.skip("it is no configuration of kube-vip's", "")
		return
	}
	e.carried(path{"metadata", "name"})
	e.note(path{"metadata", "labels"}, Finding{Outcome: NoCounterpart, Why: "one object becomes several, without its labels"})
	e.note(path{"metadata", "annotations"}, Finding{Outcome: NoCounterpart, Why: "one object becomes several, without its annotations"})
	e.bookkeeping()

	pools := c.kubeVIPPools(e)
	interfaces := map[string]string{}
	for _, key := range sortedKeys(data) {
		p := path{"data", key}
		kind, namespace, _ := strings.Cut(key, "-")
		switch {
		case kind == "cidr" || kind == "range": // below
		case kind == "interface":
			interfaces[namespace] = e.text(p)
		case key == "search-order":
			e.lacks(p, "Fairlead gives the lowest free address; those that Services have stay", "")
		case key == "skip-end-ips-in-cidr":
			e.changed(p, "spec.excludeAddresses of the pools has the first and the last of each CIDR")
		case strings.HasPrefix(key, "allow-share-"):
			namespace = strings.TrimPrefix(key, "allow-share-")
			if e.text(p) != "true" {
				e.carried(p)
				break
			}
			e.note(p, Finding{Outcome: NoCounterpart, Why: "Services share an address only if they say so themselves, by one key",
				Do:      "annotate Services of " + ofNamespace(namespace) + " that share an address before Fairlead serves them; --check names them",
				Command: "kubectl annotate service SERVICE -n " + quoted(cmp.Or(strings.Replace(namespace, global, "NAMESPACE", 1), "NAMESPACE")) + " fairlead.dev/allow-shared-ip=KEY"})
		}
	}
	c.makeKubeVIPPools(e, pools, interfaces)
	for _, namespace := range sortedKeys(interfaces) {
		p := path{"data", "interface-" + namespace}
		if !e.seen[p.String()] {
			e.lacks(p, "there is no pool for "+ofNamespace(namespace)+" to advertise on it", "")
		}
	}
}

func ofNamespace(namespace string) string {
	if namespace == global {
		return "all namespaces"
	}
	return "namespace " + namespace
}

// vipPool is what one key of the ConfigMap has.
type vipPool struct {
	field      path
	namespaces []string // one, and more where several have the same
	addresses  []any
	excluded   []any
	set        *netipx.IPSet
}

// kubeVIPPools reads the pools. CIDRs go first in kube-vip: where there is one, no range is looked at.
func (c *conversion) kubeVIPPools(e *entry) (pools []*vipPool) {
	data := e.dict(path{"data"})
	for _, key := range sortedKeys(data) {
		kind, namespace, _ := strings.Cut(key, "-")
		p := path{"data", key}
		if kind != "cidr" && kind != "range" {
			continue
		}
		if kind == "range" {
			for _, by := range []string{"cidr-" + namespace, "cidr-" + global} {
				if data[by] != nil && !e.seen[p.String()] {
					e.lacks(p, "kube-vip does not look at it, since there is "+by, "")
				}
			}
			if e.seen[p.String()] {
				continue
			}
		}
		pool := &vipPool{field: p, namespaces: []string{namespace}}
		var b netipx.IPSetBuilder
		var refused []string
		for text := range strings.SplitSeq(e.text(p), ",") {
			text = strings.TrimSpace(text)
			if err := checkRange(text); err != nil {
				if strings.HasPrefix(text, "0.0.0.0") {
					err = fmt.Errorf("%s means DHCP, which Fairlead does not speak", text)
				}
				refused = append(refused, err.Error())
				continue
			}
			if !slices.Contains(pool.addresses, any(text)) {
				pool.addresses = append(pool.addresses, text)
			}
			b.AddRange(rangeOf(text))
			if prefix, err := netip.ParsePrefix(text); err == nil && e.text(path{"data", "skip-end-ips-in-cidr"}) == "true" {
				r := netipx.RangeOfPrefix(prefix)
				for _, a := range []netip.Addr{r.From(), r.To()} {
					if !slices.Contains(pool.excluded, any(a.String())) {
						pool.excluded = append(pool.excluded, a.String())
					}
				}
			}
		}
		pool.set, _ = b.IPSet()
		if len(refused) > 0 {
			e.lacks(p, strings.Join(refused, "; "), "")
		}
		if len(pool.addresses) > 0 {
			pools = append(pools, pool)
		}
	}
	return pools
}

// makeKubeVIPPools makes the pools and their advertisements. kube-vip lets namespaces have the same addresses; of
// Fairlead's pools one alone has an address.
func (c *conversion) makeKubeVIPPools(e *entry, pools []*vipPool, interfaces map[string]string) {
	var made []*vipPool
	for _, pool := range pools {
		i := slices.IndexFunc(made, func(x *vipPool) bool {
			return x.set.Equal(pool.set) && x.namespaces[0] != global && pool.namespaces[0] != global && slices.Equal(x.excluded, pool.excluded)
		})
		if i >= 0 {
			made[i].namespaces = append(made[i].namespaces, pool.namespaces...)
			e.changed(pool.field, fmt.Sprintf("%s has the same: one pool is for both", made[i].field))
			continue
		}
		made = append(made, pool)
	}
	for i, pool := range made {
		name, _ := c.names.give("IPAddressPool", "", pool.namespaces[0], e.Title())
		d := e.draft("IPAddressPool", name)
		d.spec["addresses"] = pool.addresses
		if len(pool.excluded) > 0 {
			d.spec["excludeAddresses"] = pool.excluded
		}
		f := Finding{Outcome: Changed, Why: "IPAddressPool " + name}
		if pool.namespaces[0] != global {
			var namespaces []any
			for _, n := range pool.namespaces {
				namespaces = append(namespaces, n)
			}
			d.spec["serviceAllocation"] = map[string]any{"namespaces": namespaces}
			if slices.ContainsFunc(made, func(x *vipPool) bool { return x.namespaces[0] == global }) {
				f.Why += "; when it is exhausted its namespaces get addresses of the pool for all, which kube-vip would not give them"
			}
		}
		for _, before := range made[:i] {
			if before.set.Overlaps(pool.set) {
				f = Finding{Outcome: Changed, Why: fmt.Sprintf("%s; it has addresses in common with %s, which are of the older pool alone", f.Why, before.field),
					Do: "take them out of one of the two pools before you apply them"}
			}
		}
		e.note(pool.field, f)
		c.make(d)
		c.advertiseKubeVIP(e, pool, name, interfaces)
	}
}

func rangeOf(text string) netipx.IPRange {
	if p, err := netip.ParsePrefix(text); err == nil {
		return netipx.RangeOfPrefix(p)
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return netipx.IPRangeFrom(a, a)
	}
	r, _ := netipx.ParseIPRange(strings.ReplaceAll(text, " ", ""))
	return r
}

// advertiseKubeVIP makes the addresses of a pool known as kube-vip does.
func (c *conversion) advertiseKubeVIP(e *entry, pool *vipPool, name string, interfaces map[string]string) {
	if c.modes.bgp {
		given, _ := c.names.give("BGPAdvertisement", "", name, e.Title())
		d := e.draft("BGPAdvertisement", given)
		d.spec["ipAddressPools"] = []any{name}
		c.make(d)
	}
	if !c.modes.layer2 && c.modes.seen {
		return
	}
	given, _ := c.names.give("L2Advertisement", "", name, e.Title())
	d := e.draft("L2Advertisement", given)
	d.spec["ipAddressPools"] = []any{name}
	nic := cmp.Or(interfaces[pool.namespaces[0]], interfaces[global])
	for _, n := range append(pool.namespaces, global) {
		e.note(path{"data", "interface-" + n}, Finding{Outcome: Carried, Why: "as spec.interfaces of the L2Advertisement"})
	}
	switch {
	case nic != "":
		d.spec["interfaces"] = []any{nic}
	case len(c.modes.interfaces) > 0:
		d.spec["interfaces"] = c.modes.interfaces
	}
	c.make(d)
	if !c.modes.seen {
		e.Findings = append(e.Findings, Finding{Outcome: Changed, Why: "L2Advertisement " + given + ": whether kube-vip uses ARP or BGP is in its DaemonSet, which is not among what was read",
			Do: "if it is BGP, give the DaemonSet too"})
	}
}
