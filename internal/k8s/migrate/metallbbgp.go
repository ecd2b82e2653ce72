package migrate

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/internal/bgp"
)

// bgpPeer converts both versions: v1beta1 has some of the fields of v1beta2.
func (c *conversion) bgpPeer(e *entry) {
	d := e.draft("BGPPeer", c.names.of("BGPPeer", e.Namespace, e.Name))
	c.metadata(d)
	d.keepUnlessZero("MetalLB takes 0 for none", "peerASN", "localASN", "peerPort")
	d.keepUnlessZero("it is empty", "dynamicASN", "peerAddress", "interface", "sourceAddress", "routerID", "vrf")
	d.keep("myASN", "enableGracefulRestart", "ebgpMultiHop", "disableMP", "dualStackAddressFamily")
	d.times(path{"spec"}, "holdTime", "keepaliveTime", "connectTime")
	d.nodeSelectors(path{"spec", "nodeSelectors"})
	if profile := e.text(path{"spec", "bfdProfile"}); profile != "" {
		d.spec["bfdProfile"] = c.references(e, path{"spec", "bfdProfile"}, []any{profile}, "BFDProfile")[0]
	} else {
		e.carried(path{"spec", "bfdProfile"})
	}
	d.password(path{"spec", "password"})
	d.passwordSecret(c.home)
	c.farPeer(d)
	c.makePeer(d)
}

// farPeer warns of routers that MetalLB's native mode reaches over several hops without being told of them.
func (c *conversion) farPeer(d *draft) {
	s := d.spec
	external := s["dynamicASN"] == "external" || s["peerASN"] != nil && fmt.Sprint(s["peerASN"]) != fmt.Sprint(s["myASN"])
	if c.frrMode || !external || s["ebgpMultiHop"] == true || s["interface"] != nil {
		return
	}
	const do = "where the router is not on the nodes' own segment, set spec.ebgpMultiHop: true"
	if slices.ContainsFunc(d.e.Findings, func(f Finding) bool { return f.Do == do }) {
		return
	}
	d.e.Findings = append(d.e.Findings, Finding{Outcome: Changed, Why: "MetalLB's native mode reaches eBGP peers over several hops without being told; Fairlead, " +
		"as MetalLB with FRR, only with spec.ebgpMultiHop", Do: do})
}

// keepUnlessZero carries fields over that other systems take for absent when they are zero or empty.
func (d *draft) keepUnlessZero(why string, fields ...string) {
	for _, field := range fields {
		if v := d.e.text(path{"spec", field}); v == "" || v == "0" {
			d.e.note(path{"spec", field}, Finding{Outcome: Carried, Why: why})
			continue
		}
		d.keep(field)
	}
}

// times carries durations over. BGP knows whole seconds.
func (d *draft) times(p path, fields ...string) {
	for _, field := range fields {
		d.timeAs(p.with(field), field)
	}
}

func (d *draft) timeAs(from path, field string) {
	if _, ok := d.e.at(from); !ok {
		return
	}
	given, err := time.ParseDuration(d.e.text(from))
	least := time.Second
	if field == "holdTime" {
		least = 3 * time.Second
	}
	whole := given.Truncate(time.Second)
	switch {
	case err != nil:
		d.e.lacks(from, "it is not a time", "give whole seconds, such as 90s")
	case field == "holdTime" && given == 0:
		d.spec[field] = "0s"
		d.e.carried(from)
	case given == 0:
		d.e.changed(from, "0 means the default, and is left out")
	case whole < least:
		d.e.lacks(from, fmt.Sprintf("BGP has no %s of %s; the default is taken", words(field), given), "")
	case whole != given:
		d.spec[field] = whole.String()
		d.e.changed(from, "whole seconds alone are sent: "+whole.String())
	default:
		d.spec[field] = d.e.text(from)
		d.e.carried(from)
	}
}

