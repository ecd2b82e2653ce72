package v1alpha1

// Condition types. Ready is on every kind with conditions; the others say what stands in its way.
const (
	// ConditionReady is True while the object is in force as written.
	ConditionReady = "Ready"
	// ConditionConflicting is True on an IPAddressPool while an older pool holds some of its addresses.
	ConditionConflicting = "Conflicting"
	// ConditionExhausted is True on an IPAddressPool while a family of it has no free address.
	ConditionExhausted = "Exhausted"
	// ConditionNotAdvertised is True on an IPAddressPool while no advertisement selects it.
	ConditionNotAdvertised = "NotAdvertised"
)

// ServiceConditionAssigned is the condition on a Service of type LoadBalancer that says whether Fairlead
// gave it its addresses, and if not, why.
const ServiceConditionAssigned = "fairlead.dev/Assigned"
