package page

import "time"

// State is all that the page shows. A viewer gets it once as the event "snapshot", and from then on Changes.
//
// Everything that there may be many of is a table by key, so that a change is which entries are new or other, and
// which are gone. All times are milliseconds since 1970 (UTC), as JavaScript's Date takes them; 0, which is left out,
// is a time that nobody knows. Text is data: none of it is markup.
type State struct {
	// Now is when this was sent, by the clock of the controller: the viewer's may be wrong.
	Now       int64               `json:"now"`
	About     About               `json:"about"`
	Pools     map[string]Pool     `json:"pools"`    // by name
	Usage     map[string][]Step   `json:"usage"`    // by the name of the pool
	Services  map[string]Service  `json:"services"` // by namespace/name
	Nodes     map[string]Node     `json:"nodes"`    // by name
	Peers     map[string]Peer     `json:"peers"`    // by name
	Sessions  map[string]Session  `json:"sessions"` // by node/peer; none where there is to be no session
	Routes    map[string]Route    `json:"routes"`   // by the name of the BGPAdvertisement
	Takeovers map[string]Takeover `json:"takeovers"`
	Conflicts map[string]Conflict `json:"conflicts"` // by address@node
	Problems  map[string]Problem  `json:"problems"`  // by kind/name/condition
}

// Change is what has become of a State since the event before: the event "change". An entry of a table replaces the
// one of that key, and null removes it. What is left out is as it was.
type Change struct {
	Now   int64  `json:"now"`
	About *About `json:"about,omitempty"`
	// Usage are further steps of pools' usage. A step of the time of the last one replaces it. A pool that goes
	// takes its usage along.
	Usage     map[string][]Step    `json:"usage,omitempty"`
	Pools     map[string]*Pool     `json:"pools,omitempty"`
	Services  map[string]*Service  `json:"services,omitempty"`
	Nodes     map[string]*Node     `json:"nodes,omitempty"`
	Peers     map[string]*Peer     `json:"peers,omitempty"`
	Sessions  map[string]*Session  `json:"sessions,omitempty"`
	Routes    map[string]*Route    `json:"routes,omitempty"`
	Takeovers map[string]*Takeover `json:"takeovers,omitempty"`
	Conflicts map[string]*Conflict `json:"conflicts,omitempty"`
	Problems  map[string]*Problem  `json:"problems,omitempty"`
}

// Beat is sent every BeatInterval, so that a viewer knows that the stream lives: the event "beat".
type Beat struct {
	Now int64 `json:"now"`
}

// BeatInterval is the time between two Beats.
const BeatInterval = 5 * time.Second

// About is where the state is from.
type About struct {
	// Version of the controller that serves the page. When it changes, the page itself is to be loaded anew.
	Version string `json:"version"`
	// Controller is the name of the Pod, or host, that serves the page.
	Controller string `json:"controller"`
	// Leader is the name of the one that decides, empty while there is none; Leads is true if that is this one.
	Leader string `json:"leader,omitempty"`
	Leads  bool   `json:"leads,omitempty"`
	// Started is when this controller began to note down the usage of pools.
	Started int64 `json:"started"`
	// Unreached is why the API server does not answer, empty while it does. What is shown may be old then.
	Unreached string `json:"unreached,omitempty"`
}

// Pool is an IPAddressPool.
type Pool struct {
	Name   string   `json:"name"`
	Ranges []string `json:"ranges"`
	// IPv4 and IPv6 are absent if the pool has no address of the family.
	IPv4 *Family `json:"ipv4,omitempty"`
	IPv6 *Family `json:"ipv6,omitempty"`
	// Disabled: nothing new is assigned. OnRequest: only Services that name the pool or an address of it get one.
	Disabled  bool `json:"disabled,omitempty"`
	OnRequest bool `json:"onRequest,omitempty"`
	// For is for which Services the pool is, in words; empty if for all.
	For string `json:"for,omitempty"`
	// Modes are those of the advertisements that select it, "layer2", "bgp". None: nobody answers for its addresses.
	Modes []string `json:"modes,omitempty"`
}

