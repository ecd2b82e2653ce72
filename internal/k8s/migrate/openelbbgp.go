package migrate

import (
	"fmt"
	"maps"
	"strconv"
)

// conf is the one BgpConf that OpenELB reads: what all of its sessions have in common.
type conf struct {
	as              any
	racks           map[string]any // AS numbers of the nodes with that label of the rack
	gracefulRestart bool
}

func (c *conversion) nameConf(e *entry) {
	if e.Name != "default" {
		return
	}
	c.conf.as, _ = e.at(path{"spec", "as"})
	if s := fmt.Sprint(c.conf.as); s == "0" {
		c.conf.as = nil
	}
	c.conf.racks = e.dict(path{"spec", "asPerRack"})
	v, _ := e.at(path{"spec", "gracefulRestart", "enabled"})
	c.conf.gracefulRestart = v == true
}

func (c *conversion) bgpConf(e *entry) {
	if e.Name != "default" {
		e.skip("OpenELB reads the BgpConf named default alone", "")
		return
	}
	e.changed(path{"metadata", "name"}, "each BGPPeer says for itself what BgpConf says for all")
	e.lacks(path{"metadata", "labels"}, "no object is made of BgpConf", "")
	e.lacks(path{"metadata", "annotations"}, "no object is made of BgpConf", "")
	e.bookkeeping()
	spec := path{"spec"}
	e.changed(spec.with("as"), "spec.myASN of each BGPPeer")
	e.changed(spec.with("asPerRack"), "a BGPPeer for each rack, with its spec.myASN, for the nodes with its label")
	for _, field := range []string{"routerId", "routerID"} {
		e.lacks(spec.with(field), "each node has a session of its own, and router IDs have to differ: a node's is its IPv4 address",
			"where one node alone has sessions, set spec.routerID of its BGPPeer")
	}
	for _, field := range []string{"listenPort", "port"} {
		e.lacks(spec.with(field), "Fairlead connects to the router's port and listens on none (BGPPeers with spec.passive: on 179)",
			"where the router is set to connect to this port, have it wait for the nodes")
	}
	e.lacks(spec.with("listenAddresses"), "Fairlead connects to the router and listens nowhere", "")
	e.lacks(spec.with("families"), "each BGPPeer says its spec.families, those of spec.afiSafis", "")
	e.lacks(spec.with("useMultiplePaths"), "Fairlead takes no routes from peers", "")
	e.lacks(spec.with("policy"), "Fairlead has no policy language: it takes no routes, and advertises what BGPAdvertisements say",
		"say it with BGPAdvertisements (peers, communities, localPref), or on the router")
	e.gracefulRestart(spec.with("gracefulRestart"))
	if len(e.dict(path{"spec"})) > 0 {
		e.Findings = append(e.Findings, Finding{Outcome: Changed, Why: "in Fairlead every node has a session with each router, and advertises itself alone",
			Do: "have each router take sessions from all nodes, or narrow the BGPPeers by spec.nodeSelectors"})
	}
}

// gracefulRestart accounts for GoBGP's fields.
func (e *entry) gracefulRestart(p path) {
	e.note(p.with("enabled"), Finding{Outcome: Carried, Why: "as spec.enableGracefulRestart"})
	for _, field := range []string{"restartTime", "helperOnly", "deferralTime", "notificationEnabled", "longlivedEnabled", "staleRoutesTime",
		"peerRestartTime", "peerRestarting", "localRestarting", "mode"} {
		e.lacks(p.with(field), "Fairlead's graceful restart has no settings", "")
	}
}

