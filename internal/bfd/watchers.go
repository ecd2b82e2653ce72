package bfd

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Watchers returns the nodes that watch a node: its n first successors by rendezvous hashing, first to last. All
// speakers that know the same nodes compute the same, in whatever order they know them; and a node that comes or
// goes changes the watchers of few. The node itself may be among nodes or not.
func Watchers(node string, nodes []string, n int) []string {
	return watchers(name(node), names(nodes), n)
}

// Watched returns the nodes that a node watches, sorted: those that it is a watcher of. What it costs grows hardly
// faster than their number: of each node it is asked only until n others come before this one.
func Watched(node string, nodes []string, n int) (watched []string) {
	nodes = slices.Compact(slices.Sorted(slices.Values(nodes)))
	at, found := slices.BinarySearch(nodes, node)
	if !found {
		return nil
	}
	all := names(nodes)
	for i, other := range all {
		if i != at && among(all, i, at, n) {
			watched = append(watched, other.name)
		}
	}
	return watched
}

// among tells whether a watcher is among the first n of a node.
func among(all []hashed, node, watcher, n int) bool {
	own := rank(all[node].hash, all[watcher].hash)
	for i := range all {
		if n <= 0 {
			return false
		}
		if r := rank(all[node].hash, all[i].hash); i != node && (r > own || (r == own && i < watcher)) {
			n--
		}
	}
	return n > 0
}

type hashed struct {
	name string
	hash uint64
}

func name(s string) hashed {
	sum := sha256.Sum256([]byte(s))
	return hashed{s, binary.BigEndian.Uint64(sum[:])}
}

func names(list []string) []hashed {
	all := make([]hashed, len(list))
	for i, s := range list {
		all[i] = name(s)
	}
	return all
}

func watchers(node hashed, nodes []hashed, n int) []string {
	type ranked struct {
		name string
		rank uint64
	}
	if n <= 0 {
		return nil
	}
	first := make([]ranked, 0, n) // the best so far, in order
	for _, other := range nodes {
		r := ranked{other.name, rank(node.hash, other.hash)}
		at, found := slices.BinarySearchFunc(first, r, func(a, b ranked) int {
			return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(a.name, b.name))
		})
		if at == n || found || other.name == node.name {
			continue
		}
		first = slices.Insert(first[:min(len(first), n-1)], min(at, n-1), r)
	}
	list := make([]string, len(first))
	for i, r := range first {
		list[i] = r.name
	}
	return list
}

// rank mixes two hashes to one that is as good as random for each pair and order of them: splitmix64's finalizer
// (Steele, Lea and Flood 2014). lb.Rank's hash for each pair would be too slow for all pairs of 500 nodes.
func rank(node, other uint64) uint64 {
	x := node*0x9e3779b97f4a7c15 + other
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
