//go:build linux

package layer2

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/mdlayher/arp"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// maxBlocks bounds a filter: a block takes six instructions, twice for ARP, of the 4096 that classic BPF may have.
const maxBlocks = 256

// blocks are values that a filter passes: those from 32*first to 32*last+31 of which mask has the bit, by their
// last five. The addresses of a pool are close to each other, and one node has some of them: a mask tells them
// apart at the price of one.
type blocks struct {
	first, last, mask uint32
}

const allOf = 1<<32 - 1 // the mask of blocks without gaps

// cover returns blocks with all of the values, most at most, sorted. Where there would be more, those with the
// smallest gaps between them become one: what lies between passes the filter too, and is told apart later.
func cover(values []uint32, most int) []blocks {
	values = slices.Clone(values)
	slices.Sort(values)
	var all []blocks
	for _, v := range values {
		if n := len(all); n > 0 && all[n-1].last == v>>5 {
			all[n-1].mask |= 1 << (v & 31)
		} else {
			all = append(all, blocks{v >> 5, v >> 5, 1 << (v & 31)})
		}
	}
	all = join(all, func(i int) bool { // a contiguous range of whatever size is one
		return all[i].last+1 == all[i+1].first && all[i].mask == allOf && all[i+1].mask == allOf
	})
	if len(all) <= most {
		return all
	}
	gaps := make([]int, len(all)-1) // behind which block
	for i := range gaps {
		gaps[i] = i
	}
	slices.SortFunc(gaps, func(a, b int) int {
		return cmp.Or(cmp.Compare(all[a+1].first-all[a].last, all[b+1].first-all[b].last), a-b)
	})
	closed := make([]bool, len(gaps))
	for _, i := range gaps[:len(all)-most] {
		closed[i] = true
	}
	return join(all, func(i int) bool { return closed[i] })
}

// join makes one of block i and the next wherever with says so, of the list as it was.
func join(all []blocks, with func(i int) bool) []blocks {
	var joined []blocks
	for i, b := range all {
		if i > 0 && with(i-1) {
			joined[len(joined)-1].last, joined[len(joined)-1].mask = b.last, allOf
		} else {
			joined = append(joined, b)
		}
	}
	return joined
}

// accept lets a frame pass as a whole.
var accept, drop = bpf.RetConstant{Val: 1 << 16}, bpf.RetConstant{Val: 0}

// within returns instructions that accept a frame if the four octets at an offset are among the blocks, found by
// binary search. Otherwise they go on behind their end. Classic BPF jumps forward only.
func within(offset uint32, all []blocks) []bpf.Instruction {
	code := make([]bpf.Instruction, 0, 8+searchLength(all))
	code = append(code,
		bpf.LoadAbsolute{Off: offset, Size: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 31},
		bpf.TAX{},
		bpf.LoadAbsolute{Off: offset, Size: 4},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 5},
	)
	code = search(code, all, len(code)+searchLength(all))
	return append(code, // here with the mask
		bpf.ALUOpX{Op: bpf.ALUOpShiftRight},
		bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: 1, SkipTrue: 1},
		accept,
	)
}

// searchLength is how many instructions search appends.
func searchLength(all []blocks) int { return 6*len(all) + 1 }

// search appends instructions that find the block whose number is in the accumulator. They put its mask there and
// go on at position found, or three behind it if there is none. Long ways take unconditional jumps: the others
// span 255 instructions only.
func search(code []bpf.Instruction, all []blocks, found int) []bpf.Instruction {
	to := func(position int) bpf.Jump { return bpf.Jump{Skip: uint32(position - len(code) - 1)} }
	if len(all) == 0 {
		return append(code, to(found+3))
	}
	left, b, right := all[:len(all)/2], all[len(all)/2], all[len(all)/2+1:]
	code = append(code, bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: b.last, SkipTrue: 1})
	code = append(code, to(len(code)+4+searchLength(left))) // the right half
	code = append(code,
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: b.first, SkipTrue: 2},
		bpf.LoadConstant{Dst: bpf.RegA, Val: b.mask},
	)
	code = append(code, to(found))
	return search(search(code, left, found), right, found)
}

// short passes frames that are too short for what they say they are. No card lets one in, as frames are padded:
// they are an accident or an attempt, to be counted, at no more cost than requests for our addresses have.
func short(length uint32) []bpf.Instruction {
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtLen},
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: length, SkipTrue: 1},
		accept,
	}
}

// arpFilter passes ARP whose target or sender protocol address is one of ours: who asks for it, and who says that
// it is its own.
func arpFilter(ours []blocks) []bpf.Instruction {
	if len(ours) == 0 {
		return []bpf.Instruction{drop}
	}
	return slices.Concat(short(arpFrameLength), within(arpTargetIPOffset, ours), within(arpSenderIPOffset, ours), []bpf.Instruction{drop})
}

// neighborFilter passes Neighbor Solicitations and Advertisements, so that the rest of a node's IPv6 traffic
// never reaches the process. What follows decides about them.
func neighborFilter(then ...bpf.Instruction) []bpf.Instruction {
	return append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: ipv6NextOffset, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolICMPv6, SkipTrue: 3},
		bpf.LoadAbsolute{Off: icmpOffset, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeSolicitation, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: typeAdvertisement, SkipTrue: 1},
		drop,
	}, then...)
}

// ndpFilter passes Neighbor Discovery about targets whose last 32 bits are those of one of ours: the rest of an
// address tells few apart.
func ndpFilter(ours []blocks) []bpf.Instruction {
	if len(ours) == 0 {
		return []bpf.Instruction{drop}
	}
	return neighborFilter(slices.Concat(short(ndpFrameLength), within(ndpTargetOffset+12, ours), []bpf.Instruction{drop})...)
}

// overheard is the part of other hosts' ARP requests that a prober hears: one in so many. A few are enough to
// prove that a segment works, and a storm of them costs little.
const overheard = 4

// proberFilter passes all ARP that answers a question or is about who has an address: replies, probes and
// announcements. Of other requests it passes a few.
var proberFilter = []bpf.Instruction{
	bpf.LoadAbsolute{Off: arpOperationOffset, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(arp.OperationRequest), SkipTrue: 7},
	bpf.LoadAbsolute{Off: arpTargetIPOffset, Size: 4},
	bpf.TAX{},
	bpf.LoadAbsolute{Off: arpSenderIPOffset, Size: 4},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipTrue: 3},
	bpf.JumpIfX{Cond: bpf.JumpEqual, SkipTrue: 2},
	bpf.LoadExtension{Num: bpf.ExtRand},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: overheard - 1, SkipTrue: 1},
	accept,
	drop,
}

// local precedes a filter: frames to other hosts, which come in where the interface is promiscuous, and frames of
// a VLAN that this node has no interface for are nothing to answer. The kernel marks both alike.
func local(filter []bpf.Instruction) []bpf.Instruction {
	return append([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 1},
		drop,
	}, filter...)
}

// suffix returns the last 32 bits of an address, which are all of an IPv4 address.
func suffix(a netip.Addr) uint32 {
	b := a.As16()
	return binary.BigEndian.Uint32(b[12:])
}
