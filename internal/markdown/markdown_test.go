package markdown

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       Page
	}{
		{"headings have GitHub's anchors, numbered if they come again", "# A `b.c` & [D](x.md)\n## Twice\n## Twice\n### 安装 Fairlead\n", Page{
			Headings: []Heading{{1, "A b.c & D", "a-bc--d", 1}, {2, "Twice", "twice", 2}, {2, "Twice", "twice-1", 3}, {3, "安装 Fairlead", "安装-fairlead", 4}},
			Links:    []Link{{"x.md", 1}},
		}},
		{"links and images, in Markdown and in HTML", "[a](b.md#c) ![d](e.svg \"f\") [![g](h.png)](i.md)\n\n[j]: k.md\n<img src=\"l.svg\" alt=\"\">\n", Page{
			Links: []Link{{"b.md#c", 1}, {"e.svg", 1}, {"h.png", 1}, {"i.md", 1}, {"k.md", 3}, {"l.svg", 4}},
		}},
		{"no link is in code", "`[a](b.md)`\n\n    [c](d.md)\n\n```md\n[e](f.md)\n# no heading\n```\n", Page{
			Blocks: []Block{{Info: "md", Text: "[e](f.md)\n# no heading\n", Line: 6}},
		}},
		{"what continues an item of a list is no code", "- a\n    [b](c.md)\n", Page{Links: []Link{{"c.md", 2}}}},
		{"a comment right before a block is about it", "<!-- not run: it\nends -->\n```sh\na\n```\n\n<!-- of nothing -->\ntext\n```sh\nb\n```\n", Page{
			Blocks: []Block{{Info: "sh", Text: "a\n", Comment: "not run: it ends", Line: 4}, {Info: "sh", Text: "b\n", Line: 10}},
		}},
		{"a comment may be about the whole page", "# A\n<!-- page not run: elsewhere -->\n", Page{Headings: []Heading{{1, "A", "a", 1}}, NotRun: "elsewhere"}},
		{"a longer fence holds a shorter one", "````md\n```sh\n```\n````\n", Page{
			Blocks: []Block{{Info: "md", Text: "```sh\n```\n", Line: 2}},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Parse(tt.text)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWhatIsNotRunSaysWhy(t *testing.T) {
	for said, want := range map[string]string{"not run: it ends the machine": "it ends the machine", "quickstart: elsewhere": "elsewhere", "of no matter": "", "": ""} {
		if got := (Block{Comment: said}).NotRun(); got != want {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}
