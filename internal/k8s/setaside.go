package k8s

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/allocator"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"go4.org/netipx"
)

// ReasonAddressConflict is why a Service does not get or keep an address that is set aside.
const ReasonAddressConflict = "AddressConflict"

// InUse returns the addresses that speakers found in use by foreign hosts before they were announced, and of
// each by whom, in words. What cannot be read is left out; of several speakers the first by name counts.
//
// What is found in use is announced by nobody. So it is not believed of an address that another node answers for: a
// speaker that lies could take it from its Services. Answering are the speakers whose word that is; should they say
// otherwise, all is to be looked at again.
func InUse(speakers []*v1alpha1.Speaker) (inUse map[netip.Addr]string, answering map[string]bool) {
	byName := slices.SortedFunc(slices.Values(speakers), func(x, y *v1alpha1.Speaker) int { return cmp.Compare(x.Name, y.Name) })
	inUse, answering = map[netip.Addr]string{}, map[string]bool{}
	answers := answersFor(byName)
	for _, s := range byName {
		for _, c := range Detected(s) {
			address, err := lb.ParseAddr(c.Address)
			others := slices.DeleteFunc(slices.Clone(answers[address]), func(name string) bool { return name == s.Name })
			for _, name := range others {
				answering[name] = true
			}
			if _, known := inUse[address]; err == nil && !known && len(others) == 0 {
				inUse[address] = fmt.Sprintf("%s is in use by %s (seen by %s on %s)", address, c.HardwareAddress, s.Name, c.Interface)
			}
		}
	}
	return inUse, answering
}

// answersFor returns which speakers answer for the addresses that one of them found in use.
func answersFor(speakers []*v1alpha1.Speaker) map[netip.Addr][]string {
	answers := map[netip.Addr][]string{}
	for _, s := range speakers {
		for _, c := range Detected(s) {
			if address, err := lb.ParseAddr(c.Address); err == nil {
				answers[address] = nil
			}
		}
	}
	if len(answers) == 0 { // as a rule
		return nil
	}
	for _, s := range speakers {
		for _, a := range Answers(s) {
			address, err := lb.ParseAddr(a.Address)
			if names, asked := answers[address]; err == nil && asked {
				answers[address] = append(names, s.Name)
			}
		}
	}
	return answers
}

// Answers are the addresses that a speaker says its node answers for, as their owner or in its place; none if it does
// not run.
func Answers(s *v1alpha1.Speaker) []v1alpha1.Layer2Address {
	if s.Status.Layer2 == nil || !Runs(s) {
		return nil
	}
	return s.Status.Layer2.Addresses
}

// Detected are the conflicts of a speaker that it found before it announced the address. Others are none to
// take an address from a Service for: it is in use on both sides, and who is to go is for people to say.
func Detected(s *v1alpha1.Speaker) (conflicts []v1alpha1.AddressConflict) {
	if s.Status.Layer2 == nil {
		return nil
	}
	for _, c := range s.Status.Layer2.Conflicts {
		if c.Detected {
			conflicts = append(conflicts, c)
		}
	}
	return conflicts
}

// SetAside excludes addresses that are in use from the pools that list them, if one of these detects
// conflicts: with less, an overlapping pool would give out what the other one does not. It returns what is set
// aside, by pool and in order.
func SetAside(pools []lb.Pool, detects func(pool string) bool, inUse map[netip.Addr]string) map[string][]netip.Addr {
	aside := map[string][]netip.Addr{}
	lists := func(p *lb.Pool, address netip.Addr) bool {
		contains := func(r netipx.IPRange) bool { return r.Contains(address) }
		return slices.ContainsFunc(p.Ranges, contains) && !slices.ContainsFunc(p.Excluded, contains)
	}
	addresses := make([]netip.Addr, 0, len(inUse))
	for a := range inUse {
		addresses = append(addresses, a)
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	for _, a := range addresses {
		if !slices.ContainsFunc(pools, func(p lb.Pool) bool { return detects(p.Name) && lists(&p, a) }) {
			continue
		}
		for i := range pools {
			if p := &pools[i]; lists(p, a) {
				p.Excluded = append(slices.Clone(p.Excluded), netipx.IPRangeFrom(a, a))
				aside[p.Name] = append(aside[p.Name], a)
			}
		}
	}
	return aside
}

// ExplainAside says of the addresses that a Service asks for and that are set aside who uses them, as aside has it
// in words, instead of that no pool holds them.
func ExplainAside(aside map[netip.Addr]string, asked []netip.Addr, refusals []allocator.Refusal) []allocator.Refusal {
	refusals = slices.Clone(refusals)
	for i, r := range refusals {
		for _, a := range asked {
			if host, ok := aside[a]; ok && r.Reason == allocator.ReasonNotInPool && strings.HasSuffix(r.Message, " "+a.String()) {
				refusals[i] = allocator.Refusal{Reason: ReasonAddressConflict, Message: host}
			}
		}
	}
	return refusals
}
