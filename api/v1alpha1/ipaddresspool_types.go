package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// On the rules of AddressRange. They split the text at its first dash and trim the parts. CEL has no order
// on addresses, so the rule against reversed ranges takes the networks of every length that hold the
// first address: the last address is greater if, where it leaves them, the first stays in the lower half,
// whose base is that of the whole. IPv4 addresses take part as IPv6 ones with 96 zero bits before them.
// Lengths are written out as strings because CEL's cost estimate holds a string made from a number to be
// without bound; for the same reason nothing is split or nested further than this.

// AddressRange is some IP addresses of one family, in one of three forms:
//
//	198.51.100.7                     one address
//	198.51.100.0/24                  a CIDR; host bits are ignored (RFC 4632)
//	198.51.100.10-198.51.100.20      first and last, with or without spaces around the dash
//
// IPv6 is written likewise, in any form that RFC 4291 section 2.2 allows but the IPv4-mapped one. All
// addresses of a range are given out, its first and last too.
//
// +kubebuilder:validation:MaxLength=100
// +kubebuilder:validation:XValidation:rule=`!self.contains('%')`,messageExpression=`'"' + self + '" has a zone, and an address of a pool belongs to no interface; remove the zone, from the percent sign on'`,message=`a zone is not allowed; remove it, from the percent sign on`
// +kubebuilder:validation:XValidation:rule=`(self.contains('-') ? [self.substring(0, self.indexOf('-')).trim(), self.substring(self.indexOf('-') + 1).trim()] : [self.trim()]).all(p, !p.matches('(?i)^[0:]*:ffff:([0-9]+[.][0-9.]+|[0-9a-f]{1,4}:[0-9a-f]{1,4})(/.*)?$'))`,messageExpression=`'"' + self + '" is an IPv4-mapped IPv6 address; write the IPv4 address by itself, such as 198.51.100.7'`,message=`an IPv4-mapped IPv6 address is not allowed; write the IPv4 address by itself, such as 198.51.100.7`
// +kubebuilder:validation:XValidation:rule=`self.contains('%') || (self.contains('-') ? [self.substring(0, self.indexOf('-')).trim(), self.substring(self.indexOf('-') + 1).trim()] : [self.trim()]).exists(p, p.matches('(?i)^[0:]*:ffff:([0-9]+[.][0-9.]+|[0-9a-f]{1,4}:[0-9a-f]{1,4})(/.*)?$')) || (self.contains('-') ? [self.substring(0, self.indexOf('-')).trim(), self.substring(self.indexOf('-') + 1).trim()] : [self.trim()]).all(p, isIP(p)) || isCIDR(self.trim())`,messageExpression=`'"' + self + '" is not an address, CIDR or range; write one such as 198.51.100.7, 198.51.100.0/24 or 198.51.100.10-198.51.100.20'`,message=`not an address, CIDR or range; write one such as 198.51.100.7, 198.51.100.0/24 or 198.51.100.10-198.51.100.20`
// +kubebuilder:validation:XValidation:rule=`!(self.contains('-') ? [self.substring(0, self.indexOf('-')).trim(), self.substring(self.indexOf('-') + 1).trim()] : [self.trim()]).all(p, isIP(p)) || (self.contains('-') ? [self.substring(0, self.indexOf('-')).trim(), self.substring(self.indexOf('-') + 1).trim()] : [self.trim()]).all(p, p.contains(':')) || (self.contains('-') ? [self.substring(0, self.indexOf('-')).trim(), self.substring(self.indexOf('-') + 1).trim()] : [self.trim()]).all(p, !p.contains(':'))`,messageExpression=`'"' + self + '" begins in one address family and ends in the other; write a range for each'`,message=`a range begins in one address family and ends in the other; write a range for each`
// +kubebuilder:validation:XValidation:rule=`!self.contains('-') || [self.substring(0, self.indexOf('-')).trim()].all(a, [self.substring(self.indexOf('-') + 1).trim()].all(b, !isIP(a) || !isIP(b) || a.contains(':') != b.contains(':') || ip(a) == ip(b) || [a.contains(':') ? a : '::' + a].all(a, [ip(b.contains(':') ? b : '::' + b)].all(b, [['/0', '/1', '/2', '/3', '/4', '/5', '/6', '/7', '/8', '/9', '/10', '/11', '/12', '/13', '/14', '/15', '/16', '/17', '/18', '/19', '/20', '/21', '/22', '/23', '/24', '/25', '/26', '/27', '/28', '/29', '/30', '/31', '/32', '/33', '/34', '/35', '/36', '/37', '/38', '/39', '/40', '/41', '/42', '/43', '/44', '/45', '/46', '/47', '/48', '/49', '/50', '/51', '/52', '/53', '/54', '/55', '/56', '/57', '/58', '/59', '/60', '/61', '/62', '/63', '/64', '/65', '/66', '/67', '/68', '/69', '/70', '/71', '/72', '/73', '/74', '/75', '/76', '/77', '/78', '/79', '/80', '/81', '/82', '/83', '/84', '/85', '/86', '/87', '/88', '/89', '/90', '/91', '/92', '/93', '/94', '/95', '/96', '/97', '/98', '/99', '/100', '/101', '/102', '/103', '/104', '/105', '/106', '/107', '/108', '/109', '/110', '/111', '/112', '/113', '/114', '/115', '/116', '/117', '/118', '/119', '/120', '/121', '/122', '/123', '/124', '/125', '/126', '/127', '/128'].map(n, cidr(a + n).masked())].all(n, [0, 16, 32, 48, 64, 80, 96, 112].exists(i, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].exists(j, n[i + j].containsIP(b) && !n[i + j + 1].containsIP(b) && n[i + j].ip() == n[i + j + 1].ip())))))))`,messageExpression=`'"' + self + '" is reversed; write ' + self.substring(self.indexOf('-') + 1).trim() + '-' + self.substring(0, self.indexOf('-')).trim()`,message=`a range is reversed; write its lower end first`
// +kubebuilder:validation:XValidation:rule=`['0.0.0.0/8', '::/128'].all(n, (self.contains('-') ? [self.substring(0, self.indexOf('-')).trim(), self.substring(self.indexOf('-') + 1).trim()] : [self.trim()]).all(p, !(isIP(p) && cidr(n).containsIP(p)) && !(isCIDR(p) && (cidr(n).containsIP(cidr(p).ip()) || cidr(p).containsIP(cidr(n).ip())))))`,messageExpression=`'"' + self + '" has ' + (self.contains(':') ? 'the unspecified address, ::' : 'addresses of "this network", 0.0.0.0/8') + ', which no Service can have; leave ' + (self.contains(':') ? 'it' : 'them') + ' out'`,message=`the unspecified address and those of 0.0.0.0/8 are not allowed; leave them out`
// +kubebuilder:validation:XValidation:rule=`['127.0.0.0/8', '::1/128'].all(n, (self.contains('-') ? [self.substring(0, self.indexOf('-')).trim(), self.substring(self.indexOf('-') + 1).trim()] : [self.trim()]).all(p, !(isIP(p) && cidr(n).containsIP(p)) && !(isCIDR(p) && (cidr(n).containsIP(cidr(p).ip()) || cidr(p).containsIP(cidr(n).ip())))))`,messageExpression=`'"' + self + '" has loopback addresses, ' + (self.contains(':') ? '::1' : '127.0.0.0/8') + ', which never leave a host; leave them out'`,message=`loopback addresses are not allowed; leave them out`
// +kubebuilder:validation:XValidation:rule=`['224.0.0.0/4', 'ff00::/8'].all(n, (self.contains('-') ? [self.substring(0, self.indexOf('-')).trim(), self.substring(self.indexOf('-') + 1).trim()] : [self.trim()]).all(p, !(isIP(p) && cidr(n).containsIP(p)) && !(isCIDR(p) && (cidr(n).containsIP(cidr(p).ip()) || cidr(p).containsIP(cidr(n).ip())))))`,messageExpression=`'"' + self + '" has multicast addresses, ' + (self.contains(':') ? 'ff00::/8' : '224.0.0.0/4') + ', which no Service can have; leave them out'`,message=`multicast addresses are not allowed; leave them out`
// +kubebuilder:validation:XValidation:rule=`['fe80::/10'].all(n, (self.contains('-') ? [self.substring(0, self.indexOf('-')).trim(), self.substring(self.indexOf('-') + 1).trim()] : [self.trim()]).all(p, !(isIP(p) && cidr(n).containsIP(p)) && !(isCIDR(p) && (cidr(n).containsIP(cidr(p).ip()) || cidr(p).containsIP(cidr(n).ip())))))`,messageExpression=`'"' + self + '" has link-local addresses, fe80::/10, which no router forwards; use global or unique local ones'`,message=`link-local addresses are not allowed; use global or unique local ones`
// +kubebuilder:validation:XValidation:rule=`['255.255.255.255/32'].all(n, (self.contains('-') ? [self.substring(0, self.indexOf('-')).trim(), self.substring(self.indexOf('-') + 1).trim()] : [self.trim()]).all(p, !(isIP(p) && cidr(n).containsIP(p)) && !(isCIDR(p) && (cidr(n).containsIP(cidr(p).ip()) || cidr(p).containsIP(cidr(n).ip())))))`,messageExpression=`'"' + self + '" has the broadcast address, 255.255.255.255, which no Service can have; leave it out'`,message=`the broadcast address is not allowed; leave it out`
type AddressRange string

