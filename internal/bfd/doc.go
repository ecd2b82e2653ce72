// Package bfd finds out within a fraction of a second that another speaker is no longer reached: sessions of
// Bidirectional Forwarding Detection in asynchronous mode (RFC 5880) over UDP. It tells that a session went
// down or came up, and why; what that means for addresses is package layer2's business.
//
// packet.go is the wire format, session.go the state machine, auth.go what makes a packet trusted, adapt.go
// what this machine's own lateness does to its judgement, core.go all sessions of a node. None of them knows
// a clock, a socket or a goroutine. mesh.go and socket.go are the shell around them. watchers.go says which nodes
// are to have sessions with each other.
//
// What differs from the RFCs, and why:
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
// Demand mode and the Echo function are left out. Time to live is 255 in what is sent, and not looked at in what
// is received: nodes may be routed to each other, so it is the digest that keeps strangers out.
package bfd
