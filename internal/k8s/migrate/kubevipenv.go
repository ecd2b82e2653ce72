package migrate

import (
	"strconv"
	"strings"
)

const (
	controlPlane = "the address of the control plane is not Fairlead's: it serves Services alone"
	keepForPlane = "keep kube-vip for the control plane, with svc_enable false"
)

// kubeVIPEnv are the variables of kube-vip's environment, of pkg/kubevip/config_envvar.go, and of its cloud
// provider.
var kubeVIPEnv = with(own("vip_loglevel", "vip_nodename", "vip_singlenode", "vip_startleader", "prometheus_server", "k8s_config_file", "config_file",
	"kubernetes_addr", "svc_namespace", "health_check_port", "dns_mode", "disable_service_updates", "enable_endpoints", "iptables_backend", "provider_config",
	"vip_packet", "vip_packetproject", "vip_packetprojectid", "annotation", "KUBEVIP_NAMESPACE", "KUBEVIP_CONFIG_MAP", "NODE_NAME", "POD_NAME"), map[string]setting{
	"vip_arp":               {Changed, "L2Advertisements say it", ""},
	"bgp_enable":            {Changed, "BGPPeers and BGPAdvertisements say it", ""},
	"svc_enable":            {Changed, "Fairlead serves Services, and nothing else", ""},
	"cp_enable":             {NoCounterpart, controlPlane, keepForPlane},
	"cp_detect":             {NoCounterpart, controlPlane, ""},
	"cp_namespace":          {NoCounterpart, controlPlane, ""},
	"address":               {NoCounterpart, controlPlane, ""},
	"vip_address":           {NoCounterpart, controlPlane, ""},
	"vip_ddns":              {NoCounterpart, controlPlane, ""},
	"port":                  {NoCounterpart, controlPlane, ""},
	"lb_enable":             {NoCounterpart, controlPlane, ""},
	"lb_port":               {NoCounterpart, controlPlane, ""},
	"lb_fwdmethod":          {NoCounterpart, controlPlane, ""},
	"enable_node_labeling":  {NoCounterpart, "kubectl fairlead owners tells which node has which address", ""},
	"vip_interface":         {Changed, "spec.interfaces of the L2Advertisements, unless it is lo, or vip_servicesinterface is another", ""},
	"vip_servicesinterface": {Changed, "spec.interfaces of the L2Advertisements", ""},
	"vip_interfaceloglobal": {NoCounterpart, "Fairlead puts no address on lo", ""},
	"vip_subnet":            {NoCounterpart, "Fairlead puts addresses on interfaces only with spec.bindAddress, as /32 or /128", ""},
	"vip_cidr":              {NoCounterpart, "Fairlead puts addresses on interfaces only with spec.bindAddress, as /32 or /128", ""},
	"vip_arpRate":           {NoCounterpart, "Fairlead repeats its announcements at a slow pace without being told to", ""},
	"vip_leaderelection":    leases, "vip_leasename": leases, "vip_leaseduration": leases, "vip_renewdeadline": leases, "vip_retryperiod": leases,
	"vip_leaseannotations": leases, "svc_election": leases, "svc_leasename": leases,
	"bgp_as":                 {Changed, "spec.myASN of the BGPPeers", ""},
	"bgp_routerid":           {NoCounterpart, "each node has a session of its own, and router IDs have to differ: a node's is its IPv4 address", ""},
	"bgp_routerinterface":    {NoCounterpart, "a node's router ID is its IPv4 address", ""},
	"bgp_peers":              {Changed, "a BGPPeer for each", ""},
	"bgp_peeraddress":        {Changed, "spec.peerAddress of a BGPPeer", ""},
	"bgp_peeras":             {Changed, "spec.peerASN of a BGPPeer", ""},
	"bgp_peerpass":           {Changed, "Fairlead takes passwords from Secrets alone", ""},
	"bgp_multihop":           {Changed, "spec.ebgpMultiHop of a BGPPeer", ""},
	"bgp_sourceif":           {NoCounterpart, "the kernel chooses by its routes; spec.sourceAddress of a BGPPeer says another", ""},
	"bgp_sourceip":           {Changed, "spec.sourceAddress of the BGPPeers", ""},
	"bgp_hold_time":          {Changed, "spec.holdTime of the BGPPeers", ""},
	"bgp_keepalive_interval": {Changed, "spec.keepaliveTime of the BGPPeers", ""},
	"zebra_enable":           zebra, "zebra_url": zebra, "zebra_version": zebra, "zebra_software_name": zebra,
	"mpbgp_nexthop": nextHop, "mpbgp_ipv4": nextHop, "mpbgp_ipv6": nextHop,
	"vip_wireguard":    {NoCounterpart, "Fairlead has no WireGuard mode", "advertise the addresses by BGP over the tunnel's addresses"},
	"vip_routingtable": tableMode, "vip_routingtableid": tableMode, "vip_routingtabletype": tableMode, "vip_routingprotocol": tableMode, "vip_cleanroutingtable": tableMode,
	"egress_podcidr": {egress.outcome, egress.why, ""}, "egress_servicecidr": {egress.outcome, egress.why, ""}, "egress_withnftables": {egress.outcome, egress.why, ""}, "egress_clean": {egress.outcome, egress.why, ""},
	"lb_class_only":                         {Changed, "loadBalancerClass of Fairlead's chart", "install Fairlead with the same class as loadBalancerClass"},
	"lb_class_name":                         {Changed, "loadBalancerClass of Fairlead's chart", "install Fairlead with the same class as loadBalancerClass"},
	"lb_class_legacy_handling":              {NoCounterpart, "Fairlead serves Services of its class, and of none if it has no other", ""},
	"KUBEVIP_ENABLE_LOADBALANCERCLASS":      {Changed, "loadBalancerClass of Fairlead's chart", ""},
	"KUBEVIP_CUSTOM_LOADBALANCERCLASS_NAME": {Changed, "loadBalancerClass of Fairlead's chart", "install Fairlead with the same class as loadBalancerClass"},
	"enable_service_security":               {NoCounterpart, "Fairlead filters no traffic", "use NetworkPolicies"},
	"mirror_dest_interface":                 {NoCounterpart, "Fairlead mirrors no traffic", ""},
	"backend_health_check_interval":         {NoCounterpart, controlPlane, ""},
	"enable_upnp":                           {NoCounterpart, "Fairlead asks no gateway for ports", "forward the ports on the gateway"},
})

