// Package layer2 makes addresses reachable on a segment: it decides which node owns each address, answers
// ARP (RFC 826) and Neighbor Discovery (RFC 4861) for those that this node owns, and announces them.
//
// The decision is the Elector: a value that is told of addresses, nodes and claims and that says who owns
// what. It knows no clock (time is an argument), no network and no Kubernetes. What is on the wire is
// decided by pure functions from a frame to its answer (arp.go, ndp.go). Around them is a thin shell: the
// Responder's sockets, whose filters keep everything in the kernel that is not about an address of ours
// (filter.go), its probers, which ask hosts and segments, the Announcer's schedule, the Binder's addresses on
// interfaces, and the Engine that joins them to gossip. What talks to the kernel is for Linux alone (wiring.go);
// the rest builds wherever kubectl does, whose plugin asks an Elector of its own.
//
// # Who owns an address
//
// Ownership is non-revertive: who owns an address keeps it for as long as it may, since every move breaks
// the connections through it. An owner's claim is known to all by gossip. The claim of the highest epoch
// counts, then the surer one, then the one of the higher rank: whoever has heard the same claims agrees.
//
// An address without an owner goes to one of the best candidates: those that were not waited for in vain
// before, of these those that are not suppressed for flapping, of these those of the highest weight. Among
// them rendezvous hashing decides, with bounded loads: none gets more than a quarter above their mean. A
// takeover that is not confirmed yet counts where all who know of the loss would place it alike, not where
// somebody was quick to claim: so the order in which the news come makes little difference. Who was chosen
// makes the claim. If it does not, for a second, or for a moment where the owner was lost, the next one does.
//
// An address that another system gave to a Service may have a holder that no claim tells of. Who is chosen for it claims
// it and asks the segment before it answers. A node that has the address already is offered it, and takes it whatever
// the loads: it answers with the hardware address that clients know, and nothing moves (inheritance.go).
//
// A node is a candidate while its speaker takes part, nothing bars it, an advertisement selects it, it has an
// interface for the address and, where only nodes with endpoints may own it, an endpoint.
//
// # When a node goes
//
// A node that is lost is one whose kernel is silent too. Its addresses, and no others, are taken over. What a
// takeover is worth shows in its standing: without a majority it is provisional, and an owner that turns out
// to be there contests it; with one it is pending until the majority has held for a while, and contested by
// an owner that was in the majority all the time. An owner that heard nobody at all on the wire knows that it
// was the one cut off, and contests nothing: so two nodes agree as well, and the one that flaps yields.
//
// A node that rests is one whose speaker alone is gone. It owns what it has claimed, and takes nothing. For
// each of its addresses the first of the others stands in: it answers with the owner's hardware address and
// claims nothing, so that it makes no difference if, for a moment, two do. When the speaker is back it goes on
// with its old claim; when it is given up, its addresses are taken over.
//
// A planned move, of a node that is drained or an advertisement that selects others, is make-before-break: the
// owner answers until it hears the claim of its successor.
//
// Which of the two it is Health finds out (health.go): a session or gossip is lost, and the node's kernel is
// asked on the segment. If nobody at all answers there, it is this node that is cut off: it takes nothing over,
// and when somebody answers again it answers nothing until it has heard what happened meanwhile. So does a
// process that was frozen.
//
// A path may be cut one way. So what is heard without a question of ours proves nothing: neither that we are heard
// ourselves, nor that the node that speaks hears its clients. An owner that would contest a claim asks first: it insists
// once somebody has answered it, which takes a millisecond, and yields if nobody does.
//
// A node that is lost again and again is suppressed in RFC 2439's terms. It says its penalty itself, so that
// all choose alike; and suppression orders the choice and nothing else: it never makes anybody doubt a claim.
//
// # When a node comes
//
// Nothing moves, also where the node is preferred to the owners. Rebalance has each node give away what others
// are better owners of, one address each second: to a node of a higher weight, or from one above the mean to
// one below. It offers, and answers until it hears the receiver's claim. The receiver takes what is an
// improvement by its own book, in which its own load is exact; so many givers do not overshoot by much, and
// as every move improves, the run ends.
package layer2
