// Package bgp holds Fairlead to what routers see of it: FRR and BIRD are told addresses by three nodes, and what they
// say of them, in their own words, is what counts. What clients beyond the routers notice is measured besides.
//
// Without -full the tests do less of the same: fewer rounds, and 1,000 Services instead of 10,000.
package bgp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == aloneArgument {
		os.Exit(alone(os.Args[2]))
	}
	lab.Main(m)
}

// AS numbers of the nodes and of the routers.
const (
	nodesASN  = 64512
	routerASN = 64500
)

// world is a lab with three nodes, a router of each kind, and a client beyond them.
type world struct {
	*lab.Lab
	fairlead versioned.Interface
	routers  map[lab.Software]*lab.Router
	far      *lab.Router // behind the others, FRR
	backend  *lab.Host   // answers behind every Service: no endpoint dies with a node
	visitor  *lab.Host   // beyond the routers
	server   io.Closer
	spoiled  bool // not fit for another test
}

// pools are those of all tests.
const pools = `
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: routed}
spec: {addresses: ["198.51.100.0/24", "2001:db8:51::/64"], avoidBuggyIPs: true}
---
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: many}
spec: {addresses: ["198.18.128.0/17"], autoAssign: false}
`

// present is the lab that runs. There is one at a time.
var present *world

// start is the running lab, or a new one, for one test.
func start(t *testing.T, limit time.Duration) (context.Context, *world) {
	t.Helper()
	if present != nil && present.spoiled {
		_ = present.server.Close()
		present.Stop()
		present = nil
	}
	if present == nil {
		begin := time.Now()
		w, err := newWorld()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("the lab is there after %.1f s", time.Since(begin).Seconds())
		present = w
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	w := present
	t.Cleanup(func() {
		cancel()
		w.leave(t)
	})
	return ctx, w
}

func newWorld() (w *world, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	root, err := lab.Root()
	if err != nil {
		return nil, err
	}
	config := lab.Config{
		Nodes: 3, Clients: 2,
		ControllerBinary: filepath.Join(root, "build", "controller"), SpeakerBinary: filepath.Join(root, "build", "speaker"),
	}
	for _, path := range []string{config.ControllerBinary, config.SpeakerBinary} {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("%w: run `make build` first", err)
		}
	}
	w = &world{routers: map[lab.Software]*lab.Router{}}
	if w.Lab, err = lab.Start(ctx, config); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.Stop()
		}
	}()
	if w.fairlead, err = versioned.NewForConfig(w.RESTConfig()); err != nil {
		return nil, err
	}
	for _, s := range softwares {
		if w.routers[s], err = w.NewRouter(strings.ToLower(string(s)), s); err != nil {
			return nil, err
		}
	}
	if w.far, err = w.NewFarRouter("far", lab.FRR); err != nil {
		return nil, err
	}
	if w.visitor, err = w.NewOutsideClient("visitor", w.routers[lab.FRR]); err != nil {
		return nil, err
	}
	w.backend = w.Client(1)
	if w.server, err = w.backend.Serve(lab.BackendPort); err != nil {
		return nil, err
	}
	for _, n := range w.Nodes {
		if err := w.LeadOutside(n.Host, w.routers[lab.FRR]); err != nil {
			return nil, err
		}
	}
	return w, w.Apply(ctx, []byte(pools))
}

var softwares = []lab.Software{lab.FRR, lab.BIRD}

