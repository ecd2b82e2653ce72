package bfd

import (
	"encoding/hex"
	"net/netip"
	"testing"
	"time"
)

// What the first release's speaker on 192.0.2.11 sends to the one on 192.0.2.12 under the gossip key "secret": keys are
// derived per direction, and the digest is over the whole packet. Speakers of two releases have sessions with each
// other (docs/upgrade.md): these octets stay.
func TestPacketsOfTheFirstRelease(t *testing.T) {
	for _, tt := range []struct {
		name, octets string
		meaning      packet
	}{
		{"the first, which knows no discriminator of the peer's", "204403340102030400000000000186a00000c35000000000051c010000000009aaef69555ea078a0c8c86892a643fc1d41cf8c75",
			packet{state: Down, multiplier: 3, my: 0x01020304, desiredMinTx: 100 * time.Millisecond, requiredMinRx: 50 * time.Millisecond,
				auth: authentication{kind: meticulousSHA1, keyID: keyID, sequence: 9}}},
		{"one of a session that is Up, asking for another pace", "20e4033401020304050607080000c3500000c35000000000051c01000000000a45b5261f0c38921ce4d9dfadc3961d461b410d12",
			packet{state: Up, poll: true, multiplier: 3, my: 0x01020304, your: 0x05060708, desiredMinTx: 50 * time.Millisecond, requiredMinRx: 50 * time.Millisecond,
				auth: authentication{kind: meticulousSHA1, keyID: keyID, sequence: 10}}},
		{"one that says that it has not heard the peer", "214403340102030405060708000186a00000c35000000000051c01000000000be7183ed444a253901f786f066238c79f635b019d",
			packet{state: Down, diagnostic: ControlDetectionExpired, multiplier: 3, my: 0x01020304, your: 0x05060708, desiredMinTx: 100 * time.Millisecond,
				requiredMinRx: 50 * time.Millisecond, auth: authentication{kind: meticulousSHA1, keyID: keyID, sequence: 11}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := deriveKey(secretOf([]byte("secret\n")), netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.12"))
			if err != nil {
				t.Fatal(err)
			}
			var sent [packetOctets]byte
			tt.meaning.appendTo(sent[:0])
			k.seal(&sent)
			if got := hex.EncodeToString(sent[:]); got != tt.octets {
				t.Errorf("sent as %s, want %s", got, tt.octets)
			}
			came, err := hex.DecodeString(tt.octets)
			if err != nil || len(came) != packetOctets {
				t.Fatal(len(came), err)
			}
			p, err := decode(came)
			tt.meaning.auth.digest = p.auth.digest
			if err != nil || p != tt.meaning || !k.authentic((*[packetOctets]byte)(came)) {
				t.Errorf("understood as %+v, %v, want %+v", p, err, tt.meaning)
			}
		})
	}
}
