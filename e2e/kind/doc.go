// Package kind tests Fairlead as users install it: its images and its manifest, under real kubelets, with a
// client on the same network segment that knows nothing of Kubernetes. hack/e2e-kind.sh makes the cluster
// and runs these tests; they have the build tag kind, for they need that cluster.
//
// A node is a container on a Docker network, and that network is the segment. `docker kill` of a worker is
// what a pulled power cord is to a machine: nothing is said, and the kubelet, the speaker and the endpoints
// on it are gone together. `docker pause` is a machine whose programs stand still and whose kernel goes on.
//
// The steps are in kind_test.go, in the order in which they run; each is in a file of its own, sees to what
// it needs, and can be run alone (-run Fairlead/drain).
package kind
