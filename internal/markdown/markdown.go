// Package markdown finds in a page what a test can hold it to: headings, links and fenced blocks. It reads the plain
// Markdown that docs/ is written in, as GitHub shows it, and decides nothing.
package markdown

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// Page is what there is to check in a page.
type Page struct {
	Headings []Heading
	Links    []Link
	Blocks   []Block
	// NotRun is why no block of the page is to be run, empty if they are: a comment such as "page not run: why".
	NotRun string
}

// Heading is a line that begins with #.
type Heading struct {
	Level  int
	Text   string // without Markdown's marks
	Anchor string // what GitHub, and Hugo after it, call it
	Line   int
}

// Link is a target of a link or an image, as written.
type Link struct {
	Target string
	Line   int
}

// External tells whether the link leaves the repository.
func (l Link) External() bool { return external.MatchString(l.Target) }

// Split returns the path and the anchor of a link.
func (l Link) Split() (path, anchor string) {
	path, anchor, _ = strings.Cut(l.Target, "#")
	return path, anchor
}

// Block is a fenced block of code.
type Block struct {
	Info    string // sh, yaml, console, ...
	Text    string
	Comment string // what an HTML comment right before it says, such as "not run: why"
	Line    int    // of its first line of text
}

// NotRun is why the block's commands are not to be run, empty if they are.
func (b Block) NotRun() string {
	for _, mark := range []string{"not run:", "quickstart:"} {
		if why, ok := strings.CutPrefix(b.Comment, mark); ok {
			return strings.TrimSpace(why)
		}
	}
	return ""
}

var (
	external   = regexp.MustCompile(`^([a-z][a-z0-9+.-]*:|//)`)
	heading    = regexp.MustCompile(`^(#{1,6}) +(.*?)(?: +#+)?$`)
	fence      = regexp.MustCompile("^ {0,3}(```+|~~~+) *([^ `]*)")
	inline     = regexp.MustCompile("`+[^`]*`+")
	linkText   = regexp.MustCompile(`!?\[([^\]]*)\]\([^)]*\)`)
	target     = regexp.MustCompile(`\]\(<?([^)>\s]+)>?(?:\s+"[^"]*")?\)`)
	definition = regexp.MustCompile(`^ {0,3}\[[^\]]+\]: +(\S+)`)
	attribute  = regexp.MustCompile(`<(?:a|img|source)\b[^>]*?\b(?:href|src|srcset)="([^"\s]+)`)
	comment    = regexp.MustCompile(`(?s)^<!--(.*?)-->$`)
)

// Parse reads a page.
func Parse(text string) (p Page) {
	var open string // the fence that ends the block
	var block *Block
	var before, note string // the comment that the last lines were, and one that is not closed yet
	code := true            // whether a line that is indented is code: not within a paragraph, or an item of a list
	anchors := map[string]int{}
	for number, line := range strings.Split(text, "\n") {
		number++
		if block != nil {
			if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, open) && strings.Trim(trimmed, open[:1]) == "" {
				p.Blocks = append(p.Blocks, *block)
				block = nil
				continue
			}
			block.Text += line + "\n"
			continue
		}
		if parts := fence.FindStringSubmatch(line); parts != nil {
			open, block = parts[1], &Block{Info: parts[2], Comment: before, Line: number + 1}
			before = ""
			continue
		}
		if note != "" || strings.HasPrefix(line, "<!--") {
			note = strings.TrimSpace(note + "\n" + line)
			if parts := comment.FindStringSubmatch(note); parts != nil {
				before, note = strings.Join(strings.Fields(parts[1]), " "), ""
				if why, ok := strings.CutPrefix(before, "page not run:"); ok {
					p.NotRun = strings.TrimSpace(why)
				}
			}
			continue
		}
		if strings.TrimSpace(line) != "" {
			before = ""
		}
		indented := strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")
		if indented && code {
			continue
		}
		code = strings.TrimSpace(line) == ""
		if parts := heading.FindStringSubmatch(line); parts != nil {
			h := Heading{Level: len(parts[1]), Text: plain(parts[2]), Line: number}
			h.Anchor = Anchor(h.Text)
			if n := anchors[h.Anchor]; n > 0 {
				anchors[h.Anchor]++
				h.Anchor = fmt.Sprintf("%s-%d", h.Anchor, n)
			} else {
				anchors[h.Anchor] = 1
			}
			p.Headings = append(p.Headings, h)
		}
		line = inline.ReplaceAllString(line, "")
		for _, form := range []*regexp.Regexp{target, definition, attribute} {
			for _, found := range form.FindAllStringSubmatch(line, -1) {
				p.Links = append(p.Links, Link{found[1], number})
			}
		}
	}
	return p
}

// plain is a heading's text without links and marks.
func plain(text string) string {
	text = linkText.ReplaceAllString(text, "$1")
	return strings.NewReplacer("`", "", "**", "").Replace(text)
}

// Anchor is what a heading is called in a link, by GitHub's rule.
func Anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsNumber(r), unicode.Is(unicode.Mn, r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, heading)
}