func (c *conversion) openPeer(e *entry) {
	d := e.draft("BGPPeer", "")
	e.carried(path{"metadata", "name"})
	c.metadata(d)
	if _, ok := e.at(path{"spec", "config"}); ok {
		d.porterPeer()
	} else {
		d.openConf()
	}
	d.openTransport()
	d.openFamilies()
	e.note(path{"spec", "ebgpMultihop", "enabled"}, Finding{Outcome: Carried, Why: "as spec.ebgpMultiHop"})
	if v, _ := e.at(path{"spec", "ebgpMultihop", "enabled"}); v == true {
		d.spec["ebgpMultiHop"] = true
	}
	e.lacks(path{"spec", "ebgpMultihop", "multihopTtl"}, "the TTL cannot be set", "to keep strangers off use spec.ttlSecurity in place of spec.ebgpMultiHop")
	e.gracefulRestart(path{"spec", "gracefulRestart"})
	if v, _ := e.at(path{"spec", "gracefulRestart", "enabled"}); v == true || c.conf.gracefulRestart {
		d.spec["enableGracefulRestart"] = true
	}
	e.note(path{"spec", "nodeSelector"}, Finding{Outcome: Carried, Why: "as spec.nodeSelectors"})
	selector := e.dict(path{"spec", "nodeSelector"})
	if down, _ := e.at(path{"spec", "conf", "adminDown"}); down == true {
		e.leaveOut("spec.conf.adminDown shuts the session down", "write the BGPPeer when it is to come up")
		return
	}
	if d.spec["passwordSecret"] != nil {
		d.spec["passwordSecret"] = map[string]any{"name": cleanName(e.Name) + "-password"}
	}
	for _, part := range c.perRack(e.Name, selector) {
		p := e.draft("BGPPeer", "")
		p.meta, p.spec = copyOf(d.meta), copyOf(d.spec)
		p.meta["name"], _ = c.names.give("BGPPeer", "", part.name, e.Title())
		if part.as != nil {
			p.spec["myASN"] = part.as
		}
		if part.selector != nil {
			p.spec["nodeSelectors"] = []any{part.selector}
		}
		c.makePeer(p)
	}
}

// part is a BgpPeer as the nodes of one AS have it.
type part struct {
	name     string
	as       any
	selector map[string]any
}

// perRack splits a peer by the nodes' AS numbers.
func (c *conversion) perRack(name string, selector map[string]any) (parts []part) {
	labels, _ := selector["matchLabels"].(map[string]any)
	if rack, ok := labels[rackLabel].(string); ok {
		as := c.conf.as
		if of := c.conf.racks[rack]; of != nil {
			as = of
		}
		return []part{{name, as, selector}}
	}
	racks := sortedKeys(c.conf.racks)
	for _, rack := range racks {
		s := copyOf(nonNil(selector))
		m, _ := s["matchLabels"].(map[string]any)
		m = maps.Clone(nonNil(m))
		m[rackLabel] = rack
		s["matchLabels"] = m
		parts = append(parts, part{name + "-" + rack, c.conf.racks[rack], s})
	}
	if len(racks) == 0 || c.conf.as != nil {
		s := selector
		if len(racks) > 0 {
			s = copyOf(nonNil(selector))
			expressions, _ := s["matchExpressions"].([]any)
			var values []any
			for _, rack := range racks {
				values = append(values, rack)
			}
			s["matchExpressions"] = append(expressions, map[string]any{"key": rackLabel, "operator": "NotIn", "values": values})
		}
		parts = append(parts, part{name, c.conf.as, s})
	}
	return parts
}

