package migrate

import (
	"fmt"
	"strconv"
	"strings"
)

// openELB are the kinds of OpenELB, and of Porter, as it was called before: network.kubesphere.io/v1alpha2 and
// v1alpha1. Their fields are those of the definitions in OpenELB's chart, of 0.6.
func (c *conversion) openELB() map[string]handler {
	return map[string]handler{
		"BgpConf.network.kubesphere.io": {10, c.nameConf, c.bgpConf},
		"BgpPeer.network.kubesphere.io": {11, nil, c.openPeer},
		"Eip.network.kubesphere.io":     {12, c.nameEip, c.eip},
	}
}

const (
	defaultEip = "eip.openelb.kubesphere.io/is-default-eip"
	byCNI      = "openelb.kubesphere.io/cni"
	rackLabel  = "openelb.kubesphere.io/rack"
)

// eips is what the choice among Eips depends on that only all of them show.
type eips struct {
	chosen bool // one is the default, or some are for certain namespaces
	// ranked is true if one has a priority, and first the lowest there is.
	ranked bool
	first  int
}

func isDefault(e *entry) bool { return e.text(path{"metadata", "annotations", defaultEip}) == "true" }

func isBound(e *entry) bool {
	return len(e.list(path{"spec", "namespaces"})) > 0 || len(e.dict(path{"spec", "namespaceSelector"})) > 0
}

func (c *conversion) nameEip(e *entry) {
	c.naming("IPAddressPool")(e)
	if isDefault(e) || isBound(e) {
		c.eips.chosen = true
	}
	if isBound(e) {
		if _, ok := e.at(path{"spec", "priority"}); ok {
			c.eips.ranked = true
		}
		p, _ := strconv.Atoi(e.text(path{"spec", "priority"}))
		c.eips.first = min(c.eips.first, p)
	}
}

func (c *conversion) eip(e *entry) {
	d := e.draft("IPAddressPool", c.names.of("IPAddressPool", "", e.Name))
	name := d.meta["name"].(string)
	c.eipChoice(d)
	c.metadata(d)
	if v, _ := e.at(path{"spec", "disable"}); v == true {
		d.spec["disabled"] = true
	}
	e.note(path{"spec", "disable"}, Finding{Outcome: Carried, Why: "as spec.disabled"})
	if v, _ := e.at(path{"spec", "usingKnownIPs"}); v == true {
		e.lacks(path{"spec", "usingKnownIPs"}, "OpenELB itself does nothing by it", "")
	} else {
		e.carried(path{"spec", "usingKnownIPs"})
	}
	d.address(path{"spec", "address"})
	c.makePool(d)
	if d.spec["addresses"] != nil {
		c.eipProtocol(e, name)
	}
}

// address carries the one range of an Eip over.
func (d *draft) address(p path) {
	text := strings.TrimSpace(d.e.text(p))
	if err := checkRange(text); err != nil {
		d.e.lacks(p, err.Error(), "")
		return
	}
	d.spec["addresses"] = []any{text}
	d.e.note(p, Finding{Outcome: Carried, Why: "as spec.addresses"})
}

// eipChoice says which Services get an address from the pool without asking for it.
func (c *conversion) eipChoice(d *draft) {
	e := d.e
	priority := path{"spec", "priority"}
	if isBound(e) {
		allocation := map[string]any{}
		if namespaces := e.set(path{"spec", "namespaces"}); len(namespaces) > 0 {
			allocation["namespaces"] = namespaces
			e.changed(path{"spec", "namespaces"}, "as spec.serviceAllocation, which also binds Services that ask for the pool")
		}
		if labels := e.dict(path{"spec", "namespaceSelector"}); len(labels) > 0 {
			allocation["namespaceSelectors"] = []any{map[string]any{"matchLabels": labels}}
			e.changed(path{"spec", "namespaceSelector"}, "as spec.serviceAllocation, which also binds Services that ask for the pool")
		}
		if c.eips.ranked {
			p, _ := strconv.Atoi(e.text(priority))
			allocation["priority"] = int64(p - c.eips.first + 1)
			e.changed(priority, fmt.Sprintf("%d: the lowest goes first as in OpenELB, but 0 is the last in Fairlead", p-c.eips.first+1))
		}
		d.spec["serviceAllocation"] = allocation
	} else {
		e.lacks(priority, "it ranks Eips for certain namespaces, and this one is for none", "")
	}
	e.carried(path{"spec", "namespaces"}) // empty
	e.carried(path{"spec", "namespaceSelector"})
	annotation := path{"metadata", "annotations", defaultEip}
	switch {
	case isDefault(e):
		e.changed(annotation, "a pool that is for no certain namespaces serves every Service")
	case !isBound(e) && c.eips.chosen:
		d.spec["autoAssign"] = false
		e.changed(annotation, "spec.autoAssign says it")
		e.Findings = append(e.Findings, Finding{Outcome: Changed, Why: "it is neither the default nor for certain namespaces, and so only for " +
			"Services that name it: spec.autoAssign is false"})
	case !isBound(e):
		e.changed(annotation, "spec.autoAssign says it")
		e.Findings = append(e.Findings, Finding{Outcome: Changed, Why: "Services that name no Eip get addresses of it, as of OpenELB before 0.6; " +
			"OpenELB 0.6 has them wait, since there is no default", Do: "if they are to wait, set spec.autoAssign: false"})
	}
}

// eipProtocol makes the advertisement of an Eip.
func (c *conversion) eipProtocol(e *entry, pool string) {
	protocol := e.text(path{"spec", "protocol"})
	nic := path{"spec", "interface"}
	if cni := e.text(path{"metadata", "labels", byCNI}); cni != "" {
		e.changed(path{"spec", "protocol"}, "the label "+byCNI+" leaves the advertising to "+cni+": there is no advertisement")
		e.lacks(nic, "the CNI advertises the addresses", "")
		return
	}
	if protocol != "layer2" && protocol != "vip" {
		name, _ := c.names.give("BGPAdvertisement", "", pool, e.Title())
		d := e.draft("BGPAdvertisement", name)
		d.spec["ipAddressPools"] = []any{pool}
		c.make(d)
		e.changed(path{"spec", "protocol"}, "BGPAdvertisement "+name+" says it")
		e.lacks(nic, "it means something to layer 2 alone", "")
		return
	}
	name, _ := c.names.give("L2Advertisement", "", pool, e.Title())
	d := e.draft("L2Advertisement", name)
	d.spec["ipAddressPools"] = []any{pool}
	switch at, reaches := strings.CutPrefix(e.text(nic), "can_reach:"); {
	case at == "":
	case reaches:
		e.changed(nic, "a node answers on the interfaces that have the address's subnet, which need no name")
	default:
		d.spec["interfaces"] = []any{at}
		e.note(nic, Finding{Outcome: Carried, Why: "as spec.interfaces of L2Advertisement " + name})
	}
	f := Finding{Outcome: Changed, Why: "L2Advertisement " + name + " says it"}
	if protocol == "vip" {
		d.spec["bindAddress"] = true
		f.Why += ", with spec.bindAddress in place of keepalived"
		f.Do = "install Fairlead with speaker.bindAddress: true"
	}
	c.make(d)
	e.note(path{"spec", "protocol"}, f)
}
