package layer2

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"golang.org/x/net/bpf"
)

func TestCover(t *testing.T) {
	tests := []struct {
		name   string
		values []uint32
		most   int
		want   string // first-last:mask
	}{
		{"nothing is no block", nil, 3, ""},
		{"neighbours share a block, in whatever order, once or twice", []uint32{5, 3, 4, 4, 64}, 3, "0-0:38 2-2:1"},
		{"the smallest gap is closed where there are too many", []uint32{32, 160, 224, 0x280}, 3, "1-1:1 5-7:ffffffff 14-14:1"},
		{"and the first of two alike", []uint32{32, 96, 160, 0x280}, 3, "1-3:ffffffff 5-5:1 14-14:1"},
		{"one covers all", []uint32{32, 96, 160, 0x280}, 1, "1-14:ffffffff"},
		{"both ends of the range are values", []uint32{0, 1<<32 - 1}, 2, "0-0:1 7ffffff-7ffffff:80000000"},
		{"a contiguous range is one, but for its ends", between(31, 32*1000), 3, "0-0:80000000 1-3e7:ffffffff 3e8-3e8:1"},
		{"a block that is only nearly full stays", append(between(0, 62), 64), 3, "0-0:ffffffff 1-1:7fffffff 2-2:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := slices.Clone(tt.values)
			var got []string
			for _, b := range cover(tt.values, tt.most) {
				got = append(got, fmt.Sprintf("%x-%x:%x", b.first, b.last, b.mask))
			}
			if s := strings.Join(got, " "); s != tt.want || !slices.Equal(tt.values, before) {
				t.Errorf("%s, want %s", s, tt.want)
			}
		})
	}
}

func between(first, last uint32) (all []uint32) {
	for v := first; v <= last; v++ {
		all = append(all, v)
	}
	return all
}

// What is owned passes. As long as the blocks suffice, nothing else does. No program is too long for the kernel.
func TestFilters(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	type set struct {
		name   string
		values []uint32
	}
	sets := []set{{name: "none"}, {"a pool", between(0xc612_0000, 0xc612_0fff)}, {"all", []uint32{0, 1<<32 - 1}}}
	for _, n := range []int{1, 2, 3, maxBlocks / 2, maxBlocks, maxBlocks + 1, 2000} {
		scattered, pool := set{name: fmt.Sprint(n, " scattered")}, set{name: fmt.Sprint(n, " of a pool")}
		for i := range n {
			scattered.values = append(scattered.values, random.Uint32())
			if i%5 == 1 {
				scattered.values[i] = scattered.values[i-1] + 1
			}
			pool.values = append(pool.values, 0xc612_0000+random.Uint32N(uint32(min(3*n, 32*maxBlocks))))
		}
		sets = append(sets, scattered, pool)
	}
	for _, s := range sets {
		values := s.values
		covered := cover(values, maxBlocks)
		arpVM, ndpVM := run(t, arpFilter(covered)), run(t, ndpFilter(covered))
		exact := len(cover(values, 1<<30)) <= maxBlocks
		if n := len(values); !exact && (n < maxBlocks || strings.HasSuffix(s.name, "pool")) {
			t.Errorf("%s: not covered exactly", s.name)
		}
		known := map[uint32]bool{}
		for _, v := range values {
			known[v] = true
		}
		candidates := slices.Clone(values)
		for _, v := range values {
			candidates = append(candidates, v-1, v+1)
		}
		for range 200 {
			candidates = append(candidates, random.Uint32())
		}
		for _, v := range candidates {
			owned := known[v]
			address, other := address4(v), address4(random.Uint32())
			for what, passes := range map[string]bool{
				"asked for": arpVM(arpFrame(arp.OperationRequest, theirMAC, other, zeroMAC, address, ethernet.Broadcast)),
				"announced": arpVM(arpFrame(arp.OperationReply, theirMAC, address, zeroMAC, other, ethernet.Broadcast)),
				"solicited": ndpVM(solicitation(their6, group6, address6(v), nil)),
				"padded":    ndpVM(append(solicitation(their6, group6, address6(v), nil), 1, 2, 3)),
			} {
				if owned && !passes {
					t.Fatalf("%s: %s %s, and dropped", s.name, address, what)
				}
				if !owned && passes && exact && !known[suffix(other)] {
					t.Fatalf("%s: %s %s, and passed", s.name, address, what)
				}
			}
		}
	}
}

