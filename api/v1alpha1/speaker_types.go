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

	// FailureDetection is how the speaker watches the nodes that it is to take over from.
	//
	// +optional
	FailureDetection *FailureDetectionStatus `json:"failureDetection,omitempty"`

	// Layer2 is what the node owns on its segments.
	//
	// +optional
	Layer2 *Layer2Status `json:"layer2,omitempty"`

	// BGPSessions are the node's sessions, by the name of their BGPPeer, the first 64 of them. Also those that it
	// should have and cannot: reason and message say why.
	//
	// +optional
	// +listType=map
	// +listMapKey=peer
	// +kubebuilder:validation:MaxItems=64
	BGPSessions []BGPSessionStatus `json:"bgpSessions,omitempty"`

	// Conditions of the speaker. Ready is True while it takes part: caches synced, gossip joined.
	// AddressConflict is True while layer2.conflicts has an entry. ARPNotStrict is True while kube-proxy runs in IPVS
	// mode without strictARP on the node, and there are addresses to answer for.
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

// FailureDetectionStatus is how a speaker watches nodes.
type FailureDetectionStatus struct {
	// Timing is the interval between the packets of a session, and how many may be missing in a row before the
	// session goes down, such as "fast: 50 ms x 3".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Timing string `json:"timing,omitempty"`

	// Sessions (RFC 5880) with other speakers, by the name of their node, the first 64 of them.
	//
	// +optional
	// +listType=map
	// +listMapKey=node
	// +kubebuilder:validation:MaxItems=64
	Sessions []FailureDetectionSession `json:"sessions,omitempty"`

	// Truncated is true when Sessions leaves some out.
	//
	// +optional
	Truncated bool `json:"truncated,omitempty"`
}

