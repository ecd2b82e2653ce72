package chaos

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/garbage"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

func gossipAttacks() []attack {
	dropped := []string{"fairlead_gossip_messages_dropped_total"}
	return []attack{
		{
			target: "gossip", what: "malformed datagrams, in the clear, and made with other keys, 2,000/s to all nodes",
			lasts: 10 * time.Second, short: 4 * time.Second, counted: dropped,
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				return sendDatagrams(ctx, f, gossipPort, 2000, slices.Concat(garbage.Gossip(r, 500), garbage.Noises(r, 200, 1400)))
			},
		},
		{
			target: "gossip", what: "a flood of datagrams to one node, 20,000/s",
			lasts: 10 * time.Second, short: 4 * time.Second, counted: dropped,
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				n := f.Nodes[r.IntN(len(f.Nodes))]
				var frames [][]byte
				for _, d := range garbage.Gossip(r, 200) {
					source := netip.AddrPortFrom(f.Stranger.V4, uint16(1024+r.IntN(60000)))
					frames = append(frames, garbage.Datagram(n.MAC, f.Stranger.MAC, source, netip.AddrPortFrom(n.V4, gossipPort), d))
				}
				return sendFrames(ctx, f.Stranger, 20000, frames)
			},
		},
		{
			target: "gossip", what: "malformed streams, 50/s to all nodes",
			lasts: 10 * time.Second, short: 4 * time.Second, counted: dropped,
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				texts, i := garbage.GossipStreams(r, 200), 0
				return pace(ctx, 50, func() error {
					n, text := f.Nodes[i%len(f.Nodes)], texts[i%len(texts)]
					i++
					if c := dial(ctx, f.Stranger, netip.AddrPortFrom(n.V4, gossipPort)); c != nil {
						_, _ = c.Write(text)
						c.Close()
					}
					return nil
				})
			},
		},
		{
			target: "gossip", what: "1,000 streams to one node that say nothing, opened again whenever they are closed",
			lasts: 15 * time.Second, short: 5 * time.Second, counted: dropped,
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				n := f.Nodes[r.IntN(len(f.Nodes))]
				return crowd(ctx, f.Stranger, netip.AddrPortFrom(n.V4, gossipPort), 1000, func(c net.Conn) {
					_, _ = c.Read(make([]byte, 1))
				})
			},
		},
		{
			target: "gossip", what: "100 streams to one node, each with as much as it takes of 20 MB that no key has made",
			lasts: 15 * time.Second, short: 5 * time.Second, counted: dropped,
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				n := f.Nodes[r.IntN(len(f.Nodes))]
				had, err := n.Speaker.RSS()
				if err != nil {
					return err
				}
				const most = 100 << 20 // beside what it had
				var grown atomic.Int64
				watching := func() error {
					return pace(ctx, 10, func() error {
						if has, err := n.Speaker.RSS(); err == nil {
							grown.Store(max(grown.Load(), has-had))
						}
						return nil
					})
				}
				err = together(watching, func() error {
					text := append(binary.BigEndian.AppendUint32([]byte{10}, 20<<20-1), make([]byte, 64<<10)...)
					return crowd(ctx, f.Stranger, netip.AddrPortFrom(n.V4, gossipPort), 100, func(c net.Conn) {
						for {
							if _, err := c.Write(text); err != nil {
								return
							}
						}
					})
				})
				if grown.Load() > most {
					err = errors.Join(err, fmt.Errorf("%s had %d MB and grew by %d MB", n.Speaker.Name, had>>20, grown.Load()>>20))
				}
				return err
			},
		},
		{
			target: "gossip, BGP", what: "a flood of TCP connection requests from senders that are not there, 20,000/s to one node",
			lasts: 10 * time.Second, short: 4 * time.Second,
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				n := f.Nodes[r.IntN(len(f.Nodes))]
				var frames [][]byte
				for i := range 2000 {
					// Nobody is beyond the routers who could say that it was not he.
					source := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(150 + r.IntN(100))}), uint16(1024+r.IntN(60000)))
					frames = append(frames, garbage.SYN(r, n.MAC, f.Stranger.MAC, source, netip.AddrPortFrom(n.V4, []uint16{gossipPort, 179}[i%2])))
				}
				return sendFrames(ctx, f.Stranger, 20000, frames)
			},
		},
		{
			target: "gossip, failure detection", what: "all that was said to a node, again: at once, 30 s later, to it and to others, from two hosts",
			lasts: 40 * time.Second, short: 6 * time.Second,
			counted: []string{`fairlead_bfd_packets_dropped_total{reason="replayed"`, `fairlead_bfd_packets_dropped_total{reason="unauthenticated"`},
			send:    replay,
		},
		{
			target: "gossip", what: "a member with the key that talks nonsense, 1,000/s to all nodes",
			lasts: 10 * time.Second, short: 4 * time.Second, counted: dropped,
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				key, err := os.ReadFile(filepath.Join(f.Directory, "gossip.key"))
				if err != nil {
					return fmt.Errorf("reading the gossip key: %w", err)
				}
				var said [][]byte
				for _, m := range garbage.Nonsense(r, 500) {
					d, err := garbage.Said(r, string(key), m)
					if err != nil {
						return fmt.Errorf("saying nonsense: %w", err)
					}
					said = append(said, d)
				}
				return sendDatagrams(ctx, f, gossipPort, 1000, said)
			},
		},
	}
}

