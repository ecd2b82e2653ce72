package bgp

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// state is what a router must not be able to change on a node.
func (w *world) state(ctx context.Context, t *testing.T, n *lab.Node) string {
	t.Helper()
	text, err := n.Run(ctx, "sh", "-c", "ip route show table all; ip -6 route show table all; ip -br address; ip rule; ip -6 rule")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// unchanged fails if a node is not as it was.
func (w *world) unchanged(ctx context.Context, t *testing.T, n *lab.Node, before string) {
	t.Helper()
	if now := w.state(ctx, t, n); now != before {
		t.Errorf("%s has changed:\n%s\nwas:\n%s", n.Name, now, before)
	}
}

const node1Alone = "nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node1}}]"

// beside is a session with another router that nothing may happen to.
func (w *world) beside(ctx context.Context, t *testing.T, r *lab.Router) (check func()) {
	t.Helper()
	w.service(ctx, t, "field")
	w.everything(ctx, t, r, "")
	begin := time.Now()
	before := w.uptimes(ctx, t, "router")
	return func() { t.Helper(); w.same(ctx, t, r, "router", before, begin) }
}

// A router that breaks the protocol in one way or another: the reason is shown, and nothing else happens.
func TestBrokenRouter(t *testing.T) {
	ctx, w := start(t, 3*time.Minute)
	r := w.routers[lab.FRR] // its host; a script speaks in its place
	check := w.beside(ctx, t, w.routers[lab.BIRD])
	for i, test := range []struct {
		name string
		does func(net.Conn) error // nil if nobody listens
		want string               // in the last error, in lower case
	}{
		{"refuses connections", nil, "refused"},
		{"closes them at once", func(net.Conn) error { return nil }, "closed"},
		{"is another AS", func(c net.Conn) error {
			_, _, _ = read(c)
			_, _ = c.Write(open(4, 64999, 90, r.V4))
			_, _, err := read(c)
			return err
		}, "as"},
		{"speaks another version", func(c net.Conn) error {
			_, _, _ = read(c)
			_, _ = c.Write(open(3, routerASN, 90, r.V4))
			_, _, err := read(c)
			return err
		}, "version"},
		{"wants a hold time of a second", func(c net.Conn) error {
			_, _, _ = read(c)
			_, _ = c.Write(open(4, routerASN, 1, r.V4))
			_, _, err := read(c)
			return err
		}, "hold time"},
		{"rejects the session", func(c net.Conn) error {
			_, _, _ = read(c)
			_, err := c.Write(message(notificationMessage, []byte{6, 5}))
			return err
		}, "connection rejected"},
		{"says something else than BGP", func(c net.Conn) error {
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))
			_, _, err := read(c)
			return err
		}, "header"},
		{"sends a message of a type that there is not", func(c net.Conn) error {
			return establish(c, r, func(write func([]byte) error) error {
				time.Sleep(200 * time.Millisecond)
				return write(message(9, nil))
			})
		}, "header"},
		{"sends a message that is too short", func(c net.Conn) error {
			return establish(c, r, func(write func([]byte) error) error {
				time.Sleep(200 * time.Millisecond)
				m := message(updateMessage, nil)
				m[17] = 3
				return write(m)
			})
		}, "header"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := w.state(ctx, t, w.Node(1))
			if test.does != nil {
				script(ctx, t, r, test.does)
			}
			peer := fmt.Sprintf("broken-%d", i) // what is said of the one before is not of this
			w.peer(ctx, t, peer, fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s, connectTime: 1s, %s", r.V4, node1Alone))
			t.Cleanup(func() { w.removePeer(t, peer) })
			s := w.says(ctx, t, "node1", peer, "why", func(s v1alpha1.BGPSessionStatus) bool {
				return strings.Contains(strings.ToLower(s.LastError), test.want)
			})
			t.Log(s.LastError)
			w.unchanged(ctx, t, w.Node(1), before)
		})
	}
	check()
}

