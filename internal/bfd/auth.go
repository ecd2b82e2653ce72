package bfd

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/netip"
	"time"
)

// Whoever lacks the key can make no packet. Who has recorded packets can send them again, and must get nothing
// by it:
//
//   - Each direction between two nodes has its own key. So a packet cannot be sent back to who made it, nor to a
//     third node, nor in another's name.
//   - Our discriminator is random, and another one each time the peer has been silent for a detection time. A
//     packet that carries it was made after that. One that does not is at most answered.
//   - Among packets that carry it, each has to be later than all before, by its sequence number.
//
// So a recording neither brings a session up, nor keeps it up, nor takes it down.

const (
	keyID = 1
	// window bounds how far a sequence number may go ahead. RFC 5880 section 6.7.4 allows 3 * Detect Mult; but a
	// process that was stopped misses more than that, and must hear afterwards that it was given up.
	window = 1 << 16
)

type key [digestOctets]byte

// deriveKey returns the key of one direction: of what from sends to to.
func deriveKey(secret []byte, from, to netip.Addr) (k key, err error) {
	octets, err := hkdf.Key(sha256.New, secret, nil, fmt.Sprintf("fairlead bfd 1 %s %s", from, to), len(k))
	if err != nil {
		return k, fmt.Errorf("deriving the key for BFD from %s to %s: %w", from, to, err)
	}
	return key(octets), nil
}

// secretOf returns what keys are derived from: the gossip key as package gossip reads it.
func secretOf(key []byte) []byte { return bytes.TrimSpace(key) }

// digest is RFC 5880 section 6.7.4's: a hash over the packet with the key in the digest's place.
func (k *key) digest(b *[packetOctets]byte) [digestOctets]byte {
	c := *b
	copy(c[digestOffset:], k[:])
	return sha1.Sum(c[:])
}

// seal puts the digest into an encoded packet.
func (k *key) seal(b *[packetOctets]byte) {
	sum := k.digest(b)
	copy(b[digestOffset:], sum[:])
}

// authentic tells whether who made the packet has the key.
func (k *key) authentic(b *[packetOctets]byte) bool {
	sum := k.digest(b)
	return subtle.ConstantTimeCompare(sum[:], b[digestOffset:]) == 1
}

// firstSequence is bfd.XmitAuthSeq to begin with. Its unit of 17 ms is longer than a packet takes on average, so
// a speaker that starts anew goes on behind what it sent before. Where the clock was set back meanwhile, or
// packets come faster, peers take nothing from it until they have missed it for a detection time.
func firstSequence(now time.Time) uint32 { return uint32(now.UnixNano() >> 24) }

// later returns the later of two sequence numbers, in a circular number space.
func later(a, b uint32) uint32 {
	if ahead(b, a) {
		return b
	}
	return a
}

func ahead(a, b uint32) bool { return a != b && a-b < 1<<31 }

// freshness is the part of the guard that remembers: bfd.RcvAuthSeq and bfd.AuthSeqKnown.
type freshness struct {
	// of is our discriminator of which last is the latest sequence number: it is not known for another one.
	of, last uint32
}

// verdict on a packet whose digest is right.
type verdict uint8

const (
	fresh  verdict = iota
	hello          // proves nothing; its sender does not know our discriminator
	stale          // for a discriminator that we have no longer
	replay         // not later than one before
)

// judge tells what a packet is worth to a session with these discriminators, and remembers it if it is fresh.
func (f *freshness) judge(p *packet, local, remote uint32) verdict {
	switch {
	case p.your == 0:
		return hello
	case p.your != local:
		return stale
	case f.of != local: // nothing is known yet
	case !ahead(p.auth.sequence, f.last), p.my == remote && p.auth.sequence-f.last > window:
		return replay
	}
	f.of, f.last = local, p.auth.sequence
	return fresh
}
