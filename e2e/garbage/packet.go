package garbage

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
)

// Datagram is a frame with a UDP datagram over IPv4 of any sender, which a socket would not send: with the TTL 255, as
// from a neighbour. Its UDP checksum is zero, which says that there is none (RFC 768).
func Datagram(to, from net.HardwareAddr, source, destination netip.AddrPort, payload []byte) []byte {
	udp := binary.BigEndian.AppendUint16(nil, source.Port())
	udp = binary.BigEndian.AppendUint16(udp, destination.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(payload)))
	return ipv4(to, from, source.Addr(), destination.Addr(), 17, append(append(udp, 0, 0), payload...))
}

// SYN is a frame with a TCP connection request over IPv4 of any sender (RFC 9293, section 3.1).
func SYN(r *rand.Rand, to, from net.HardwareAddr, source, destination netip.AddrPort) []byte {
	tcp := binary.BigEndian.AppendUint16(nil, source.Port())
	tcp = binary.BigEndian.AppendUint16(tcp, destination.Port())
	tcp = binary.BigEndian.AppendUint32(tcp, r.Uint32())
	tcp = append(tcp, 0, 0, 0, 0, 5<<4, 2, 0xff, 0xff, 0, 0, 0, 0)
	pseudo := append(append([]byte{}, source.Addr().AsSlice()...), destination.Addr().AsSlice()...)
	binary.BigEndian.PutUint16(tcp[16:], checksum(append(append(pseudo, 0, 6, 0, byte(len(tcp))), tcp...)))
	return ipv4(to, from, source.Addr(), destination.Addr(), 6, tcp)
}

// ipv4 is a frame with an IPv4 packet (RFC 791, section 3.1).
func ipv4(to, from net.HardwareAddr, source, destination netip.Addr, protocol byte, payload []byte) []byte {
	h := []byte{0x45, 0, 0, 0, 0, 0, 0x40, 0, 255, protocol, 0, 0}
	h = append(append(h, source.AsSlice()...), destination.AsSlice()...)
	binary.BigEndian.PutUint16(h[2:], uint16(len(h)+len(payload)))
	binary.BigEndian.PutUint16(h[10:], checksum(h))
	return frame(to, from, 0x0800, append(h, payload...))
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	total := uint32(0)
	for i, octet := range b {
		total += uint32(octet) << (8 * (1 - i%2))
	}
	for total>>16 != 0 {
		total = total&0xffff + total>>16
	}
	return ^uint16(total)
}

// Said is a datagram of a speaker's own gossip, made with the key: what a member tells the others, as memberlist sends
// it. It is for a member that talks nonsense.
func Said(r *rand.Rand, key string, message []byte) ([]byte, error) {
	sum := sha256.Sum256([]byte(strings.TrimSpace(key)))
	block, err := aes.NewCipher(sum[:])
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	nonce := Noise(r, gcm.NonceSize())
	return gcm.Seal(append([]byte{1}, nonce...), nonce, append([]byte{userType}, message...), nil), nil
}

// Nonsense are messages that a member may say: CBOR of other types than they should be, values out of all ranges,
// lists that promise more than there is, and depths without end. None of them says anything that is to be believed.
func Nonsense(r *rand.Rand, n int) (list [][]byte) {
	address := []byte{0x44, 192, 0, 2, 130} // 192.0.2.130 as a claim has it
	for len(list) < n {
		var m []byte
		switch r.IntN(8) {
		case 0:
			m = append([]byte{0xff}, Noise(r, r.IntN(300))...)
		case 1: // a claim with an epoch of 2^64-1 and a name of nobody's
			m = append(append([]byte{0xa1, 2, 0x81, 0xa3, 1}, address...), 2, 0x61, 'x', 3, 0x1b, 255, 255, 255, 255, 255, 255, 255, 255)
		case 2: // a claim to an address of three octets
			m = []byte{0xa1, 2, 0x81, 0xa3, 1, 0x43, 1, 2, 3, 2, 0x61, 'x', 3, 1}
		case 3: // a list of 2^32 claims
			m = []byte{0xa1, 2, 0x9a, 255, 255, 255, 255}
		case 4: // lists in lists
			m = []byte{0xa1, 2}
			for range 1 + r.IntN(1000) {
				m = append(m, 0x81)
			}
		case 5: // a text where a list should be
			m = append([]byte{0xa1, byte(1 + r.IntN(5)), 0x78, 40}, Noise(r, 40)...)
		case 6: // a state with an impossible penalty: NaN
			m = []byte{0xa1, 1, 0x81, 0xa3, 1, 0x61, 'x', 2, 1, 5, 0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0}
		default: // a claim in a standing that there is not
			m = append(append([]byte{0xa1, 2, 0x81, 0xa4, 1}, address...), 2, 0x61, 'x', 3, 1, 4, 0x18, byte(24+r.IntN(200)))
		}
		list = append(list, m)
	}
	return list
}