// Family counts the addresses of a pool. Total and Available are decimal numbers in strings: an IPv6 pool may have
// more than a JavaScript number can count.
type Family struct {
	Total     string `json:"total"`
	Assigned  int64  `json:"assigned"`
	Retained  int64  `json:"retained,omitempty"` // waiting for a deleted Service's return
	Available string `json:"available"`
	First     string `json:"first"`
	Last      string `json:"last"`
}

// Step says how many addresses of a pool were assigned from a time on: time, IPv4, IPv6. A pool's steps are in order,
// at most one a minute, and only where something changed: each holds until the next one, and the last one holds now.
// They go back 24 hours, or to when this controller started or first saw the pool: before the first one nothing is
// known.
type Step [3]int64

// Service is a Service of type LoadBalancer that is for Fairlead to serve.
type Service struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Status is "assigned" if it has what it asks for, "partial" if it has some of it, "pending" if it has nothing.
	Status string `json:"status"`
	// Reason is the word and Message the sentence of the condition fairlead.dev/Assigned, Since when Status became
	// what it is.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	Since   int64  `json:"since,omitempty"`
	Created int64  `json:"created"`
	// Local is true for externalTrafficPolicy: Local.
	Local     bool      `json:"local,omitempty"`
	Addresses []Address `json:"addresses,omitempty"`
}

// The values of Service.Status.
const (
	Assigned = "assigned"
	Partial  = "partial"
	Pending  = "pending"
)

// Address is an address that a Service has.
type Address struct {
	Address string `json:"address"`
	// Pool is empty if none holds the address.
	Pool string `json:"pool,omitempty"`
	// Layer2 is true if an L2Advertisement is for it. Routes are the BGPAdvertisements that are for it, by name (see
	// State.Routes). Neither: nobody answers for it.
	Layer2 bool     `json:"layer2,omitempty"`
	Routes []string `json:"routes,omitempty"`
	// Owner is the node that answers for it on its segment. Without one, and if Unlisted is true, the owner is not
	// known: speakers list only their first 256 addresses.
	Owner    string `json:"owner,omitempty"`
	Unlisted bool   `json:"unlisted,omitempty"`
	// Since, From and Cause are of the owner: since when, which node before it, and why (see Takeover.Cause).
	Since int64  `json:"since,omitempty"`
	From  string `json:"from,omitempty"`
	Cause string `json:"cause,omitempty"`
	// StandIn is the node that answers on the owner's behalf while its speaker is gone.
	StandIn string `json:"standIn,omitempty"`
}

// Route is what becomes of the addresses of a BGPAdvertisement.
type Route struct {
	// Nodes is how many nodes advertise them now: those that it selects and that have an established session with a
	// peer that is to have them. Of a Service with Local only those of them do that have a ready endpoint.
	Nodes int `json:"nodes"`
	// Peers are those that are to have them, by name; all if empty.
	Peers []string `json:"peers,omitempty"`
}

// The modes of a Pool.
const (
	Layer2 = "layer2"
	BGP    = "bgp"
)

// Node is a node of the cluster, or of a speaker whose node is gone.
type Node struct {
	Name string `json:"name"`
	// Ready is the node's own condition, and Why why it is not.
	Ready bool   `json:"ready"`
	Why   string `json:"why,omitempty"`
	// Speaker is "running", "starting" (it does not take part yet), "alone" (no other speaker answers it), "stopped",
	// "lost", or "none" if there never was one; SpeakerWhy says more in words, where it does not run as it should.
	Speaker    string `json:"speaker"`
	SpeakerWhy string `json:"speakerWhy,omitempty"`
	Version    string `json:"version,omitempty"` // of the speaker
	// Owned and StandingIn count addresses. Which they are, Service.Addresses says, unless Listed is lower.
	Owned      int `json:"owned"`
	StandingIn int `json:"standingIn,omitempty"`
	Listed     int `json:"listed,omitempty"`
	// Suppressed is set while the node owns nothing new because it was lost too often.
	Suppressed *Suppression `json:"suppressed,omitempty"`
	// Holds are what keeps the node from owning addresses, or is worth to know: see the constants.
	Holds []Hold `json:"holds,omitempty"`
	// Members is how many speakers this one sees alive, itself included.
	Members int `json:"members,omitempty"`
}

// The values of Node.Speaker.
const (
	Running  = "running"
	Starting = "starting"
	Alone    = "alone"
	Stopped  = "stopped"
	Lost     = "lost"
	None     = "none"
)

