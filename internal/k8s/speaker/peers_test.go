package speaker

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// bgpPeer is an external peer at 192.0.2.1, but for what edit makes of it.
func bgpPeer(name string, born int64, edit func(*v1alpha1.BGPPeerSpec)) *v1alpha1.BGPPeer {
	o := &v1alpha1.BGPPeer{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: "p", CreationTimestamp: metav1.Unix(born, 0)},
		Spec:       v1alpha1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "192.0.2.1"},
	}
	if edit != nil {
		edit(&o.Spec)
	}
	return o
}

func withBFD(profile string) func(*v1alpha1.BGPPeerSpec) {
	return func(s *v1alpha1.BGPPeerSpec) { s.BFDProfile = profile }
}

func withSecret(name string) func(*v1alpha1.BGPPeerSpec) {
	return func(s *v1alpha1.BGPPeerSpec) { s.PasswordSecret = &v1alpha1.SecretReference{Name: name} }
}

// shown is a session in short: its name, password and BFD.
func shown(p bgp.Peer) string {
	text := p.Name
	if p.Password != "" {
		text += " key=" + string(p.Password)
	}
	if p.BFD != nil {
		text += fmt.Sprintf(" bfd=%s/%s", p.BFD.Profile, p.BFD.Receive)
	}
	return text
}

func TestSessionsOfANode(t *testing.T) {
	fast := bgp.BFD{Profile: "fast", Receive: 100 * time.Millisecond}
	old := bgp.BFD{Profile: "gone", Receive: 50 * time.Millisecond}
	before := func(p bgp.Peer) map[string]bgp.Peer { return map[string]bgp.Peer{p.Name: p} }
	for _, tt := range []struct {
		name       string
		peers      []*v1alpha1.BGPPeer
		unreadable map[string]error
		before     map[string]bgp.Peer
		unknown    bool // there is no Node
		want       string
		problems   string
	}{
		{name: "one", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, nil)}, want: "a"},
		{name: "none on a node that there is not", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, nil)}, unknown: true},
		{name: "another node's", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, func(s *v1alpha1.BGPPeerSpec) { s.NodeSelectors = match("rack", "2") })}},
		{name: "its profile and password", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, func(s *v1alpha1.BGPPeerSpec) { withBFD("fast")(s); withSecret("good")(s) })},
			want: "a key=s3cret bfd=fast/100ms"},
		{name: "one that is another's session", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 2, nil), bgpPeer("b", 1, nil)}, want: "b",
			problems: "a Conflicting: BGPPeer b, which is older, is the same session: not opened"},
		{name: "no profile", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, withBFD("gone"))}, want: "a",
			problems: "a NoBFDProfile: BFDProfile gone does not exist: the session is without BFD"},
		{name: "the profile was deleted", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, withBFD("gone"))}, before: before(bgp.Peer{Name: "a", BFD: &old}),
			want:     "a bfd=gone/50ms",
			problems: "a NoBFDProfile: BFDProfile gone does not exist: the BFD session goes on with the timing that it had"},
		{name: "the profile is not named any more", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, nil)}, before: before(bgp.Peer{Name: "a", BFD: &old}), want: "a"},
		{name: "no Secret", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, withSecret("none"))},
			problems: "a NoSecret: there is no Secret none: the session is not opened"},
		{name: "the Secret was deleted", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, withSecret("none"))}, before: before(bgp.Peer{Name: "a", Address: netip.MustParseAddr("192.0.2.1"), Port: 179, Password: "old"}),
			want:     "a key=old",
			problems: "a NoSecret: there is no Secret none: the session goes on with the password that it had"},
		{name: "a Secret is named that there is not", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, withSecret("none"))}, before: before(bgp.Peer{Name: "a", Address: netip.MustParseAddr("192.0.2.1"), Port: 179}),
			want:     "a",
			problems: "a NoSecret: there is no Secret none: the session goes on without a password"},
		{name: "no Secret, and another router", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, withSecret("none"))}, before: before(bgp.Peer{Name: "a", Address: netip.MustParseAddr("192.0.2.9"), Port: 179, Password: "old"}),
			problems: "a NoSecret: there is no Secret none: the session is not opened"},
		{name: "a password that was removed from the spec", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, nil)}, before: before(bgp.Peer{Name: "a", Password: "old"}), want: "a"},
		{name: "the password changes", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, withSecret("good"))}, before: before(bgp.Peer{Name: "a", Password: "old"}), want: "a key=s3cret"},
		{name: "neither: the missing Secret is graver", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, func(s *v1alpha1.BGPPeerSpec) { withBFD("gone")(s); withSecret("none")(s) })},
			problems: "a NoSecret: there is no Secret none: the session is not opened"},
		{name: "never readable", unreadable: map[string]error{"a": errors.New("spec.myASN is missing")}, problems: "a InvalidSpec: spec.myASN is missing"},
		{name: "not readable any more", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, nil)}, unreadable: map[string]error{"a": errors.New("spec.myASN is missing")},
			want: "a", problems: "a InvalidSpec: spec.myASN is missing: the session stays as it was"},
		{name: "not readable any more, and another node's", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, func(s *v1alpha1.BGPPeerSpec) { s.NodeSelectors = match("rack", "2") })},
			unreadable: map[string]error{"a": errors.New("spec.myASN is missing")}},
		{name: "unnumbered", peers: []*v1alpha1.BGPPeer{bgpPeer("a", 1, func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress, s.Interface = "", "eth1" })}, want: "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := outlook{
				node: "n", known: !tt.unknown, labels: map[string]string{"rack": "1"}, addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")},
				unreadable: tt.unreadable, profiles: map[string]bgp.BFD{"fast": fast}, before: tt.before,
				password: func(secret string) (bgp.Password, error) {
					if secret != "good" {
						return "", fmt.Errorf("there is no Secret %s", secret)
					}
					return "s3cret", nil
				},
			}
			for _, object := range tt.peers {
				p, err := k8s.ReadBGPPeer(object)
				if err != nil {
					t.Fatal(err)
				}
				o.peers = append(o.peers, p)
			}
			k8s.BGPPeersByAge(o.peers)
			sessions, problems := o.sessions()
			var got, bad []string
			for _, p := range sessions {
				got = append(got, shown(p))
			}
			for _, name := range slices.Sorted(maps.Keys(problems)) {
				bad = append(bad, fmt.Sprintf("%s %s: %s", name, problems[name].reason, problems[name].message))
			}
			if got := strings.Join(got, ", "); got != tt.want {
				t.Errorf("sessions %q, want %q", got, tt.want)
			}
			if got := strings.Join(bad, ", "); got != tt.problems {
				t.Errorf("problems %q,\nwant %q", got, tt.problems)
			}
		})
	}
}
