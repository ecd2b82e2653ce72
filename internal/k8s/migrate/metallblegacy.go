package migrate

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// The ConfigMap of MetalLB before 0.13: its key config holds YAML, whose fields are those of internal/config of
// MetalLB 0.11 and of the converter that later versions have for it.
var legacyKeys = []string{"address-pools", "peers", "peer-autodiscovery", "bgp-communities", "bfd-profiles"}

var legacyRoot = path{"data", "config"}

// nameLegacy reads the YAML in place of its text, so that its fields are accounted for as others are.
func (c *conversion) nameLegacy(e *entry) {
	text := e.text(legacyRoot)
	var config map[string]any
	data, err := yaml.YAMLToJSON([]byte(text))
	if err == nil {
		err = json.Unmarshal(data, &config) // which tells integers from floats
	}
	if err != nil {
		if e.Name == "config" || e.Name == "metallb-config" {
			e.unknown("data.config is not YAML: "+firstLine(err), "correct it in the source")
		}
		return
	}
	known := false
	for _, key := range legacyKeys {
		known = known || config[key] != nil
	}
	if !known {
		return
	}
	all := maps.Clone(e.dict(path{"data"}))
	all["config"] = config
	e.content = maps.Clone(e.content)
	e.content["data"] = all
	for i := range e.list(legacyRoot.with("bfd-profiles")) {
		c.nameItem(e, legacyRoot.with("bfd-profiles", i, "name"), "BFDProfile")
	}
	for i := range e.list(legacyRoot.with("address-pools")) {
		c.nameItem(e, legacyRoot.with("address-pools", i, "name"), "IPAddressPool")
	}
	for i := range e.list(legacyRoot.with("peers")) {
		c.names.give("BGPPeer", e.Namespace, fmt.Sprintf("peer%d", i+1), e.Title())
	}
}

func (c *conversion) nameItem(e *entry, p path, kind string) {
	given, why := c.names.give(kind, e.Namespace, e.text(p), e.Title())
	if why != "" {
		e.changed(p, kind+" "+given+": "+why)
	} else {
		e.carried(p)
	}
}

func firstLine(err error) string {
	for i, r := range err.Error() {
		if r == '\n' {
			return err.Error()[:i]
		}
	}
	return err.Error()
}

func (c *conversion) legacy(e *entry) {
	if excluded := (path{"data", "excludel2.yaml"}); e.text(excluded) != "" {
		e.skip("it has MetalLB keep off interfaces of containers and the like; Fairlead answers on interfaces that have an address in the subnet alone",
			"where such an interface has one, write an L2Advertisement with spec.interfaces")
		return
	}
	if e.dict(legacyRoot) == nil {
		e.skip("it is no configuration of MetalLB's", "")
		return
	}
	e.carried(path{"metadata", "name"})
	e.note(path{"metadata", "labels"}, Finding{Outcome: NoCounterpart, Why: "one object becomes several, without its labels"})
	e.note(path{"metadata", "annotations"}, Finding{Outcome: NoCounterpart, Why: "one object becomes several, without its annotations"})
	e.bookkeeping()
	if aliases := e.dict(legacyRoot.with("bgp-communities")); len(aliases) > 0 {
		name, _ := c.names.give("Community", e.Namespace, "communities", e.Title())
		d := e.draft("Community", name)
		var list []any
		for _, alias := range sortedKeys(aliases) {
			p := legacyRoot.with("bgp-communities", alias)
			if a := c.alias(e, p, p, alias, e.text(p)); a != nil {
				list = append(list, a)
			}
		}
		if d.spec["communities"] = list; len(list) > 0 {
			c.make(d)
		}
	}
	for i := range e.list(legacyRoot.with("bfd-profiles")) {
		p := legacyRoot.with("bfd-profiles", i)
		d := e.draft("BFDProfile", c.names.of("BFDProfile", e.Namespace, e.text(p.with("name"))))
		d.rename(p, map[string]string{"receive-interval": "receiveInterval", "transmit-interval": "transmitInterval",
			"detect-multiplier": "detectMultiplier", "echo-interval": "echoInterval", "passive-mode": "passiveMode", "minimum-ttl": "minimumTtl"})
		d.echoMode(p.with("echo-mode"))
		c.make(d)
	}
	for i := range e.list(legacyRoot.with("peers")) {
		c.legacyPeer(e, legacyRoot.with("peers", i), fmt.Sprintf("peer%d", i+1))
	}
	e.lacks(legacyRoot.with("peer-autodiscovery"), "Fairlead takes peers from BGPPeers alone, not from nodes' labels or annotations",
		"write a BGPPeer for each router, with spec.nodeSelectors")
	for i := range e.list(legacyRoot.with("address-pools")) {
		p := legacyRoot.with("address-pools", i)
		d := e.draft("IPAddressPool", c.names.of("IPAddressPool", e.Namespace, e.text(p.with("name"))))
		d.rename(p, map[string]string{"auto-assign": "autoAssign", "avoid-buggy-ips": "avoidBuggyIPs"})
		d.addresses(p.with("addresses"))
		c.makePool(d)
		c.protocol(e, p, d.meta["name"].(string), "bgp-advertisements", map[string]string{"aggregation-length": "aggregationLength",
			"aggregation-length-v6": "aggregationLengthV6"}, "localpref")
	}
}

