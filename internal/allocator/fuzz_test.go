package allocator

import (
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"testing"
)

// FuzzAllocator drives the allocator and the model by bytes, and holds one to the other.
func FuzzAllocator(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomOps(seed, 12))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 64*opSize { // enough for anything to happen
			data = data[:64*opSize]
		}
		if w := drive(data); w.err != nil {
			t.Fatal(w)
		}
	})
}

// TestAllocatorAgainstModel does the same with random bytes, and takes from what fails all that it can
// fail without.
func TestAllocatorAgainstModel(t *testing.T) {
	sequences, length := uint64(400), 40
	if testing.Short() {
		sequences = 50
	}
	for seed := range sequences {
		data := randomOps(seed, length)
		if w := drive(data); w.err != nil {
			t.Fatalf("seed %d:\n%s", seed, drive(shrink(data)))
		}
	}
}

func randomOps(seed uint64, n int) []byte {
	random := rand.New(rand.NewPCG(seed, 0))
	data := make([]byte, n*opSize)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return data
}

// shrink drops operations, then zeroes bytes, as long as the rest fails.
func shrink(data []byte) []byte {
	for again := true; again; {
		again = false
		for size := len(data) / 2 / opSize * opSize; size > 0; size = size / 2 / opSize * opSize {
			for from := 0; from+size <= len(data); {
				if less := slices.Delete(slices.Clone(data), from, from+size); drive(less).err != nil {
					data, again = less, true
				} else {
					from += size
				}
			}
		}
		for i, b := range data {
			if b == 0 {
				continue
			}
			if data[i] = 0; drive(data).err != nil {
				again = true
			} else {
				data[i] = b
			}
		}
	}
	return data
}

// drive runs operations until the bytes end, or something fails.
func drive(data []byte) (w *world) {
	w = newWorld()
	defer func() {
		if panicked := recover(); panicked != nil { // for shrink to go on
			w.fail("panic: %v\n%s", panicked, debug.Stack())
		}
	}()
	for chunk := range slices.Chunk(data, opSize) {
		if w.step(&source{chunk}); w.err != nil {
			break
		}
	}
	return w
}

// opSize is how many bytes an operation is made of, so that one can be dropped and the others stay the same.
const opSize = 24

// source gives small numbers out of bytes, and zeroes after their end.
type source struct{ bytes []byte }

// n returns a number from 0 to below.
func (s *source) n(below int) int {
	if len(s.bytes) == 0 {
		return 0
	}
	b := s.bytes[0]
	s.bytes = s.bytes[1:]
	return int(b) % below
}

// one of n is true; zero is false.
func (s *source) oneOf(n int) bool { return s.n(n) == n-1 }