func nonNil(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// as carries a field over under another name, unless it is zero.
func (d *draft) as(p path, field string) {
	v, ok := d.e.at(p)
	if s := fmt.Sprint(v); !ok || s == "" || s == "0" {
		d.e.carried(p)
		return
	}
	d.spec[field] = v
	d.e.note(p, Finding{Outcome: Carried, Why: "as spec." + field})
}

func (d *draft) porterPeer() {
	p := path{"spec", "config"}
	d.as(p.with("peerAs"), "peerASN")
	d.as(p.with("neighborAddress"), "peerAddress")
	d.e.lacks(path{"spec", "addPaths", "sendMax"}, addPaths, "")
	d.e.lacks(path{"spec", "usingPortForward"}, "it is about Porter's own port, and Fairlead listens on none", "")
}

const addPaths = "each node advertises itself alone over a session of its own: the router makes the ECMP of them without ADD-PATH"

func (d *draft) openConf() {
	e, p := d.e, path{"spec", "conf"}
	d.as(p.with("peerAs"), "peerASN")
	d.as(p.with("localAs"), "localASN")
	d.as(p.with("neighborAddress"), "peerAddress")
	if e.text(p.with("neighborAddress")) == "" {
		d.as(p.with("neighborInterface"), "interface")
	} else {
		e.lacks(p.with("neighborInterface"), "spec.conf.neighborAddress says where the router is", "")
	}
	d.as(p.with("vrf"), "vrf")
	d.meta["name"] = cleanName(e.Name)
	d.password(p.with("authPassword"))
	for _, f := range []struct{ field, why string }{
		{"description", "a BGPPeer has no description; its annotations may say it"},
		{"peerGroup", "Fairlead has no groups of peers"},
		{"peerType", "whether a session is internal follows from the AS numbers"},
		{"removePrivateAs", "there is no AS in the path but the node's own"},
		{"replacePeerAs", "there is no AS in the path but the node's own"},
		{"routeFlapDamping", "Fairlead takes no routes from peers"},
		{"allowOwnAs", "Fairlead takes no routes from peers"},
		{"sendCommunity", "BGPAdvertisements say which communities are sent"},
	} {
		if v := e.text(p.with(f.field)); v == "" || v == "0" || v == "false" {
			e.carried(p.with(f.field))
		} else {
			e.lacks(p.with(f.field), f.why, "")
		}
	}
	e.carried(p.with("adminDown"))
	timers := path{"spec", "timers", "config"}
	for _, t := range []struct{ from, to string }{{"connectRetry", "connectTime"}, {"holdTime", "holdTime"}, {"keepaliveInterval", "keepaliveTime"}} {
		text := e.text(timers.with(t.from))
		seconds, err := strconv.ParseFloat(text, 64)
		switch {
		case text == "" || text == "0":
			e.carried(timers.with(t.from))
		case err != nil || seconds < 1 || t.to == "holdTime" && seconds < 3:
			e.lacks(timers.with(t.from), "it is no time in seconds that BGP can have", "")
		default:
			d.spec[t.to] = fmt.Sprintf("%ds", int64(seconds))
			e.changed(timers.with(t.from), fmt.Sprintf("spec.%s: %ds", t.to, int64(seconds)))
		}
	}
	e.lacks(timers.with("minimumAdvertisementInterval"), "Fairlead sends changes at once", "")
}

func (d *draft) openTransport() {
	e, p := d.e, path{"spec", "transport"}
	if v, _ := e.at(p.with("passiveMode")); v == true {
		d.spec["passive"] = true
		e.note(p.with("passiveMode"), Finding{Outcome: Carried, Why: "as spec.passive, on port 179", Do: "install Fairlead with speaker.passivePeers: true"})
	} else {
		e.carried(p.with("passiveMode"))
	}
	d.as(p.with("remotePort"), "peerPort")
	if d.spec["peerAddress"] == nil {
		d.as(p.with("remoteAddress"), "peerAddress")
	} else {
		e.lacks(p.with("remoteAddress"), "spec.conf.neighborAddress says where the router is", "")
	}
	e.lacks(p.with("mtuDiscovery"), "it is left to the kernel", "")
	e.lacks(p.with("tcpMss"), "it is left to the kernel", "")
}

// openFamilies carries the address families over that Fairlead has.
func (d *draft) openFamilies() {
	var families []any
	for i := range d.e.list(path{"spec", "afiSafis"}) {
		p := path{"spec", "afiSafis", i}
		family := p.with("config", "family")
		enabled, given := d.e.at(p.with("config", "enabled"))
		name := map[string]string{"AFI_IP": "IPv4", "AFI_IP6": "IPv6"}[d.e.text(family.with("afi"))]
		switch {
		case name == "" || d.e.text(family.with("safi")) != "SAFI_UNICAST":
			d.e.lacks(family, "Fairlead has IPv4 and IPv6 unicast alone", "")
		case given && enabled != true:
			d.e.carried(family)
		default:
			d.e.note(family, Finding{Outcome: Carried, Why: "as spec.families"})
			families = append(families, name)
		}
		d.e.carried(p.with("config", "enabled"))
		d.e.lacks(p.with("addPaths", "config", "sendMax"), addPaths, "")
		d.e.lacks(p.with("addPaths", "config", "receive"), "Fairlead takes no routes from peers", "")
		d.e.note(p.with("mpGracefulRestart", "config", "enabled"), Finding{Outcome: Changed, Why: "graceful restart is for all families of a session"})
	}
	if len(families) > 0 {
		d.spec["families"] = families
	}
}
