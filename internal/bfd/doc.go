// Package bfd finds out within a fraction of a second that another speaker or a router is no longer reached:
// sessions of Bidirectional Forwarding Detection in asynchronous mode (RFC 5880) over UDP. It tells that a session
// went down or came up, and why; what that means for addresses is the business of packages layer2 and bgp.
//
// packet.go is the wire format, session.go the state machine of both kinds of sessions, pace.go when to look for
// packets, adapt.go what this machine's own lateness does to its judgement.
//
// A Mesh is the sessions of a node with other speakers: core.go is all of them, auth.go what makes a packet trusted.
// Neither knows a clock, a socket or a goroutine. mesh.go and socket.go are the shell around them. watchers.go says
// which nodes are to have sessions with each other.
//
// Routers is the sessions with routers, on one link (RFC 5881) or several hops away (RFC 5883): router.go is what
// there is to watch and to be told, routercore.go all sessions, again without clock, socket or goroutine; routers.go,
// routersockets.go and routersocket.go are the shell. They do as the RFCs say, with any router. One thing is added:
// what this node missed because it stood still itself is not held against the router. It puts its verdict off, as in
// a Mesh, and reads what waits in the socket before; but it does not ask the router for more patience.
//
// What differs from the RFCs between speakers, and why:
//
//   - Packets go from and to one port, the same on all nodes. RFC 5881's ports and its rule for the source port
//     are for sessions with routers: port 3784 is left to another BFD daemon on the node, such as FRR's bfdd.
//   - A session that is not Up sends ten times a second or at the speed it has when Up, not once a second
//     (section 6.8.3): speakers run on every node, few sessions go to one that does not answer, and a node that
//     returns is to be watched at once.
//   - A packet that does not carry our discriminator proves nothing: it may be a recording. The state machine
//     never sees it; it is answered, so that its sender learns our discriminator (see auth.go).
//   - Sequence numbers start from the clock, not at random (section 6.8.1): so those of a speaker that was
//     restarted go on where they were.
//
// Time to live is 255 in what is sent, and not looked at in what speakers receive of each other: nodes may be routed
// to each other, so it is the digest that keeps strangers out.
//
// The Echo function is left out, and so is Demand mode but for a router that wants to be sent nothing.
package bfd
