// Package site has the documentation's site built, and holds what comes out to what a reader needs of it.
package site

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/html"
)

// page is what a file of HTML refers to, and what in it can be referred to.
type page struct {
	lang, title string
	headings    int // of the first level
	current     int // entries of the navigation that are this page
	links       []string
	loads       []string // what a browser fetches by itself
	ids         map[string]bool
}

// built is the directory that the site was built into, once.
var built = sync.OnceValues(func() (string, error) {
	directory, err := os.MkdirTemp("", "fairlead-site-")
	if err != nil {
		return "", err
	}
	command := exec.Command("go", "tool", "hugo", "--destination", directory, "--panicOnWarning", "--noBuildLock", "--quiet")
	if output, err := command.CombinedOutput(); err != nil {
		return directory, &buildError{err, output}
	}
	return directory, nil
})

type buildError struct {
	err    error
	output []byte
}

func (e *buildError) Error() string { return e.err.Error() + "\n" + string(e.output) }

func TestMain(m *testing.M) {
	code := m.Run()
	if directory, _ := built(); directory != "" {
		os.RemoveAll(directory)
	}
	os.Exit(code)
}

// files are all files of the site; of those that are HTML what is in them.
func files(t *testing.T) map[string]*page {
	t.Helper()
	directory, err := built()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*page{}
	err = fs.WalkDir(os.DirFS(directory), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		all[name] = nil
		if path.Ext(name) != ".html" {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(directory, name))
		if err != nil {
			return err
		}
		root, err := html.Parse(bytes.NewReader(text))
		if err != nil {
			return err
		}
		p := &page{ids: map[string]bool{}}
		p.read(root)
		all[name] = p
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func (p *page) read(n *html.Node) {
	attribute := func(name string) string {
		for _, a := range n.Attr {
			if a.Key == name {
				return a.Val
			}
		}
		return ""
	}
	if n.Type == html.ElementNode {
		if id := attribute("id"); id != "" {
			p.ids[id] = true
		}
		switch n.Data {
		case "html":
			p.lang = attribute("lang")
		case "title":
			if n.FirstChild != nil && p.title == "" {
				p.title = n.FirstChild.Data
			}
		case "h1":
			p.headings++
		case "a":
			p.links = append(p.links, attribute("href"))
			if attribute("aria-current") != "" {
				p.current++
			}
		case "link":
			p.loads = append(p.loads, attribute("href"))
		case "script", "img", "source", "iframe", "video", "audio", "embed", "input":
			for _, name := range []string{"src", "srcset"} {
				if from := attribute(name); from != "" {
					p.loads = append(p.loads, from)
				}
			}
		}
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		p.read(c)
	}
}

// Every link within the site finds a page, and its anchor a place there.
func TestNoLinkIsBroken(t *testing.T) {
	all := files(t)
	for name, p := range all {
		if p == nil {
			continue
		}
		for _, to := range append(p.links, p.loads...) {
			u, err := url.Parse(to)
			if err != nil || to == "" {
				t.Errorf("%s: a link to %q (%v)", name, to, err)
				continue
			}
			if u.Host != "" || u.Scheme != "" {
				continue
			}
			if strings.HasPrefix(u.Path, "/") {
				t.Errorf("%s: %s does not work where the site is not at the root", name, to)
			}
			file := name
			if u.Path != "" {
				file = path.Join(path.Dir(name), u.Path)
			}
			target, ok := all[file]
			switch {
			case !ok:
				t.Errorf("%s: %s: the site has no such file", name, to)
			case u.Fragment != "" && (target == nil || !target.ids[u.Fragment]):
				t.Errorf("%s: %s: there is no such heading", name, to)
			}
		}
	}
}

var loading = regexp.MustCompile(`(?i)(@import|url\(|fetch\(|XMLHttpRequest|import\(|src\s*=\s*)["' ]*(https?:)?//`)

// No page asks another host for anything.
func TestNothingComesFromElsewhere(t *testing.T) {
	directory, _ := built()
	for name, p := range files(t) {
		if p != nil {
			for _, from := range p.loads {
				if u, err := url.Parse(from); err != nil || u.Host != "" || u.Scheme != "" && u.Scheme != "data" {
					t.Errorf("%s loads %s", name, from)
				}
			}
		}
		if ext := path.Ext(name); ext == ".css" || ext == ".js" && path.Base(name) != "search.js" || ext == ".svg" {
			text, err := os.ReadFile(filepath.Join(directory, name))
			if err != nil {
				t.Fatal(err)
			}
			if found := loading.Find(text); found != nil {
				t.Errorf("%s has %q", name, found)
			}
		}
	}
}

// Every page of docs/ is in the site, under its title, once in the navigation, in its language.
func TestEveryPageIsThere(t *testing.T) {
	all := files(t)
	err := fs.WalkDir(os.DirFS("../docs"), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".md" {
			return err
		}
		p := all[strings.TrimSuffix(name, ".md")+".html"]
		if p == nil {
			t.Errorf("docs/%s is not in the site", name)
			return nil
		}
		text, err := os.ReadFile(filepath.Join("../docs", name))
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(string(text), "\n")
		title := strings.NewReplacer("# ", "", "`", "").Replace(first)
		lang := "en"
		if strings.HasPrefix(name, "zh/") {
			lang = "zh-CN"
		}
		index := path.Base(name) == "index.md"
		switch {
		case p.headings != 1:
			t.Errorf("docs/%s: %d headings of the first level", name, p.headings)
		case strings.TrimSuffix(p.title, " · Fairlead") != title:
			t.Errorf("docs/%s: the title is %q, not %q", name, p.title, title)
		case p.lang != lang:
			t.Errorf("docs/%s: the language is %q", name, p.lang)
		case !index && p.current != 1:
			t.Errorf("docs/%s is %d times in the navigation: docs/index.md links to it from under a heading", name, p.current)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The search has each page in sections, each with a place that is there.
func TestSearchFindsSections(t *testing.T) {
	directory, _ := built()
	all := files(t)
	for _, name := range []string{"search.js", "zh/search.js"} {
		text, err := os.ReadFile(filepath.Join(directory, name))
		if err != nil {
			t.Fatal(err)
		}
		var entries []struct{ URL, Title, Heading, Text string }
		list := strings.TrimSuffix(strings.TrimSpace(strings.TrimPrefix(string(text), "const pages = ")), ";")
		if err := json.Unmarshal([]byte(list), &entries); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name == "search.js" && len(entries) < 50 {
			t.Errorf("%s has %d sections", name, len(entries))
		}
		for _, e := range entries {
			file, anchor, _ := strings.Cut(e.URL, "#")
			if p := all[file]; p == nil || anchor != "" && !p.ids[anchor] {
				t.Errorf("%s: %s is not there", name, e.URL)
			}
			if strings.Contains(e.Text+e.Heading, "</") && !strings.Contains(e.Text, "</") || e.Title == "" {
				t.Errorf("%s: %s is %q, %q", name, e.URL, e.Title, e.Heading)
			}
		}
	}
}
