package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// columns is the width that everything written for a person keeps to, as far as its words allow.
const columns = 80

// teller writes for a person: paragraphs, lists, and commands with their output as it came. A blank line is
// between any two of them.
type teller struct {
	out  io.Writer
	bold bool

	mu   sync.Mutex // the lab's progress comes from its goroutines
	last block
}

// block is a piece of text; items of a list and lines of progress make one together.
type block int

const (
	nothing block = iota
	paragraph
	list
	progress
)

// newTeller uses bold type if the file is a terminal and nobody minds (https://no-color.org).
func newTeller(file *os.File) *teller {
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return &teller{out: file, bold: err == nil && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (t *teller) write(kind block, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last != nothing && (kind == paragraph || kind != t.last) {
		text = "\n" + text
	}
	t.last = kind
	fmt.Fprintln(t.out, text)
}

// chapter begins one.
func (t *teller) chapter(title string) { t.write(paragraph, t.strong("=== "+title+" ===")) }

// say writes a paragraph.
func (t *teller) say(format string, arguments ...any) {
	t.write(paragraph, fold(fmt.Sprintf(format, arguments...), columns, "", ""))
}

// fact writes one item of a list.
func (t *teller) fact(format string, arguments ...any) {
	t.write(list, fold(fmt.Sprintf(format, arguments...), columns, "  * ", "    "))
}

// progress writes a line about what is going on.
func (t *teller) progress(line string) { t.write(progress, line) }

// show writes a command and what it has answered.
func (t *teller) show(prompt string, command []string, output string) {
	// Two columns are for the backslash of a command that goes on.
	lines := strings.Split(fold(strings.Join(command, " "), columns-2, prompt+" ", "    "), "\n")
	for i := range lines {
		lines[i] = t.strong(lines[i])
	}
	lines = []string{strings.Join(lines, " \\\n")}
	for line := range strings.Lines(output) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	t.write(paragraph, strings.Join(lines, "\n"))
}

func (t *teller) strong(text string) string {
	if !t.bold {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

// fold breaks a text between words into lines of at most width columns. The first line begins with one prefix,
// all others with the other. A word that is too long stays whole.
func fold(text string, width int, first, others string) string {
	var lines []string
	line, empty := first, true
	for _, word := range strings.Fields(text) {
		if !empty && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line, empty = others, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	return strings.Join(append(lines, line), "\n")
}

// enumerate joins words as a sentence does: a, b and c.
func enumerate(words []string) string {
	switch n := len(words); n {
	case 0:
		return "none"
	case 1:
		return words[0]
	default:
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
}
