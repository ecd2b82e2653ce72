package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BGPPeerSpec describes a router that nodes hold a BGP session with (RFC 4271). Each node's speaker
// opens its own session and advertises itself alone as next hop.
//
// +kubebuilder:validation:XValidation:rule="has(self.peerASN) != has(self.dynamicASN)",message="give either spec.peerASN or spec.dynamicASN, one of the two"
// +kubebuilder:validation:XValidation:rule="has(self.peerAddress) != has(self.interface)",message="give either spec.peerAddress or spec.interface, one of the two"
// +kubebuilder:validation:XValidation:rule="!has(self.localASN) || self.localASN != self.myASN",message="spec.localASN equals spec.myASN; remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.localASN) || !has(self.peerASN) || self.localASN != self.peerASN || self.peerASN == self.myASN",message="spec.localASN equals spec.peerASN, so that the session would be internal; set spec.myASN to that and remove spec.localASN"
// +kubebuilder:validation:XValidation:rule="!has(self.localASN) || has(self.peerASN) && self.peerASN != self.myASN || has(self.dynamicASN) && self.dynamicASN == 'external'",message="spec.localASN is for eBGP sessions only, and this peer is internal; remove it"
// +kubebuilder:validation:XValidation:rule="!has(self.keepaliveTime) || !(self.keepaliveTime + (has(self.holdTime) ? self.holdTime : '90s')).matches('^([0-9]{1,5}([.][0-9]{1,3})?(h|m|s|ms)){2,8}$') || duration(has(self.holdTime) ? self.holdTime : '90s') == duration('0s') || duration(self.keepaliveTime) < duration(has(self.holdTime) ? self.holdTime : '90s')",message="spec.keepaliveTime must be shorter than spec.holdTime, which is 90s unless given; a third of it is usual"
// +kubebuilder:validation:XValidation:rule="!has(self.ttlSecurity) || !has(self.ebgpMultiHop) || !self.ebgpMultiHop",message="spec.ttlSecurity and spec.ebgpMultiHop exclude each other; for a peer several hops away set spec.ttlSecurity.hops"
// +kubebuilder:validation:XValidation:rule="!has(self.interface) || !has(self.ebgpMultiHop) || !self.ebgpMultiHop",message="a peer on spec.interface is one hop away; remove spec.ebgpMultiHop"
// +kubebuilder:validation:XValidation:rule="!has(self.interface) || !has(self.ttlSecurity) || !has(self.ttlSecurity.hops) || self.ttlSecurity.hops == 1",message="a peer on spec.interface is one hop away; remove spec.ttlSecurity.hops"
// +kubebuilder:validation:XValidation:rule="!has(self.interface) || !has(self.sourceAddress)",message="a session on spec.interface uses the link-local addresses of the link; remove spec.sourceAddress"
// +kubebuilder:validation:XValidation:rule="!has(self.sourceAddress) || !has(self.peerAddress) || !isIP(self.sourceAddress) || !isIP(self.peerAddress) || ip(self.sourceAddress).family() == ip(self.peerAddress).family()",message="spec.sourceAddress and spec.peerAddress must be of one family"
// +kubebuilder:validation:XValidation:rule="!has(self.families) || !(has(self.disableMP) && self.disableMP || has(self.dualStackAddressFamily) && self.dualStackAddressFamily)",message="spec.families says what spec.disableMP and spec.dualStackAddressFamily say; give spec.families alone"
// +kubebuilder:validation:XValidation:rule="!(has(self.disableMP) && self.disableMP && has(self.dualStackAddressFamily) && self.dualStackAddressFamily)",message="spec.disableMP and spec.dualStackAddressFamily contradict each other; remove one"
// +kubebuilder:validation:XValidation:rule="!has(self.extendedNextHop) || !self.extendedNextHop || !has(self.families) || self.families.exists(f, f == 'IPv4')",message="spec.extendedNextHop is about IPv4 prefixes, which spec.families leaves out; add IPv4 there, or remove spec.extendedNextHop"
type BGPPeerSpec struct {
	// MyASN is the nodes' AS number.
	//
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	MyASN int64 `json:"myASN"`

	// PeerASN is the router's AS number. Equal to MyASN for an iBGP session.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	PeerASN int64 `json:"peerASN,omitempty"`

	// DynamicASN takes the router's AS number from its OPEN message: internal accepts MyASN alone, external
	// every other.
	//
	// +optional
	DynamicASN DynamicASNMode `json:"dynamicASN,omitempty"`

	// LocalASN is the AS number that this eBGP peer sees in place of MyASN (RFC 7705).
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	LocalASN int64 `json:"localASN,omitempty"`

	// PeerAddress is the router's IPv4 or IPv6 address.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",messageExpression="'\"' + self + '\" is not an IP address; give one such as 192.0.2.1 or 2001:db8::1'",message="not an IP address; give one such as 192.0.2.1 or 2001:db8::1"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || !(ip(self).family() == 6 && ip(self).isLinkLocalUnicast())",messageExpression="self + ' is a link-local address, which says nothing without its interface; give spec.interface in place of spec.peerAddress'",message="a link-local address says nothing without its interface; give spec.interface in place of spec.peerAddress"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || !(ip(self).isUnspecified() || ip(self).isLinkLocalMulticast() || self.matches('^[fF][fF][0-9a-fA-F]{2}:|^(22[4-9]|23[0-9]|24[0-9]|25[0-5])[.]'))",messageExpression="self + ' is not the address of one router'",message="not the address of one router"
	PeerAddress string `json:"peerAddress,omitempty"`

	// Interface is the node's interface whose one IPv6 link-local neighbour is the router: an unnumbered
	// session.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	Interface string `json:"interface,omitempty"`

	// PeerPort is the router's TCP port. Default 179.
	//
	// +optional
	// +kubebuilder:default=179
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	PeerPort int32 `json:"peerPort,omitempty"`

	// SourceAddress is the node's address to connect from. Default: the kernel's choice.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=45
	// +kubebuilder:validation:XValidation:rule="isIP(self)",messageExpression="'\"' + self + '\" is not an IP address; give one such as 192.0.2.11 or 2001:db8::11'",message="not an IP address; give one such as 192.0.2.11 or 2001:db8::11"
	// +kubebuilder:validation:XValidation:rule="!isIP(self) || !(ip(self).isUnspecified() || ip(self).isLinkLocalMulticast() || ip(self).family() == 6 && ip(self).isLinkLocalUnicast() || self.matches('^[fF][fF][0-9a-fA-F]{2}:|^(22[4-9]|23[0-9]|24[0-9]|25[0-5])[.]'))",messageExpression="self + ' is not an address that a node can connect from'",message="not an address that a node can connect from"
	SourceAddress string `json:"sourceAddress,omitempty"`

	// HoldTime is the hold time to offer, in whole seconds: 0, which turns keepalives off, or from 3s to
	// 65535s (RFC 4271 section 4.2). Default 90s.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(h|m|s|ms)){1,4}$') && duration(self).getMilliseconds() % 1000 == 0 && (duration(self) == duration('0s') || duration(self) >= duration('3s') && duration(self) <= duration('65535s'))",messageExpression="'\"' + self + '\" is not a hold time that BGP can have; give whole seconds from 3s to 65535s, or 0s for none'",message="not a hold time that BGP can have; give whole seconds from 3s to 65535s, or 0s for none"
	HoldTime *metav1.Duration `json:"holdTime,omitempty"`

	// KeepaliveTime is the longest time between messages to the router, in whole seconds. Default: a third
	// of the negotiated hold time.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(h|m|s|ms)){1,4}$') && duration(self).getMilliseconds() % 1000 == 0 && duration(self) >= duration('1s') && duration(self) <= duration('21845s')",messageExpression="'\"' + self + '\" is not a keepalive time that BGP can have; give whole seconds from 1s to 21845s'",message="not a keepalive time that BGP can have; give whole seconds from 1s to 21845s"
	KeepaliveTime *metav1.Duration `json:"keepaliveTime,omitempty"`

	// ConnectTime is the pause between attempts to connect, in whole seconds (RFC 4271 section 8.1.3,
	// ConnectRetryTime). Default 10s.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(h|m|s|ms)){1,4}$') && duration(self).getMilliseconds() % 1000 == 0 && duration(self) >= duration('1s') && duration(self) <= duration('65535s')",messageExpression="'\"' + self + '\" is not a connect time; give whole seconds from 1s to 65535s'",message="not a connect time; give whole seconds from 1s to 65535s"
	ConnectTime *metav1.Duration `json:"connectTime,omitempty"`

	// RouterID is the BGP Identifier, in the form of an IPv4 address (RFC 6286). Default: the node's IPv4
	// address, or one derived from its name.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=15
	// +kubebuilder:validation:XValidation:rule="isIP(self) && ip(self).family() == 4 && !ip(self).isUnspecified()",messageExpression="'\"' + self + '\" is not a router ID; give one in the form of an IPv4 address, not 0.0.0.0'",message="not a router ID; give one in the form of an IPv4 address, not 0.0.0.0"
	RouterID string `json:"routerID,omitempty"`

	// NodeSelectors narrow the session to nodes that match at least one of them, by label. Default: every
	// node.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	NodeSelectors []LabelSelector `json:"nodeSelectors,omitempty"`

	// PasswordSecret names the Secret of type kubernetes.io/basic-auth, in Fairlead's namespace, whose key
	// password holds the TCP MD5 key of the session (RFC 2385).
	//
	// +optional
	PasswordSecret *SecretReference `json:"passwordSecret,omitempty"`

	// Password is MetalLB's field for a password in plain sight. It is refused: whoever may read BGPPeers
	// would read it. PasswordSecret is ours.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self == ''",reason=FieldValueForbidden,message="a password is not given in plain sight; put it under the key password into a Secret of type kubernetes.io/basic-auth in Fairlead's namespace, and the Secret's name into spec.passwordSecret.name"
	Password string `json:"password,omitempty"`

	// BFDProfile is the name of the BFDProfile of a BFD session beside the BGP session. Default: no BFD.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	BFDProfile string `json:"bfdProfile,omitempty"`

	// EnableGracefulRestart has the router keep forwarding while the node's speaker restarts (RFC 4724).
	//
	// +optional
	EnableGracefulRestart bool `json:"enableGracefulRestart,omitempty"`

	// EBGPMultiHop allows an eBGP peer that is not on the node's segment.
	//
	// +optional
	EBGPMultiHop bool `json:"ebgpMultiHop,omitempty"`

	// TTLSecurity drops packets that come from farther than the router can be (GTSM, RFC 5082). The router
	// must be set likewise.
	//
	// +optional
	TTLSecurity *TTLSecurity `json:"ttlSecurity,omitempty"`

	// Passive waits for the router to connect.
	//
	// +optional
	Passive bool `json:"passive,omitempty"`

	// VRF is the name of the node's VRF device to hold the session in.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=15
	VRF string `json:"vrf,omitempty"`

	// Families are the address families to exchange (RFC 4760). Default: that of PeerAddress, or both on
	// an unnumbered session.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	Families []AddressFamily `json:"families,omitempty"`

	// DisableMP exchanges the family of PeerAddress alone. MetalLB's way to say it; Families is ours.
	//
	// +optional
	DisableMP bool `json:"disableMP,omitempty"`

	// DualStackAddressFamily exchanges both families. MetalLB's way to say it; Families is ours.
	//
	// +optional
	DualStackAddressFamily bool `json:"dualStackAddressFamily,omitempty"`

	// ExtendedNextHop advertises IPv4 prefixes with an IPv6 next hop (RFC 8950). Always on for an
	// unnumbered session.
	//
	// +optional
	ExtendedNextHop bool `json:"extendedNextHop,omitempty"`
}

