package garbage

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"net/netip"
	"testing"
)

func TestPacketsOfAnySender(t *testing.T) {
	from, to := netip.MustParseAddrPort("192.0.2.12:7957"), netip.MustParseAddrPort("192.0.2.11:7957")
	for name, f := range map[string][]byte{"a datagram": Datagram(mac, other, from, to, []byte("odd")), "a SYN": SYN(r(), mac, other, from, to)} {
		t.Run(name, func(t *testing.T) {
			packet := f[ethernetOctets:]
			if checksum(packet[:20]) != 0 || int(packet[2])<<8|int(packet[3]) != len(packet) {
				t.Errorf("the header does not fit: % x", packet[:20])
			}
			if packet[9] == 6 {
				pseudo := append(append([]byte{}, packet[12:20]...), 0, 6, 0, byte(len(packet)-20))
				if checksum(append(pseudo, packet[20:]...)) != 0 {
					t.Error("the sum of TCP is not good")
				}
			}
		})
	}
}

func TestSaid(t *testing.T) {
	got, err := Said(r(), "key", []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("key"))
	block, err := aes.NewCipher(sum[:])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gcm.Open(nil, got[1:13], got[13:], nil)
	if err != nil || !bytes.Equal(plain, append([]byte{userType}, "message"...)) {
		t.Errorf("%q, %v", plain, err)
	}
	if list := Nonsense(r(), 100); len(list) != 100 {
		t.Errorf("%d messages", len(list))
	}
}
