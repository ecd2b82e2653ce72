//go:build linux

package layer2

import (
	"maps"
	"slices"
)

// bindingState tells whose an address on an interface is.
type bindingState int

const (
	bindAbsent  bindingState = iota
	bindOurs                 // put there by a Binder, of this process or of one before
	bindForeign              // put there by somebody else
)

type bindKind string

const (
	addBinding    bindKind = "add"
	renewBinding  bindKind = "renew"
	removeBinding bindKind = "remove"
	refuseBinding bindKind = "refuse" // somebody else's is neither changed nor removed
	forgetBinding bindKind = "forget" // it has gone by itself
)

type bindOperation struct {
	kind bindKind
	binding
}

// planBindings returns what brings the addresses on interfaces in line with those wanted. bound are those that
// this process has put there, links the interfaces that there are. What another process has left is not removed:
// it may be a node's that is about to go on, and is gone in a moment otherwise.
func planBindings(want, bound map[binding]bool, present map[binding]bindingState, links map[string]int, renew bool) (todo []bindOperation) {
	do := func(k bindKind, b binding) { todo = append(todo, bindOperation{k, b}) }
	for _, b := range slices.SortedFunc(maps.Keys(bound), binding.compare) {
		switch {
		case want[b] && links[b.name] != 0:
		case present[b] == bindOurs:
			do(removeBinding, b)
		default:
			do(forgetBinding, b)
		}
	}
	for _, b := range slices.SortedFunc(maps.Keys(want), binding.compare) {
		switch {
		case links[b.name] == 0: // comes back with the interface
		case present[b] == bindForeign:
			do(refuseBinding, b)
		case present[b] == bindAbsent:
			do(addBinding, b)
		case renew || !bound[b]:
			do(renewBinding, b)
		}
	}
	return todo
}
