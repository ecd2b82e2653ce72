// Package load has thousands of users ask for Services while the nodes that lead to them are taken down one by one and
// come back, and says what the users notice: by the way that they take, layer 2, BGP through FRR, BGP through BIRD, or
// straight to a node without any load balancer.
//
// The users are a process of their own on a host of the lab (crowd). Each is due at times that nothing delays, and waits
// from then on: what is answered late, or not, costs what it would cost people, also where the crowd itself was late
// because everybody shares the processors. Every request is noted (request); what is said of a stretch of time (figures)
// is counted from these notes afterwards, so that the percentiles are exact.
package load
