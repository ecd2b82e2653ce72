package privilege

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// side is one of the two processes, and what is known of its rights.
type side struct {
	account   account
	process   *lab.Process
	host      *lab.Host
	port      int
	exercises map[string]newExercise
}

// TestRights takes each right of RBAC away, one at a time: the process is denied it, says so, and something fails. A right
// that nobody misses has no place in the manifests. What was seen is docs/security.md's table.
func TestRights(t *testing.T) {
	ctx, w := start(t, 8*time.Minute)
	// An API server before Kubernetes 1.34, as a rule, does not stream lists: there more rights are needed than here.
	if err := os.Setenv("KUBE_FEATURE_WatchListClient", "false"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Unsetenv("KUBE_FEATURE_WatchListClient") })
	sides := []side{
		{controllerAccount, w.Controllers[0], w.CP, lab.ControllerHTTPPort, controllerExercises()},
		{speakerAccount, w.Node(1).Speaker, w.Node(1).Host, lab.SpeakerHTTPPort, speakerExercises()},
	}
	tables := make([]string, len(sides))
	t.Run("each", func(t *testing.T) {
		for i, s := range sides {
			t.Run(string(s.account), func(t *testing.T) {
				t.Parallel()
				tables[i] = w.takeEach(ctx, t, s)
			})
		}
	})
	if !t.Failed() && !slices.Contains(tables, "") {
		document(t, "rights", strings.Join(tables, "\n"))
	}
}

// takeEach takes each right of one process away and returns what was seen as a table, empty if not all of it was.
func (w *world) takeEach(ctx context.Context, t *testing.T, s side) string {
	all, err := w.grants(ctx, s.account)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		err := w.restrict(ctx, s.account, all, -1)
		_, again := restart(s.process)
		if err := errors.Join(err, again, w.cleanServices(ctx)); err != nil {
			t.Error(err)
		}
		await(ctx, t, "the process to be ready again", 10*time.Second, func() error { return ready(ctx, s.host, s.port) })
	})
	unused := maps.Clone(s.exercises)
	for _, g := range all {
		if s.exercises[g.what()] == nil {
			t.Errorf("the manifests let %s %s: nobody knows what for", s.account, g.what())
		}
		delete(unused, g.what())
	}
	for what := range unused {
		t.Errorf("%s is not let %s", s.account, what)
	}
	t.Run("with all of them", func(t *testing.T) { w.withAll(ctx, t, s, all) })
	var rows []row
	for i, g := range all {
		if s.exercises[g.what()] == nil {
			continue
		}
		t.Run("without "+g.what(), func(t *testing.T) {
			if r, ok := w.withoutOne(ctx, t, s, all, i); ok {
				rows = append(rows, r)
			}
		})
	}
	if len(rows) < len(all) {
		return "" // -run has chosen some of them
	}
	return table(s.account, rows)
}