// IPAddressPoolSpec says which addresses a pool has and who gets them.
type IPAddressPoolSpec struct {
	// Addresses are the ranges that make the pool, at most 256, of either family or both. They must not
	// overlap another pool's: of two pools that do, the older one (of the same second, the first by name) has
	// the addresses and the other one a condition.
	//
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule="size(self) > 0",message="spec.addresses is empty; give at least one address, CIDR or range"
	Addresses []AddressRange `json:"addresses"`

	// ExcludeAddresses are ranges that are not the pool's although Addresses has them, such as a router's own
	// address: at most 256, in the same forms. An address that is excluded while a Service has it is taken
	// from the Service, unless another pool holds it.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	ExcludeAddresses []AddressRange `json:"excludeAddresses,omitempty"`

	// AutoAssign says whether a Service may get an address of the pool that asks neither for the pool nor for
	// this address. False reserves the pool for those who ask. Default true.
	//
	// +optional
	// +kubebuilder:default=true
	AutoAssign *bool `json:"autoAssign,omitempty"`

	// AvoidBuggyIPs withholds IPv4 addresses that end in .0 and .255, which some old devices take for a
	// network's own address and broadcast. Nobody gets one, who asks for it neither; a Service that has one
	// keeps it. Default false.
	//
	// +optional
	AvoidBuggyIPs bool `json:"avoidBuggyIPs,omitempty"`

	// Disabled stops new assignments from the pool, also to Services that ask for it or for one of its
	// addresses. Those already made stay. Default false.
	//
	// +optional
	Disabled bool `json:"disabled,omitempty"`

	// ServiceAllocation narrows the pool to certain Services and ranks it among the pools that may serve one.
	// It decides who gets an address, not who keeps one. Default: every Service, lowest rank.
	//
	// +optional
	ServiceAllocation *ServiceAllocation `json:"serviceAllocation,omitempty"`

	// Quota bounds how many of the pool's addresses the Services of one namespace get. Default: no bound.
	//
	// +optional
	Quota *PoolQuota `json:"quota,omitempty"`

	// Retention is how long the address of a deleted Service waits for a Service of the same namespace and
	// name to return: hours, minutes and seconds, such as "30m", "12h" or "1h30m", each number of at most six
	// digits. Who waits is in status.retained, so that a restart of the controller ends no wait. A wait ends
	// early only when the pool is otherwise exhausted: the address whose wait would end first is given up
	// first. Default 0: no wait.
	//
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule=`self == '0' || self != '' && self.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,6}([.][0-9]{1,9})?m)?([0-9]{1,6}([.][0-9]{1,9})?s)?([0-9]{1,6}([.][0-9]{1,9})?ms)?([0-9]{1,6}([.][0-9]{1,9})?(us|µs))?([0-9]{1,6}ns)?$')`,messageExpression=`'"' + self + '" is not how long to wait; write hours, minutes and seconds in this order, such as 30m, 12h or 1h30m, each number of at most six digits'`,message=`not how long to wait; write hours, minutes and seconds in this order, such as 30m, 12h or 1h30m, each number of at most six digits`
	Retention *metav1.Duration `json:"retention,omitempty"`

	// ConflictDetection has the segment asked, before the first announcement of an address, whether a foreign
	// host has it (RFC 5227 section 2.1.1 for IPv4, RFC 4862 section 5.4 for IPv6). An address that one has is
	// set aside until 10 minutes after the host was last seen to have it, and the Service gets another. Never
	// done when an address moves from one node to another. It delays a new address by some seconds. Default
	// false.
	//
	// +optional
	ConflictDetection bool `json:"conflictDetection,omitempty"`
}

