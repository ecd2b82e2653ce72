// Package chaos breaks everything around Fairlead, and Fairlead itself, while clients use it in every way, and holds what
// they notice to what the design allows. A fault is one thing that goes wrong; a day is a list of them, drawn by a seed.
//
//	go test ./e2e/chaos                             # a short day, part of `make test-e2e`
//	go test ./e2e/chaos -run 'TestFaults/speaker'   # each fault of one target, alone
//	make chaos                                      # a whole day; SEED=n repeats one
//
// After each fault all that holds in a fleet (see fleet.Holds) has to hold again.
package chaos
