package bfd

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func somePacket() packet {
	return packet{
		diagnostic: ControlDetectionExpired, state: Init, poll: true, multiplier: 3, my: 0x01020304, your: 0x05060708,
		desiredMinTx: 100 * time.Millisecond, requiredMinRx: 50 * time.Millisecond,
		auth: authentication{kind: meticulousSHA1, keyID: 1, sequence: 9, digest: [digestOctets]byte{1, 2, 3}},
	}
}

func TestPacketOctets(t *testing.T) {
	p := somePacket()
	want := []byte{
		0x21, 0xa4, 3, 52, 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 0x86, 0xa0, 0, 0, 0xc3, 0x50, 0, 0, 0, 0,
		5, 28, 1, 0, 0, 0, 0, 9, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	}
	if got := p.appendTo(nil); !bytes.Equal(got, want) {
		t.Errorf("encoded as % x, want % x", got, want)
	}
	plain := packet{state: Up, final: true, demand: true, controlPlaneIndependent: true, multiplier: 1, my: 1, your: 2}
	for _, p := range []packet{p, plain} {
		if got, err := decode(append(p.appendTo(nil), "trailer"...)); err != nil || got != p {
			t.Errorf("decoded as %+v, %v, want %+v", got, err, p)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		change     func([]byte) []byte
	}{
		{"nothing", "0 octets are less", func([]byte) []byte { return nil }},
		{"half a header", "12 octets are less", func(b []byte) []byte { return b[:12] }},
		{"another version", "version 2 is not 1", func(b []byte) []byte { b[0] = 2 << 5; return b }},
		{"a length less than the header", "length 23 is less than 26", func(b []byte) []byte { b[3] = 23; return b }},
		{"a length that leaves no room for authentication", "length 25 is less than 26", func(b []byte) []byte { b[3] = 25; return b }},
		{"a length beyond the datagram", "length 52 is more than the 51", func(b []byte) []byte { return b[:51] }},
		{"Detect Mult 0", "Detect Mult is 0", func(b []byte) []byte { b[2] = 0; return b }},
		{"Multipoint", "Multipoint", func(b []byte) []byte { b[1] |= flagMultipoint; return b }},
		{"Poll and Final", "both set", func(b []byte) []byte { b[1] |= flagFinal; return b }},
		{"My Discriminator 0", "My Discriminator is 0", func(b []byte) []byte { clear(b[4:8]); return b }},
		{"Your Discriminator 0 while Init", "Your Discriminator is 0 in state Init", func(b []byte) []byte { clear(b[8:12]); return b }},
		{"Your Discriminator 0 while Up", "Your Discriminator is 0 in state Up", func(b []byte) []byte { clear(b[8:12]); b[1] |= 0xc0; return b }},
		{"octets for authentication without its flag", "without authentication", func(b []byte) []byte { b[1] &^= flagAuth; return b }},
		{"another authentication type", "authentication type 4", func(b []byte) []byte { b[24] = 4; return b }},
		{"another authentication length", "authentication of 27 octets", func(b []byte) []byte { b[25] = 27; return b }},
		{"authentication cut short", "in a section of 27", func(b []byte) []byte { b[3] = 51; return b }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := somePacket()
			if _, err := decode(tt.change(p.appendTo(nil))); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// FuzzPacket: what can be decoded is encoded the same again, but for the octet that RFC 5880 section 4.4 has us ignore.
func FuzzPacket(f *testing.F) {
	p := somePacket()
	f.Add(p.appendTo(nil))
	p.auth, p.state, p.your = authentication{}, Down, 0
	f.Add(p.appendTo(nil))
	f.Add([]byte{0x20, 0x40, 1, 24})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b)
		if err != nil {
			return
		}
		want := bytes.Clone(b[:b[3]])
		if p.auth.kind != 0 {
			want[headerOctets+3] = 0
		}
		if got := p.appendTo(nil); !bytes.Equal(got, want) {
			t.Errorf("% x was encoded as % x", want, got)
		}
	})
}
