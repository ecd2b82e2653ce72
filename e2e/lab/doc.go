// Package lab runs a real Kubernetes control plane, nodes that really forward packets, and clients outside
// the cluster, on one machine, in namespaces that the kernel destroys when the lab's process dies.
//
//	             192.0.2.0/24, 2001:db8::/64
//	┌─────────────────────── switch: bridge br0 ───────────────────────┐
//	│ cp               node1             node2             client1     │   one port each
//	└──┬─────────────────┬─────────────────┬─────────────────┬─────────┘
//	   │ eth0            │ eth0            │ eth0            │ eth0
//	┌──┴──────────┐ ┌────┴────────┐ ┌──────┴──────┐ ┌────────┴────┐
//	│ cp     .2   │ │ node1  .11  │ │ node2  .12  │ │ client1 .101│   a network namespace each;
//	│ etcd        │ │ kube-proxy  │ │ kube-proxy  │ │ asks, ARPs, │   v6 likewise: ::2, ::11, ::12, ::101
//	│ apiserver   │ │ speaker     │ │ speaker     │ │ probes      │
//	│ controllers │ │ agent       │ │ agent       │ └─────────────┘
//	│ Fairlead's  │ └────┬ pods0 ─┘ └──────┬ pods0 ─┘
//	│  controller │      │ eth0            │ eth0
//	└─────────────┘ ┌────┴────────┐ ┌──────┴──────┐   Pods 198.18.0.0/16, 2001:db8:18::/48
//	                │ node1-pods  │ │ node2-pods  │   Services 198.19.0.0/16, 2001:db8:19::/112
//	                └─────────────┘ └─────────────┘   for pools: 192.0.2.200-250, 2001:db8::200-2ff
//
// etcd, kube-apiserver, kube-controller-manager, kube-proxy (nftables mode) and Fairlead's own programs
// are processes. A node's kubelet is played by an agent, a goroutine whose connections start in the node's
// namespace: it registers the Node, renews its Lease, and runs every Pod that is bound to the node by
// opening the Pod's container ports in the node's pods namespace. A TCP port speaks HTTP and a UDP port
// answers each datagram; both say who they are and whom they saw (see Reply). So EndpointSlices come from
// the real controller, packets take the node's real forwarding path, and cutting a cable stops heartbeats.
//
// # Routers
//
// NewRouter adds a router to a running lab: a host with a second leg, eth1, on a segment beyond, 203.0.113.0/24 and
// 2001:db8:113::/64, where clients live whose packets come through routers (NewOutsideClient). It runs FRR or BIRD
// from Debian's packages with a configuration that is made from one description for both (BGP, Peer), and is asked
// for what it has in its own words, which are read into Path and PeerState. Its kernel spreads connections over the
// next hops of a route; WatchRoutes notes each change of them when it happens. A far router is on the segment beyond
// only, several hops from the nodes; Link lays a cable between two hosts without any addresses but link-local ones.
// 198.51.100.0/24 and 2001:db8:51::/64 are for pools that only routers lead to.
//
// Config.Storage joins the nodes by a second network, data0 of each, 10.77.0.0/24 and fd77::/64. It goes on whatever
// becomes of their cables: what answers there is no sign of life for clients.
//
// # Faults
//
// A host's cable is cut at either end (Cut) or one way (Mute, Deafen), hosts are put on an island (Partition), and ports
// are blocked between them (Block). A node is powered off and on. A Process is killed, frozen, and started again; Limit
// gives processes a share of a processor, little memory or no further threads, by control groups of version 1 or 2;
// SpareDescriptors leaves one few descriptors, MoveClock moves the wall clock that it alone sees. A Disk, of etcd's data
// or of all logs, is filled. All of it is ended by what the call returns, or by its opposite, and with the lab.
//
// What cannot be had so: the wall clock that the kernel itself stamps packets and files by stays right, since a machine has
// one. A control group that a lab leaves behind when it is killed is empty, and is removed by the process outside, or with
// the next lab.
//
// # Isolation
//
// Main, for tests, and Isolate, for programs, run the calling binary again inside new mount, PID and network
// namespaces. Nothing there has a way out to the host's network; the one way in is a listener on the host's
// 127.0.0.1 that is relayed to the API server. The first process in there is a small init that reaps orphans;
// when it dies, or the process outside dies, by whatever signal, the kernel kills everything inside and
// the namespaces go with it.
//
// # What the lab is not
//
// All Pods of a node share one network namespace. A Pod is asked from outside it, or from its node; a Pod
// that asks a Service whose backend is on its own node would shortcut kube-proxy's answer. Containers are
// not run, images are not pulled, SCTP ports are not served, probes are not executed: a Pod is ready unless
// told otherwise. NetworkPolicy is not enforced. What needs these is tested on kind.
package lab
