// Package fleet is a lab in which everything that Fairlead does is in use: nodes with speakers, controllers, Services
// whose addresses are told on layer 2 and by BGP, two routers, and the clients that use all of it. It knows what must
// hold whenever nothing is being broken (Settled), what clients notice while something is (Users), and what the processes
// use (Usage). Suites that break things, and those that wear them out, stand on it.
//
// There are three ways to a Service, and each has its clients:
//
//   - layer 2: User is on the nodes' segment.
//   - BGP with BFD: a visitor beyond BIRD, which forgets a node within 300 ms of silence, unless Config says otherwise.
//   - BGP with graceful restart: a visitor beyond FRR, which keeps the routes of a speaker that restarts, and forgets a
//     node at the end of the hold time, 9 s. FRR 8.4 cannot have both: see docs/bgp.md.
//
// Behind every Service is one host that no node takes along when it dies, so that what is noticed is Fairlead's doing.
// The same client also asks that host directly: what is late there is the machine's doing.
package fleet
