package v1alpha1

// Condition types. Ready is on every kind with conditions; the others say what stands in its way.
const (
	// ConditionReady is True while the object is in force as written.
	ConditionReady = "Ready"
	// ConditionConflicting is True on an IPAddressPool while an older pool holds some of its addresses.
	ConditionConflicting = "Conflicting"
	// ConditionExhausted is True on an IPAddressPool while a family of it has no free address.
	ConditionExhausted = "Exhausted"
	// ConditionInUse is True on a BFDProfile while a BGPPeer names it.
	ConditionInUse = "InUse"
	// ConditionNotAdvertised is True on an IPAddressPool while no advertisement selects it.
	ConditionNotAdvertised = "NotAdvertised"
	// ConditionAddressConflict is True on a Speaker while a foreign host uses addresses that its node answers
	// for or was about to, and on an IPAddressPool while addresses of it are set aside for that.
	ConditionAddressConflict = "AddressConflict"
	// ConditionARPNotStrict is True on a Speaker while the kernel of its node speaks ARP for the addresses of all
	// Services, as kube-proxy in IPVS mode has it without strictARP.
	ConditionARPNotStrict = "ARPNotStrict"
)

// ServiceConditionAssigned is the condition on a Service of type LoadBalancer that says whether Fairlead
// gave it its addresses, and if not, why.
const ServiceConditionAssigned = "fairlead.dev/Assigned"

// ServiceConditionPoolRequested is the condition on a Service of type LoadBalancer that asked for a pool when it got its
// addresses. Its message is the pool's name, for the controller that leads next: if another pool is asked for by then, the
// Service is to move; if its address is another pool's by then, it is to stay.
const ServiceConditionPoolRequested = "fairlead.dev/PoolRequested"

const (
	// AnnotationDrain on a Node has it give up the addresses that it owns, and own none, while the annotation
	// is there and its value is not "false".
	AnnotationDrain = "fairlead.dev/drain"
	// AnnotationRebalance on an L2Advertisement asks its nodes, once, to spread the addresses among them
	// anew. The value is the time of the request (RFC 3339).
	AnnotationRebalance = "fairlead.dev/rebalance"
)