// ServiceAllocation says which Services a pool is for, also of those that ask for it. A Service must be in
// a namespace that one of Namespaces names or one of NamespaceSelectors selects, unless both are empty, and
// be selected by one of ServiceSelectors, unless there are none.
type ServiceAllocation struct {
	// Priority ranks the pools that may serve a Service. Those that are for certain Services only (with
	// Namespaces, NamespaceSelectors or ServiceSelectors) go first. Among them, and among the others, the
	// lowest number above zero goes first, and 0, the default, last. Pools of one rank go by name.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Priority int32 `json:"priority,omitempty"`

	// Namespaces are the names of namespaces whose Services the pool is for. They need not exist.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')`,messageExpression=`'"' + self + '" is not the name of a namespace; write lowercase letters, digits and dashes, with a letter or digit at both ends'`,message=`not the name of a namespace; write lowercase letters, digits and dashes, with a letter or digit at both ends`
	Namespaces []string `json:"namespaces,omitempty"`

	// NamespaceSelectors select, by the namespace's labels, namespaces whose Services the pool is for, beside
	// those of Namespaces.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	NamespaceSelectors []LabelSelector `json:"namespaceSelectors,omitempty"`

	// ServiceSelectors select, by the Service's labels, the Services that the pool is for.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	ServiceSelectors []LabelSelector `json:"serviceSelectors,omitempty"`
}

