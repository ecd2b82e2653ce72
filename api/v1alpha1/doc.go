// Package v1alpha1 holds Fairlead's custom resources, group fairlead.dev.
//
// All kinds are cluster-scoped. Where a kind or field means what MetalLB's does it carries MetalLB's
// name, so that a manifest of theirs applies after a change of apiVersion.
//
// An object that is wrong by itself is refused at apply, by the schema and CEL rules written here as
// markers: there is no webhook. What shows only beside other objects (two pools that overlap, a peer
// that names a missing profile) becomes a condition on the object. The rules use CEL libraries of
// Kubernetes 1.30 and nothing newer. Fields and kinds that a release does not implement yet are refused
// by rules of their own with reason FieldValueForbidden; each is one marker line, to be deleted with the
// release that implements the field.
//
// Lists and strings are bounded throughout: CEL's cost is estimated from these bounds, and no object
// can outgrow etcd's 1.5 MiB.
//
// +k8s:deepcopy-gen=package
// +groupName=fairlead.dev
// +groupGoName=Fairlead
package v1alpha1