// A router that tells 100,000 routes, and UPDATEs that are malformed: the session stays, and nothing comes of them.
func TestUnwantedRoutes(t *testing.T) {
	ctx, w := start(t, 2*time.Minute)
	r := w.routers[lab.FRR]
	check := w.beside(ctx, t, w.routers[lab.BIRD])
	node := w.Node(1)
	before := w.state(ctx, t, node)
	const routes = 100000
	told := make(chan time.Duration, 1)
	script(ctx, t, r, func(c net.Conn) error {
		return establish(c, r, func(write func([]byte) error) error {
			time.Sleep(3 * time.Second) // until the memory before has been read
			begin := time.Now()
			for i := range routes {
				m := unwanted(i, r.V4)
				if i%1000 == 0 { // an attribute that is longer than the message
					m[19+2+2+2] = 255
				}
				if err := write(m); err != nil {
					return err
				}
			}
			told <- time.Since(begin)
			return nil
		})
	})
	w.peer(ctx, t, "flood", fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s, connectTime: 1s, %s", r.V4, node1Alone))
	w.established(ctx, t, "flood", "node1")
	s, err := w.session(ctx, "node1", "flood")
	if err != nil {
		t.Fatal(err)
	}
	idle := spent(t, []*lab.Process{node.Speaker}, used(t, []*lab.Process{node.Speaker}))
	used := used(t, []*lab.Process{node.Speaker})
	var took time.Duration
	select {
	case took = <-told:
	case <-time.After(30 * time.Second):
		t.Fatal("the routes were not taken within 30 s")
	}
	measure.Eventually(ctx, t, "a count of them", 5*time.Second, func() error {
		got, err := w.messages(ctx, node, "flood", "update")
		if err == nil && got < routes {
			err = fmt.Errorf("it is %d", got)
		}
		return err
	})
	now := w.says(ctx, t, "node1", "flood", "the session is there", func(s v1alpha1.BGPSessionStatus) bool {
		return s.State == v1alpha1.BGPSessionEstablished
	})
	if now.EstablishedTime == nil || !now.EstablishedTime.Equal(s.EstablishedTime) {
		t.Errorf("the session is %s, and was %s", sessionText(now), sessionText(s))
	}
	c := spent(t, []*lab.Process{node.Speaker}, used)
	measure.Report(t, len(w.Nodes), fmt.Sprintf("%d unwanted routes from a router, 100 UPDATEs malformed", routes), "nothing changes, < 30 MB more",
		"taken in %.1f s at %.2f s of CPU, %d MB, %d MB before", took.Seconds(), c.cpu.Seconds(), c.memory>>20, idle.memory>>20)
	if c.memory-idle.memory > 30<<20 {
		t.Errorf("the speaker has %d MB, and had %d MB", c.memory>>20, idle.memory>>20)
	}
	w.unchanged(ctx, t, node, before)
	check()
}

// A router is killed and started, and then stands still: sessions with it come back, others never notice.
func TestRouterFails(t *testing.T) {
	ctx, w := start(t, 2*time.Minute)
	r := w.routers[lab.FRR]
	check := w.beside(ctx, t, w.routers[lab.BIRD])
	prefix := w.service(ctx, t, "field")[0]
	if err := r.Speak(ctx, w.speaks(func(p *lab.Peer) { p.Hold, p.Keepalive = 3*time.Second, time.Second }, "IPv4")); err != nil {
		t.Fatal(err)
	}
	w.peer(ctx, t, "fails", fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s, connectTime: 1s, holdTime: 3s", r.V4))
	routed(ctx, t, r, 3, prefix)
	w.established(ctx, t, "fails")
	before := w.state(ctx, t, w.Node(1))
	t.Run("killed", func(t *testing.T) {
		if err := r.Kill(); err != nil {
			t.Fatal(err)
		}
		s := w.says(ctx, t, "node1", "fails", "the session is down", func(s v1alpha1.BGPSessionStatus) bool {
			return s.State != v1alpha1.BGPSessionEstablished && s.LastError != ""
		})
		t.Log(s.LastError)
		measure.Pause(ctx, t, time.Second)
		if err := r.Start(ctx); err != nil {
			t.Fatal(err)
		}
		took := measure.Eventually(ctx, t, "the sessions", 10*time.Second, func() error {
			for _, n := range w.Nodes {
				if s, err := r.Peer(ctx, n.Name); err != nil || !s.Established {
					return fmt.Errorf("%s: %s, %v", n.Name, s.State, err)
				}
			}
			return nil
		})
		measure.Report(t, len(w.Nodes), "the router killed and started, connectTime 1 s", "< 2 s", "all sessions %d ms after it listened", took.Milliseconds())
		routed(ctx, t, r, 3, prefix)
	})
	t.Run("stands still", func(t *testing.T) {
		w.established(ctx, t, "fails")
		if err := r.Freeze(); err != nil {
			t.Fatal(err)
		}
		s := w.says(ctx, t, "node1", "fails", "the hold timer has expired", func(s v1alpha1.BGPSessionStatus) bool {
			return s.State != v1alpha1.BGPSessionEstablished && strings.Contains(strings.ToLower(s.LastError), "hold timer")
		})
		t.Log(s.LastError)
		if err := r.Thaw(); err != nil {
			t.Fatal(err)
		}
		if err := r.AwaitEstablished(ctx, "node1", "node2", "node3"); err != nil {
			t.Fatal(err)
		}
		routed(ctx, t, r, 3, prefix)
	})
	w.unchanged(ctx, t, w.Node(1), before)
	check()
}

// A router that keeps the session and reads nothing: what is to be told it does not pile up, and others are told.
func TestRouterReadsNothing(t *testing.T) {
	ctx, w := start(t, time.Minute)
	r := w.routers[lab.FRR]
	check := w.beside(ctx, t, w.routers[lab.BIRD])
	script(ctx, t, r, func(c net.Conn) error {
		if _, _, err := read(c); err != nil {
			return err
		}
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		if _, err := c.Write(append(open(4, routerASN, 90, r.V4), message(keepaliveMessage, nil)...)); err != nil {
			return err
		}
		for {
			time.Sleep(time.Second)
			if _, err := c.Write(message(keepaliveMessage, nil)); err != nil {
				return err
			}
		}
	})
	w.peer(ctx, t, "deaf", fmt.Sprintf("myASN: 64512, peerASN: 64500, peerAddress: %s, connectTime: 1s, %s", r.V4, node1Alone))
	w.established(ctx, t, "deaf", "node1")
	// One change after another, for 300 UPDATEs.
	for i := range 300 {
		w.apply(ctx, t, "apiVersion: fairlead.dev/v1alpha1\nkind: BGPAdvertisement\nmetadata: {name: all}\nspec: {communities: [\"65000:%d\"]}\n", i+1)
	}
	prefix := w.service(ctx, t, "field")[0]
	measure.Eventually(ctx, t, "the last change at the other router", 5*time.Second, func() error {
		paths, err := w.routers[lab.BIRD].Paths(ctx, prefix)
		if err != nil || len(paths) != 3 {
			return fmt.Errorf("%v: %v", paths, err)
		}
		for _, p := range paths {
			if strings.Join(p.Communities, " ") != "65000:300" {
				return fmt.Errorf("%s", p)
			}
		}
		return nil
	})
	check()
}
