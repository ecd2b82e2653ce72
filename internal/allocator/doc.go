// Package allocator decides which Service has which address. It is pure: it knows neither Kubernetes nor
// the clock, starts no goroutine and logs nothing. The controller tells it the pools, what each Service
// asks for and who is gone; every answer carries its reasons, fit to show a user. The plugin asks it the
// same questions about changes that are only planned.
//
// # Pools
//
// An address that several pools list is of the oldest. Excluded addresses are of no pool. Addresses that
// AvoidBuggyIPs withholds are of their pool, so that who has one keeps it, but nobody gets one.
//
// # What a Service gets
//
// A Service has a place for each address that it insists on, and one for each family of which it lists
// none. A place is filled, in this order of precedence,
//
//  1. by what the Service has already, if its request still allows it: the address that the place insists
//     on, or any of the family from the pool that it asks for (an address that was carried into another pool
//     or adopted answers to the pool that the Service asked for when it got it);
//  2. by the address that it insists on, if a pool holds it that may serve the Service, and it is free,
//     retained for this very Service, or shared with those who have it;
//  3. if it insists on none, by its own former address (retained, or lost with a pool and back again), if a
//     pool holds it that may serve the Service; else by the lowest address that it may share with others
//     of its sharing key; else by the lowest free address of the first pool that may serve it; else, with
//     all these exhausted, by the retained address, of the first of them that has any, whose wait would end
//     first.
//
// A place that cannot be filled is a refusal with a reason, and as many of the addresses that the Service
// has beyond those that fill places it keeps: what it has is not taken away for what it cannot get. With
// RequireDualStack, one refusal means that it gets nothing new at all.
//
// # Which pools may serve a Service
//
// The pool that it asks for, or else all. Those that are for certain Services only come first, then by
// priority, then by name. Of these, not one that is disabled; that is for other namespaces or other
// Services; that serves on request only, unless the Service asks for it or for one of its addresses; that has
// no address of the family; of which the namespace has its quota, each address counted once, however many
// of its Services share it, and what the Service gives back in exchange not at all. Rules decide what a Service gets, not what it keeps.
//
// # Sharing
//
// Services share an address if they have the same, non-empty key, no port in common and the same backends.
// A Service that comes to differ from those it shares with, since its key, its ports or its backends
// change, gives the address up at once: two Services on one port of one address break both.
//
// # What is shown and not known
//
// A Service that is decided for the first time shows addresses in its status, as after a restart or out of
// a backup. It keeps those that can be its own. One that no pool holds stays in its place, is reported, and
// is neither served nor replaced until a pool holds it or the Service asks for something else; but one that
// it is known to have been given is lost, as its pool was edited while nobody decided; unless there is no pool
// at all, since all have still to come then. Whoever is on Hold adopts after the others, so that nobody else
// loses by what it asks for.
//
// # Waiting
//
// Whoever was refused something waits, in the order in which that began, and is named in Again when
// what it waits for may be had. So what a freed address costs does not grow with the number that wait.
package allocator
