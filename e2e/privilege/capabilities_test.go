package privilege

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// confined has every mount of the machine read-only, proc and sys among them, and then runs its arguments. A file that can
// still be written ends it. Its log is open before.
const confined = `
mount --make-rprivate /
tac /proc/mounts | while read -r _ path _; do mount -o remount,bind,ro "$path" 2>/dev/null || true; done
for path in / /tmp /run /var /dev/shm /proc/sys/net/ipv4 /sys; do
  if (: >"$path/fairlead-writes") 2>/dev/null; then echo "$path can be written" >&2; exit 70; fi
done
if (echo 0 >/proc/sys/net/ipv4/ip_nonlocal_bind) 2>/dev/null; then echo "/proc can be written" >&2; exit 70; fi
exec "$@"
`

// confine describes a program that runs as in its Pod: root without any capability but these, or another user without any,
// no new privileges, nothing to write to.
func (w *world) confine(name string, h *lab.Host, user int, capabilities []string, program string, arguments ...string) *lab.Process {
	bounding := "-all"
	for _, c := range capabilities {
		bounding += ",+" + strings.ToLower(c)
	}
	// The shell that mounts has all rights still; setpriv gives them up.
	list := []string{"unshare", "--mount", "sh", "-euc", confined, "sh", "setpriv", "--no-new-privs", "--bounding-set=" + bounding, "--inh-caps=-all"}
	if user != 0 {
		list = append(list, fmt.Sprintf("--reuid=%d", user), fmt.Sprintf("--regid=%d", user), "--clear-groups")
	}
	return w.Program(w.name(name), h, "/usr/bin/unshare", append(append(list, program), arguments...)...)
}

// build is a program that `make build` made.
func build(t *testing.T, name string) string {
	t.Helper()
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "build", name)
}

// limitedSpeaker runs node1's speaker with these capabilities alone, in place of the lab's, for one test.
func (w *world) limitedSpeaker(t *testing.T, capabilities ...string) *lab.Process {
	t.Helper()
	n := w.Node(1)
	if err := n.Speaker.Kill(); err != nil {
		t.Fatal(err)
	}
	p := w.confine("limited-speaker", n.Host, 0, capabilities, build(t, "speaker"),
		"--kubeconfig", filepath.Join(w.Directory, "fairlead-speaker-"+n.Name+".kubeconfig"), "--node-name", n.Name, "--restart-grace", "5s",
		"--gossip-key-file", filepath.Join(w.Directory, "gossip.key"), "--load-balancer-class", speakersClass)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s, running %v:\n%s", p.Name, p.Running(), p.Tail(30))
		}
		if err := errors.Join(p.Kill(), n.Speaker.Start()); err != nil {
			t.Error(err)
		}
	})
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// onNode1 are addresses that node1 alone may own, on layer 2 and by BGP.
const onNode1 = `
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: node1}
spec: {addresses: ["192.0.2.150-192.0.2.159", "2001:db8::3:0/112"], autoAssign: false}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: node1}
spec: {ipAddressPools: [node1], nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node1}}]%s}
`

const toRouter = `
apiVersion: v1
kind: Secret
metadata: {name: router, namespace: fairlead-system}
type: kubernetes.io/basic-auth
stringData: {password: correct-horse}
---
apiVersion: fairlead.dev/v1alpha1
kind: BFDProfile
metadata: {name: fast}
spec: {transmitInterval: 100, receiveInterval: 100, detectMultiplier: 3}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPAdvertisement
metadata: {name: node1}
spec: {ipAddressPools: [node1]}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPPeer
metadata: {name: router}
spec: {myASN: 64512, peerASN: 64500, peerAddress: %s, nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node1}}]%s}
`