// rename carries fields over that have another name in Fairlead's objects.
func (d *draft) rename(p path, fields map[string]string) {
	for _, field := range sortedKeys(fields) {
		if v, ok := d.e.at(p.with(field)); ok {
			d.spec[fields[field]] = v
			d.e.carried(p.with(field))
		}
	}
}

func (c *conversion) legacyPeer(e *entry, p path, name string) {
	d := e.draft("BGPPeer", c.names.of("BGPPeer", e.Namespace, name))
	for _, field := range []struct{ from, to string }{{"peer-asn", "peerASN"}, {"peer-port", "peerPort"}} {
		if v := e.text(p.with(field.from)); v == "0" {
			e.note(p.with(field.from), Finding{Outcome: Carried, Why: "MetalLB takes 0 for none"})
		} else {
			d.rename(p, map[string]string{field.from: field.to})
		}
	}
	d.rename(p, map[string]string{"my-asn": "myASN", "peer-address": "peerAddress", "source-address": "sourceAddress",
		"router-id": "routerID", "ebgp-multihop": "ebgpMultiHop"})
	for _, field := range []struct{ from, to string }{{"hold-time", "holdTime"}, {"keepalive-time", "keepaliveTime"}} {
		d.timeAs(p.with(field.from), field.to)
	}
	if profile := e.text(p.with("bfd-profile")); profile != "" {
		d.spec["bfdProfile"] = c.references(e, p.with("bfd-profile"), []any{profile}, "BFDProfile")[0]
	}
	var selectors []any
	for i := range e.list(p.with("node-selectors")) {
		q := p.with("node-selectors", i)
		s := map[string]any{}
		for _, field := range []struct{ from, to string }{{"match-labels", "matchLabels"}, {"match-expressions", "matchExpressions"}} {
			if v, ok := e.at(q.with(field.from)); ok {
				s[field.to] = v
				e.carried(q.with(field.from))
			}
		}
		selectors = append(selectors, s)
	}
	if selectors != nil {
		if d.spec["nodeSelectors"] = selectors; len(selectors) > mostSelectors {
			d.spec["nodeSelectors"] = mergeSelectors(selectors)
		}
	}
	d.password(p.with("password"))
	c.farPeer(d)
	c.makePeer(d)
}

func (c *conversion) nameAddressPool(e *entry) {
	given, why := c.names.give("IPAddressPool", e.Namespace, e.Name, e.Title())
	c.named(e, "IPAddressPool", given, why)
}

// addressPool converts the kind that MetalLB 0.13 had beside IPAddressPool: a pool and how it is advertised.
func (c *conversion) addressPool(e *entry) {
	d := e.draft("IPAddressPool", c.names.of("IPAddressPool", e.Namespace, e.Name))
	c.metadata(d)
	d.keep("autoAssign")
	d.addresses(path{"spec", "addresses"})
	c.makePool(d)
	c.protocol(e, path{"spec"}, d.meta["name"].(string), "bgpAdvertisements", map[string]string{"aggregationLength": "aggregationLength",
		"aggregationLengthV6": "aggregationLengthV6"}, "localPref")
}

// protocol makes the advertisements of a pool that says itself how it is advertised.
func (c *conversion) protocol(e *entry, p path, pool, field string, fields map[string]string, preference string) {
	switch protocol := e.text(p.with("protocol")); protocol {
	case "layer2":
		name, _ := c.names.give("L2Advertisement", e.Namespace, pool, e.Title())
		d := e.draft("L2Advertisement", name)
		d.spec["ipAddressPools"] = []any{pool}
		c.make(d)
		e.changed(p.with("protocol"), "L2Advertisement "+name+" says it")
		if !slices.ContainsFunc(e.Findings, func(f Finding) bool { return f.Field == "" && f.Outcome == Changed }) {
			e.everyInterface()
		}
		e.lacks(p.with(field), "the protocol is layer2", "")
	case "bgp":
		count := max(1, len(e.list(p.with(field))))
		made := ""
		for i := range count {
			q := p.with(field, i)
			name, _ := c.names.give("BGPAdvertisement", e.Namespace, pool, e.Title())
			d := e.draft("BGPAdvertisement", name)
			d.spec["ipAddressPools"] = []any{pool}
			d.rename(q, fields)
			if e.text(q.with(preference)) == "0" {
				e.changed(q.with(preference), "0 means none in MetalLB, and Fairlead sends 100 then")
			} else {
				d.rename(q, map[string]string{preference: "localPref"})
			}
			if communities := c.communities(e, q.with("communities")); len(communities) > 0 {
				d.spec["communities"] = communities
			}
			c.make(d)
			made += ", " + name
		}
		e.changed(p.with("protocol"), "BGPAdvertisement "+made[2:]+" says it")
	default:
		e.lacks(p.with("protocol"), "it is neither layer2 nor bgp: the pool is not advertised", "write an L2Advertisement or BGPAdvertisement")
	}
}
