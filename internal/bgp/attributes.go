package bgp

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// AddCommunity adds a community in ParseCommunity's forms, in its place. It changes the slices that a has.
func (a *Attributes) AddCommunity(text string) error {
	standard, large, isLarge, err := ParseCommunity(text)
	switch {
	case err != nil:
		return err
	case isLarge:
		if at, found := slices.BinarySearchFunc(a.LargeCommunities, large, LargeCommunity.compare); !found {
			a.LargeCommunities = slices.Insert(a.LargeCommunities, at, large)
		}
	default:
		if at, found := slices.BinarySearch(a.Communities, standard); !found {
			a.Communities = slices.Insert(a.Communities, at, standard)
		}
	}
	return nil
}

// Equal tells whether two routes of one prefix with a and b are the same to a router.
func (a Attributes) Equal(b Attributes) bool {
	return a.LocalPref == b.LocalPref && slices.Equal(a.Communities, b.Communities) &&
		slices.Equal(a.LargeCommunities, b.LargeCommunities)
}

// Equal tells whether a router that has r need not be told of s.
func (r Route) Equal(s Route) bool { return r.Prefix == s.Prefix && r.Attributes.Equal(s.Attributes) }

// merge returns the attributes of a route that is advertised for two reasons: the communities of both, and the
// higher local preference, which is how a router would choose between the two (RFC 4271 section 9.1.2).
// The result shares nothing with a and b.
func (a Attributes) merge(b Attributes) Attributes {
	return Attributes{
		LocalPref:        max(a.LocalPref, b.LocalPref),
		Communities:      ascending(slices.Concat(a.Communities, b.Communities), cmp.Compare),
		LargeCommunities: ascending(slices.Concat(a.LargeCommunities, b.LargeCommunities), LargeCommunity.compare),
	}
}

// leaving returns the attributes of a route that is about to go (RFC 8326): GRACEFUL_SHUTDOWN is for the routers
// that act on it, LOCAL_PREF 0 for the internal ones that do not.
func (a Attributes) leaving() Attributes {
	a.LocalPref = 0
	return a.merge(Attributes{Communities: []Community{GracefulShutdown}})
}

func (a Attributes) clone() Attributes {
	a.Communities, a.LargeCommunities = slices.Clone(a.Communities), slices.Clone(a.LargeCommunities)
	return a
}

// clean returns attributes that are sorted as Attributes promises, whatever the caller made of it. It shares the
// slices of a where they are.
func (a Attributes) clean() Attributes {
	a.Communities = ascending(a.Communities, cmp.Compare)
	a.LargeCommunities = ascending(a.LargeCommunities, LargeCommunity.compare)
	return a
}

// appendKey appends to b what is the same for equal attributes and for no others, as a key for maps.
func (a Attributes) appendKey(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, a.LocalPref)
	b = binary.BigEndian.AppendUint32(b, uint32(len(a.Communities)))
	for _, c := range a.Communities {
		b = binary.BigEndian.AppendUint32(b, uint32(c))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(a.LargeCommunities)))
	for _, l := range a.LargeCommunities {
		for _, n := range l {
			b = binary.BigEndian.AppendUint32(b, n)
		}
	}
	return b
}

func (l LargeCommunity) compare(m LargeCommunity) int { return slices.Compare(l[:], m[:]) }

// ascending returns the elements of s sorted, each once: s itself if it is so, else a copy.
func ascending[E comparable](s []E, compare func(a, b E) int) []E {
	for i := 1; i < len(s); i++ {
		if compare(s[i-1], s[i]) >= 0 {
			s = slices.Clone(s)
			slices.SortFunc(s, compare)
			return slices.Compact(s)
		}
	}
	return s
}