// DynamicASNMode is how far a peer's AS number is left open.
//
// +kubebuilder:validation:Enum=internal;external
type DynamicASNMode string

// The modes of a dynamic AS number.
const (
	DynamicASNInternal DynamicASNMode = "internal"
	DynamicASNExternal DynamicASNMode = "external"
)

// AddressFamily is an address family as Kubernetes spells it, always with unicast (RFC 4760, SAFI 1).
//
// +kubebuilder:validation:Enum=IPv4;IPv6
type AddressFamily string

// The address families.
const (
	AddressFamilyIPv4 AddressFamily = "IPv4"
	AddressFamilyIPv6 AddressFamily = "IPv6"
)

// SecretReference names a Secret in Fairlead's namespace.
type SecretReference struct {
	// Name of the Secret.
	//
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Namespace is taken by MetalLB. It is refused: the Secret is in Fairlead's namespace.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self == ''",reason=FieldValueForbidden,message="the Secret is looked for in Fairlead's own namespace; put it there and remove the namespace here"
	Namespace string `json:"namespace,omitempty"`
}

// TTLSecurity is the Generalized TTL Security Mechanism (RFC 5082): both sides send with TTL 255.
type TTLSecurity struct {
	// Hops is how far away the router may be; packets with a TTL below 256 - hops are dropped. Default 1:
	// on the node's segment.
	//
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=254
	Hops int32 `json:"hops,omitempty"`
}

