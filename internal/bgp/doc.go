// Package bgp advertises addresses to routers (RFC 4271), with this node as the next hop.
//
// What is advertised to whom is decided by a Table: a value that is told why addresses are to be advertised, and that
// makes the routes of each peer of it. It knows no clock, no network and no Kubernetes, and neither do the functions
// beside it: what an edit of a peer asks of its session (ChangeOf), which next hop a prefix goes with (nextHop), and
// what of a conversation with a router goes through (conversation).
//
// Around them is the Engine with a session per peer, which is one goroutine that owns all of it. A session connects, or
// waits for a router that does, and sees to the options of the connection: TTL, TCP MD5, device, the router on the link
// of an unnumbered peer. The protocol itself is GoBGP's, one server of it for each peer (gobgp.go), and a relay carries
// the messages between the two connections:
//
//	router <- TCP, 179 -> relay <- TCP, loopback -> GoBGP: one RIB, one neighbour
//	                        |
//	     conversation: what goes through, how far the session is, why it ended
//
// So nothing that is done to one session touches another. Routes of a router go no further than the relay, whatever
// they are and however many. A session begins with all its routes in GoBGP's RIB, which packs them; later changes go
// one by one, at a cost that does not depend on how many others there are.
//
// Nothing here changes the node: no address, no route.
package bgp