var (
	leases    = setting{NoCounterpart, "owners are elected by gossip, without Leases", ""}
	zebra     = setting{NoCounterpart, "Fairlead has its own BGP sessions and tells no Zebra", ""}
	nextHop   = setting{NoCounterpart, "the next hop is the node's own address; spec.extendedNextHop has IPv4 prefixes with an IPv6 one", ""}
	tableMode = setting{NoCounterpart, "Fairlead writes no routes into the node's tables", "advertise the addresses by BGP"}
)

// kubeVIPContainer reads how kube-vip makes addresses known. The password in bgp_peers is never repeated.
func (c *conversion) kubeVIPContainer(e *entry, container path) {
	v := c.flags(e, container, kubeVIPEnv, "it is about kube-vip's own Pods")
	provider := strings.Contains(e.text(container.with("image")), "cloud-provider")
	switch {
	case v["lb_class_name"] != "" && v["lb_class_only"] != "false":
		c.class = v["lb_class_name"]
	case v["lb_class_only"] == "true" || v["KUBEVIP_ENABLE_LOADBALANCERCLASS"] == "true":
		c.class = "kube-vip.io/kube-vip-class"
		if name := v["KUBEVIP_CUSTOM_LOADBALANCERCLASS_NAME"]; name != "" {
			c.class = name
		}
	}
	if provider || v["svc_enable"] != "true" {
		if !provider && v["cp_enable"] == "true" {
			e.Findings = append([]Finding{{Outcome: NoCounterpart, Why: "it serves the control plane alone, and is none of Fairlead's", Do: "keep it"}}, e.Findings...)
		}
		return
	}
	c.modes.seen = true
	if v["vip_arp"] == "true" {
		c.modes.layer2 = true
	}
	if nic := v["vip_servicesinterface"]; nic != "" && nic != "lo" {
		c.modes.interfaces = []any{nic}
	} else if nic := v["vip_interface"]; nic != "" && nic != "lo" {
		c.modes.interfaces = []any{nic}
	}
	if v["bgp_enable"] == "true" {
		c.modes.bgp = true
		c.kubeVIPPeers(e, v)
	}
}

// vipPeer is a router of kube-vip's.
type vipPeer struct {
	address, as string
	password    bool
	multihop    bool
	port        string
}

func (c *conversion) kubeVIPPeers(e *entry, v map[string]string) {
	var peers []vipPeer
	for text := range strings.SplitSeq(v["bgp_peers"], ",") {
		if p, ok := parseVIPPeer(text); ok {
			peers = append(peers, p)
		} else if strings.TrimSpace(text) != "" {
			e.Findings = append(e.Findings, Finding{Outcome: NoCounterpart, Why: "bgp_peers: an entry is not of the form address:as:password:multihop:port", Do: "write the BGPPeer by hand"})
		}
	}
	if len(peers) == 0 && v["bgp_peeraddress"] != "" {
		peers = append(peers, vipPeer{address: v["bgp_peeraddress"], as: v["bgp_peeras"], password: v["bgp_peerpass"] != "", multihop: v["bgp_multihop"] == "true"})
	}
	for _, p := range peers {
		name, _ := c.names.give("BGPPeer", "", "peer-"+strings.ReplaceAll(p.address, ":", "-"), e.Title())
		d := e.draft("BGPPeer", name)
		number := func(field, text string) {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
				d.spec[field] = n
			}
		}
		number("myASN", v["bgp_as"])
		number("peerASN", p.as)
		number("peerPort", p.port)
		d.spec["peerAddress"] = p.address
		if p.multihop {
			d.spec["ebgpMultiHop"] = true
		}
		if v["bgp_sourceip"] != "" {
			d.spec["sourceAddress"] = v["bgp_sourceip"]
		}
		for from, to := range map[string]string{"bgp_hold_time": "holdTime", "bgp_keepalive_interval": "keepaliveTime"} {
			if n, err := strconv.Atoi(v[from]); err == nil && n > 0 {
				d.spec[to] = strconv.Itoa(n) + "s"
			}
		}
		if p.password {
			secret := name + "-password"
			d.spec["passwordSecret"] = map[string]any{"name": secret}
			e.Findings = append(e.Findings, passwordFinding("", secret))
		}
		c.makePeer(d)
	}
}

// parseVIPPeer reads address:as:password:multihop:port, with the address in brackets if it is IPv6, and what may follow
// a slash left out.
func parseVIPPeer(text string) (p vipPeer, ok bool) {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "/")
	rest := text
	if strings.HasPrefix(text, "[") {
		if p.address, rest, ok = strings.Cut(text[1:], "]"); !ok {
			return p, false
		}
	}
	parts := strings.Split(rest, ":")
	if len(parts) < 2 {
		return p, false
	}
	if p.address == "" {
		p.address = parts[0]
	}
	p.as = parts[1]
	if len(parts) > 2 {
		p.password = parts[2] != ""
	}
	if len(parts) > 3 {
		p.multihop = parts[3] == "true"
	}
	if len(parts) > 4 {
		p.port = parts[4]
	}
	return p, p.address != ""
}
