package garbage

import (
	"encoding/binary"
	"math/rand/v2"
)

// BFD is a control packet, RFC 5880 section 4.1, of a session in a state (0 AdminDown to 3 Up), without
// authentication or with a digest that no key has made.
func BFD(r *rand.Rand, state byte, yours uint32, authenticated bool) Packet {
	b := []byte{1 << 5, state << 6, 3, 24}
	// Version and diagnostic, flags, multiplier, length, the discriminators, the intervals.
	fields := []Field{{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 4}, {8, 4}, {12, 4}, {16, 4}, {20, 4}}
	for _, v := range []uint32{1 + r.Uint32()>>1, yours, 50000, 50000, 0} {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	if authenticated {
		b[1], b[3] = b[1]|4, 52
		b = binary.BigEndian.AppendUint32(append(b, 5, 28, 1, 0), r.Uint32()) // section 4.4, and the sequence number
		b = append(b, Noise(r, 20)...)
		fields = append(fields, Field{24, 1}, Field{25, 1}, Field{26, 1}, Field{28, 4}) // type, length, key, sequence number
	}
	return Packet{
		Octets: b, Fields: fields,
		Refit: func(b []byte) {
			if len(b) > 3 {
				b[3] = byte(min(len(b), 255))
			}
		},
	}
}

// What memberlist's datagrams and streams begin with: a type, of which some are encrypted, compressed, compound,
// with a checksum, or with a label before them.
const (
	compoundType  = 7
	userType      = 8
	compressType  = 9
	encryptedType = 10
	checksumType  = 12
	labelType     = 244
)

// Gossip are datagrams that look like memberlist's, of somebody without the key: in the clear, of every type, and
// encrypted with a key of nobody's.
func Gossip(r *rand.Rand, n int) (list [][]byte) {
	for len(list) < n {
		kind := byte(r.IntN(16))
		switch r.IntN(6) {
		case 0: // in the clear
			list = append(list, append([]byte{kind}, Noise(r, r.IntN(120))...))
		case 1: // encrypted, of either version: a nonce of 12 octets, and what comes out as anything
			list = append(list, append([]byte{byte(r.IntN(3))}, Noise(r, 12+r.IntN(200))...))
		case 2: // a compound of more parts than it has
			list = append(list, append([]byte{compoundType, byte(r.Uint32()), 0xff, 0xff, 0, 1}, Noise(r, r.IntN(30))...))
		case 3: // a label that is longer than the datagram
			list = append(list, append([]byte{labelType, byte(r.Uint32())}, Noise(r, r.IntN(40))...))
		case 4: // a wrong checksum
			list = append(list, append([]byte{checksumType}, Noise(r, 4+r.IntN(60))...))
		default: // compressed, of a kind that there is not, or which grows without end
			list = append(list, append([]byte{compressType, 0x82, 0xa4, 'A', 'l', 'g', 'o', byte(r.IntN(3)), 0xa3, 'B', 'u', 'f', 0xc6, 0xff, 0xff, 0xff, 0xff}, Noise(r, r.IntN(60))...))
		}
	}
	return list
}

// GossipStreams are what somebody without the key may write into a connection to the gossip port: the same, and
// lengths that promise up to 4 GB of which little or nothing comes.
func GossipStreams(r *rand.Rand, n int) (list [][]byte) {
	for _, promised := range []uint32{0, 1, 28, 29, 20 << 20, 20<<20 + 1, 1 << 31, 1<<32 - 1} {
		list = append(list, append(binary.BigEndian.AppendUint32([]byte{encryptedType}, promised), Noise(r, r.IntN(100))...))
	}
	list = append(list, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, []byte{labelType}, []byte{userType, 0x81})
	return append(list, Gossip(r, max(0, n-len(list)))...)
}
