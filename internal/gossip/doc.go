// Package gossip keeps the speakers informed of each other: who is there, which interfaces their nodes have,
// and which claims to addresses were made. It decides nothing: claims beat each other by lb.Claim's rule,
// and who becomes the owner of an address is package layer2's business. group.go alone imports memberlist.
package gossip
