// Package migrate turns the configuration of other load balancers (MetalLB, OpenELB, kube-vip) into Fairlead's
// objects, and says of every field of every object that it was given what became of it: carried over as it is,
// changed, without a counterpart, or unknown. Nothing is left out in silence: each object keeps account of the
// fields that a converter has looked at, and what nobody has looked at is reported as unknown.
//
// It decides from decoded objects alone. It reads no cluster and no file, and never repeats a password.
package migrate
