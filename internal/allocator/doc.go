// Package allocator decides which Service has which external address.
//
// It is a value in memory, fed by one goroutine: pools and Services go in, decisions with their reasons
// come out. It reads no clock and touches no network and no Kubernetes, so the same calls give the same
// answers. What it costs: free addresses are kept as ordered intervals, so that a /64 costs what a /24
// does; giving, keeping and taking back an address cost the logarithm of the number of intervals, and
// never a look at other Services. Services that wait for an address stand in a queue for exactly what
// they wait for; who frees it is told whom to ask again.
package allocator