// through has clients and nodes use a router, and no other, on the way to each other.
func (w *world) through(t *testing.T, r *lab.Router) {
	t.Helper()
	err := w.LeadOutside(w.visitor, r)
	for _, n := range w.Nodes {
		err = errors.Join(err, w.LeadOutside(n.Host, r))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// leave shows the logs and the sessions if the test has failed, mends what it has left broken, and takes away the
// configuration that it has made.
func (w *world) leave(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if t.Failed() {
		for _, n := range w.Nodes {
			t.Logf("%s, running %v:\n%s", n.Speaker.Name, n.Speaker.Running(), n.Speaker.Tail(measure.Less(25, 60)))
			if s, err := w.fairlead.FairleadV1alpha1().Speakers().Get(ctx, n.Name, metav1.GetOptions{}); err == nil {
				for _, session := range s.Status.BGPSessions {
					t.Logf("%s: %s", n.Name, sessionText(session))
				}
			}
		}
	}
	var errs []error
	for _, n := range w.Nodes {
		errs = append(errs, w.Restore(n.Host), w.Unblock(ctx, n.Host))
		if !n.Speaker.Running() {
			errs = append(errs, n.Speaker.Start())
		} else if t.Failed() {
			errs = append(errs, n.Speaker.Thaw())
		}
	}
	errs = append(errs, w.clean(ctx))
	// What the next test reads of a Speaker is not to be of this one.
	_, err := measure.Await(ctx, 8*time.Second, func() error {
		speakers, err := w.fairlead.FairleadV1alpha1().Speakers().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, s := range speakers.Items {
			if len(s.Status.BGPSessions) > 0 {
				return fmt.Errorf("the Speaker %s has %d sessions still, and there is no BGPPeer", s.Name, len(s.Status.BGPSessions))
			}
		}
		return nil
	})
	errs = append(errs, err)
	for _, r := range append([]*lab.Router{w.far}, w.routers[lab.FRR], w.routers[lab.BIRD]) {
		errs = append(errs, r.Kill())
		_, err := r.Run(ctx, "sh", "-c", "ip route flush proto bgp; ip -6 route flush proto bgp; ip route flush proto bird; ip -6 route flush proto bird")
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
		w.spoiled = true
	}
}

// clean deletes what says how to advertise.
func (w *world) clean(ctx context.Context) error {
	api := w.fairlead.FairleadV1alpha1()
	all := metav1.ListOptions{}
	return errors.Join(
		api.BGPPeers().DeleteCollection(ctx, metav1.DeleteOptions{}, all),
		api.BGPAdvertisements().DeleteCollection(ctx, metav1.DeleteOptions{}, all),
		api.L2Advertisements().DeleteCollection(ctx, metav1.DeleteOptions{}, all),
		api.BFDProfiles().DeleteCollection(ctx, metav1.DeleteOptions{}, all),
		api.Communities().DeleteCollection(ctx, metav1.DeleteOptions{}, all),
	)
}

// apply applies objects given as YAML.
func (w *world) apply(ctx context.Context, t *testing.T, format string, args ...any) {
	t.Helper()
	if err := w.Apply(ctx, fmt.Appendf(nil, format, args...)); err != nil {
		t.Fatal(err)
	}
}

// peer makes or edits a BGPPeer, and an advertisement of everything to all peers.
func (w *world) peer(ctx context.Context, t *testing.T, name, spec string) {
	t.Helper()
	w.apply(ctx, t, `
apiVersion: fairlead.dev/v1alpha1
kind: BGPPeer
metadata: {name: %s}
spec: {%s}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPAdvertisement
metadata: {name: all}
`, name, spec)
}

// fastBFD is a profile of 3 x 100 ms.
const fastBFD = `
apiVersion: fairlead.dev/v1alpha1
kind: BFDProfile
metadata: {name: fast}
spec: {transmitInterval: 100, receiveInterval: 100, detectMultiplier: 3}
`

// speaks is a router with a session with each node over each of these families of addresses: node1, node1v6, and so on.
func (w *world) speaks(change func(*lab.Peer), families ...string) lab.BGP {
	b := lab.BGP{ASN: routerASN}
	for _, n := range w.Nodes {
		for _, family := range families {
			p := lab.Peer{Name: n.Name, Address: n.V4, ASN: nodesASN}
			if family == "IPv6" {
				p.Name, p.Address = n.Name+"v6", n.V6
			}
			if change != nil {
				change(&p)
			}
			b.Peers = append(b.Peers, p)
		}
	}
	return b
}

// names are those of a router's peers.
func names(b lab.BGP) (list []string) {
	for _, p := range b.Peers {
		list = append(list, p.Name)
	}
	return list
}

// each runs a test with each of the routers in the way.
func each(t *testing.T, limit time.Duration, test func(context.Context, *testing.T, *world, *lab.Router)) {
	t.Helper()
	for _, s := range softwares {
		t.Run(string(s), func(t *testing.T) {
			ctx, w := start(t, limit)
			r := w.routers[s]
			w.through(t, r)
			test(ctx, t, w, r)
		})
	}
}

// session is what a node's Speaker says of a session.
func (w *world) session(ctx context.Context, node, peer string) (v1alpha1.BGPSessionStatus, error) {
	s, err := w.fairlead.FairleadV1alpha1().Speakers().Get(ctx, node, metav1.GetOptions{})
	if err != nil {
		return v1alpha1.BGPSessionStatus{}, err
	}
	for _, session := range s.Status.BGPSessions {
		if session.Peer == peer {
			return session, nil
		}
	}
	return v1alpha1.BGPSessionStatus{}, fmt.Errorf("the Speaker %s has no session with %s", node, peer)
}

// says waits until a node's Speaker says so of a session, at most 6 s: what it says is to be true within 5.
func (w *world) says(ctx context.Context, t *testing.T, node, peer, what string, check func(v1alpha1.BGPSessionStatus) bool) v1alpha1.BGPSessionStatus {
	t.Helper()
	var s v1alpha1.BGPSessionStatus
	took, err := measure.Await(ctx, 6*time.Second, func() (err error) {
		if s, err = w.session(ctx, node, peer); err == nil && !check(s) {
			err = errors.New("it says: " + sessionText(s))
		}
		return err
	})
	if err != nil {
		t.Logf("%+v", s)
		t.Errorf("the Speaker %s does not say that %s, after %s: %v", node, what, took.Round(time.Millisecond), err)
	}
	return s
}

// established waits until every node's Speaker says that this session is Established.
func (w *world) established(ctx context.Context, t *testing.T, peer string, nodes ...string) {
	t.Helper()
	for _, n := range w.Nodes {
		if nodes == nil || slices.Contains(nodes, n.Name) {
			w.says(ctx, t, n.Name, peer, "the session is Established", func(s v1alpha1.BGPSessionStatus) bool {
				return s.State == v1alpha1.BGPSessionEstablished
			})
		}
	}
}

// sessionText is a session on one line.
func sessionText(s v1alpha1.BGPSessionStatus) string {
	text := fmt.Sprintf("%s at %s from %s: %s", s.Peer, s.Address, s.LocalAddress, s.State)
	if s.EstablishedTime != nil {
		text += fmt.Sprintf(" since %s, %d prefixes", s.EstablishedTime.Format(time.TimeOnly), s.PrefixesAdvertised)
	}
	if s.LastError != "" {
		text += fmt.Sprintf(", last error %q", s.LastError)
	}
	if s.Reason != "" {
		text += fmt.Sprintf(", %s: %s", s.Reason, s.Message)
	}
	if s.BFDState != "" {
		text += ", BFD " + string(s.BFDState)
	}
	return text
}
