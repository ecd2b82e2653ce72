package garbage

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// Packet is something to send that is right, and where it can be wrong.
type Packet struct {
	Octets []byte
	// Keep is how many octets at the start stay as they are: what brings the rest to who is to read it.
	Keep int
	// Fields are numbers in it, in network order. Each is put to its extremes.
	Fields []Field
	// Refit makes sums and lengths good again in place, nil if there are none.
	Refit func([]byte)
}

// Field is a number of so many octets, of which there are 1 to 8.
type Field struct{ At, Octets int }

// Wrong are so many packets that are wrong, not one of them the right one.
func (p Packet) Wrong(r *rand.Rand, n int) (list [][]byte) {
	extremes := p.Extremes()
	r.Shuffle(len(extremes), func(i, j int) { extremes[i], extremes[j] = extremes[j], extremes[i] })
	for len(list) < n {
		wrong := p.mutated(r)
		if len(extremes) > 0 && len(list)%2 == 0 {
			wrong, extremes = extremes[0], extremes[1:]
		}
		if !bytes.Equal(wrong, p.Octets) {
			list = append(list, wrong)
		}
	}
	return list
}

// Extremes are one packet for each field and each value of it that is an edge: none, one, all, half, and one beside
// what it is.
func (p Packet) Extremes() (list [][]byte) {
	for _, f := range p.Fields {
		if f.At+f.Octets > len(p.Octets) {
			continue
		}
		all := ^uint64(0) >> (64 - 8*f.Octets)
		is := f.get(p.Octets)
		values := []uint64{0, 1, all, all - 1, all/2 + 1, all / 2, (is + 1) & all, (is - 1) & all, is ^ 1<<(8*f.Octets-1)}
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			if v == is {
				continue
			}
			wrong := bytes.Clone(p.Octets)
			f.put(wrong, v)
			list = append(list, wrong)
			if p.Refit != nil {
				refitted := bytes.Clone(wrong)
				if p.Refit(refitted); !bytes.Equal(refitted, p.Octets) && !bytes.Equal(refitted, wrong) {
					list = append(list, refitted)
				}
			}
		}
	}
	return list
}

func (f Field) get(b []byte) uint64 {
	var v [8]byte
	copy(v[8-f.Octets:], b[f.At:f.At+f.Octets])
	return binary.BigEndian.Uint64(v[:])
}

func (f Field) put(b []byte, value uint64) {
	var v [8]byte
	binary.BigEndian.PutUint64(v[:], value)
	copy(b[f.At:], v[8-f.Octets:])
}

// mutated is the packet with one to three things wrong with it.
func (p Packet) mutated(r *rand.Rand) []byte {
	b := bytes.Clone(p.Octets)
	for range 1 + r.IntN(3) {
		rest := len(b) - p.Keep
		switch kind := r.IntN(6); {
		case kind == 0 && rest > 0: // cut short
			b = b[:p.Keep+r.IntN(rest)]
		case kind == 1: // lengthened
			b = append(b, Noise(r, 1+r.IntN(200))...)
		case kind == 2 && rest > 0: // a bit
			b[p.Keep+r.IntN(rest)] ^= 1 << r.IntN(8)
		case kind == 3 && rest > 0: // an octet at an edge
			b[p.Keep+r.IntN(rest)] = []byte{0, 1, 0x7f, 0x80, 0xfe, 0xff}[r.IntN(6)]
		case kind == 4 && rest > 1: // a piece that is there twice, so that all behind it is elsewhere
			from := p.Keep + r.IntN(rest)
			piece := bytes.Clone(b[from : from+1+r.IntN(len(b)-from)])
			b = slices.Insert(b, from, piece...)
		case rest > 0: // noise in place of a piece
			from := p.Keep + r.IntN(rest)
			copy(b[from:], Noise(r, 1+r.IntN(8)))
		}
	}
	if p.Refit != nil && r.IntN(2) == 0 {
		p.Refit(b)
	}
	return b
}

// Noise is so many random octets.
func Noise(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// Noises are texts of random octets, from none to most.
func Noises(r *rand.Rand, n, most int) (list [][]byte) {
	for range n {
		list = append(list, Noise(r, r.IntN(most+1)))
	}
	return list
}