// replay plays back what was said to a node: to it and, with their addresses in place of its own, to the others; from the
// stranger and from another node. Meanwhile nothing was restarted: what is old is so by its time alone.
func replay(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
	victim := f.Nodes[r.IntN(len(f.Nodes))]
	recorded := record(ctx, victim.Host, 2*time.Second)
	if len(recorded) == 0 && ctx.Err() == nil {
		return fmt.Errorf("nothing was said to %s", victim.Name)
	}
	var frames [][]byte
	for _, old := range recorded {
		p := port(old)
		if p == 0 {
			frames = append(frames, old)
			continue
		}
		// Made anew, since a frame that never left the machine has no checksum yet.
		source := netip.AddrPortFrom(netip.AddrFrom4([4]byte(old[26:30])), binary.BigEndian.Uint16(old[34:]))
		payload := old[42 : 14+int(binary.BigEndian.Uint16(old[16:]))]
		for _, n := range f.Nodes {
			frames = append(frames, garbage.Datagram(n.MAC, n.MAC, source, netip.AddrPortFrom(n.V4, p), payload))
		}
	}
	for _, host := range []*lab.Host{f.Stranger, f.Nodes[(slices.Index(f.Nodes, victim)+1)%len(f.Nodes)].Host} {
		var mine [][]byte
		for _, frame := range frames {
			mine = append(mine, from(host, frame))
		}
		now, cancel := context.WithTimeout(ctx, 2*time.Second)
		err := sendFrames(now, host, 2000, mine)
		cancel()
		if err != nil {
			return err
		}
	}
	select {
	case <-time.After(30 * time.Second):
	case <-ctx.Done():
		return nil
	}
	var mine [][]byte
	for _, frame := range frames {
		mine = append(mine, from(f.Stranger, frame))
	}
	return sendFrames(ctx, f.Stranger, 2000, mine)
}

// sendDatagrams sends these in turn to a port of all nodes, over both families, so many a second.
func sendDatagrams(ctx context.Context, f *fleet.Fleet, port uint16, perSecond int, datagrams [][]byte) error {
	var to []net.Conn
	for _, n := range f.Nodes {
		for _, a := range []netip.Addr{n.V4, n.V6} {
			c, err := f.Stranger.DialContext(ctx, "udp", netip.AddrPortFrom(a, port).String())
			if err != nil {
				return err
			}
			defer c.Close()
			to = append(to, c)
		}
	}
	i := 0
	return pace(ctx, perSecond, func() error {
		_, _ = to[i%len(to)].Write(datagrams[i/len(to)%len(datagrams)]) // a port that nobody listens on says so
		i++
		return nil
	})
}

// dial connects, or returns nil if that is refused.
func dial(ctx context.Context, h *lab.Host, to netip.AddrPort) net.Conn {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	c, err := h.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil
	}
	return c
}

// crowd keeps n connections open, and opens each again when it is closed, but not more often than ten times a second.
func crowd(ctx context.Context, h *lab.Host, to netip.AddrPort, n int, use func(net.Conn)) error {
	one := func() error {
		for ctx.Err() == nil {
			if c := dial(ctx, h, to); c != nil {
				stop := context.AfterFunc(ctx, func() { c.Close() })
				use(c)
				stop()
				c.Close()
			}
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
		return nil
	}
	return together(slices.Repeat([]func() error{one}, n)...)
}
