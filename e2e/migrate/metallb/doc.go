// Package metallb pins the MetalLB that users move from, as the tests in .. build it: its go.mod names the controller
// and the speaker as tools, with the versions that MetalLB itself was released with.
//
// v0.16.1 is the newest whose modules can be had from the module proxy: v0.16.2 requires a version of
// github.com/metallb/frr-k8s that is not there.
package metallb
