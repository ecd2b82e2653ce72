package plugin

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strings"
	"unicode"

	"sigs.k8s.io/yaml"
)

// Format says how a table is printed.
type Format struct {
	// Width of the terminal in characters; 0 if there is none, and nothing is wrapped.
	Width int
	// Wide shows all there is, in full.
	Wide bool
	// Colour shows states in colours, which are escape sequences.
	Colour bool
}

// WriteData prints a value for programs, as "json" or "yaml".
func WriteData(w io.Writer, as string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err == nil && as == "yaml" {
		data, err = yaml.JSONToYAML(data)
	}
	if err != nil {
		return fmt.Errorf("encoding the output as %s: %w", as, err)
	}
	_, err = fmt.Fprintln(w, strings.TrimSuffix(string(data), "\n"))
	return err
}

// printable is s without what a terminal would obey: conditions can be written by others than the
// controller, and they quote annotations.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s)
}

// short prints a count in a few characters: a /64 has 20 digits, of which nobody reads the last.
func short(n *big.Int) string {
	if n.BitLen() <= 24 {
		return n.String()
	}
	low := new(big.Int).Lsh(big.NewInt(1), uint(n.BitLen()-1))
	if n.Cmp(low) == 0 {
		return fmt.Sprintf("2^%d", n.BitLen()-1)
	}
	// Within a thousandth of a power of two, which is what is left of a CIDR.
	for _, power := range []*big.Int{low, new(big.Int).Lsh(low, 1)} {
		off := new(big.Int).Sub(n, power)
		if off.Abs(off).Mul(off, big.NewInt(1000)).Cmp(power) < 0 {
			return fmt.Sprintf("~2^%d", power.BitLen()-1)
		}
	}
	f, _ := new(big.Float).SetInt(n).Float64()
	return strings.Replace(fmt.Sprintf("%.1e", f), "e+", "e", 1)
}

// shortNumber is short for a number that a status has as a string.
func shortNumber(s string) string {
	n, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return printable(s)
	}
	return short(n)
}

// count is "1 Service", "2 Services".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// enumerate is "a", "a and b", "a, b and c".
func enumerate(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " and " + list[last]
}
