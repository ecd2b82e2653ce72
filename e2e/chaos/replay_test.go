package chaos

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/mdlayher/ethernet"
)

// The speakers' ports and EtherType.
const (
	gossipPort    = 7956
	detectionPort = 7957
	claimsType    = 0x88b5
)

// record is what a host hears of the speakers' talk to it for a while: UDP of their own ports, and frames with claims.
func record(ctx context.Context, h *lab.Host, length time.Duration) (frames [][]byte) {
	for _, kind := range []ethernet.EtherType{ethernet.EtherTypeIPv4, claimsType} {
		raw, err := h.ListenFrames(kind)
		if err != nil {
			return frames
		}
		defer raw.Close()
		_ = raw.SetReadDeadline(time.Now().Add(length))
		for buffer := make([]byte, 64<<10); len(frames) < 2000 && ctx.Err() == nil; {
			n, _, err := raw.ReadFrom(buffer)
			if err != nil {
				break
			}
			if f := buffer[:n]; isClaim(f) || port(f) != 0 && bytes.Equal(f[:6], h.MAC) {
				frames = append(frames, bytes.Clone(f))
			}
		}
		length = 100 * time.Millisecond // claims have waited in the socket
	}
	return frames
}

func isClaim(frame []byte) bool {
	return len(frame) > 14 && binary.BigEndian.Uint16(frame[12:]) == claimsType
}

// port is that of a UDP datagram in an IPv4 frame if it is one of the speakers', else 0.
func port(frame []byte) uint16 {
	const udp = 14 + 20
	if len(frame) < udp+8 || binary.BigEndian.Uint16(frame[12:]) != 0x0800 || frame[14] != 0x45 || frame[23] != 17 {
		return 0
	}
	if p := binary.BigEndian.Uint16(frame[udp+2:]); p == gossipPort || p == detectionPort {
		return p
	}
	return 0
}

// from is a frame as a host sends it on: all that it says is as it was, but the switch is to go on knowing who is where.
func from(h *lab.Host, frame []byte) []byte {
	return slices.Concat(frame[:6], h.MAC, frame[12:])
}