// PoolQuota bounds the use of a pool.
type PoolQuota struct {
	// PerNamespace is how many of the pool's addresses, of both families together, the Services of one
	// namespace may have; 0 for none. An address counts once, however many Services of the namespace share
	// it. Retained addresses do not count. Who has more, because the quota was lowered, keeps it.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	PerNamespace *int32 `json:"perNamespace,omitempty"`
}

// IPAddressPoolStatus is what the controller says about a pool.
type IPAddressPoolStatus struct {
	// IPv4 counts the pool's IPv4 addresses; absent when it has none.
	//
	// +optional
	IPv4 *PoolFamilyStatus `json:"ipv4,omitempty"`

	// IPv6 counts the pool's IPv6 addresses; absent when it has none.
	//
	// +optional
	IPv6 *PoolFamilyStatus `json:"ipv6,omitempty"`

	// Retained are the addresses that wait for the return of a deleted Service, by address, at most 4096. The
	// controller reads it when it starts.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=4096
	Retained []RetainedAddress `json:"retained,omitempty"`

	// Conditions of the pool: Ready, and the reasons why not. observedGeneration is the spec's generation
	// that the condition and the counts are about.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// PoolFamilyStatus counts a pool's addresses of one family. total and available are decimal numbers as
// strings, since an IPv6 /64 alone has one address more than an unsigned 64-bit number can say.
type PoolFamilyStatus struct {
	// Total is the number of addresses that the pool may give out: without excluded ones, those set aside
	// because a foreign host uses them, and those of older pools.
	//
	// +kubebuilder:validation:MaxLength=40
	Total string `json:"total"`

	// Assigned is the number of addresses that Services hold. An address shared by several counts once.
	//
	// +kubebuilder:validation:Minimum=0
	Assigned int64 `json:"assigned"`

	// Retained is the number of addresses that wait for the return of a deleted Service. They count neither
	// as assigned nor as available.
	//
	// +optional
	// +kubebuilder:validation:Minimum=0
	Retained int64 `json:"retained"`

	// Available is the number of addresses that neither a Service has nor a deleted one may want back.
	//
	// +kubebuilder:validation:MaxLength=40
	Available string `json:"available"`

	// First is the pool's lowest address.
	//
	// +kubebuilder:validation:MaxLength=45
	First string `json:"first"`

	// Last is the pool's highest address.
	//
	// +kubebuilder:validation:MaxLength=45
	Last string `json:"last"`
}

// RetainedAddress is an address that waits for the return of a deleted Service.
type RetainedAddress struct {
	// Address that waits.
	//
	// +kubebuilder:validation:MaxLength=45
	Address string `json:"address"`

	// Namespace of the Service that had it.
	//
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`

	// Name of the Service that had it.
	//
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// Until is when the wait ends.
	Until metav1.Time `json:"until"`
}

// IPAddressPool is a set of addresses to give to Services of type LoadBalancer. An address is answered
// for on the network only if an L2Advertisement or BGPAdvertisement selects its pool.
//
// +genclient
// +genclient:nonNamespaced
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=fairlead
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="V4-Total",type=string,JSONPath=`.status.ipv4.total`
// +kubebuilder:printcolumn:name="V4-Used",type=integer,JSONPath=`.status.ipv4.assigned`
// +kubebuilder:printcolumn:name="V4-Free",type=string,JSONPath=`.status.ipv4.available`
// +kubebuilder:printcolumn:name="V6-Used",type=integer,JSONPath=`.status.ipv6.assigned`
// +kubebuilder:printcolumn:name="V6-Free",type=string,JSONPath=`.status.ipv6.available`
// +kubebuilder:printcolumn:name="V6-Total",type=string,priority=1,JSONPath=`.status.ipv6.total`
// +kubebuilder:printcolumn:name="Reason",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="V4-Retained",type=integer,priority=1,JSONPath=`.status.ipv4.retained`
// +kubebuilder:printcolumn:name="V6-Retained",type=integer,priority=1,JSONPath=`.status.ipv6.retained`
// +kubebuilder:printcolumn:name="Auto-Assign",type=boolean,priority=1,JSONPath=`.spec.autoAssign`
// +kubebuilder:printcolumn:name="Disabled",type=boolean,priority=1,JSONPath=`.spec.disabled`
// +kubebuilder:printcolumn:name="Priority",type=integer,priority=1,JSONPath=`.spec.serviceAllocation.priority`
// +kubebuilder:printcolumn:name="Addresses",type=string,priority=1,JSONPath=`.spec.addresses`
// +kubebuilder:printcolumn:name="Age",type=date,priority=1,JSONPath=`.metadata.creationTimestamp`
type IPAddressPool struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec IPAddressPoolSpec `json:"spec"`
	// +optional
	Status IPAddressPoolStatus `json:"status,omitempty"`
}

// IPAddressPoolList is a list of IPAddressPools.
//
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object
// +kubebuilder:object:root=true
type IPAddressPoolList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []IPAddressPool `json:"items"`
}