// TestCapabilities runs a speaker as its Pod does, with a file system that cannot be written, and says what each capability
// is for.
func TestCapabilities(t *testing.T) {
	ctx, w := start(t, 3*time.Minute)
	if err := w.Apply(ctx, fmt.Appendf(nil, onNode1, "")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.clean(t) })
	addresses := []netip.Addr{netip.MustParseAddr("192.0.2.150"), netip.MustParseAddr("2001:db8::3:1")}
	for _, a := range addresses {
		if err := w.announced(ctx, w.name("confined"), a.String()); err != nil {
			t.Fatal(err)
		}
	}
	r, err := w.NewRouter("router", lab.FRR)
	if err != nil {
		t.Fatal(err)
	}
	n := w.Node(1)

	t.Run("none: the speaker ends, and says what is missing", func(t *testing.T) {
		p := w.limitedSpeaker(t)
		awaitEnd(ctx, t, p)
		lastLine(t, p, "opening a packet socket, without which ARP and Neighbor Discovery cannot be answered: operation not permitted; "+
			"the container needs the capability NET_RAW")
	})
	t.Run("NET_RAW: ARP, Neighbor Discovery, BGP with password, TTL security, BFD and over an interface", func(t *testing.T) {
		p := w.limitedSpeaker(t, "NET_RAW")
		w.serves(ctx, t, p, addresses)
		if err := w.Link(n.Host, "rack0", r.Host, "rack0"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Unlink(r.Host, "rack0") })
		err := r.Speak(ctx, lab.BGP{ASN: 64500, Peers: []lab.Peer{
			{Name: "node1", Address: n.V4, ASN: 64512, Password: "correct-horse", Hops: 1},
			{Name: "watched", Address: n.V6, ASN: 64512, BFD: true}, {Name: "rack", Interface: "rack0", ASN: 64512},
		}})
		if err != nil {
			t.Fatal(err)
		}
		err = w.Apply(ctx, fmt.Appendf(nil, toRouter+`
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPPeer
metadata: {name: rack}
spec: {myASN: 64512, peerASN: 64500, interface: rack0, nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node1}}]}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPPeer
metadata: {name: watched}
spec: {myASN: 64512, peerASN: 64500, peerAddress: "%s", bfdProfile: fast, nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node1}}]}
`, r.V4, ", passwordSecret: {name: router}, ttlSecurity: {}", r.V6))
		if err != nil {
			t.Fatal(err)
		}
		for _, peer := range []string{"router", "rack", "watched"} {
			w.session(ctx, t, peer, string(v1alpha1.BGPSessionEstablished), func(s v1alpha1.BGPSessionStatus) string { return string(s.State) })
		}
		w.session(ctx, t, "watched", string(v1alpha1.BFDSessionUp), func(s v1alpha1.BGPSessionStatus) string { return string(s.BFDState) })
	})
	t.Run("without NET_BIND_SERVICE no router is waited for", func(t *testing.T) {
		if err := w.Apply(ctx, fmt.Appendf(nil, toRouter, r.V4, ", passive: true")); err != nil {
			t.Fatal(err)
		}
		w.limitedSpeaker(t, "NET_RAW")
		w.session(ctx, t, "router", "waiting for the router on port 179: listen tcp4 :179: bind: permission denied: a port below 1024 takes the capability "+
			"NET_BIND_SERVICE (speaker.passivePeers=true in the chart, or manifests/overlays/bgp)", func(s v1alpha1.BGPSessionStatus) string { return s.LastError })
	})
	t.Run("NET_BIND_SERVICE: passive peers", func(t *testing.T) {
		if err := r.Speak(ctx, lab.BGP{ASN: 64500, Peers: []lab.Peer{{Name: "node1", Address: n.V4, ASN: 64512, Active: true}}}); err != nil {
			t.Fatal(err)
		}
		w.limitedSpeaker(t, "NET_RAW", "NET_BIND_SERVICE")
		w.session(ctx, t, "router", string(v1alpha1.BGPSessionEstablished), func(s v1alpha1.BGPSessionStatus) string { return string(s.State) })
	})
	bound := func() error {
		text, err := n.Run(ctx, "ip", "-o", "address", "show")
		return errors.Join(err, contains(text, "192.0.2.150/32"))
	}
	t.Run("without NET_ADMIN no address is put on an interface", func(t *testing.T) {
		if err := w.Apply(ctx, fmt.Appendf(nil, onNode1, ", bindAddress: true")); err != nil {
			t.Fatal(err)
		}
		p := w.limitedSpeaker(t, "NET_RAW")
		w.serves(ctx, t, p, addresses)
		await(ctx, t, "the event", 10*time.Second, func() error { return w.told(ctx, "node1", "NoCapability") })
		if err := contains(since(p, 0), "node node1 cannot have these addresses on its interfaces: its speaker is without the capability NET_ADMIN"); err != nil {
			t.Error(err)
		}
		if bound() == nil {
			t.Error("all the same it is there")
		}
		if log := since(p, 0); strings.Contains(log, "cannot keep an address") {
			t.Errorf("it is said for each address too:\n%s", log)
		}
	})
	t.Run("NET_ADMIN: bindAddress", func(t *testing.T) {
		w.limitedSpeaker(t, "NET_RAW", "NET_ADMIN")
		await(ctx, t, "the address on the interface", 15*time.Second, bound)
	})
}