// words are those of a field's name: "hold time".
func words(field string) string {
	return strings.ToLower(regexp.MustCompile(`([A-Z])`).ReplaceAllString(field, " $1"))
}

// password has a password in plain sight moved into a Secret.
func (d *draft) password(p path) {
	if d.e.text(p) == "" {
		d.e.note(p, Finding{Outcome: Carried, Why: "it is empty"})
		return
	}
	name, _ := d.meta["name"].(string)
	secret := name + "-password"
	d.spec["passwordSecret"] = map[string]any{"name": secret}
	d.e.note(p, passwordFinding("", secret))
}

// passwordFinding has a password that was in plain sight put into a Secret.
func passwordFinding(field, secret string) Finding {
	return Finding{Field: field, Outcome: Changed, Why: "Fairlead takes passwords from Secrets alone; spec.passwordSecret names " + secret,
		Do: "make the Secret " + secret + " in Fairlead's namespace; type the password, then Enter and Ctrl-D",
		Command: "kubectl create secret generic " + quoted(secret) + " -n fairlead-system --type=kubernetes.io/basic-auth " +
			"--from-file=password=/dev/stdin"}
}

// passwordSecret has a Secret copied into Fairlead's namespace.
func (d *draft) passwordSecret(home string) {
	p := path{"spec", "passwordSecret"}
	name := d.e.text(p.with("name"))
	if name == "" {
		return
	}
	namespace := d.e.text(p.with("namespace"))
	if namespace == "" {
		namespace = d.e.Namespace
	}
	if namespace == "" {
		namespace = home
	}
	d.spec["passwordSecret"] = map[string]any{"name": name}
	d.e.note(p.with("name"), Finding{Outcome: Carried, Why: "the Secret has to be in Fairlead's namespace",
		Do: fmt.Sprintf("copy the Secret %s from %s to Fairlead's namespace", name, namespace),
		Command: fmt.Sprintf("kubectl get secret %s -n %s -o jsonpath='{.data.password}' | base64 -d | kubectl create secret generic %s "+
			"-n fairlead-system --type=kubernetes.io/basic-auth --from-file=password=/dev/stdin", quoted(name), quoted(namespace), quoted(name))})
	d.e.changed(p.with("namespace"), "Fairlead looks in its own namespace")
}

// makePeer makes a BGPPeer unless what it says cannot be had together.
func (c *conversion) makePeer(d *draft) {
	s, e := d.spec, d.e
	drop := func(field, why string) {
		delete(s, field)
		for i := range e.Findings {
			if f := &e.Findings[i]; f.Field == "spec."+field {
				f.Outcome, f.Why = Changed, why
			}
		}
	}
	if s["interface"] != nil {
		if s["ebgpMultiHop"] == true {
			drop("ebgpMultiHop", "a router on spec.interface is one hop away")
		}
		if s["sourceAddress"] != nil {
			drop("sourceAddress", "a session on spec.interface uses the link's own addresses")
		}
	}
	if s["disableMP"] == true && s["dualStackAddressFamily"] == true {
		drop("disableMP", "spec.dualStackAddressFamily, which is newer, says the contrary")
	}
	if s["localASN"] != nil && fmt.Sprint(s["localASN"]) == fmt.Sprint(s["myASN"]) {
		drop("localASN", "it is spec.myASN")
	}
	if s["peerASN"] != nil && s["dynamicASN"] != nil {
		drop("dynamicASN", "spec.peerASN says which it is")
	}
	address, _ := s["peerAddress"].(string)
	ip, err := netip.ParseAddr(address)
	switch {
	case s["myASN"] == nil || s["peerASN"] == nil && s["dynamicASN"] == nil:
		e.leaveOut("it lacks an AS number", "")
	case address == "" && s["interface"] == nil:
		e.leaveOut("it lacks the router's address", "")
	case address != "" && err != nil:
		e.leaveOut("the router's address is not an IP address", "give its IP address")
	case address != "" && ip.Is6() && ip.IsLinkLocalUnicast():
		e.leaveOut("a link-local address says nothing without its interface", "give spec.interface in place of spec.peerAddress")
	default:
		c.make(d)
	}
}

