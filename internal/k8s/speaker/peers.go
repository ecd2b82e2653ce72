package speaker

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"k8s.io/apimachinery/pkg/labels"
)

// outlook is all that a node's sessions depend on.
type outlook struct {
	node      string
	known     bool // there is such a Node
	labels    labels.Set
	addresses []netip.Addr // its InternalIPs

	peers      []*k8s.BGPPeer   // by age, each in its last good form
	unreadable map[string]error // those whose newest form is not good
	profiles   map[string]bgp.BFD
	password   func(secret string) (bgp.Password, error)
	before     map[string]bgp.Peer // the sessions that there are

	// awaited is set by sessions if it is to be called again soon, as a password may come.
	awaited bool
}

// errSoon is for a password that is not known yet.
var errSoon = errors.New("waiting for Secrets")

// problem is what keeps a session from being as its BGPPeer says.
type problem struct {
	reason  v1alpha1.BGPSessionReason
	message string
}

// sessions returns the sessions that the node is to have, the older peers first, and what is wrong with these and
// with others that it was to have, by peer: of several things the gravest.
func (o *outlook) sessions() (sessions []bgp.Peer, problems map[string]problem) {
	problems = map[string]problem{}
	if !o.known {
		return nil, problems
	}
	peers, conflicts := k8s.BGPPeersOn(o.peers, o.labels)
	for name, older := range conflicts {
		problems[name] = problem{v1alpha1.BGPSessionConflicting,
			fmt.Sprintf("BGPPeer %s, which is older, is the same session: not opened", older)}
	}
	good := map[string]bool{}
	for _, p := range o.peers {
		good[p.Name] = true
	}
	for name, err := range o.unreadable {
		if !good[name] { // whom it selects is not known either
			problems[name] = problem{v1alpha1.BGPSessionInvalidSpec, err.Error()}
		}
	}
	for _, p := range peers {
		session, trouble, ok := o.session(p)
		if ok {
			sessions = append(sessions, session)
		}
		if err := o.unreadable[p.Name]; err != nil {
			trouble = problem{v1alpha1.BGPSessionInvalidSpec, err.Error() + ": the session stays as it was"}
		}
		if trouble != (problem{}) {
			problems[p.Name] = trouble
		}
	}
	return sessions, problems
}

// session returns the session with a peer, false if there cannot be one, and what is wrong with it. What is not to
// be had is as it was, as long as the session is there: neither a Secret nor a profile that goes ends a session.
func (o *outlook) session(p *k8s.BGPPeer) (session bgp.Peer, trouble problem, ok bool) {
	session = p.On(o.node, o.addresses)
	before, known := o.before[p.Name]
	if p.Profile != "" {
		profile, found := o.profiles[p.Profile]
		switch {
		case found:
			session.BFD = &profile
		case known && before.BFD != nil:
			session.BFD = before.BFD
			trouble = problem{v1alpha1.BGPSessionNoBFDProfile,
				fmt.Sprintf("BFDProfile %s does not exist: the BFD session goes on with the timing that it had", p.Profile)}
		default:
			trouble = problem{v1alpha1.BGPSessionNoBFDProfile,
				fmt.Sprintf("BFDProfile %s does not exist: the session is without BFD", p.Profile)}
		}
	}
	if p.Secret != "" {
		password, err := o.password(p.Secret)
		switch {
		case errors.Is(err, errSoon):
			o.awaited = true
			if !known || !sameRouter(before, session) {
				return bgp.Peer{}, problem{}, false
			}
			session.Password = before.Password
		case err == nil:
			session.Password = password
		case known && sameRouter(before, session):
			session.Password = before.Password
			with := "with the password that it had"
			if before.Password == "" {
				with = "without a password"
			}
			trouble = problem{v1alpha1.BGPSessionNoSecret, fmt.Sprintf("%v: the session goes on %s", err, with)}
		default:
			return bgp.Peer{}, problem{v1alpha1.BGPSessionNoSecret, fmt.Sprintf("%v: the session is not opened", err)}, false
		}
	}
	return session, trouble, true
}

// sameRouter tells whether two sessions are with the same router: no other is to be met with its password, or with
// none.
func sameRouter(a, b bgp.Peer) bool {
	return a.Address == b.Address && a.Interface == b.Interface && a.VRF == b.VRF && a.Port == b.Port
}

// noNextHop is the problem of so many prefixes that are not advertised.
func noNextHop(prefixes int) problem {
	what := "1 prefix is"
	if prefixes != 1 {
		what = fmt.Sprintf("%d prefixes are", prefixes)
	}
	return problem{v1alpha1.BGPSessionNoNextHop,
		what + " not advertised: the node has no InternalIP of the family, which would be the next hop"}
}

func noSecret(namespace, name string) error {
	return fmt.Errorf("there is no Secret %s/%s of type kubernetes.io/basic-auth", namespace, name)
}
