package chaos

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/garbage"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

func bfdAttacks() []attack {
	return []attack{
		{
			target: "BFD", what: "malformed packets to the ports for routers and for speakers, in routers' and speakers' names, 2,000/s",
			lasts: 10 * time.Second, short: 4 * time.Second,
			counted: []string{
				`fairlead_bfd_packets_dropped_total{reason="malformed"`, `fairlead_bfd_packets_dropped_total{reason="unauthenticated"`,
				`fairlead_bfd_packets_dropped_total{reason="unknown"`, `fairlead_bfd_router_packets_dropped_total{reason="malformed"`,
				`fairlead_bfd_router_packets_dropped_total{reason="unknown"`, `fairlead_bfd_router_packets_dropped_total{reason="authenticated"`,
			},
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				var frames [][]byte
				for range 4 {
					// Not of any session: discriminators are random. Of a state that begins nothing: AdminDown begins and
					// ends nothing without the right one, and Down is another attack.
					for _, p := range []garbage.Packet{garbage.BFD(r, 3, r.Uint32(), false), garbage.BFD(r, 3, r.Uint32(), true)} {
						frames = append(frames, bfdFrames(f, r, p.Wrong(r, 100))...)
					}
				}
				shuffle(r, frames)
				return sendFrames(ctx, f.Stranger, 2000, frames)
			},
		},
		{
			target: "BFD", what: "a router's session said to be down in its name, by who does not hear it, 1,000/s",
			lasts: 10 * time.Second, short: 4 * time.Second,
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				var frames [][]byte
				for _, n := range f.Nodes {
					for _, router := range f.Routers {
						for range 100 {
							for _, yours := range []uint32{0, r.Uint32()} {
								p := garbage.BFD(r, byte(r.IntN(2)), yours, false)
								source := netip.AddrPortFrom(router.V4, 49152)
								frames = append(frames, garbage.Datagram(n.MAC, f.Stranger.MAC, source, netip.AddrPortFrom(n.V4, 3784), p.Octets))
							}
						}
					}
				}
				shuffle(r, frames)
				return sendFrames(ctx, f.Stranger, 1000, frames)
			},
		},
	}
}

// bfdFrames send packets to each of the ports of each node, in the name of somebody who may say something there, or of
// nobody.
func bfdFrames(f *fleet.Fleet, r *rand.Rand, packets [][]byte) (frames [][]byte) {
	for _, b := range packets {
		n := f.Nodes[r.IntN(len(f.Nodes))]
		other := f.Nodes[r.IntN(len(f.Nodes))]
		for _, x := range []struct {
			source *lab.Host
			from   uint16
			to     uint16
		}{
			{f.Stranger, detectionPort, detectionPort}, {other.Host, detectionPort, detectionPort},
			{f.Stranger, 49152, 3784}, {f.Routers[r.IntN(len(f.Routers))].Host, 49152, 3784}, {f.Stranger, 49152, 4784},
		} {
			frames = append(frames, garbage.Datagram(n.MAC, f.Stranger.MAC, netip.AddrPortFrom(x.source.V4, x.from), netip.AddrPortFrom(n.V4, x.to), b))
		}
	}
	return frames
}
