package main

import (
	"strings"
	"testing"
	"time"
)

func TestFold(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"leaves a short text alone", "one two", "* one two"},
		{"breaks between words and indents what follows", "one two three four five", "* one two three\n  four five"},
		{"fills a line to its last column", "one two three fours", "* one two three\n  fours"},
		{"keeps a word whole that is wider than a line", "a 2001:db8:1:2:3:4:5:6 b", "* a\n  2001:db8:1:2:3:4:5:6\n  b"},
		{"takes blanks and line ends as one blank each", "one\n  two", "* one two"},
		{"makes an item of nothing", "", "* "},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := fold(c.text, 15, "* ", "  "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Blocks are apart, the items of a list are not, and a command can be pasted into a shell.
func TestTeller(t *testing.T) {
	var out strings.Builder
	tell := &teller{out: &out}
	tell.chapter("1. First")
	tell.progress("working")
	tell.progress("done")
	tell.say("There are %d:", 2)
	tell.fact("this")
	tell.fact("that")
	tell.show("$", []string{"kubectl", "get", "events", "--field-selector=" + strings.Repeat("x", 55), "-o=wide"}, "NAME   AGE \nweb    1s\n\n")
	want := `=== 1. First ===

working
done

There are 2:

  * this
  * that

$ kubectl get events \
    --field-selector=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx \
    -o=wide
NAME   AGE
web    1s

`
	if got := out.String(); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	for line := range strings.Lines(want) {
		if len(strings.TrimSuffix(line, "\n")) > columns {
			t.Errorf("wider than %d columns: %s", columns, line)
		}
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct {
		words []string
		want  string
	}{
		{nil, "none"},
		{[]string{"node1"}, "node1"},
		{[]string{"node1", "node2"}, "node1 and node2"},
		{[]string{"node1", "node2", "node3"}, "node1, node2 and node3"},
	} {
		if got := enumerate(c.words); got != c.want {
			t.Errorf("%q: got %q, want %q", c.words, got, c.want)
		}
	}
	for took, want := range map[time.Duration]string{
		432 * time.Microsecond: "0.4 ms", 5 * time.Millisecond: "5 ms", 1234567 * time.Microsecond: "1234 ms",
	} {
		if got := milliseconds(took); got != want {
			t.Errorf("%s: got %q, want %q", took, got, want)
		}
	}
}
