package migrate

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"sigs.k8s.io/yaml"
)

// WriteObjects prints the objects for kubectl apply, each with a comment that says where it came from.
func (r *Result) WriteObjects(w io.Writer) error {
	var b strings.Builder
	for i, o := range r.Objects {
		if i > 0 {
			b.WriteString("---\n")
		}
		for _, from := range o.From {
			comment(&b, "From "+from)
		}
		for _, note := range o.Notes {
			comment(&b, note)
		}
		body, err := yaml.Marshal(o.Body)
		if err != nil {
			return fmt.Errorf("printing %s %s: %w", o.Kind, o.Name, err)
		}
		b.Write(body)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func comment(b *strings.Builder, text string) {
	for _, line := range wrap(text, width-2) {
		b.WriteString("# " + line + "\n")
	}
}

// width is what every terminal has.
const width = 80

// String is the line that counts.
func (s Summary) String() string {
	return fmt.Sprintf("%s read, %s made. Fields: %d carried, %d changed, %d without a counterpart, %d unknown.",
		count(s.Sources, "object"), count(s.Objects, "object"), s.Carried, s.Changed, s.NoCounterpart, s.Unknown)
}

// verb is the form of a verb for so many things.
func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// wrap breaks text at spaces. What comes from objects is printed as it is, but for characters that would move
// the cursor.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(printable(text)) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// quoted is a word as a shell takes it, whatever is in it: a file may give an object any name.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// breakCommand breaks a command at spaces that are outside quotes.
func breakCommand(command string, width int) (lines []string) {
	line, word, quoted, escaped := "", "", false, false
	flush := func() {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
		word = ""
	}
	for _, r := range printable(command) {
		if r == '\'' && !escaped {
			quoted = !quoted
		}
		escaped = r == '\\' && !quoted && !escaped
		if r == ' ' && !quoted {
			flush()
			continue
		}
		word += string(r)
	}
	flush()
	return append(lines, line)
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