func (c *conversion) bfdProfile(e *entry) {
	d := e.draft("BFDProfile", c.names.of("BFDProfile", e.Namespace, e.Name))
	c.metadata(d)
	d.keep("receiveInterval", "transmitInterval", "detectMultiplier", "echoInterval", "passiveMode", "minimumTtl")
	d.echoMode(path{"spec", "echoMode"})
	c.make(d)
}

// echoMode is left out: Fairlead's BFD has no Echo function.
func (d *draft) echoMode(p path) {
	if v, _ := d.e.at(p); v == true {
		d.e.lacks(p, "Fairlead's BFD has no Echo function: the session runs without",
			"if the router's detection is too slow so, shorten spec.transmitInterval and spec.receiveInterval")
		return
	}
	d.e.carried(p)
}

func (c *conversion) community(e *entry) {
	d := e.draft("Community", c.names.of("Community", e.Namespace, e.Name))
	c.metadata(d)
	var aliases []any
	for i := range e.list(path{"spec", "communities"}) {
		p := path{"spec", "communities", i}
		name, value := e.text(p.with("name")), e.text(p.with("value"))
		if a := c.alias(e, p.with("name"), p.with("value"), name, value); a != nil {
			if slices.ContainsFunc(aliases, func(x any) bool { return x.(map[string]any)["name"] == a["name"] }) {
				e.changed(p, "the alias "+name+" is there twice, and the first counts")
				continue
			}
			aliases = append(aliases, a)
		}
	}
	if len(aliases) == 0 {
		e.carried(path{"spec", "communities"})
		e.leaveOut("it has no alias that Fairlead needs", "")
		return
	}
	d.spec["communities"] = aliases
	c.make(d)
}

var aliasName = regexp.MustCompile(`^[A-Za-z][-_.A-Za-z0-9]*$`)

// alias makes one alias, or nil if Fairlead needs none.
func (c *conversion) alias(e *entry, nameField, valueField path, name, value string) map[string]any {
	if _, _, _, err := bgp.ParseCommunity(value); err != nil {
		e.lacks(valueField, err.Error(), "give 65000:100 or large:65000:1:2")
		e.lacks(nameField, "its value is no community", "")
		return nil
	}
	e.carried(valueField)
	now := c.aliasName(name)
	switch {
	case now == "":
		e.changed(nameField, "Fairlead knows the well-known community "+name+" by name")
		return nil
	case now != name:
		e.changed(nameField, "Fairlead takes a letter, then letters, digits, dots, dashes and underscores; it is "+now+" now")
	default:
		e.carried(nameField)
	}
	return map[string]any{"name": now, "value": value}
}

// aliasName is what an alias is called now: nothing if its name is that of a well-known community.
func (c *conversion) aliasName(name string) string {
	if _, _, _, err := bgp.ParseCommunity(name); err == nil && aliasName.MatchString(name) {
		return ""
	}
	if aliasName.MatchString(name) && len(name) <= 64 {
		return name
	}
	now := "c-" + regexp.MustCompile(`[^-_.A-Za-z0-9]+`).ReplaceAllString(name, "-")
	return now[:min(len(now), 64)]
}

// communities carries over what an advertisement attaches: values, and names of aliases.
func (c *conversion) communities(e *entry, p path) (list []any) {
	changed := ""
	for _, v := range e.set(p) {
		text := strings.TrimSpace(fmt.Sprint(v))
		now := text
		if _, _, _, err := bgp.ParseCommunity(text); err != nil {
			if now = c.aliasName(text); now != text {
				changed += fmt.Sprintf("%s is %s now; ", text, now)
			}
		}
		list = append(list, now)
	}
	if changed != "" {
		e.changed(p, changed[:len(changed)-2])
	} else {
		e.carried(p)
	}
	return list
}
