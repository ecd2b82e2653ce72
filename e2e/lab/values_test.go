package lab

import (
	"testing"
	"time"
)

func TestLongestGap(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }
	for _, test := range []struct {
		name    string
		answers []int // milliseconds after the begin
		end     int
		want    Gap
	}{
		{"no answer at all", nil, 50, Gap{at(0), at(50), true}},
		{"steady answers have the interval between them", []int{1, 11, 21, 31}, 35, Gap{at(1), at(11), false}},
		{"late to begin", []int{30, 40}, 50, Gap{at(0), at(30), false}},
		{"interrupted", []int{1, 11, 90, 100}, 105, Gap{at(11), at(90), false}},
		{"not back at the end", []int{1, 11}, 100, Gap{at(11), at(100), true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var answers []ProbeAnswer
			for _, ms := range test.answers {
				answers = append(answers, ProbeAnswer{At: at(ms)})
			}
			if got := longestGap(begin, at(test.end), answers); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestAddressesReadAlike(t *testing.T) {
	for _, test := range []struct {
		number      int
		v4, v6, mac string
	}{
		{numberCP, "192.0.2.2", "2001:db8::2", "02:fa:1e:ad:00:02"},
		{numberNodes, "192.0.2.11", "2001:db8::11", "02:fa:1e:ad:00:11"},
		{numberNodes + 9, "192.0.2.20", "2001:db8::20", "02:fa:1e:ad:00:20"},
		{numberClients, "192.0.2.101", "2001:db8::101", "02:fa:1e:ad:01:01"},
	} {
		v4, v6 := segmentAddresses(test.number)
		if v4.String() != test.v4 || v6.String() != test.v6 || segmentMAC(test.number).String() != test.mac {
			t.Errorf("host %d has %s, %s, %s", test.number, v4, v6, segmentMAC(test.number))
		}
	}
}

func TestDecodeManifest(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       int
		fails      bool
	}{
		{"nothing", "", 0, false},
		{"comments between separators", "# one\n---\n# two\n---\n", 0, false},
		{"two objects", "kind: A\nmetadata: {name: a}\n---\nkind: B\nmetadata: {name: b}\n", 2, false},
		{"an object without a name", "kind: A\n", 0, true},
		{"no YAML", "kind: [", 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			objects, err := decodeManifest([]byte(test.text))
			if len(objects) != test.want || (err != nil) != test.fails {
				t.Errorf("%d objects, %v", len(objects), err)
			}
		})
	}
}

func TestLastLines(t *testing.T) {
	for _, test := range []struct {
		name, text, want string
	}{
		{"less than asked for", "a\nb\n", "a\nb"},
		{"just as many", "a\nb\nc\n", "a\nb\nc"},
		{"more", "a\nb\nc\nd\n", "b\nc\nd"},
		{"nothing", "", ""},
	} {
		if got := string(lastLines([]byte(test.text), 3)); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