// BGPPeerStatus sums up the nodes' sessions with a peer.
type BGPPeerStatus struct {
	// Nodes is the number of nodes that are to have a session: those that spec.nodeSelectors match and a
	// speaker runs on, less those where an older BGPPeer has the same session.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Nodes int32 `json:"nodes"`

	// Established is the number of nodes whose session is in state Established.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Established int32 `json:"established"`

	// Conditions of the peer. observedGeneration is the spec's generation that they are about.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// BGPPeer is a router that nodes advertise addresses to.
//
// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=fairlead
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.peerAddress`
// +kubebuilder:printcolumn:name="ASN",type=integer,JSONPath=`.spec.peerASN`
// +kubebuilder:printcolumn:name="Nodes",type=integer,JSONPath=`.status.nodes`
// +kubebuilder:printcolumn:name="Established",type=integer,JSONPath=`.status.established`
// +kubebuilder:printcolumn:name="Interface",type=string,priority=1,JSONPath=`.spec.interface`
// +kubebuilder:printcolumn:name="BFD",type=string,priority=1,JSONPath=`.spec.bfdProfile`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BGPPeer struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec BGPPeerSpec `json:"spec"`
	// +optional
	Status BGPPeerStatus `json:"status,omitempty"`
}

// BGPPeerList is a list of BGPPeers.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type BGPPeerList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []BGPPeer `json:"items"`
}
