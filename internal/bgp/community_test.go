package bgp

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func TestParseCommunity(t *testing.T) {
	tests := []struct {
		name, in string
		standard Community
		large    LargeCommunity
		isLarge  bool
		printed  string // if not as given
		bad      bool
	}{
		{name: "two halves", in: "65000:100", standard: 65000<<16 | 100},
		{name: "the lowest", in: "0:0", standard: 0},
		{name: "the highest", in: "65535:65535", standard: 0xFFFFFFFF},
		{name: "leading zeros, as far as the schema takes them", in: "00001:00002", standard: 1<<16 | 2, printed: "1:2"},
		{name: "large", in: "large:65000:1:2", large: LargeCommunity{65000, 1, 2}, isLarge: true},
		{name: "the highest large one", in: "large:4294967295:4294967295:4294967295", isLarge: true,
			large: LargeCommunity{1<<32 - 1, 1<<32 - 1, 1<<32 - 1}},
		{name: "large with leading zeros", in: "large:0000000001:0:00", large: LargeCommunity{1, 0, 0}, isLarge: true, printed: "large:1:0:0"},
		{name: "a well-known name", in: "no-export", standard: 0xFFFFFF01},
		{name: "a well-known community by its number", in: "65535:65281", standard: 0xFFFFFF01, printed: "no-export"},
		{name: "graceful shutdown", in: "graceful-shutdown", standard: 65535 << 16},
		{name: "blackhole is 65535:666", in: "65535:666", standard: 0xFFFF029A, printed: "blackhole"},
		{name: "two names of one", in: "nopeer", standard: 0xFFFFFF04, printed: "no-peer"},
		{name: "a community that is not assigned in a range that is", in: "65535:10", standard: 0xFFFF000A},

		{name: "nothing", in: "", bad: true},
		{name: "an alias", in: "edge-preferred", bad: true},
		{name: "a well-known name spelt otherwise could be an alias", in: "NO_EXPORT", bad: true},
		{name: "one number", in: "65000", bad: true},
		{name: "no second half", in: "65000:", bad: true},
		{name: "no first half", in: ":100", bad: true},
		{name: "a half too large", in: "65536:1", bad: true},
		{name: "three numbers without the word large", in: "65000:1:2", bad: true},
		{name: "too many zeros", in: "000001:1", bad: true},
		{name: "a sign", in: "+1:1", bad: true},
		{name: "hexadecimal", in: "0x1:1", bad: true},
		{name: "a space", in: "65000: 1", bad: true},
		{name: "large with two numbers", in: "large:1:2", bad: true},
		{name: "large with four numbers", in: "large:1:2:3:4", bad: true},
		{name: "large with a colon at the end", in: "large:1:2:3:", bad: true},
		{name: "large with an empty number", in: "large:1::3", bad: true},
		{name: "large with a number too large", in: "large:1:2:4294967296", bad: true},
		{name: "large with too many zeros", in: "large:00000000001:2:3", bad: true},
		{name: "large and nothing", in: "large:", bad: true},
		{name: "large alone, an alias", in: "large", bad: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			standard, large, isLarge, err := ParseCommunity(tt.in)
			if tt.bad {
				if err == nil || !strings.Contains(err.Error(), strconv.Quote(tt.in)) {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil || standard != tt.standard || large != tt.large || isLarge != tt.isLarge {
				t.Fatalf("got %v %v %v, %v", standard, large, isLarge, err)
			}
			want, got := tt.printed, standard.String()
			if want == "" {
				want = tt.in
			}
			if isLarge {
				got = large.String()
			}
			if got != want {
				t.Errorf("printed %s, want %s", got, want)
			}
		})
	}
}

func TestWellKnownNamesFollowTheirNumbers(t *testing.T) {
	for i := 1; i < len(wellKnown); i++ {
		if wellKnown[i].community < wellKnown[i-1].community {
			t.Errorf("%s is out of order", wellKnown[i].name)
		}
	}
}

// What the schema of CommunityReference takes; the numbers are looked at besides.
var (
	standardForm = regexp.MustCompile(`^[0-9]{1,5}:[0-9]{1,5}$`)
	largeForm    = regexp.MustCompile(`^large(:[0-9]{1,10}){3}$`)
)

// FuzzParseCommunity: it takes what the schema takes, and no more; what it takes is printed so that it is taken again.
func FuzzParseCommunity(f *testing.F) {
	for _, s := range []string{"65000:100", "large:65000:1:2", "no-export", "edge", "", "large:1:2", "65536:1", "\n1:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		standard, large, isLarge, err := ParseCommunity(text)
		if want := inSchema(text); (err == nil) != want {
			t.Fatalf("%q: %v; the schema says %v", text, err, want)
		}
		if err != nil {
			return
		}
		printed := standard.String()
		if isLarge {
			printed = large.String()
		}
		standard2, large2, isLarge2, err := ParseCommunity(printed)
		if err != nil || standard2 != standard || large2 != large || isLarge2 != isLarge {
			t.Fatalf("%q was printed as %q, which is %v %v %v, %v", text, printed, standard2, large2, isLarge2, err)
		}
	})
}

// inSchema tells whether the schema takes a text, and not as an alias.
func inSchema(text string) bool {
	limit := uint64(1<<16 - 1)
	switch {
	case standardForm.MatchString(text):
	case largeForm.MatchString(text):
		limit, text = 1<<32-1, strings.TrimPrefix(text, "large:")
	default:
		for _, w := range wellKnown {
			if w.name == text {
				return true
			}
		}
		return false
	}
	for n := range strings.SplitSeq(text, ":") {
		if v, err := strconv.ParseUint(n, 10, 64); err != nil || v > limit {
			return false
		}
	}
	return true
}
