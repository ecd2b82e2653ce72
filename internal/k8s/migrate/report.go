package migrate

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// WriteReport prints what became of each field, and at the end what is to be done. What is the same of many objects is
// said once, and what says nothing of anybody's wishes is only counted: a cluster may have thousands of Services.
func (r *Result) WriteReport(w io.Writer) error {
	var b strings.Builder
	tasks := tasksOf(r.Report)
	left := &leftOut{of: map[string]bool{}}
	for _, block := range r.blocks(tasks, left) {
		b.WriteString(block.heading() + "\n" + block.body + "\n")
	}
	b.WriteString(strings.Join(wrap(strings.TrimSpace(r.Summary.String()+" "+left.sentence(r.System)), width), "\n") + "\n")
	tasks.write(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// leftOut is what the report counts and does not list.
type leftOut struct {
	of       map[string]bool
	services int
}

func (l *leftOut) sentence(s System) string {
	var parts []string
	for _, what := range []string{leftNamespaces, leftTools} {
		if l.of[what] {
			parts = append(parts, what)
		}
	}
	if l.services > 0 {
		parts = append(parts, count(l.services, "Service")+" that "+verb(l.services, "asks", "ask")+" nothing of "+s.Name())
	}
	if len(parts) == 0 {
		return ""
	}
	return "Counted, and not listed but by -o json: " + strings.Join(parts, "; ") + "."
}

const (
	leftNamespaces = "namespaces, which Fairlead's objects do not have"
	leftTools      = "what Kubernetes, tools and load balancers write themselves"
)

// plain is a field that is carried over, with nothing more to say.
func (f *Finding) plain() bool { return f.Outcome == Carried && f.Why == "" && f.Do == "" }

// dull is what is not worth a line: empty if it is.
func (f *Finding) dull() string {
	switch {
	case f.Do != "":
		return ""
	case f.Field == "metadata.namespace" && f.Why == noNamespace:
		return leftNamespaces
	case slices.Contains([]string{markOfTool, noConfiguration, emptyStatus, ofSource}, f.Why), strings.Contains(f.Why, writesIt):
		return leftTools
	}
	return ""
}

// block is what is said of an object, or alike of several.
type block struct {
	entries []*Entry
	body    string
	// together names the objects in a row: they became nothing.
	together bool
	title    string
}

// blocks are the entries in their order, but for the Services, which are one block: each has its own few of the same
// annotations.
func (r *Result) blocks(tasks *tasks, left *leftOut) (list []*block) {
	at := map[string]*block{}
	var services []*Entry
	for _, e := range r.Report {
		if e.Kind == "Service" && e.APIVersion == "v1" {
			if services == nil {
				list = append(list, nil) // their place
			}
			services = append(services, e)
			continue
		}
		body := e.body(tasks, left)
		if body == "" && len(e.Made) == 0 {
			continue
		}
		together := len(e.Findings) == 1 && e.Findings[0].Field == "" && len(e.Made) == 0
		key := body
		if !together {
			key = e.Kind + "\n" + body
		}
		if before := at[key]; before != nil {
			before.entries = append(before.entries, e)
			continue
		}
		at[key] = &block{entries: []*Entry{e}, body: body, together: together}
		list = append(list, at[key])
	}
	if i := slices.Index(list, nil); i >= 0 {
		if list[i] = servicesBlock(services, tasks, left); list[i] == nil {
			list = slices.Delete(list, i, i+1)
		}
	}
	return list
}

// servicesBlock says each thing once, with the Services that it is about.
func servicesBlock(services []*Entry, tasks *tasks, left *leftOut) *block {
	said, about := []Finding{}, map[Finding][]string{}
	var some []*Entry // that there is something to say of
	for _, e := range services {
		any := false
		for _, f := range e.Findings {
			if f.Why == saysNothing {
				continue
			}
			if dull := f.dull(); dull != "" {
				left.of[dull] = true
				continue
			}
			any = true
			f.Command = ""
			if about[f] == nil {
				said = append(said, f)
			}
			about[f] = append(about[f], strings.TrimPrefix(e.Title(), "Service "))
		}
		if any {
			some = append(some, e)
		} else {
			left.services++
		}
	}
	if len(some) == 0 {
		return nil
	}
	var b strings.Builder
	for _, f := range said {
		text := f.sentence(tasks)
		if names := about[f]; len(some) > 1 {
			text += " (" + someOf(names, len(some)) + ")"
		}
		item(&b, f.Outcome.words(), text)
	}
	x := &block{entries: some, body: b.String()}
	if len(some) > 1 {
		x.title = count(len(some), "Service")
	}
	return x
}

// someOf names the first of some things, of so many in all.
func someOf(names []string, all int) string {
	const most = 3
	switch n := len(names); {
	case n == all && n > most:
		return "all of them"
	case n > most+1:
		return fmt.Sprintf("%d of them: %s and %d more", n, strings.Join(names[:most], ", "), n-most)
	}
	return strings.Join(names, ", ")
}

// body is what is said of an object's fields; empty if that is nothing.
func (e *Entry) body(tasks *tasks, left *leftOut) string {
	var b strings.Builder
	var carried []string
	for _, f := range e.Findings {
		if f.plain() {
			carried = append(carried, f.Field)
		}
	}
	if len(carried) > 0 {
		item(&b, "carried", strings.Join(carried, ", "))
	}
	for _, f := range e.Findings {
		if dull := f.dull(); dull != "" {
			left.of[dull] = true
		} else if !f.plain() {
			item(&b, f.Outcome.words(), f.sentence(tasks))
		}
	}
	return b.String()
}

// heading names the objects of a block, or some of them and how many more.
func (x *block) heading() string {
	const most = 6
	if x.title != "" {
		return x.title
	}
	var names []string
	for _, e := range x.entries[:min(len(x.entries), most)] {
		name := e.heading()
		if x.together && len(x.entries) > 1 {
			name = e.Title()
		}
		names = append(names, name)
	}
	more := ""
	if n := len(x.entries) - most; n > 0 {
		more = fmt.Sprintf("and %d more", n)
	}
	if x.together {
		return folded(strings.TrimSpace(strings.Join(names, ", ") + " " + more))
	}
	for i := range names {
		names[i] = folded(names[i])
	}
	if more != "" {
		names = append(names, more+" in the same way")
	}
	return strings.Join(names, "\n")
}

// folded is a line that continues indented.
func folded(text string) string { return strings.Join(wrap(text, width-4), "\n    ") }

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

func (f *Finding) sentence(tasks *tasks) string {
	var parts []string
	if f.Why != "" {
		parts = append(parts, f.Why)
	}
	if f.Do != "" {
		parts = append(parts, fmt.Sprintf("to do: %d below", tasks.number(f.Do)))
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