// TestControllerConfined runs the controller as its Pod does: another user than root, no capability, nothing to write to.
func TestControllerConfined(t *testing.T) {
	ctx, w := start(t, time.Minute)
	const user = 65532
	kubeconfig := filepath.Join(w.Directory, "confined.kubeconfig")
	text, err := os.ReadFile(filepath.Join(w.Directory, "fairlead-controller.kubeconfig"))
	if err == nil {
		err = os.WriteFile(kubeconfig, text, 0o600)
	}
	if err == nil {
		err = os.Chown(kubeconfig, user, user)
	}
	if err == nil {
		err = os.Chmod(w.Directory, 0o755)
	}
	if err == nil {
		err = w.Controllers[0].Stop(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Where it is built only root may look, as a rule.
	program := filepath.Join(w.Directory, "controller")
	if text, err = os.ReadFile(build(t, "controller")); err == nil {
		err = os.WriteFile(program, text, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	p := w.confine("limited-controller", w.CP, user, nil, program, "--kubeconfig", kubeconfig, "--http-address", fmt.Sprintf("127.0.0.1:%d", lab.ControllerHTTPPort))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("running %v:\n%s", p.Running(), p.Tail(30))
		}
		if err := errors.Join(p.Kill(), w.Controllers[0].Start(), w.cleanServices(context.Background())); err != nil {
			t.Error(err)
		}
	})
	name := w.name("confined")
	if err := errors.Join(p.Start(), w.service(ctx, name)); err != nil {
		t.Fatal(err)
	}
	await(ctx, t, "an address", 20*time.Second, func() error { return w.told(ctx, name, "AddressAssigned") })
}

// serves waits until node1 answers for addresses, in the words of the segment.
func (w *world) serves(ctx context.Context, t *testing.T, p *lab.Process, addresses []netip.Addr) {
	t.Helper()
	for _, a := range addresses {
		await(ctx, t, "an answer for "+a.String(), 20*time.Second, func() error {
			if !p.Running() {
				return errors.New("the speaker has ended")
			}
			macs, err := w.Client(1).Answerers(ctx, a, 200*time.Millisecond)
			if err == nil && (len(macs) != 1 || macs[0].String() != w.Node(1).MAC.String()) {
				err = fmt.Errorf("%v answer", macs)
			}
			return err
		})
	}
}

// session waits until node1's Speaker says so of a session.
func (w *world) session(ctx context.Context, t *testing.T, peer, want string, of func(v1alpha1.BGPSessionStatus) string) {
	t.Helper()
	await(ctx, t, "the session with "+peer+": "+want, 25*time.Second, func() error {
		s, err := w.fairlead.FairleadV1alpha1().Speakers().Get(ctx, "node1", metav1.GetOptions{})
		if err != nil {
			return err
		}
		i := slices.IndexFunc(s.Status.BGPSessions, func(b v1alpha1.BGPSessionStatus) bool { return b.Peer == peer })
		if i < 0 {
			return errors.New("there is none")
		}
		if got := of(s.Status.BGPSessions[i]); got != want {
			return fmt.Errorf("%q; %+v", got, s.Status.BGPSessions[i])
		}
		return nil
	})
}

// clean deletes what tests have made beside the pools.
func (w *world) clean(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	api, all := w.fairlead.FairleadV1alpha1(), metav1.ListOptions{}
	err := errors.Join(w.cleanServices(ctx),
		api.BGPPeers().DeleteCollection(ctx, metav1.DeleteOptions{}, all), api.BGPAdvertisements().DeleteCollection(ctx, metav1.DeleteOptions{}, all),
		api.BFDProfiles().DeleteCollection(ctx, metav1.DeleteOptions{}, all),
		api.L2Advertisements().Delete(ctx, "node1", metav1.DeleteOptions{}), api.IPAddressPools().Delete(ctx, "node1", metav1.DeleteOptions{}))
	if err != nil {
		t.Error(err)
	}
}

// awaitEnd waits until a process has ended by itself.
func awaitEnd(ctx context.Context, t *testing.T, p *lab.Process) {
	t.Helper()
	select {
	case <-p.Ended():
	case <-ctx.Done():
		t.Fatalf("%s has not ended:\n%s", p.Name, p.Tail(10))
	}
}

// lastLine fails unless the last line that a process wrote, which is what `kubectl describe pod` shows, contains a text.
func lastLine(t *testing.T, p *lab.Process, want string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(since(p, 0)), "\n")
	if last := lines[len(lines)-1]; !strings.Contains(strings.ReplaceAll(last, `\"`, `"`), want) {
		t.Errorf("the last line is\n%s\nwant\n%s", last, want)
	}
}
