package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// L2AdvertisementSpec says which addresses are answered for on the local segment by ARP (RFC 826) and
// Neighbor Discovery (RFC 4861), by which nodes, and on which of their interfaces. Of a Service's
// addresses exactly one node owns each at a time.
type L2AdvertisementSpec struct {
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

	// NodeSelectors narrow the owners to nodes that match at least one of them, by label. Default: every
	// node.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	NodeSelectors []LabelSelector `json:"nodeSelectors,omitempty"`

	// PreferredNodeSelectors weigh the nodes that NodeSelectors leave: a node has the sum of the weights of
	// those that match it, and the nodes of the greatest weight are chosen first. They count when an owner is
	// chosen; they never take an address from a node that has it. Default: all nodes weigh the same.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	PreferredNodeSelectors []PreferredNodeSelector `json:"preferredNodeSelectors,omitempty"`

	// Interfaces are the names of the nodes' interfaces to answer on, such as "eth0", or globs in the
	// syntax of a shell: * for any run of characters, ? for any one, [abc] or [a-c] for one of some. Named
	// interfaces need no address in the Service address's subnet. Default: the interfaces that have one.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	Interfaces []InterfacePattern `json:"interfaces,omitempty"`

	// BindAddress also puts the address on the interfaces that its owner answers on, for as long as it is the
	// owner, so that programs of the node can listen on it. It has a finite lifetime there, which the speaker
	// renews, and so goes by itself after a crash. Default false: the node answers for the address without
	// having it.
	//
	// +optional
	BindAddress bool `json:"bindAddress,omitempty"`
}

// InterfacePattern is the name of a network interface, or a glob for some.
//
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:XValidation:rule=`self.matches('^([^][\\\\/:\\s]|\\[\\^?([^][\\\\/:\\s^-](-[^][\\\\/:\\s-])?)+\\])+$')`,messageExpression=`'"' + self + '" is not an interface name or glob; write a name such as eth0, or one with *, ? or [0-9] for any of several'`,message=`not an interface name or glob; write a name such as eth0, or one with *, ? or [0-9] for any of several`
// +kubebuilder:validation:XValidation:rule=`size(self) <= 15 || self.matches('[*?[]')`,messageExpression=`'"' + self + '" is longer than the 15 characters that an interface name can have'`,message=`longer than the 15 characters that an interface name can have`
type InterfacePattern string

// PreferredNodeSelector adds a weight to the nodes that it matches.
type PreferredNodeSelector struct {
	// Weight, from 1 to 100, is added for a node that Preference matches.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`

	// Preference selects nodes by label.
	Preference LabelSelector `json:"preference"`
}

// L2AdvertisementStatus is what the controller says about an advertisement.
type L2AdvertisementStatus struct {
	// Conditions of the advertisement. observedGeneration is the spec's generation that they are about.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// L2Advertisement has the addresses of pools answered for on the local segment. An advertisement
// without a spec advertises every pool from every node.
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
// +kubebuilder:printcolumn:name="Interfaces",type=string,JSONPath=`.spec.interfaces`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type L2Advertisement struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec L2AdvertisementSpec `json:"spec,omitempty"`
	// +optional
	Status L2AdvertisementStatus `json:"status,omitempty"`
}

// L2AdvertisementList is a list of L2Advertisements.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type L2AdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []L2Advertisement `json:"items"`
}
