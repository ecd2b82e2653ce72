package bgp

import (
	"bytes"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// FuzzNotification: whatever a router says last is told in one line of plain text, of bounded length; and it is said
// again as it came.
func FuzzNotification(f *testing.F) {
	for _, b := range [][]byte{
		nil, {6}, {6, 2}, {6, 2, 11, 'm', 'a', 'i', 'n', 't', 'e', 'n', 'a', 'n', 'c', 'e'}, {6, 4, 255, 'a'}, {6, 2, 2, 0xff, 0xfe}, {6, 2, 3, '\n', 0x1b, '"'},
		{6, 9, 6, 2, 2, 'h', 'i'}, {6, 9, 6, 9, 6, 9}, {6, 9, 2}, {1, 2, 0, 18}, {2, 7, 1, 4, 0, 1, 0, 1}, {3, 200}, {0, 0}, {255, 255}, {5, 1}, {8, 0},
		append([]byte{6, 2, 128}, bytes.Repeat([]byte{'x'}, 128)...), append([]byte{6, 4, 255}, bytes.Repeat([]byte{0xe2, 0x80, 0xae}, 85)...),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > maxLength-headerLength {
			return // no message is so long
		}
		n := parseNotification(body)
		text := n.Error()
		if most := 100 + 10*255; text == "" || len(text) > most || !utf8.ValidString(text) {
			t.Errorf("% x is %q", body, text)
		}
		for _, r := range text {
			if !unicode.IsPrint(r) {
				t.Errorf("% x is %q", body, text)
			}
		}
		if len(body) < 2 {
			return
		}
		m := n.message()
		if length, err := measure(m); err != nil || length != len(m) || m.kind() != kindNotification || !bytes.Equal(m.body(), body) {
			t.Errorf("% x is said as % x, %v", body, m, err)
		}
	})
}

// FuzzMarkers: no message is taken for an End-of-RIB marker or a request of another family than it is of; and only
// those that GoBGP itself would have sent are.
func FuzzMarkers(f *testing.F) {
	for _, family := range lb.Families {
		f.Add([]byte(endOfRIB(family).body()))
	}
	f.Add([]byte{0, 0, 0, 7, 0x90, 15, 0, 3, 0, 2, 1})
	f.Add([]byte{0, 0, 0, 6, 0x80, 15, 3, 0, 25, 70}) // EVPN
	f.Add([]byte{0, 2, 0, 1})
	f.Add([]byte{0, 1, 1, 1}) // begins a refresh, RFC 7313
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > maxLength-headerLength {
			return
		}
		if family, is := isEndOfRIB(newMessage(kindUpdate, body)); is {
			// As MP_UNREACH_NLRI alone it may be of IPv4 too; its flags may be other, and its length have two octets.
			if !bytes.Equal(body, endOfRIB(family).body()) && (len(body) > 11 || body[5] != 15) {
				t.Errorf("% x is an End-of-RIB marker of %s", body, family)
			}
			for _, b := range body[:2] {
				if b != 0 {
					t.Errorf("% x withdraws something", body)
				}
			}
		}
		if family, is := refreshFamily(newMessage(kindRefresh, body)); is && !bytes.Equal(body, []byte{0, byte(afiOf(family)), 0, safiUnicast}) {
			t.Errorf("% x asks for %s", body, family)
		}
	})
}