// withAll shows that everything comes about, and that nothing is denied.
func (w *world) withAll(ctx context.Context, t *testing.T, s side, all []grant) {
	if err := w.restrict(ctx, s.account, all, -1); err != nil {
		t.Fatal(err)
	}
	if err := s.process.Kill(); err != nil {
		t.Fatal(err)
	}
	var list []exercise
	for _, what := range slices.Sorted(maps.Keys(s.exercises)) {
		x := s.exercises[what](w)
		t.Cleanup(func() { x.finish(t) })
		if x.prepare != nil {
			if err := x.prepare(ctx); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		list = append(list, x)
	}
	from, err := restart(s.process)
	if err != nil {
		t.Fatal(err)
	}
	await(ctx, t, "the process to be ready", 10*time.Second, func() error { return ready(ctx, s.host, s.port) })
	for _, x := range list {
		due := time.Now()
		await(ctx, t, "the opposite of: "+x.without, 20*time.Second, func() error {
			if x.act != nil && !time.Now().Before(due) {
				due = time.Now().Add(time.Second)
				if err := x.act(ctx); err != nil {
					return err
				}
			}
			if x.done == nil {
				return nil
			}
			return x.done(ctx)
		})
	}
	if log := since(s.process, from); strings.Contains(log, "forbid") {
		t.Errorf("something was denied:\n%s", log)
	}
}

func (x exercise) finish(t *testing.T) {
	if x.after != nil {
		if err := x.after(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// withoutOne shows that the process is denied one right, that it says so, and that what it is for does not come about.
func (w *world) withoutOne(ctx context.Context, t *testing.T, s side, all []grant, i int) (row, bool) {
	g := all[i]
	x := s.exercises[g.what()](w)
	if err := s.process.Kill(); err != nil {
		t.Fatal(err)
	}
	if x.prepare != nil {
		if err := x.prepare(ctx); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { x.finish(t) })
	if err := w.restrict(ctx, s.account, all, i); err != nil {
		t.Fatal(err)
	}
	from, err := restart(s.process)
	if err != nil {
		t.Fatal(err)
	}
	sentence := regexp.MustCompile(`forbidden to ` + regexp.QuoteMeta(g.what()) + `: [^"]*`)
	var said string
	due := time.Now()
	await(ctx, t, "the process to say that it is denied to "+g.what(), 25*time.Second, func() error {
		if x.act != nil && !time.Now().Before(due) {
			due = time.Now().Add(time.Second)
			if err := x.act(ctx); err != nil {
				return err
			}
		}
		if said = sentence.FindString(since(s.process, from)); said == "" {
			return errors.New(s.process.Tail(3))
		}
		return nil
	})
	if log := since(s.process, from); strings.Count(log, "forbidden to ") != 1 {
		t.Errorf("it is said otherwise than once:\n%s", log)
	}
	if x.done != nil {
		if err := x.done(ctx); err == nil {
			t.Errorf("all the same not: %s", x.without)
		} else {
			t.Logf("%v", err)
		}
	}
	return row{g, x.without}, !t.Failed()
}

// row is what was seen without a right.
type row struct {
	grant
	without string
}

// table puts rows into Markdown, those of the same verb together that fail alike.
func table(a account, rows []row) string {
	order := func(r row) string { // whatever the order in the manifests
		return fmt.Sprint(!r.cluster, slices.Index([]string{"get", "list", "watch", "create", "update", "patch"}, r.verb()), r.APIGroups, r.resource())
	}
	slices.SortFunc(rows, func(x, y row) int { return strings.Compare(order(x), order(y)) })
	var b strings.Builder
	fmt.Fprintf(&b, "| `%s` may | of | without it |\n|---|---|---|\n", a)
	done := map[string]bool{}
	for _, r := range rows {
		key := fmt.Sprint(r.cluster, r.ResourceNames, r.verb(), r.without)
		if done[key] {
			continue
		}
		done[key] = true
		var kinds []string
		for _, other := range rows {
			if fmt.Sprint(other.cluster, other.ResourceNames, other.verb(), other.without) == key {
				kinds = append(kinds, "`"+other.kind()+"`")
			}
		}
		where := ""
		if !r.cluster {
			where = ", in Fairlead's namespace"
		}
		if len(r.ResourceNames) > 0 {
			where += ", `" + strings.Join(r.ResourceNames, "`, `") + "` alone"
		}
		fmt.Fprintf(&b, "| %s | %s%s | %s |\n", r.verb(), strings.Join(kinds, ", "), where, r.without)
	}
	return b.String()
}

// document compares a part of docs/security.md with what was seen, or writes it with -update.
func document(t *testing.T, part, text string) {
	t.Helper()
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	path := root + "/docs/security.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := fmt.Sprintf("<!-- %s: written by e2e/privilege -update -->\n", part), fmt.Sprintf("<!-- end of %s -->", part)
	before, rest, ok := strings.Cut(string(page), begin)
	was, after, also := strings.Cut(rest, end)
	if !ok || !also {
		t.Fatalf("%s has no part between %q and %q", path, begin, end)
	}
	switch {
	case was == text:
	case *measure.Update:
		if err := os.WriteFile(path, []byte(before+begin+text+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("%s is not what was seen; go test ./e2e/privilege -update writes it:\n%s", path, text)
	}
}
