package gossip

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
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