// FailureDetectionSession is a session with the speaker of another node.
type FailureDetectionSession struct {
	// Node is the name of the node.
	//
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node"`

	// State of the session: Up while the node is heard, else Down.
	State FailureDetectionState `json:"state"`

	// Since is when the session came into this state.
	//
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// FailureDetectionState is whether a node is heard.
//
// +kubebuilder:validation:Enum=Up;Down
type FailureDetectionState string

// The states of a FailureDetectionSession.
const (
	FailureDetectionUp   FailureDetectionState = "Up"
	FailureDetectionDown FailureDetectionState = "Down"
)

// Layer2Status is what a node owns on its segments.
type Layer2Status struct {
	// Owned is the number of addresses that the node owns.
	//
	// +kubebuilder:validation:Minimum=0
	Owned int32 `json:"owned"`

	// StandingIn is the number of addresses that the node answers for on behalf of their owners, whose
	// speakers are gone for a moment.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	StandingIn int32 `json:"standingIn,omitempty"`

	// Addresses are the addresses that the node answers for, those that it owns and those that it stands in
	// for, in order, the first 256 of them.
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

	// SuppressedNodes are the nodes that own nothing new for now because they were lost too often, by name, as
	// this speaker sees it: the first 64 of them.
	//
	// +optional
	// +listType=map
	// +listMapKey=node
	// +kubebuilder:validation:MaxItems=64
	SuppressedNodes []SuppressedNode `json:"suppressedNodes,omitempty"`

	// Conflicts are the addresses that a foreign host was seen to use although this node answers for them, or
	// was about to; by address, the first 64 of them. An entry goes 10 minutes after the host was last seen to
	// use the address.
	//
	// +optional
	// +listType=map
	// +listMapKey=address
	// +kubebuilder:validation:MaxItems=64
	Conflicts []AddressConflict `json:"conflicts,omitempty"`

	// Takeovers are what this node took over from others, oldest first, the last 32 of them. What it took from one
	// node for one cause within a second is one takeover. They outlast a restart of the speaker, and the node's loss.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Takeovers []Takeover `json:"takeovers,omitempty"`
}

// Takeover is one or more addresses that a node took over from another at one time.
type Takeover struct {
	// Time is when this node began to answer for the first of the addresses.
	Time metav1.MicroTime `json:"time"`

	// From is the name of the node that owned the addresses before.
	//
	// +kubebuilder:validation:MaxLength=253
	From string `json:"from"`

	// Cause is why this node took over.
	Cause TakeoverCause `json:"cause"`

	// Count is the number of addresses.
	//
	// +kubebuilder:validation:Minimum=1
	Count int32 `json:"count"`

	// Addresses are the first 16 of them.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=45
	Addresses []string `json:"addresses,omitempty"`

	// Reason is what kept the former owner from going on as one, in words, where more than the cause is known, such
	// as "drained".
	//
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`

	// Duration is for how long nobody answered, in milliseconds, where the cause is Lost: from when the former owner
	// was last heard until this node announced the last of the addresses. Absent or 0 otherwise: the former owner's
	// node forwarded meanwhile.
	//
	// Last heard is the last packet of its failure detection session with this node; else with the speaker that
	// found the loss and told this one, as long before as that one says; or a later answer of its kernel on the
	// segment. Where nobody had a session with it, or a speaker of an earlier release told of the loss, it counts
	// from when it was suspected. A node that had last sent a packet some time before it failed was there for up to
	// one interval longer than that, and clients may need a moment to take in the announcement.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Duration int32 `json:"duration,omitempty"`
}

// TakeoverCause is why a node owns an address. Elected is none of a takeover: it had no owner before.
//
// +kubebuilder:validation:Enum=Elected;Lost;Left;Moved;Rebalanced;Settled
type TakeoverCause string

// The causes.
const (
	// TakeoverElected: nobody owned the address.
	TakeoverElected TakeoverCause = "Elected"
	// TakeoverLost: the owner's node was lost.
	TakeoverLost TakeoverCause = "Lost"
	// TakeoverLeft: the owner's speaker is gone for good, after a good-bye or past the restart grace.
	TakeoverLeft TakeoverCause = "Left"
	// TakeoverMoved: the owner may own the address no longer.
	TakeoverMoved TakeoverCause = "Moved"
	// TakeoverRebalanced: the owner gave it, to spread the load.
	TakeoverRebalanced TakeoverCause = "Rebalanced"
	// TakeoverSettled: both nodes had claimed it, and this one's claim counts.
	TakeoverSettled TakeoverCause = "Settled"
)

// SuppressedNode is a node whose penalty for being lost (RFC 2439 section 4.2) is above the limit.
type SuppressedNode struct {
	// Node is the name of the node.
	//
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node"`

	// Penalty of the node when it last rose. Since then it decays.
	//
	// +kubebuilder:validation:Minimum=0
	Penalty int32 `json:"penalty"`

	// ReuseTime is when the node may own addresses again, unless it is lost once more before.
	ReuseTime metav1.Time `json:"reuseTime"`
}

// AddressConflict is an address that a host which is none of the cluster's speakers uses as well.
type AddressConflict struct {
	// Address is the IP address.
	//
	// +kubebuilder:validation:MaxLength=45
	Address string `json:"address"`

	// HardwareAddress of the foreign host, in colon-separated hex.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=59
	HardwareAddress string `json:"hardwareAddress,omitempty"`

	// Interface of this node on which the host was seen.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=15
	Interface string `json:"interface,omitempty"`

	// Service that has the address, as namespace/name; the first of them by age where several share it.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=317
	Service string `json:"service,omitempty"`

	// Since is when the host was first seen to use the address.
	Since metav1.Time `json:"since"`

	// Detected is true if the host was found before the first announcement of the address, which was not
	// announced then: the controller sets it aside (see IPAddressPool spec.conflictDetection). False if this
	// node answers for it, beside the foreign host.
	//
	// +optional
	Detected bool `json:"detected,omitempty"`
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

	// Since is when this node became the owner of the address; absent where it stands in for another. It is kept
	// over a crash of the speaker, and over an orderly restart as far as takeovers has it. Otherwise it is when the
	// restarted speaker went on with the address, and there is no cause.
	//
	// +optional
	Since *metav1.Time `json:"since,omitempty"`

	// Cause is why this node became the owner.
	//
	// +optional
	Cause TakeoverCause `json:"cause,omitempty"`

	// From is the name of the node that owned the address before; absent if there was none.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	From string `json:"from,omitempty"`

	// For is the name of the node that owns the address, where this one answers on its behalf, with the owner's
	// hardware address, while the owner's speaker is gone for a moment. Absent where this node is the owner.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=253
	For string `json:"for,omitempty"`

	// Interfaces are the names of the interfaces that the node answers on.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=15
	Interfaces []string `json:"interfaces,omitempty"`
}

// BGPSessionStatus is the state of one BGP session of a node. What changes by itself is written at a slow pace,
// so that sessions cost the API server nothing while nothing happens: whether a session is established, within a
// second; other states and errors, and what was advertised, within 5 seconds, in clusters of more than 16 nodes
// within a minute. KEEPALIVE messages alone are no reason to write: the counts are those of the last write. The
// speaker's metrics have them as they are.
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

	// LocalAddress is the node's address of the session, the next hop of prefixes of its family; absent without a
	// connection.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=64
	LocalAddress string `json:"localAddress,omitempty"`

	// State of the session's state machine (RFC 4271 section 8.2.2). While it is not Established, it is as it was
	// when lastError last changed: attempts to connect follow each other.
	State BGPSessionState `json:"state"`

	// EstablishedTime is when the session last became Established; absent while it is not.
	//
	// +optional
	EstablishedTime *metav1.Time `json:"establishedTime,omitempty"`

	// DownTime is since when the session is not Established; absent while it is.
	//
	// +optional
	DownTime *metav1.Time `json:"downTime,omitempty"`

	// EstablishedCount is how often the session has become Established since the speaker started.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	EstablishedCount int64 `json:"establishedCount,omitempty"`

	// PeerASN is the AS number that the router last gave in its OPEN message.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	PeerASN int64 `json:"peerASN,omitempty"`

	// PeerRouterID is the BGP Identifier that the router last gave in its OPEN message.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=15
	PeerRouterID string `json:"peerRouterID,omitempty"`

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

	// GracefulRestart is true if the router keeps forwarding while this node's speaker restarts (RFC 4724): both
	// sides offered it.
	//
	// +optional
	GracefulRestart bool `json:"gracefulRestart,omitempty"`

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

	// UpdatesReceived counts the UPDATE messages among those received. What they say is not used.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	UpdatesReceived int64 `json:"updatesReceived,omitempty"`

	// UpdatesSent counts the UPDATE messages among those sent.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	UpdatesSent int64 `json:"updatesSent,omitempty"`

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

	// LastErrorTime is when lastError became what it is; the same failure again does not change it.
	//
	// +optional
	LastErrorTime *metav1.Time `json:"lastErrorTime,omitempty"`

	// Reason is what keeps the session from being as its BGPPeer says, in one word; absent if nothing does. The
	// session may be Established all the same, as the BGPPeer was before.
	//
	// +optional
	Reason BGPSessionReason `json:"reason,omitempty"`

	// Message is the reason in words.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`

	// BFDState is the state of the BFD session beside it; absent without one.
	//
	// +optional
	BFDState BFDSessionState `json:"bfdState,omitempty"`

	// BFD is the rest of what there is to see of the BFD session beside it; absent without one.
	//
	// +optional
	BFD *BGPSessionBFD `json:"bfd,omitempty"`
}

