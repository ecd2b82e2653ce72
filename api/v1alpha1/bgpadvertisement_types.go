package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BGPAdvertisementSpec says which addresses are advertised to BGP peers, with which attributes, from
// which nodes and to which peers.
type BGPAdvertisementSpec struct {
	// IPAddressPools are the names of pools to advertise. With IPAddressPoolSelectors empty too, every
	// pool is.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	IPAddressPools []string `json:"ipAddressPools,omitempty"`

	// IPAddressPoolSelectors select, by label, pools to advertise besides those named.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	IPAddressPoolSelectors []LabelSelector `json:"ipAddressPoolSelectors,omitempty"`

	// ServiceSelectors narrow the advertisement to Services that match at least one of them, by label.
	// Default: every Service.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	ServiceSelectors []LabelSelector `json:"serviceSelectors,omitempty"`

	// NodeSelectors narrow the next hops to nodes that match at least one of them, by label. Default:
	// every node.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	NodeSelectors []LabelSelector `json:"nodeSelectors,omitempty"`

	// AggregationLength is the length of the prefixes that IPv4 addresses are advertised in. An address
	// whose prefix of this length is not wholly within its pool's spec.addresses is advertised by itself;
	// spec.excludeAddresses counts as within. Default 32: each address by itself.
	//
	// +optional
	// +kubebuilder:default=32
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32
	AggregationLength *int32 `json:"aggregationLength,omitempty"`

	// AggregationLengthV6 is the length of the prefixes that IPv6 addresses are advertised in, as
	// AggregationLength is for IPv4. Default 128: each address by itself.
	//
	// +optional
	// +kubebuilder:default=128
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=128
	AggregationLengthV6 *int32 `json:"aggregationLengthV6,omitempty"`

	// LocalPref is the LOCAL_PREF attribute towards iBGP peers (RFC 4271 section 5.1.5): the highest wins.
	// Where several advertisements give a peer one prefix, the highest of theirs counts. Default 100.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	LocalPref *int64 `json:"localPref,omitempty"`

	// Communities to attach, each one of:
	//
	//	65000:100            a standard community, two numbers of 16 bits (RFC 1997)
	//	large:65000:1:2      a large community, three numbers of 32 bits (RFC 8092)
	//	no-export            a well-known community by name, of IANA's registry
	//	edge-preferred       an alias of a Community object
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Communities []CommunityReference `json:"communities,omitempty"`

	// Peers are the names of the BGPPeers to advertise to. Default: every peer.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Peers []string `json:"peers,omitempty"`
}

// CommunityReference is a BGP community's value, its well-known name, or an alias for it.
//
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{1,5}:[0-9]{1,5}$') ? self.split(':').all(n, int(n) <= 65535) : self.matches('^large(:[0-9]{1,10}){3}$') ? self.split(':').all(n, n == 'large' || int(n) <= 4294967295) : self.matches('^[A-Za-z][-_.A-Za-z0-9]*$')",messageExpression="'\"' + self + '\" is not a community; give 65000:100, large:65000:1:2, a well-known name such as no-export, or an alias'",message="not a community; give 65000:100, large:65000:1:2, a well-known name such as no-export, or an alias"
type CommunityReference string

// BGPAdvertisementStatus is what the controller says about an advertisement.
type BGPAdvertisementStatus struct {
	// Conditions of the advertisement. observedGeneration is the spec's generation that they are about.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BGPAdvertisement has the addresses of pools advertised to BGP peers. An advertisement without a spec
// advertises every pool from every node to every peer.
//
// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=fairlead
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Pools",type=string,JSONPath=`.spec.ipAddressPools`
// +kubebuilder:printcolumn:name="Peers",type=string,JSONPath=`.spec.peers`
// +kubebuilder:printcolumn:name="Communities",type=string,priority=1,JSONPath=`.spec.communities`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BGPAdvertisement struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec BGPAdvertisementSpec `json:"spec,omitempty"`
	// +optional
	Status BGPAdvertisementStatus `json:"status,omitempty"`
}

// BGPAdvertisementList is a list of BGPAdvertisements.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type BGPAdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []BGPAdvertisement `json:"items"`
}
