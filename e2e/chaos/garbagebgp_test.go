package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/garbage"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// passivePort is where speakers wait for the router that plays the fool.
const passivePort = 1790

func bgpAttacks() []attack {
	return []attack{
		{
			target: "BGP", what: "a router that answers with malformed messages, before OPEN and after it",
			lasts: 15 * time.Second, short: 6 * time.Second,
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				listener, err := f.Stranger.Listen(ctx, "tcp", netip.AddrPortFrom(f.Stranger.V4, 179).String())
				if err != nil {
					return err
				}
				next := conversations(f, r)
				peer := fmt.Sprintf("{myASN: %d, peerASN: %d, peerAddress: %s, connectTime: 1s}", fleet.NodesASN, fleet.RouterASN, f.Stranger.V4)
				return withPeer(ctx, f, "garbage-active", peer, func() error {
					defer context.AfterFunc(ctx, func() { listener.Close() })()
					var talking sync.WaitGroup
					defer talking.Wait()
					for {
						c, err := listener.Accept()
						if err != nil {
							listener.Close()
							return nil
						}
						talking.Go(func() { converse(ctx, c, next(), true) })
					}
				})
			},
		},
		{
			target: "BGP", what: "malformed messages to the port of passive peers, from the router and from others, 30 connections a second",
			lasts: 15 * time.Second, short: 6 * time.Second,
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				next, i := conversations(f, r), 0
				peer := fmt.Sprintf("{myASN: %d, peerASN: %d, peerAddress: %q, peerPort: %d, passive: true}", fleet.NodesASN, fleet.RouterASN, f.Stranger.V6, passivePort)
				return withPeer(ctx, f, "garbage-passive", peer, func() error {
					var talking sync.WaitGroup
					defer talking.Wait()
					return pace(ctx, 30, func() error {
						n, host := f.Nodes[i%len(f.Nodes)], f.Stranger
						if i%4 == 3 {
							host = f.Watcher // of which nobody expects anything
						}
						i++
						talking.Go(func() {
							if c := dial(ctx, host, netip.AddrPortFrom(n.V6, passivePort)); c != nil {
								converse(ctx, c, next(), false)
							}
						})
						return nil
					})
				})
			},
		},
	}
}

// conversations draws what a router says, one after another: something malformed at once, or OPEN and KEEPALIVE as they
// should be and something malformed then.
func conversations(f *fleet.Fleet, r *rand.Rand) (next func() [][]byte) {
	open, keepalive := garbage.OpenMessage(fleet.RouterASN, 90, f.Stranger.V4), garbage.KeepaliveMessage()
	first := slices.Concat(open.Wrong(r, 100), keepalive.Wrong(r, 20), garbage.Noises(r, 20, 5000))
	var later [][]byte
	for _, p := range []garbage.Packet{
		garbage.UpdateMessage(fleet.RouterASN, f.Stranger.V4, netip.MustParsePrefix("10.1.0.0/16")),
		garbage.NotificationMessage(6, 2), garbage.RouteRefreshMessage(), keepalive, open,
	} {
		later = append(later, p.Wrong(r, 100)...)
	}
	var mu sync.Mutex
	return func() [][]byte {
		mu.Lock()
		defer mu.Unlock()
		if r.IntN(3) == 0 {
			return [][]byte{first[r.IntN(len(first))]}
		}
		said := [][]byte{open.Octets, keepalive.Octets}
		for range 1 + r.IntN(20) {
			said = append(said, later[r.IntN(len(later))])
		}
		return said
	}
}

// converse says this, reads what comes, and hangs up after a moment, if the other does not before.
func converse(ctx context.Context, c net.Conn, said [][]byte, wait bool) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	reading := make(chan struct{})
	go func() { defer close(reading); _, _ = io.Copy(io.Discard, c) }()
	for i, m := range said {
		if i == 2 && wait { // until the session is established
			select {
			case <-time.After(300 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		if _, err := c.Write(m); err != nil {
			break
		}
	}
	<-reading
}

// withPeer does something while there is a BGPPeer, and checks that at least one speaker has said what was wrong with it.
func withPeer(ctx context.Context, f *fleet.Fleet, name, spec string, do func() error) error {
	object := fmt.Sprintf("apiVersion: fairlead.dev/v1alpha1\nkind: BGPPeer\nmetadata: {name: %s}\nspec: %s\n", name, spec)
	if err := f.Apply(ctx, []byte(object)); err != nil {
		return err
	}
	err := do()
	ctx, cancel := detached(ctx)
	defer cancel()
	if told := await(ctx, 10*time.Second, func() error { return tellsOf(ctx, f, name) }); told != nil {
		err = errors.Join(err, told)
	}
	if gone := f.Fairlead.FairleadV1alpha1().BGPPeers().Delete(ctx, name, metav1.DeleteOptions{}); !apierrors.IsNotFound(gone) {
		err = errors.Join(err, gone)
	}
	return err
}

// tellsOf checks that a speaker has an error of its session with a peer in its status.
func tellsOf(ctx context.Context, f *fleet.Fleet, peer string) error {
	speakers, err := f.Fairlead.FairleadV1alpha1().Speakers().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing Speakers: %w", err)
	}
	for _, s := range speakers.Items {
		for _, b := range s.Status.BGPSessions {
			if b.Peer == peer && b.LastError != "" {
				return nil
			}
		}
	}
	return fmt.Errorf("no Speaker's status has an error of the sessions with %s", peer)
}

// await waits until check returns nil, or returns its last error.
func await(ctx context.Context, limit time.Duration, check func() error) error {
	for deadline := time.Now().Add(limit); ; {
		err := check()
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}
