package gossip

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// FuzzDecode: what is believed is within its bounds, and costs no more than its octets; it is said again in octets that
// mean the same, so that it can be passed on; and merging it leaves a table that others can read.
func FuzzDecode(f *testing.F) {
	for _, s := range said {
		f.Add(octets(f, s.octets))
	}
	for _, text := range []string{
		"", "a10281a1014401020304", // an address alone
		"a10281a301440102030402616e031b4000000000000000",         // the highest epoch
		"a10281a301440102030402616e031b4000000000000001",         // one more
		"a10281a301501234000000000000000000000000000002616e0300", // IPv6
		"a1028140",                   // a claim that is a string
		"a1029b00000001000000008000", // four milliards of claims
		"a10181a501616e02000300051b7ff8000000000001",                             // a penalty that is no number
		"a10181a301616e02000381a101606040",                                       // an interface without a name
		"9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f9f", // nested without an end
		"a263616263010280", // a key of a later release
	} {
		f.Add(octets(f, text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decode(b)
		if err != nil {
			return
		}
		if n := len(c.states) + len(c.claims) + len(c.suspicions) + len(c.offers); n > len(b) {
			t.Errorf("%d things out of %d octets", n, len(b))
		}
		for _, x := range c.claims {
			if !isAddress(x.Address) || x.Epoch > maxCount || x.Standing > lb.Provisional || !isKey(x.Of) {
				t.Errorf("believed %+v", x)
			}
		}
		c.more = false // of which nothing is handed on
		once, err := encode(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decode(once)
		if err != nil {
			t.Fatalf("what was believed cannot be read again: %v", err)
		}
		if twice, err := encode(again); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%x was read as something that is said as %x, %v", once, twice, err)
		}
		tab := newTable("n0", 1)
		for _, s := range c.states {
			tab.join(s.Node)
		}
		tab.merge(c)
		everything, err := encode(tab.all())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(everything); err != nil {
			t.Errorf("what was merged cannot be read again: %v", err)
		}
		if fresh, _ := tab.merge(c); len(fresh.states)+len(fresh.claims)+len(fresh.suspicions) > 0 {
			t.Errorf("a second time it is news: %+v", fresh)
		}
	})
}

// FuzzSeal: whoever has the key gets all that was sealed, each payload within its bound; without it nothing counts: not
// what was made with another key, not what was changed, not what somebody made up.
func FuzzSeal(f *testing.F) {
	for _, s := range said {
		f.Add(octets(f, s.octets), []byte("key"), uint16(0), byte(1))
	}
	var released content // more than a frame takes, since each names its Service
	for i := range 20 {
		released.claims = append(released.claims, lb.Claim{
			Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Epoch: maxCount, Of: lb.Key{Namespace: strings.Repeat("n", 63), Name: strings.Repeat("s", 253)},
		})
	}
	long, err := encode(released)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(long, []byte("another"), uint16(20), byte(128))
	f.Fuzz(func(t *testing.T, message, secret []byte, at uint16, flip byte) {
		from, to := newcomer(t), newcomer(t)
		if _, err := to.Open(message); err == nil {
			t.Fatalf("believed what was made up: %x", message)
		}
		stranger := newSeal(secret)
		if _, err := to.Open(stranger.close(message)); err == nil && stranger != to.seal {
			t.Fatalf("believed under the key %q: %x", secret, message)
		}
		c, err := decode(message)
		if err != nil {
			if _, err := to.Open(to.seal.close(message)); err == nil {
				t.Errorf("believed what cannot be read: %x", message)
			}
			return
		}
		c.believe(time.Now()) // nobody claims what nobody believes
		from.table.publish(c.claims)
		var addresses []netip.Addr
		for a := range from.table.claims {
			addresses = append(addresses, a)
		}
		const most = 1400
		for _, p := range from.Seal(addresses, most) {
			if len(p) > most {
				t.Errorf("a payload of %d octets", len(p))
			}
			forged := bytes.Clone(p)
			if forged[int(at)%len(forged)] ^= flip; flip != 0 {
				if _, err := to.Open(forged); err == nil {
					t.Errorf("believed with octet %d changed", int(at)%len(forged))
				}
			}
			if _, err := to.Open(p); err != nil {
				t.Error(err)
			}
		}
		for _, a := range addresses {
			if want, got := from.table.claim(a), to.table.claim(a); got != want {
				t.Errorf("%+v was sealed, %+v arrived", want, got)
			}
		}
	})
}
