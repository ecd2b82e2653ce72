package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BFDProfileSpec is the timing of BFD sessions towards routers (RFC 5880). A neighbour is down after
// the larger of its transmit interval and our receive interval, times its detect multiplier.
type BFDProfileSpec struct {
	// ReceiveInterval is the shortest interval between control packets that the node can take, in
	// milliseconds (Required Min RX Interval). Default 300.
	//
	// +optional
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=60000
	ReceiveInterval *int32 `json:"receiveInterval,omitempty"`

	// TransmitInterval is the shortest interval between control packets that the node wants to send at, in
	// milliseconds, before jitter (Desired Min TX Interval). Default 300.
	//
	// +optional
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=60000
	TransmitInterval *int32 `json:"transmitInterval,omitempty"`

	// DetectMultiplier is how many intervals may pass without a packet before the session is down (Detect
	// Mult). Default 3.
	//
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=255
	DetectMultiplier *int32 `json:"detectMultiplier,omitempty"`

	// EchoMode would use the Echo function (RFC 5880 section 6.4). It is refused until it works.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="!self",reason=FieldValueForbidden,message="spec.echoMode is not supported: Fairlead's BFD has no Echo function; remove it and shorten spec.transmitInterval and spec.receiveInterval instead"
	EchoMode bool `json:"echoMode,omitempty"`

	// EchoInterval is the interval of the Echo function, in milliseconds. Without EchoMode it means
	// nothing; it is taken so that profiles that spell out MetalLB's defaults apply.
	//
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=60000
	EchoInterval *int32 `json:"echoInterval,omitempty"`

	// PassiveMode waits for the router's first packet before sending any (RFC 5880 section 6.1).
	//
	// +optional
	PassiveMode bool `json:"passiveMode,omitempty"`

	// MinimumTTL is the lowest TTL that a control packet of a multi-hop session may arrive with (RFC 5883
	// section 5). Single-hop sessions always ask for 255 (RFC 5881 section 5). Default 254. BIRD sends
	// with 64: give 64 less the hops between.
	//
	// +optional
	// +kubebuilder:default=254
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=254
	MinimumTTL *int32 `json:"minimumTtl,omitempty"`
}

// BFDProfileStatus is what the controller says about a profile.
type BFDProfileStatus struct {
	// Conditions of the profile. observedGeneration is the spec's generation that they are about.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BFDProfile is the timing of the BFD sessions of the BGPPeers that name it.
//
// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=fairlead
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="In-Use",type=string,JSONPath=`.status.conditions[?(@.type=="InUse")].status`
// +kubebuilder:printcolumn:name="Transmit",type=integer,JSONPath=`.spec.transmitInterval`
// +kubebuilder:printcolumn:name="Receive",type=integer,JSONPath=`.spec.receiveInterval`
// +kubebuilder:printcolumn:name="Multiplier",type=integer,JSONPath=`.spec.detectMultiplier`
// +kubebuilder:printcolumn:name="Passive",type=boolean,priority=1,JSONPath=`.spec.passiveMode`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BFDProfile struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	// +kubebuilder:default={}
	Spec BFDProfileSpec `json:"spec,omitempty"`
	// +optional
	Status BFDProfileStatus `json:"status,omitempty"`
}

// BFDProfileList is a list of BFDProfiles.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type BFDProfileList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []BFDProfile `json:"items"`
}
