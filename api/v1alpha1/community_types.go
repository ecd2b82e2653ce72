package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// CommunitySpec is a list of aliases.
type CommunitySpec struct {
	// Communities are the aliases that a BGPAdvertisement may name.
	//
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule="size(self) > 0",message="spec.communities is empty; give at least one alias"
	Communities []CommunityAlias `json:"communities"`
}

// CommunityAlias gives a BGP community a name.
type CommunityAlias struct {
	// Name of the alias: a letter, then letters, digits, dots, dashes and underscores, and not the name of a
	// well-known community.
	//
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z][-_.A-Za-z0-9]*$')",messageExpression="'\"' + self + '\" is not a name for a community; give a letter, then letters, digits, dots, dashes and underscores'",message="not a name for a community; give a letter, then letters, digits, dots, dashes and underscores"
	// +kubebuilder:validation:XValidation:rule="!(self in ['graceful-shutdown', 'accept-own', 'route-filter-translated-v4', 'route-filter-v4', 'route-filter-translated-v6', 'route-filter-v6', 'llgr-stale', 'no-llgr', 'accept-own-nexthop', 'standby-pe', 'blackhole', 'no-export', 'no-advertise', 'no-export-subconfed', 'no-peer', 'nopeer'])",messageExpression="'\"' + self + '\" is the name of a well-known community, and means that without an alias; give another name'",message="the name of a well-known community, which means that without an alias; give another name"
	Name string `json:"name"`

	// Value of the community: 65000:100 for a standard one (RFC 1997), large:65000:1:2 for a large one
	// (RFC 8092).
	//
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,5}:[0-9]{1,5}$') ? self.split(':').all(n, int(n) <= 65535) : self.matches('^large(:[0-9]{1,10}){3}$') && self.split(':').all(n, n == 'large' || int(n) <= 4294967295)",messageExpression="'\"' + self + '\" is not a community; give 65000:100 or large:65000:1:2'",message="not a community; give 65000:100 or large:65000:1:2"
	Value string `json:"value"`
}

// CommunityStatus is what the controller says about a Community.
type CommunityStatus struct {
	// Conditions of the aliases. observedGeneration is the spec's generation that they are about.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Community names BGP communities, so that advertisements read well.
//
// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=fairlead
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Names",type=string,JSONPath=`.spec.communities[*].name`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Community struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec CommunitySpec `json:"spec"`
	// +optional
	Status CommunityStatus `json:"status,omitempty"`
}

// CommunityList is a list of Communities.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type CommunityList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Community `json:"items"`
}
