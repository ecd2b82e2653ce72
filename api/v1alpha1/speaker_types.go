package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SpeakerStatus is what one node's speaker sees and does. Only that speaker writes it.
type SpeakerStatus struct {
	// Version is the speaker's release.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Version string `json:"version,omitempty"`

	// Interfaces are those of the node's network interfaces that the speaker can answer on, by name.
	//
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Interfaces []SpeakerInterface `json:"interfaces,omitempty"`

	// Gossip is the speaker's view of the other speakers.
	//
	// +optional
	Gossip *GossipStatus `json:"gossip,omitempty"`

	// Layer2 is what the node owns on its segments.
	//
	// +optional
	Layer2 *Layer2Status `json:"layer2,omitempty"`

	// BGPSessions are the node's sessions, by the name of their BGPPeer.
	//
	// +optional
	// +listType=map
	// +listMapKey=peer
	// +kubebuilder:validation:MaxItems=64
	BGPSessions []BGPSessionStatus `json:"bgpSessions,omitempty"`

	// Conditions of the speaker. Ready is True while it takes part: caches synced, gossip joined.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// SpeakerInterface is one network interface of a node.
type SpeakerInterface struct {
	// Name of the interface. Linux allows 15 characters.
	//
	// +kubebuilder:validation:MaxLength=15
	Name string `json:"name"`

	// HardwareAddress in colon-separated hex, as the interface answers with it.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=59
	HardwareAddress string `json:"hardwareAddress,omitempty"`

	// Addresses of the interface with the length of their subnet, such as "192.0.2.11/24".
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=49
	Addresses []string `json:"addresses,omitempty"`
}

// GossipStatus is one speaker's view of the group.
type GossipStatus struct {
	// Members is the number of speakers seen alive, this one included.
	//
	// +kubebuilder:validation:Minimum=0
	Members int32 `json:"members"`

	// Names are the members' node names, sorted, the first 128 of them.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=253
	Names []string `json:"names,omitempty"`

	// Truncated is true when Names leaves members out.
	//
	// +optional
	Truncated bool `json:"truncated,omitempty"`
}

// Layer2Status is what a node owns on its segments.
type Layer2Status struct {
	// Owned is the number of addresses that the node answers for.
	//
	// +kubebuilder:validation:Minimum=0
	Owned int32 `json:"owned"`

	// Addresses are those addresses, in order, the first 256 of them.
	//
	// +optional
	// +listType=map
	// +listMapKey=address
	// +kubebuilder:validation:MaxItems=256
	Addresses []Layer2Address `json:"addresses,omitempty"`

	// Truncated is true when Addresses leaves some out.
	//
	// +optional
	Truncated bool `json:"truncated,omitempty"`
}

// Layer2Address is an address that a node answers for.
type Layer2Address struct {
	// Address is the IP address.
	//
	// +kubebuilder:validation:MaxLength=45
	Address string `json:"address"`

	// Service is a Service that has the address, as namespace/name; the first of them by that name where
	// several share it.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=317
	Service string `json:"service,omitempty"`

	// Interfaces are the names of the interfaces that the node answers on.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=15
	Interfaces []string `json:"interfaces,omitempty"`
}

// BGPSessionStatus is the state of one BGP session of a node.
type BGPSessionStatus struct {
	// Peer is the name of the BGPPeer.
	//
	// +kubebuilder:validation:MaxLength=253
	Peer string `json:"peer"`

	// Address is the peer's address as dialled, with a zone where it is link-local.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Address string `json:"address,omitempty"`

	// State of the session's state machine (RFC 4271 section 8.2.2).
	State BGPSessionState `json:"state"`

	// EstablishedTime is when the session last became Established; absent while it is not.
	//
	// +optional
	EstablishedTime *metav1.Time `json:"establishedTime,omitempty"`

	// HoldTime is the negotiated hold time, the smaller of both sides' offers (RFC 4271 section 4.2).
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	HoldTime *metav1.Duration `json:"holdTime,omitempty"`

	// Families are the address families that both sides offered (RFC 4760 section 8).
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=2
	Families []AddressFamily `json:"families,omitempty"`

	// MessagesReceived counts BGP messages of all types since the session was established.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	MessagesReceived int64 `json:"messagesReceived,omitempty"`

	// MessagesSent counts BGP messages of all types since the session was established.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	MessagesSent int64 `json:"messagesSent,omitempty"`

	// PrefixesAdvertised is the number of prefixes that the peer has from this node.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	PrefixesAdvertised int32 `json:"prefixesAdvertised,omitempty"`

	// LastError is why the session last went down or did not come up, in words.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=512
	LastError string `json:"lastError,omitempty"`

	// BFDState is the state of the BFD session beside it; absent without one.
	//
	// +optional
	BFDState BFDSessionState `json:"bfdState,omitempty"`
}

// BGPSessionState is a state of RFC 4271 section 8.2.2.
//
// +kubebuilder:validation:Enum=Idle;Connect;Active;OpenSent;OpenConfirm;Established
type BGPSessionState string

// The states of a BGP session.
const (
	BGPSessionIdle        BGPSessionState = "Idle"
	BGPSessionConnect     BGPSessionState = "Connect"
	BGPSessionActive      BGPSessionState = "Active"
	BGPSessionOpenSent    BGPSessionState = "OpenSent"
	BGPSessionOpenConfirm BGPSessionState = "OpenConfirm"
	BGPSessionEstablished BGPSessionState = "Established"
)

// BFDSessionState is a state of RFC 5880 section 6.2.
//
// +kubebuilder:validation:Enum=AdminDown;Down;Init;Up
type BFDSessionState string

// The states of a BFD session.
const (
	BFDSessionAdminDown BFDSessionState = "AdminDown"
	BFDSessionDown      BFDSessionState = "Down"
	BFDSessionInit      BFDSessionState = "Init"
	BFDSessionUp        BFDSessionState = "Up"
)

// Speaker is the state of one node's speaker, to be read: it bears the node's name, the speaker writes
// it, and there is nothing to configure in it.
//
// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=fairlead
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Owned",type=integer,JSONPath=`.status.layer2.owned`
// +kubebuilder:printcolumn:name="Members",type=integer,JSONPath=`.status.gossip.members`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Speaker struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Status SpeakerStatus `json:"status,omitempty"`
}

// SpeakerList is a list of Speakers.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type SpeakerList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Speaker `json:"items"`
}
