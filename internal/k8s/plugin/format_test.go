package plugin

import (
	"math/big"
	"slices"
	"strings"
	"testing"
)

func TestShort(t *testing.T) {
	tests := []struct{ n, want string }{
		{"0", "0"}, {"254", "254"}, {"16777215", "16777215"}, {"16777216", "2^24"},
		{"18446744073709551616", "2^64"}, {"18446744073709551613", "~2^64"}, {"18446744073709551626", "~2^64"},
		{"27670116110564327424", "2.8e19"}, {"many", "many"},
	}
	for _, tt := range tests {
		if got := shortNumber(tt.n); got != tt.want {
			t.Errorf("shortNumber(%s) = %s, want %s", tt.n, got, tt.want)
		}
	}
	if got := short(new(big.Int).Lsh(big.NewInt(1), 128)); got != "2^128" {
		t.Errorf("all of IPv6 is %s", got)
	}
}

func TestWrap(t *testing.T) {
	tests := []struct {
		text  string
		width int
		want  []string
	}{
		{"", 10, []string{""}},
		{"one two three", 13, []string{"one two three"}},
		{"one two three", 12, []string{"one two", "three"}},
		{"a-word-longer-than-the-line b", 5, []string{"a-word-longer-than-the-line", "b"}},
		{"zwölf Wörter", 6, []string{"zwölf", "Wörter"}},
	}
	for _, tt := range tests {
		if got := wrap(tt.text, tt.width); !slices.Equal(got, tt.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

// What others wrote into a status does not command the terminal of who reads it.
func TestTablesPrintNoControlCharacters(t *testing.T) {
	var out strings.Builder
	table := table{header: []string{"A", "B"}}
	table.add("x\x1b[2Jy", "one\r\ntwo\x07 \u202ethree")
	if err := table.write(&out, 80); err != nil {
		t.Fatal(err)
	}
	if want := "A       B\nx?[2Jy  one? two? ?three\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
