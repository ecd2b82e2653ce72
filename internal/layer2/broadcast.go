package layer2

import (
	"encoding/binary"
	"net"
	"time"

	"github.com/mdlayher/ethernet"
)

// claimEtherType carries claims on the segment: the first of the two that IEEE 802 sets aside for local
// experiments. A frame holds two octets of length, since Ethernet pads, and the payload.
const claimEtherType = 0x88b5

// MaxBroadcast is the longest payload that Broadcast takes, in octets.
const MaxBroadcast = 1486

// What claims are read at. A speaker sends few, but all of a large group do at once where many nodes are lost: a third of
// 2,000 has 1,333 heirs, each with some frames, and what is dropped of them takes gossip minutes. Whoever floods the
// segment with more gets the kernel to drop them, and costs this process no more than these: 7 % of a processor, and what it
// takes to check their seals.
const (
	claimRate  = 10_000 // per second and interface
	claimBurst = 10_000
)

func claimFrame(source net.HardwareAddr, claims []byte) []byte {
	frame, payload := ethernetFrame(ethernet.Broadcast, source, claimEtherType, 2+len(claims))
	binary.BigEndian.PutUint16(payload, uint16(len(claims)))
	copy(payload[2:], claims)
	return frame
}

// readClaim returns the payload of a frame, and what became of it.
func readClaim(frame []byte, l link) ([]byte, Verdict) {
	if len(frame) < ethernetLength+2 || binary.BigEndian.Uint16(frame[12:]) != claimEtherType || !isHost(frame[6:12]) {
		return nil, Malformed
	}
	if l.own(frame[6:12]) || !l.forUs(frame[:6]) {
		return nil, Ignored
	}
	length, payload := int(binary.BigEndian.Uint16(frame[ethernetLength:])), frame[ethernetLength+2:]
	if length == 0 || length > MaxBroadcast || length > len(payload) {
		return nil, Malformed
	}
	return payload[:length], Heard
}

// bucket is a token bucket.
type bucket struct {
	rate, size float64 // tokens per second, and how many there are at most
	spent      float64
	at         time.Time
}

// take takes a token, and returns how long to wait before the next is there.
func (b *bucket) take(now time.Time) time.Duration {
	b.spent = max(0, b.spent-now.Sub(b.at).Seconds()*b.rate) + 1
	b.at = now
	return time.Duration(max(0, b.spent-b.size+1) / b.rate * float64(time.Second))
}