func TestFilterTellsProtocols(t *testing.T) {
	all := []blocks{{0, 1<<27 - 1, allOf}}
	ndpVM, arpVM, anyVM := run(t, ndpFilter(all)), run(t, arpFilter(all)), run(t, neighborFilter(accept))
	s := solicitation(their6, group6, vip6, nil)
	for name, frame := range map[string][]byte{
		"an echo request":        edit(s, icmpOffset, 128),
		"a router advertisement": edit(s, icmpOffset, 134),
		"UDP":                    edit(s, ipv6NextOffset, 17),
		"a frame without a type": s[:icmpOffset],
		"an empty frame":         {},
	} {
		if ndpVM(frame) || anyVM(frame) {
			t.Errorf("%s passes", name)
		}
	}
	if advertisement := edit(s, icmpOffset, typeAdvertisement); !ndpVM(advertisement) || !anyVM(advertisement) || !anyVM(s) {
		t.Error("an advertisement does not pass")
	}
	if !ndpVM(s[:ndpFrameLength-1]) || !arpVM(make([]byte, arpFrameLength-1)) {
		t.Error("what is too short is not counted")
	}
}

func TestProberFilter(t *testing.T) {
	request := arpFrame(arp.OperationRequest, theirMAC, their4, zeroMAC, vip4, ethernet.Broadcast)
	tests := []struct {
		name   string
		frame  []byte
		always bool
	}{
		{"a reply", arpFrame(arp.OperationReply, theirMAC, their4, ourMAC, vip4, ourMAC), true},
		{"a probe", arpFrame(arp.OperationRequest, theirMAC, unset4, zeroMAC, vip4, ethernet.Broadcast), true},
		{"an announcement", arpFrame(arp.OperationRequest, theirMAC, vip4, zeroMAC, vip4, ethernet.Broadcast), true},
		{"a request", request, false},
	}
	for number := range uint32(2 * overheard) {
		passes := run(t, withoutChance(number))
		for _, tt := range tests {
			if got, want := passes(tt.frame), tt.always || number%overheard == 0; got != want {
				t.Errorf("%s passes: %v, by chance %d", tt.name, got, number)
			}
		}
	}
}

// withoutChance is the prober's filter where chance says a number: the virtual machine knows none.
func withoutChance(number uint32) []bpf.Instruction {
	program := slices.Clone(proberFilter)
	i := slices.Index(program, bpf.Instruction(bpf.LoadExtension{Num: bpf.ExtRand}))
	program[i] = bpf.LoadConstant{Dst: bpf.RegA, Val: number}
	return program
}

func address4(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, v)))
}

func address6(v uint32) netip.Addr {
	b := vip6.As16()
	binary.BigEndian.PutUint32(b[12:], v)
	return netip.AddrFrom16(b)
}

// run returns a filter as a function. What precedes it on a socket is left out: the virtual machine has no sockets.
func run(t *testing.T, program []bpf.Instruction) func([]byte) bool {
	t.Helper()
	if raw, err := bpf.Assemble(local(program)); err != nil || len(raw) > 4096 {
		t.Fatalf("%d instructions: %v", len(raw), err)
	}
	vm := must(bpf.NewVM(program))
	return func(frame []byte) bool { return must(vm.Run(frame)) > 0 }
}

func BenchmarkFilter(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		values := make([]uint32, n)
		for i := range values {
			values[i] = rand.Uint32()
		}
		b.Run(fmt.Sprintf("%d scattered addresses", n), func(b *testing.B) {
			for b.Loop() {
				must(bpf.Assemble(local(arpFilter(cover(values, maxBlocks)))))
			}
		})
	}
}
