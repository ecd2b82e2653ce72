package plugin

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"
)

// table is rows of cells under a header, if it has one. The last column holds sentences: where the terminal ends it
// continues below itself.
type table struct {
	header []string
	rows   [][]string
	// styles of the cells of some columns, used if colour is true.
	styles map[int]func(string) style
	colour bool
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

const (
	gap = 2
	// A last column narrower than this would be hard to read: rather let the terminal break the line.
	leastWrap = 24
)

// fits tells whether the terminal has room for every row in full.
func (t *table) fits(width int) bool {
	if width == 0 || len(t.rows) == 0 {
		return true
	}
	widths := make([]int, len(t.rows[0]))
	for _, row := range append([][]string{t.header}, t.rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(printable(cell)))
		}
	}
	total := -gap
	for _, n := range widths {
		total += n + gap
	}
	return total <= width
}

// dropLast removes the last column.
func (t *table) dropLast() {
	t.header = t.header[:len(t.header)-1]
	for i, row := range t.rows {
		t.rows[i] = row[:len(row)-1]
	}
}

// writeBeneath prints a table of things of one noun and of these names. Where the terminal is too narrow for its last
// column, that is beneath it, each message once.
func (t *table) writeBeneath(w io.Writer, width int, noun string, names []string) error {
	if t.fits(width) {
		return t.write(w, width)
	}
	var messages grouped
	for i, row := range t.rows {
		if message := row[len(row)-1]; message != "" {
			messages.add(message, names[i])
		}
	}
	t.dropLast()
	if err := t.write(w, 0); err != nil {
		return err
	}
	for i, message := range messages.said {
		if i == 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		whose := count(len(messages.of[message]), noun)
		if len(messages.of[message]) <= 5 {
			whose = strings.Join(messages.of[message], ", ")
		}
		if err := writeParagraph(w, width, whose+": "+message); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) write(w io.Writer, width int) error {
	rows := t.rows
	if t.header != nil {
		rows = append([][]string{t.header}, rows...)
	}
	if len(rows) == 0 {
		return nil
	}
	last := len(rows[0]) - 1
	widths := make([]int, last)
	for _, row := range rows {
		for i := range widths {
			row[i] = printable(row[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		row[last] = printable(row[last])
	}
	indent := gap * last
	for _, n := range widths {
		indent += n
	}
	b := bufio.NewWriter(w)
	for at, row := range rows {
		styled := func(i int, text string) string {
			if of := t.styles[i]; t.colour && of != nil && (at > 0 || t.header == nil) {
				return of(row[i]).of(text)
			}
			return text
		}
		var line strings.Builder
		for i, n := range widths {
			line.WriteString(styled(i, row[i]))
			line.WriteString(strings.Repeat(" ", n-utf8.RuneCountInString(row[i])+gap))
		}
		lines := []string{row[last]}
		if width > 0 {
			lines = wrap(row[last], max(width-indent, leastWrap))
		}
		for i, text := range lines {
			if i > 0 {
				line.WriteString(strings.Repeat(" ", indent))
			}
			line.WriteString(styled(last, text))
			b.WriteString(strings.TrimRight(line.String(), " "))
			b.WriteByte('\n')
			line.Reset()
		}
	}
	return b.Flush()
}

// wrap breaks a text at spaces into lines of at most width characters, as far as its words allow.
func wrap(s string, width int) []string {
	var lines []string
	line, length := "", 0
	for word := range strings.FieldsSeq(s) {
		n := utf8.RuneCountInString(word)
		if length > 0 && length+1+n > width {
			lines = append(lines, line)
			line, length = "", 0
		}
		if length > 0 {
			line += " "
			length++
		}
		line += word
		length += n
	}
	return append(lines, line)
}

// writeParagraph prints a text, wrapped to the terminal, with what continues it indented.
func writeParagraph(w io.Writer, width int, text string) error {
	text = printable(text)
	const indent = "  "
	if width > 0 {
		text = strings.Join(wrap(text, max(width-len(indent), leastWrap)), "\n"+indent)
	}
	_, err := io.WriteString(w, text+"\n")
	return err
}
