package gossip

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// sealOctets is what a seal adds to a message: HMAC-SHA256 (RFC 2104), truncated to 128 bits.
const sealOctets = 16

// seal protects messages that travel outside memberlist, which encrypts its own. An old message that somebody
// plays back says nothing new: a claim that was beaten stays beaten.
type seal struct{ key [sha256.Size]byte }

// newSeal derives a key of its own from the shared secret, so that no message of memberlist's is one of these.
func newSeal(secret []byte) seal {
	mac := hmac.New(sha256.New, bytes.TrimSpace(secret))
	mac.Write([]byte("fairlead claims on the wire"))
	return seal{[sha256.Size]byte(mac.Sum(nil))}
}

func (s seal) sum(message []byte) []byte {
	mac := hmac.New(sha256.New, s.key[:])
	mac.Write(message)
	return mac.Sum(nil)[:sealOctets]
}

func (s seal) close(message []byte) []byte { return append(s.sum(message), message...) }

func (s seal) open(payload []byte) ([]byte, error) {
	if len(payload) < sealOctets {
		return nil, fmt.Errorf("a sealed message of %d octets is shorter than its seal", len(payload))
	}
	if !hmac.Equal(payload[:sealOctets], s.sum(payload[sealOctets:])) {
		return nil, errors.New("a sealed message was not made with the gossip key")
	}
	return payload[sealOctets:], nil
}

// Seal returns the claims that count for these addresses as payloads of at most octets each, for speakers
// that hear them by another way than gossip. Nobody without the key can make one.
func (g *Group) Seal(addresses []netip.Addr, octets int) (payloads [][]byte) {
	for _, claims := range inMessages(g.table.claimsTo(addresses), octets-sealOctets) {
		if message, err := encode(content{claims: claims}); err == nil && len(message)+sealOctets <= octets {
			payloads = append(payloads, g.seal.close(message))
		}
	}
	return payloads
}

// Open takes in the claims of a sealed payload. It returns the addresses to which better claims are known. An
// error says why the payload is not to be believed.
func (g *Group) Open(payload []byte) (beaten []netip.Addr, err error) {
	var c content
	message, err := g.seal.open(payload)
	if err == nil {
		c, err = decode(message)
	}
	if err != nil {
		g.dropped.Inc()
		return nil, err
	}
	g.dropped.Add(float64(c.believe(time.Now())))
	if c.more {
		g.newer.Inc()
	}
	for _, x := range c.claims {
		if g.table.claim(x.Address).Beats(x) {
			beaten = append(beaten, x.Address)
		}
	}
	g.table.merge(content{claims: c.claims})
	g.config.Kick()
	return beaten, nil
}
