package layer2

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// SightingKind tells what a frame of another host shows.
type SightingKind string

const (
	// Alive: another host says that Address is at HardwareAddr. Told only while probing.
	Alive SightingKind = "Alive"
	// Answer: it says so to this node, which asked. That shows a way there as well as back.
	Answer SightingKind = "Answer"
	// Conflict: another host uses an address that we answer for.
	Conflict SightingKind = "Conflict"
	// Wanted: another host asked whether an address is free that we answer for, and was told that it is not.
	// Whoever keeps the rules takes another one.
	Wanted SightingKind = "Wanted"
)

// Sighting is what a frame on a segment says of another host.
type Sighting struct {
	At           time.Time
	Interface    string
	HardwareAddr net.HardwareAddr // as the ARP or Neighbor Discovery message has it
	Source       net.HardwareAddr // as its frame has it: another one if a stand-in speaks
	Address      netip.Addr       // unspecified if the host asks whether an address is free
	Kind         SightingKind
}

const (
	// sightingPause is how long the same rival at the same address is told of once.
	sightingPause = time.Second
	// maxRivals bounds what is remembered of them: whoever forges frames has as many names as he likes.
	maxRivals = 256
)

// rivals tells which sightings of rivals are to be told now.
type rivals struct {
	mu   sync.Mutex
	told map[rival]time.Time
}

type rival struct {
	address      netip.Addr
	hardwareAddr [6]byte
	kind         SightingKind
}

func (r *rivals) news(s Sighting) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := rival{s.Address, [6]byte(s.HardwareAddr), s.Kind}
	if t, ok := r.told[key]; ok && s.At.Sub(t) < sightingPause {
		return false
	}
	if r.told == nil {
		r.told = map[rival]time.Time{}
	}
	if _, ok := r.told[key]; !ok && len(r.told) >= maxRivals {
		for k, t := range r.told {
			if s.At.Sub(t) >= sightingPause {
				delete(r.told, k)
			}
		}
		if len(r.told) >= maxRivals {
			return false
		}
	}
	r.told[key] = s.At
	return true
}