// Suppression is a node's penalty for being lost too often.
type Suppression struct {
	Until   int64 `json:"until"`
	Penalty int   `json:"penalty"`
	// By are the nodes whose speakers say so, sorted.
	By []string `json:"by"`
}

// Hold is one thing that keeps a node from owning addresses.
type Hold struct {
	// Kind is one of the constants; Why is the same in words.
	Kind string `json:"kind"`
	Why  string `json:"why"`
}

// The kinds of Hold. Cordoned alone keeps nothing away: it is shown because a drain follows as a rule.
const (
	Draining           = "draining"
	Excluded           = "excluded"
	NetworkUnavailable = "networkUnavailable"
	OutOfService       = "outOfService"
	Cordoned           = "cordoned"
)

// Peer is a BGPPeer.
type Peer struct {
	Name string `json:"name"`
	// Address is the router's, or the name of the interface it is found on.
	Address string `json:"address"`
	// ASN is the router's AS number, or "internal" or "external"; MyASN is ours.
	ASN   string `json:"asn"`
	MyASN string `json:"myASN"`
	BFD   string `json:"bfd,omitempty"` // the name of the BFDProfile
	// Nodes is how many nodes are to have a session, and Established how many have.
	Nodes       int `json:"nodes"`
	Established int `json:"established"`
}

// Session is a BGP session of a node with a peer.
type Session struct {
	Node string `json:"node"`
	Peer string `json:"peer"`
	// State as RFC 4271 names it: "Established" or another. Empty if the node is to have the session and its speaker
	// says nothing of it: it is gone, or has not said anything yet. Stale is true if the speaker, or its node, is
	// gone: the rest is what was said last then.
	State string `json:"state,omitempty"`
	Stale bool   `json:"stale,omitempty"`
	// Since is when it became established, or ceased to be.
	Since    int64 `json:"since,omitempty"`
	Prefixes int   `json:"prefixes"`
	// BFD is the state of the BFD session beside it ("Up", ...), empty without one.
	BFD           string `json:"bfd,omitempty"`
	LastError     string `json:"lastError,omitempty"`
	LastErrorTime int64  `json:"lastErrorTime,omitempty"`
	// Reason is in one word what keeps the session from being as its peer says, and Message in a sentence. The
	// session may be established all the same.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
}

// Takeover is that a node took addresses over from another.
type Takeover struct {
	Time int64  `json:"time"`
	Node string `json:"node"`
	// From is the node that owned them before.
	From string `json:"from,omitempty"`
	// Cause is "Lost", "Left", "Moved", "Rebalanced" or "Settled"; Reason says more, such as "drained".
	Cause  string `json:"cause"`
	Reason string `json:"reason,omitempty"`
	// Count is of how many addresses; Addresses are the first 16 of them.
	Count     int      `json:"count"`
	Addresses []string `json:"addresses,omitempty"`
	// Duration is in milliseconds how long it took from when the owner before was last heard; 0 if that one
	// forwarded meanwhile.
	Duration int `json:"duration"`
}

// MostTakeovers is how many of the newest takeovers there are in a State.
const MostTakeovers = 200

// Conflict is an address that a host which is none of the cluster's speakers uses as well.
type Conflict struct {
	Address string `json:"address"`
	// Node is whose speaker saw the host, on Interface.
	Node            string `json:"node"`
	Interface       string `json:"interface,omitempty"`
	HardwareAddress string `json:"hardwareAddress,omitempty"`
	Service         string `json:"service,omitempty"` // namespace/name
	Since           int64  `json:"since"`
	// Detected is true if the host was found before the address was announced, which was not done then.
	Detected bool `json:"detected,omitempty"`
}

// Problem is what a condition of an object of the configuration, or of a Speaker, says is wrong.
type Problem struct {
	// Kind and Name are the object's, such as IPAddressPool.
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Severity is "error" if something is not in force or does not work, else "warning".
	Severity string `json:"severity"`
	Reason   string `json:"reason"`
	Message  string `json:"message"`
	Since    int64  `json:"since,omitempty"`
}

// The values of Problem.Severity.
const (
	Error   = "error"
	Warning = "warning"
)
