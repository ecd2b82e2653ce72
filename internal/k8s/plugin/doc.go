// Package plugin is what `kubectl fairlead` does: it lists objects with a user's rights, has the allocator
// decide on them as the controller would and an elector as the speakers would, and prints tables.
//
// Listing (Load) is apart from deciding (Services, Pools, Owners, Peers, Routes, Problems, Explain, MakePlan, LeftOn,
// Spreads), and that from printing (the Write functions): both of the latter are pure, and their output does not
// depend on the order in which objects come. Follow keeps a Snapshot as the cluster changes, and Watch prints what
// that changes of a table. Only what act.go has writes to a cluster: Drain, Undrain and Rebalance, an annotation each.
// A Bundle leaves the machine: what is in it goes through redact.go.
package plugin
