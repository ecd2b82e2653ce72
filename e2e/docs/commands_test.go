package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/markdown"
)

// longest is how long a block may take; what waits for ever, such as a watch, is marked as not run.
const longest = 40 * time.Second

// TestCommands runs each block of ```sh in the pages, from top to bottom, in a lab that has what the quickstart makes. A
// block after a comment <!-- not run: why -->, and all of a page with <!-- page not run: why -->, is only read by the shell; before one after <!-- begins anew --> the lab is
// put back to that. The Chinese pages have the same blocks as the
// English ones, to which docs/pages_test.go holds them.
func TestCommands(t *testing.T) {
	ctx, w := within(t, 20*time.Minute)
	files, err := filepath.Glob(filepath.Join(w.root, "docs/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	reference, err := filepath.Glob(filepath.Join(w.root, "docs/reference/*.md"))
	if err != nil {
		t.Fatal(err)
	}
	files = slices.Concat([]string{filepath.Join(w.root, "README.md")}, files, reference)
	if extra := os.Getenv("FAIRLEAD_PAGES"); extra != "" { // of another tree, while they are written
		if files, err = filepath.Glob(extra); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		page := markdown.Parse(string(text))
		blocks := slices.DeleteFunc(page.Blocks, func(b markdown.Block) bool { return b.Info != "sh" })
		name, err := filepath.Rel(w.root, file)
		if err != nil || len(blocks) == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for _, b := range blocks {
				if output, err := exec.Command("sh", "-n", "-c", b.Text).CombinedOutput(); err != nil {
					t.Errorf("%s:%d: no shell understands it: %s", name, b.Line, output)
				}
			}
			blocks := slices.DeleteFunc(blocks, func(b markdown.Block) bool { return page.NotRun != "" || b.NotRun() != "" })
			if len(blocks) == 0 {
				return
			}
			desk := w.desk(t)
			for i, b := range blocks {
				if i == 0 || b.Comment == "begins anew" {
					w.tidy(ctx, t)
					if output, err := w.shell(ctx, desk, quickstart, longest); err != nil {
						t.Fatalf("preparing: %v\n%s", err, output)
					}
				}
				output, err := w.shell(ctx, desk, b.Text, longest)
				if err != nil {
					t.Errorf("%s:%d: %v\n%s\n%s", name, b.Line, err, indent("$ ", b.Text), indent("  ", output))
				} else {
					t.Logf("%s:%d\n%s\n%s", name, b.Line, indent("$ ", b.Text), indent("  ", output))
				}
			}
		})
	}
}

// quickstart is what a reader has done who comes to another page.
const quickstart = `kubectl apply -f examples/pool-and-l2.yaml
kubectl apply -f examples/service.yaml
kubectl wait service/web --for=condition=fairlead.dev/Assigned --timeout=20s`

func indent(by, text string) string {
	return by + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+by)
}

// Each example is taken by a real API server, and Fairlead finds nothing wrong with it: whatever it makes of an object,
// no name in it is unknown and no address is another's. Services in it are given what they ask for.
func TestExamplesAreAppliedAndInForce(t *testing.T) {
	ctx, w := within(t, 10*time.Minute)
	files, err := filepath.Glob(filepath.Join(w.root, "examples/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples (%v)", err)
	}
	desk := w.desk(t)
	for _, file := range files {
		name := "examples/" + filepath.Base(file)
		t.Run(filepath.Base(file), func(t *testing.T) {
			w.tidy(ctx, t)
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			before := "" // what it says that it goes with
			if !strings.Contains(string(text), "kind: IPAddressPool") && strings.Contains(string(text), "kind: Service") {
				other := besides.FindStringSubmatch(string(text))
				if other == nil {
					other = []string{"", "pool-and-l2.yaml"}
				}
				before = "kubectl apply -f examples/" + other[1] + "\n"
			}
			script := before + fmt.Sprintf(`for n in $(sed -n 's/^ *namespace: \([a-z-]*\).*/\1/p' %s | sort -u); do kubectl create namespace $n 2>/dev/null || true; done
kubectl apply --server-side -f %[1]s
`, name) + waitInForce
			if output, err := w.shell(ctx, desk, script, longest); err != nil {
				t.Errorf("%s: %v\n%s", name, err, indent("  ", output))
			}
		})
	}
}

// besides is another example that one names in its comments as that of its pool.
var besides = regexp.MustCompile(`(?m)^#.*\(([a-z0-9-]+\.yaml)\)`)

// waitInForce waits until each object of Fairlead's has a condition Ready about its present generation, of a reason that
// says nothing of a mistake, and each Service its addresses. That no router answers is none.
const waitInForce = `
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  bad=$(kubectl get ipaddresspools,l2advertisements,bgpadvertisements,bgppeers,communities,bfdprofiles \
      -o jsonpath='{range .items[*]}{.kind}/{.metadata.name} {.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].reason}{"\n"}{end}' |
      grep -v -e ' True ' -e ' NotEstablished$' -e ' NoNodes$' -e '^$' || true
    kubectl get services --all-namespaces -o jsonpath='{range .items[?(@.spec.type=="LoadBalancer")]}{.metadata.name} {.status.conditions[?(@.type=="fairlead.dev/Assigned")].status} {.status.conditions[?(@.type=="fairlead.dev/Assigned")].message}{"\n"}{end}' |
      grep -v -e ' True ' -e '^$' || true)
  [ -n "$bad" ] || exit 0
  sleep 0.2
done
echo "$bad"
exit 1
`
