package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
)

// Node is a host that is a node of the cluster: it forwards packets to its Pods, runs kube-proxy and, with
// the product, a speaker.
type Node struct {
	*Host
	Pods4, Pods6 netip.Prefix
	KubeProxy    *Process
	Speaker      *Process // nil without the product

	lab   *Lab
	pods  *namespace // all Pods of the node
	pods0 netlink.Link
	inPod netlink.Link // eth0 of pods
	agent *agent
}

// newNode makes the i-th node, counting from 1, with its pods namespace. No process runs yet.
func (l *Lab) newNode(i int) (_ *Node, err error) {
	n := &Node{lab: l}
	n.Pods4, n.Pods6 = podPrefixes(i)
	if n.Host, err = newHost(l.network, fmt.Sprintf("node%d", i), numberNodes+i-1); err != nil {
		return nil, err
	}
	err = n.connectPods()
	if err == nil && l.network.storage != nil {
		err = n.connectStorage(i)
	}
	if err != nil {
		if n.pods != nil {
			err = joinClose(err, n.pods)
		}
		return nil, joinClose(err, n.ns)
	}
	return n, nil
}

func (n *Node) storagePort() string { return "data-" + n.Name }

func (n *Node) connectStorage(i int) error {
	net := n.lab.network
	if err := net.connect(net.storage, n.storagePort(), n.ns, storageLink, storageMAC(numberNodes+i-1)); err != nil {
		return err
	}
	v4, v6 := storageAddresses(numberNodes + i - 1)
	_, err := n.ns.configure(storageLink, netip.PrefixFrom(v4, 24), netip.PrefixFrom(v6, 64))
	return err
}

// powerStorage sets the node's storage network down, or up again.
func (n *Node) powerStorage(set func(*netlink.Handle, netlink.Link) error) error {
	sw := n.lab.network.sw
	if n.lab.network.storage == nil {
		return nil
	}
	port, err := sw.nl.LinkByName(n.storagePort())
	if err == nil {
		err = set(sw.nl, port)
	}
	if err != nil {
		return fmt.Errorf("switching the storage network of %s: %w", n.Name, err)
	}
	return nil
}

func (n *Node) connectPods() (err error) {
	if err := n.ns.sysctls("net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1", "net/ipv6/conf/default/forwarding=1"); err != nil {
		return err
	}
	if n.pods, err = newNamespace(n.Name + "-pods"); err != nil {
		return err
	}
	if err := n.pods.sysctls(quiet...); err != nil {
		return err
	}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "pods0"}, PeerName: "eth0", PeerNamespace: netlink.NsFd(n.pods.fd)}
	if err := n.ns.nl.LinkAdd(veth); err != nil {
		return fmt.Errorf("connecting the Pods of %s: %w", n.Name, err)
	}
	// The node reaches its Pods through one address that stays. Pods come and go without a neighbour entry
	// that has to be learnt first: the kernel joins the solicited-node group of a new address a moment after
	// it has the address, and a Solicitation lost to that moment costs a second. Besides, with the last
	// address of a link the kernel removes the link's IPv4 routes.
	type family struct {
		pods          netip.Prefix
		gateway, stay netip.Addr
	}
	families := []family{
		{n.Pods4, n.Pods4.Addr().Next(), nth(n.Pods4.Addr(), podsOwnIndex)},
		{n.Pods6, n.Pods6.Addr().Next(), nth(n.Pods6.Addr(), podsOwnIndex)},
	}
	if n.pods0, err = n.ns.configure("pods0", single(families[0].gateway), single(families[1].gateway)); err != nil {
		return err
	}
	if n.inPod, err = n.pods.configure("eth0", single(families[0].stay), single(families[1].stay)); err != nil {
		return err
	}
	for _, f := range families {
		if err := n.ns.addRoute(n.pods0, f.pods, f.stay); err != nil {
			return err
		}
		everything := netip.PrefixFrom(unspecified(f.gateway), 0)
		if err := n.pods.addRoute(n.inPod, everything, f.gateway); err != nil {
			return err
		}
	}
	// A packet for a Service has to have a route before kube-proxy's output hook rewrites it. On most nodes
	// that is the default route, of which the lab's have none.
	return errors.Join(n.ns.addRoute(n.eth0, Services4, netip.Addr{}), n.ns.addRoute(n.eth0, Services6, netip.Addr{}))
}

// podsOwnIndex is the number, in the node's Pod range, of the address that no Pod gets.
const podsOwnIndex = 254

// single is the prefix of one address.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func unspecified(like netip.Addr) netip.Addr {
	if like.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

