package docs_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/markdown"
	"github.com/google/go-cmp/cmp"
)

// pages are all pages of the repository by their path in it.
func pages(t *testing.T) map[string]markdown.Page {
	t.Helper()
	all := map[string]markdown.Page{}
	err := fs.WalkDir(os.DirFS(".."), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && (strings.HasPrefix(entry.Name(), ".") || slices.Contains([]string{"build", "testdata", "node_modules"}, entry.Name())):
			return fs.SkipDir
		case path.Ext(name) != ".md":
			return nil
		}
		text, err := os.ReadFile(filepath.Join("..", name))
		all[name] = markdown.Parse(string(text))
		return err
	})
	if err != nil || len(all) < 8 {
		t.Fatalf("%d pages (%v)", len(all), err)
	}
	return all
}

// Every link within the repository finds a file of it and, where it has an anchor, a heading. Links to elsewhere are
// listed (go test -v) and not followed.
func TestLinks(t *testing.T) {
	all := pages(t)
	elsewhere := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, l := range all[name].Links {
			if l.External() {
				elsewhere[l.Target] = true
			} else if wrong := follow(all, name, l); wrong != "" {
				t.Errorf("%s:%d: %s: %s", name, l.Line, l.Target, wrong)
			}
		}
	}
	t.Logf("not followed:\n%s", strings.Join(slices.Sorted(maps.Keys(elsewhere)), "\n"))
}

// follow says what is wrong with a link of a page.
func follow(all map[string]markdown.Page, from string, l markdown.Link) string {
	to, anchor := l.Split()
	if strings.HasPrefix(to, "/") {
		return "write it relative to the page"
	}
	file := from
	if to != "" {
		file = path.Join(path.Dir(from), to)
	}
	if file == ".." || strings.HasPrefix(file, "../") {
		return "is outside of the repository"
	}
	if _, err := os.Stat(filepath.Join("..", file)); err != nil {
		return "there is no such file"
	}
	page, ok := all[file]
	switch {
	case anchor == "":
		return ""
	case !ok:
		return "an anchor of what is no page"
	case !slices.ContainsFunc(page.Headings, func(h markdown.Heading) bool { return h.Anchor == anchor }):
		return "the page has no such heading"
	}
	return ""
}

// Who begins at docs/index.md finds every page, and the site's navigation is made of it.
func TestIndexHasEveryPage(t *testing.T) {
	all := pages(t)
	for _, index := range []string{"docs/index.md", "docs/zh/index.md"} {
		page, ok := all[index]
		if !ok {
			if index == "docs/index.md" {
				t.Errorf("there is no %s", index)
			}
			continue
		}
		named := map[string]bool{}
		for _, l := range page.Links {
			to, _ := l.Split()
			named[path.Join(path.Dir(index), to)] = true
		}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			in := strings.HasPrefix(name, path.Dir(index)+"/") && (index != "docs/index.md" || !strings.HasPrefix(name, "docs/zh/"))
			if in && name != index && !named[name] {
				t.Errorf("%s does not name %s", index, name)
			}
		}
	}
}

// A page has one title, which is its first line, and skips no level.
func TestHeadings(t *testing.T) {
	for name, page := range pages(t) {
		if !strings.HasPrefix(name, "docs/") {
			continue
		}
		level := 0
		for i, h := range page.Headings {
			if (h.Level == 1) != (i == 0) || h.Level > level+1 {
				t.Errorf("%s:%d: a heading of level %d after one of level %d", name, h.Line, h.Level, level)
			}
			level = h.Level
		}
		if len(page.Headings) == 0 || page.Headings[0].Line != 1 {
			t.Errorf("%s does not begin with its title", name)
		}
	}
}

// A page in Chinese has the headings and the fenced code of the page that it translates, in their order, and its links,
// so that the two do not drift apart. What is in its headings, comments and text is the translator's.
func TestChinesePagesFollowTheEnglish(t *testing.T) {
	all := pages(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		base, ok := strings.CutPrefix(name, "docs/zh/")
		if !ok {
			continue
		}
		english := "docs/" + base
		if _, ok := all[english]; !ok {
			t.Errorf("%s translates no page: there is no %s", name, english)
			continue
		}
		if diff := cmp.Diff(shape(all, english, false), shape(all, name, true)); diff != "" {
			t.Errorf("%s is not as %s (-English +Chinese):\n%s", name, english, diff)
		}
	}
}

// shape is what a page and its translation have in common, one line each.
func shape(all map[string]markdown.Page, name string, chinese bool) (lines []string) {
	page := all[name]
	for _, h := range page.Headings {
		lines = append(lines, "heading of level "+strings.Repeat("#", h.Level))
	}
	for _, b := range page.Blocks {
		lines = append(lines, fmt.Sprintf("```%s\n%s```", b.Info, code(b)))
	}
	var links []string // in any order: a sentence has another one in Chinese
	for _, l := range page.Links {
		if l.External() {
			links = append(links, l.Target)
			continue
		}
		to, anchor := l.Split()
		file := path.Join(path.Dir(name), to)
		if to == "" {
			file = name
		}
		at := slices.IndexFunc(all[file].Headings, func(h markdown.Heading) bool { return h.Anchor == anchor })
		if english := "docs/" + strings.TrimPrefix(file, "docs/zh/"); chinese && strings.HasPrefix(file, "docs/zh/") {
			file = english
		}
		if anchor != "" { // which is another word in Chinese, of a heading at the same place
			file += fmt.Sprintf("#%d", at)
		}
		links = append(links, file)
	}
	slices.Sort(links)
	return append(lines, links...)
}

// code is a block without its comments, which are translated.
func code(b markdown.Block) string {
	if b.Info != "sh" && b.Info != "yaml" {
		return b.Text
	}
	var lines []string
	for line := range strings.Lines(b.Text) {
		if at := strings.Index(line, "#"); at == 0 || at > 0 && line[at-1] == ' ' {
			line = strings.TrimRight(line[:at], " ") + "\n"
		}
		if line != "\n" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
