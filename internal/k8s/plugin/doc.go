// Package plugin is what `kubectl fairlead` does: it lists objects with a user's rights, has the allocator
// decide on them as the controller would, and prints tables.
//
// Listing (Load) is apart from deciding (Services, Pools, Explain, MakePlan), and that from printing
// (the Write functions): both of the latter are pure, and their output does not depend on the order in
// which objects come. Nothing here writes to a cluster.
package plugin
