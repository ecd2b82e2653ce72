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

// WriteReport prints what became of each field, and at the end what is to be done.
func (r *Result) WriteReport(w io.Writer) error {
	var b strings.Builder
	var todo []task
	for _, group := range groups(r.Report) {
		e := group[0]
		b.WriteString(strings.Join(wrap(heading(group), width-4), "\n    ") + "\n")
		var carried []string
		for _, f := range e.Findings {
			if f.plain() {
				carried = append(carried, f.Field)
			}
			if f.Do != "" {
				todo = append(todo, task{e, f})
			}
		}
		if len(carried) > 0 {
			item(&b, "carried", strings.Join(carried, ", "))
		}
		for _, f := range e.Findings {
			if !f.plain() && !f.ofNamespace() {
				item(&b, f.Outcome.words(), f.sentence())
			}
		}
		b.WriteByte('\n')
	}
	summary := r.Summary.String()
	if r.Summary.Objects > 0 {
		summary += " Fairlead's objects are of no namespace; that change is counted, and not repeated above."
	}
	b.WriteString(strings.Join(wrap(summary, width), "\n") + "\n")
	writeTodo(&b, todo)
	_, err := io.WriteString(w, b.String())
	return err
}

// plain is a field that is carried over, with nothing more to say.
func (f *Finding) plain() bool { return f.Outcome == Carried && f.Why == "" && f.Do == "" }

// ofNamespace is what is the same for each source of a namespace.
func (f *Finding) ofNamespace() bool { return f.Field == "metadata.namespace" && f.Why == noNamespace }

// groups has one sentence about several objects said once: a cluster may have thousands of Services, and the manifest of
// a system dozens of roles.
func groups(report []*Entry) (list [][]*Entry) {
	at := map[Finding]int{}
	for _, e := range report {
		if len(e.Findings) == 1 && e.Findings[0].Field == "" && e.Findings[0].Do == "" && len(e.Made) == 0 {
			if i, ok := at[e.Findings[0]]; ok {
				list[i] = append(list[i], e)
				continue
			}
			at[e.Findings[0]] = len(list)
		}
		list = append(list, []*Entry{e})
	}
	return list
}

// heading names the sources of a group, or some of them and how many more.
func heading(group []*Entry) string {
	const most = 6
	if len(group) == 1 {
		return group[0].heading()
	}
	var names []string
	for _, e := range group[:min(len(group), most)] {
		names = append(names, e.Title())
	}
	text := strings.Join(names, ", ")
	if n := len(group) - most; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// task is something to do about a source.
type task struct {
	e *Entry
	f Finding
}

// writeTodo lists what is to be done, each once, with those that it is to be done about.
func writeTodo(b *strings.Builder, tasks []task) {
	about := map[string][]task{}
	for _, t := range tasks {
		about[t.f.Do] = append(about[t.f.Do], t)
	}
	number := 0
	for _, t := range tasks {
		same, ok := about[t.f.Do]
		if !ok {
			continue
		}
		delete(about, t.f.Do)
		if number == 0 {
			b.WriteString("\nTo do:\n")
		}
		number++
		where := t.e.Title()
		if t.f.Field != "" {
			where += ": " + t.f.Field
		}
		if n := len(same) - 1; n > 0 {
			where += fmt.Sprintf(" and %d more", n)
		}
		prefix := fmt.Sprintf("%3d. ", number)
		b.WriteString(prefix + strings.Join(wrap(upperFirst(t.f.Do)+" ("+where+")", width-len(prefix)), "\n"+strings.Repeat(" ", len(prefix))) + "\n")
		if t.f.Command != "" {
			b.WriteString("       " + strings.Join(breakCommand(t.f.Command, width-11), " \\\n         ") + "\n")
		}
	}
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func (e *Entry) heading() string {
	s := e.Title()
	if e.Place != "" {
		s += " (" + e.Place + ")"
	}
	if len(e.Made) > 0 {
		s += " -> " + strings.Join(e.Made, ", ")
	}
	return s
}

func (o Outcome) words() string {
	if o == NoCounterpart {
		return "no counterpart"
	}
	return strings.ToLower(string(o))
}

func (f *Finding) sentence() string {
	var parts []string
	if f.Why != "" {
		parts = append(parts, f.Why)
	}
	if f.Do != "" {
		parts = append(parts, "to do: "+f.Do)
	}
	s := strings.Join(parts, "; ")
	switch {
	case f.Field == "":
		return s
	case s == "":
		return f.Field
	}
	return f.Field + ": " + s
}

// item is a line of two columns that continues below its second.
func item(b *strings.Builder, name, text string) {
	const column = 18
	fmt.Fprintf(b, "  %-*s%s\n", column-2, name, strings.Join(wrap(text, width-column), "\n"+strings.Repeat(" ", column)))
}

// String is the line that counts.
func (s Summary) String() string {
	return fmt.Sprintf("%s read, %s made. Fields: %d carried, %d changed, %d without a counterpart, %d unknown.",
		count(s.Sources, "object"), count(s.Objects, "object"), s.Carried, s.Changed, s.NoCounterpart, s.Unknown)
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