// BGPSessionReason is why a session is not as its BGPPeer says.
//
// +kubebuilder:validation:Enum=Conflicting;NoSecret;NoBFDProfile;InvalidSpec;NoNextHop
type BGPSessionReason string

// The reasons.
const (
	// BGPSessionConflicting: an older BGPPeer is the same session on this node. Not opened.
	BGPSessionConflicting BGPSessionReason = "Conflicting"
	// BGPSessionNoSecret: the Secret with the password is missing, or has none. Not opened, unless there was one.
	BGPSessionNoSecret BGPSessionReason = "NoSecret"
	// BGPSessionNoBFDProfile: the BFDProfile is missing. The session is without BFD, or with the last good timing.
	BGPSessionNoBFDProfile BGPSessionReason = "NoBFDProfile"
	// BGPSessionInvalidSpec: the spec cannot be read. Not opened, or as the spec last was when it could.
	BGPSessionInvalidSpec BGPSessionReason = "InvalidSpec"
	// BGPSessionNoNextHop: the node has no InternalIP of the family of some prefixes. These are not advertised.
	BGPSessionNoNextHop BGPSessionReason = "NoNextHop"
)

// BGPSessionBFD is what there is to see of the BFD session beside a BGP session, but for its state. Peers of one
// address share it.
type BGPSessionBFD struct {
	// TransmitInterval is what this node sends its packets at, in milliseconds and before jitter.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	TransmitInterval int32 `json:"transmitInterval,omitempty"`

	// ReceiveInterval is what the router sends its packets at, in milliseconds, while it is heard.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	ReceiveInterval int32 `json:"receiveInterval,omitempty"`

	// DetectionTime is how long the router may be silent before it counts as lost, in milliseconds; absent while it
	// is not heard (RFC 5880 section 6.8.4).
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	DetectionTime int32 `json:"detectionTime,omitempty"`

	// Diagnostic is why the session last went down, in words.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Diagnostic string `json:"diagnostic,omitempty"`
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
// +kubebuilder:printcolumn:name="Conflict",type=string,JSONPath=`.status.conditions[?(@.type=="AddressConflict")].status`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Standing-In",type=integer,priority=1,JSONPath=`.status.layer2.standingIn`
// +kubebuilder:printcolumn:name="Suppressed",type=string,priority=1,JSONPath=`.status.layer2.suppressedNodes[*].node`
// +kubebuilder:printcolumn:name="BGP",type=string,priority=1,JSONPath=`.status.bgpSessions[*].state`
// +kubebuilder:printcolumn:name="Detection",type=string,priority=1,JSONPath=`.status.failureDetection.timing`
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
