package bgp

import (
	"fmt"
	"strconv"
	"strings"
)

// GracefulShutdown asks routers to prefer any other route to this one, which is about to go (RFC 8326).
const GracefulShutdown Community = 0xFFFF0000

// wellKnown are the communities of IANA's registry "BGP Well-known Communities", by the names that routers'
// command lines give them: the registry's own in lower case, with dashes.
var wellKnown = []struct {
	community Community
	name      string
}{
	{GracefulShutdown, "graceful-shutdown"},    // RFC 8326
	{0xFFFF0001, "accept-own"},                 // RFC 7611
	{0xFFFF0002, "route-filter-translated-v4"}, // draft-l3vpn-legacy-rtc
	{0xFFFF0003, "route-filter-v4"},
	{0xFFFF0004, "route-filter-translated-v6"},
	{0xFFFF0005, "route-filter-v6"},
	{0xFFFF0006, "llgr-stale"},          // RFC 9494
	{0xFFFF0007, "no-llgr"},             // RFC 9494
	{0xFFFF0008, "accept-own-nexthop"},  // draft-agrewal-idr-accept-own-nexthop
	{0xFFFF0009, "standby-pe"},          // RFC 9026
	{0xFFFF029A, "blackhole"},           // RFC 7999
	{0xFFFFFF01, "no-export"},           // RFC 1997
	{0xFFFFFF02, "no-advertise"},        // RFC 1997
	{0xFFFFFF03, "no-export-subconfed"}, // RFC 1997
	{0xFFFFFF04, "no-peer"},             // RFC 3765
	{0xFFFFFF04, "nopeer"},              // as RFC 3765 and the registry have it; the first is printed
}

// String returns the name of a well-known community, else its two halves, such as 65000:100.
func (c Community) String() string {
	for _, w := range wellKnown {
		if w.community == c {
			return w.name
		}
	}
	return fmt.Sprintf("%d:%d", c>>16, c&0xFFFF)
}

// String returns large:65000:1:2 or the like: what ParseCommunity takes. Routers leave the first word out.
func (l LargeCommunity) String() string {
	return fmt.Sprintf("large:%d:%d:%d", l[0], l[1], l[2])
}

// ParseCommunity parses a community as objects give it: 65000:100, large:65000:1:2 or a well-known name. One of
// the first two results is the community, isLarge says which. An alias is none of these, and an error.
func ParseCommunity(text string) (standard Community, large LargeCommunity, isLarge bool, err error) {
	for _, w := range wellKnown {
		if w.name == text {
			return w.community, large, false, nil
		}
	}
	fail := fmt.Errorf("%q is not a community; give 65000:100, large:65000:1:2 or a well-known name such as no-export", text)
	if rest, ok := strings.CutPrefix(text, "large:"); ok {
		for i := range large {
			part, more, found := strings.Cut(rest, ":")
			// as many colons as there are numbers but one
			if found != (i < len(large)-1) || len(part) > 10 {
				return 0, LargeCommunity{}, false, fail
			}
			n, err := strconv.ParseUint(part, 10, 32)
			if err != nil {
				return 0, LargeCommunity{}, false, fail
			}
			large[i], rest = uint32(n), more
		}
		return 0, large, true, nil
	}
	first, second, _ := strings.Cut(text, ":")
	a, errA := strconv.ParseUint(first, 10, 16)
	b, errB := strconv.ParseUint(second, 10, 16)
	// leading zeros are fine as long as the schema takes them: five digits
	if errA != nil || errB != nil || len(first) > 5 || len(second) > 5 {
		return 0, LargeCommunity{}, false, fail
	}
	return Community(a<<16 | b), LargeCommunity{}, false, nil
}
