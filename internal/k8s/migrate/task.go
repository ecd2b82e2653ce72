package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// task is something to do about a source.
type task struct {
	e *Entry
	f Finding
}

// tasks are what is to be done, each once, in order, with those that it is to be done about.
type tasks struct {
	order []string
	about map[string][]task
}

func tasksOf(report []*Entry) *tasks {
	t := &tasks{about: map[string][]task{}}
	for _, e := range report {
		for _, f := range e.Findings {
			if f.Do == "" {
				continue
			}
			if t.about[f.Do] == nil {
				t.order = append(t.order, f.Do)
			}
			t.about[f.Do] = append(t.about[f.Do], task{e, f})
		}
	}
	return t
}

// number is what the list calls a task.
func (t *tasks) number(do string) int { return slices.Index(t.order, do) + 1 }

// write lists them.
func (t *tasks) write(b *strings.Builder) {
	if len(t.order) > 0 {
		b.WriteString("\nTo do:\n")
	}
	for i, do := range t.order {
		about := t.about[do]
		where := about[0].e.Title()
		if field := about[0].f.Field; field != "" {
			where += ": " + field
		}
		if n := len(about) - 1; n > 0 {
			where += fmt.Sprintf(" and %d more", n)
		}
		prefix := fmt.Sprintf("%3d. ", i+1)
		b.WriteString(prefix + strings.Join(wrap(upperFirst(do)+" ("+where+")", width-len(prefix)), "\n"+strings.Repeat(" ", len(prefix))) + "\n")
		var commands []string
		for _, x := range about {
			if c := x.f.Command; c != "" && !slices.Contains(commands, c) {
				commands = append(commands, c)
				b.WriteString("       " + strings.Join(breakCommand(c, width-11), " \\\n         ") + "\n")
			}
		}
	}
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
