// Package speaker is the API's side of a speaker: it watches Services, their endpoints, nodes, pools and
// advertisements, tells the layer-2 engine what they come to for each address, and writes what the engine
// does to the node's Speaker object and to events. What an object means is decided by pure functions
// (advertisement.go, node.go, endpoints.go); who owns an address is layer2's business.
package speaker
