package chaos

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/garbage"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// everybody is Ethernet's broadcast address.
var everybody = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// defended is what a spoofed announcement may cost: ARP and NDP have no authentication, so the caches of the segment take
// up what they hear last. The owner answers the first one at once, and then once in 10 s (RFC 5227, section 2.4).
var defended = allowance{fleet.OnSegment: {
	throughout: true, within: 12 * time.Second, breaks: true,
	why: "ARP and NDP believe who speaks last; the owner defends its address at once, then every 10 s (RFC 5227)",
}}

func segmentAttacks() []attack {
	return []attack{
		{
			target: "ARP, NDP", what: "malformed frames about addresses that are owned and others, 2,000/s",
			lasts: 10 * time.Second, short: 4 * time.Second,
			counted: []string{`fairlead_layer2_frames_received_total{verdict="malformed"`},
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				return sendFrames(ctx, f.Stranger, 2000, malformedNeighbors(f, r))
			},
		},
		{
			target: "ARP, NDP", what: "spoofed announcements of owned addresses, at the stranger's own hardware address",
			lasts: 8 * time.Second, short: 3 * time.Second, allowed: defended,
			counted: []string{`fairlead_layer2_frames_received_total{verdict="conflict"`, "fairlead_layer2_conflicts_total"},
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				var frames [][]byte
				for _, a := range fleet.Addresses(f.Layer2) {
					frames = append(frames, garbage.Spoofed(f.Stranger.MAC, f.Stranger.MAC, a))
				}
				shuffle(r, frames)
				return sendFrames(ctx, f.Stranger, 200, frames)
			},
		},
		{
			target: "ARP, NDP", what: "spoofed announcements of owned addresses, at the hardware address of each node in turn",
			lasts: 10 * time.Second, short: 4 * time.Second, allowed: defended,
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				var frames [][]byte
				for _, n := range f.Nodes {
					for _, a := range fleet.Addresses(f.Layer2) {
						frames = append(frames, garbage.Spoofed(f.Stranger.MAC, n.MAC, a))
					}
				}
				shuffle(r, frames)
				return sendFrames(ctx, f.Stranger, 1000, frames)
			},
		},
		{
			target: "ARP", what: "a storm of requests for owned addresses, 20,000/s",
			lasts: 10 * time.Second, short: 4 * time.Second,
			counted: []string{`fairlead_layer2_frames_received_total{verdict="answered"`},
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				return sendFrames(ctx, f.Stranger, 20000, questions(f, r, true, false))
			},
		},
		{
			target: "NDP", what: "a storm of solicitations for owned addresses, 20,000/s",
			lasts: 10 * time.Second, short: 4 * time.Second,
			counted: []string{`fairlead_layer2_frames_received_total{verdict="answered"`},
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				return sendFrames(ctx, f.Stranger, 20000, questions(f, r, false, true))
			},
		},
		{
			target: "ARP, NDP", what: "a storm of questions about addresses that nobody has, from senders that are not there, 20,000/s",
			lasts: 10 * time.Second, short: 4 * time.Second,
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				var frames [][]byte
				for i := range 500 {
					mac := net.HardwareAddr(append([]byte{2}, garbage.Noise(r, 5)...))
					// Off the segment's first half, where hosts and Services are.
					nobody4, nobody6 := lab.Routed4.Addr().Next(), lab.Routed6.Addr().Next()
					if i%2 == 0 {
						frames = append(frames, garbage.ARP(everybody, f.Stranger.MAC, 1, mac, nobody4, nobody4).Octets)
					} else {
						frames = append(frames, garbage.Solicitation(f.Stranger.MAC, f.Stranger.V6, nobody6).Octets)
					}
				}
				return sendFrames(ctx, f.Stranger, 20000, frames)
			},
		},
		{
			target: "claims", what: "frames without the key, altered ones, and old ones again, 1,000/s",
			lasts: 10 * time.Second, short: 4 * time.Second,
			counted: []string{"fairlead_gossip_messages_dropped_total"},
			send: func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
				frames := garbage.Claims(f.Stranger.MAC, garbage.Noise(r, 200)).Wrong(r, 300)
				for _, old := range record(ctx, f.Nodes[0].Host, time.Second) {
					if !isClaim(old) {
						continue
					}
					old = from(f.Stranger, old)
					frames = append(frames, old)
					frames = append(frames, garbage.Packet{Octets: old, Keep: 14, Fields: []garbage.Field{{At: 14, Octets: 2}}}.Wrong(r, 20)...)
				}
				return sendFrames(ctx, f.Stranger, 1000, frames)
			},
		},
	}
}

func shuffle(r *rand.Rand, frames [][]byte) {
	r.Shuffle(len(frames), func(i, j int) { frames[i], frames[j] = frames[j], frames[i] })
}

// questions are ARP requests and Neighbor Solicitations for the addresses that are owned.
func questions(f *fleet.Fleet, r *rand.Rand, arp, ndp bool) (frames [][]byte) {
	for _, s := range f.Layer2 {
		if arp {
			frames = append(frames, garbage.ARP(everybody, f.Stranger.MAC, 1, f.Stranger.MAC, f.Stranger.V4, s.V4).Octets)
		}
		if ndp {
			frames = append(frames, garbage.Solicitation(f.Stranger.MAC, f.Stranger.V6, s.V6).Octets)
		}
	}
	shuffle(r, frames)
	return frames
}

// malformedNeighbors are ARP and Neighbor Discovery that is wrong, to everybody and to each node. What is said of an owned
// address is true where a mutation leaves it: to lie about one is another fault.
func malformedNeighbors(f *fleet.Fleet, r *rand.Rand) (frames [][]byte) {
	me := f.Stranger
	for _, s := range []fleet.Service{f.Layer2[r.IntN(len(f.Layer2))], f.Layer2[r.IntN(len(f.Layer2))]} {
		destinations := []net.HardwareAddr{everybody}
		for _, n := range f.Nodes {
			destinations = append(destinations, n.MAC)
		}
		for _, to := range destinations {
			for _, operation := range []uint16{1, 2} {
				p := garbage.ARP(to, me.MAC, operation, me.MAC, me.V4, s.V4)
				frames = append(frames, slices.DeleteFunc(p.Wrong(r, 150), speaksOfAnother(me))...)
			}
			for _, p := range []garbage.Packet{garbage.Solicitation(me.MAC, me.V6, s.V6), garbage.Advertisement(me.MAC, me.MAC, me.V6)} {
				p.Octets = slices.Concat(to, p.Octets[6:])
				if to.String() == everybody.String() { // as it was: to the group
					p.Octets = slices.Concat([]byte{0x33, 0x33, 0, 0, 0, 1}, p.Octets[6:])
				}
				frames = append(frames, p.Wrong(r, 150)...)
			}
		}
	}
	shuffle(r, frames)
	return frames
}

// speaksOfAnother tells whether an ARP frame that came out well formed says that another host than this one has an
// address: the caches of the segment would believe it, and that is another fault.
func speaksOfAnother(h *lab.Host) func(frame []byte) bool {
	return func(frame []byte) bool {
		return len(frame) >= 42 && slices.Equal(frame[14:20], []byte{0, 1, 8, 0, 6, 4}) && !slices.Equal(frame[28:32], h.V4.AsSlice())
	}
}