// routePods routes every node's Pod ranges via that node, on cp (the API server's proxy uses it) and on the
// other nodes.
func (l *Lab) routePods() error {
	for _, to := range l.Nodes {
		for _, h := range append([]*Host{l.CP}, l.nodeHosts()...) {
			if h == to.Host {
				continue
			}
			if err := errors.Join(h.ns.addRoute(h.eth0, to.Pods4, to.V4), h.ns.addRoute(h.eth0, to.Pods6, to.V6)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *Lab) nodeHosts() []*Host {
	hosts := make([]*Host, len(l.Nodes))
	for i, n := range l.Nodes {
		hosts[i] = n.Host
	}
	return hosts
}

// startNodes starts the agents and the kube-proxies, and waits for both.
func (l *Lab) startNodes(ctx context.Context) error {
	who, err := l.authority.client("system:kube-proxy")
	if err != nil {
		return err
	}
	if _, err := l.kubeconfig("kube-proxy.kubeconfig", "system:kube-proxy", certificateAuth(who)); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, n := range l.Nodes {
		g.Go(func() error {
			if err := n.prepareKubeProxy(); err != nil {
				return err
			}
			return n.boot(ctx)
		})
	}
	return g.Wait()
}

// boot starts what every node runs, and waits until the node is registered and kube-proxy has written its
// first rules.
func (n *Node) boot(ctx context.Context) error {
	if err := n.startAgent(ctx); err != nil {
		return err
	}
	if err := n.KubeProxy.Start(); err != nil {
		return err
	}
	return n.waitKubeProxy(ctx)
}

// kubeProxyConfig is kube-proxy's configuration. The conntrack settings that it would write belong to the
// whole machine, so it is told to leave them. It syncs at once rather than once per second, so that what is
// measured is Fairlead.
const kubeProxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: %s
clientConnection: {kubeconfig: %s}
detectLocalMode: ClusterCIDR
clusterCIDR: "%s,%s"
nftables: {minSyncPeriod: 50ms}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`

func (n *Node) prepareKubeProxy() error {
	file := "kube-proxy-" + n.Name + ".yaml"
	text := fmt.Sprintf(kubeProxyConfig, n.Name, n.lab.path("kube-proxy.kubeconfig"), Pods4, Pods6)
	if err := n.lab.write(file, []byte(text)); err != nil {
		return err
	}
	n.KubeProxy = n.lab.newProcess("kube-proxy-"+n.Name, n.Host, n.lab.path("bin/kube-proxy"), "kube-proxy", "--config="+n.lab.path(file))
	return nil
}

// waitKubeProxy waits for the tables of both families: kube-proxy makes each with its first full set of rules.
func (n *Node) waitKubeProxy(ctx context.Context) error {
	return wait(ctx, "kube-proxy on "+n.Name+" to write its rules", func(ctx context.Context) (bool, error) {
		if !n.KubeProxy.Running() {
			return false, errors.New("it has ended")
		}
		tables, err := n.Run(ctx, "nft", "list", "tables")
		return strings.Contains(tables, "table ip kube-proxy") && strings.Contains(tables, "table ip6 kube-proxy"), err
	})
}

// PowerOff is the node's sudden death: its processes are killed, its Pods' sockets are closed, and its link
// goes down. Its Node object stays.
func (n *Node) PowerOff() error {
	err := errors.Join(n.lab.Cut(n.Host, HostSide), n.powerStorage((*netlink.Handle).LinkSetDown))
	n.stopAgent()
	for _, p := range []*Process{n.Speaker, n.KubeProxy} {
		if p != nil {
			err = errors.Join(err, p.Kill())
		}
	}
	return err
}

// PowerOn brings the node back as after a reboot: with an empty packet filter, no connections tracked and no
// neighbours known, and its Pods restarted, whose addresses may be new.
func (n *Node) PowerOn(ctx context.Context) error {
	if _, err := n.Run(ctx, "nft", "flush", "ruleset"); err != nil {
		return err
	}
	if err := n.Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) }); err != nil {
		return fmt.Errorf("forgetting the connections of %s: %w", n.Name, err)
	}
	if _, err := n.Run(ctx, "ip", "neigh", "flush", "all"); err != nil {
		return err
	}
	if err := errors.Join(n.lab.Restore(n.Host), n.powerStorage((*netlink.Handle).LinkSetUp)); err != nil {
		return err
	}
	if err := n.boot(ctx); err != nil {
		return err
	}
	if n.Speaker != nil {
		return n.Speaker.Start()
	}
	return nil
}

// startAgent starts the node's agent and waits until the node is registered. The agent beats until stopAgent.
func (n *Node) startAgent(ctx context.Context) error {
	a, err := newAgent(n)
	if err != nil {
		return err
	}
	if err := a.register(ctx); err != nil {
		a.dialer.CloseAll()
		return err
	}
	running, cancel := context.WithCancel(n.lab.running)
	a.cancel, a.done = cancel, make(chan struct{})
	n.agent = a
	go func() {
		defer close(a.done)
		a.run(running)
	}()
	return nil
}

// stopAgent ends the agent and closes the sockets of the node's Pods. It does nothing if there is none.
func (n *Node) stopAgent() {
	if n.agent == nil {
		return
	}
	n.agent.cancel()
	<-n.agent.done
	n.agent = nil
}

// heartbeat is how often a node renews its Lease.
const heartbeat = 2 * time.Second
