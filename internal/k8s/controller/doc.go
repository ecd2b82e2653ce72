// Package controller gives Services their addresses. It watches Services and IPAddressPools, lets package
// allocator decide, and writes what it decided to their status, with a condition that says why and an
// event at each change. It also creates the key that the speakers encrypt their gossip with.
//
// Who does what: the informers' handlers put names into a queue. One goroutine, the decider, takes them
// out; it alone has the allocator, and what it does for one Service does not depend on how many others
// there are. What it decided to write it hands to a bounded number of writers, and a name leaves the
// queue's hands only when its write has ended, so that writes for one object keep their order. All of
// this lives for one term of leadership; the next term starts from what the cluster's objects say.
//
// Beside that it says in the statuses of advertisements, BGPPeers, BFDProfiles and Communities how each stands:
// what it names and is not there, what an older one has already, on how many nodes a peer's session is up. None
// of this decides anything: speakers go by the same rules, of package k8s, themselves.
//
// It never writes spec, labels or annotations, nor anything of Services that are not its own.
package controller
