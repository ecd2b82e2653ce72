package page

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/performance"
	"github.com/fairlead-lb/fairlead/internal/page"
)

// mostScript is how many milliseconds of script something may take with 10,000 Services. They are of the processor's time: by
// the clock it would be more on a machine that does other things too. The first picture, which reads all of them, takes 75 on an
// idle machine, and half as much again on a busy one.
var mostScript = map[string]float64{"the first picture": 200, "a keystroke": 100, "a change": 100}

// script is how many milliseconds the page's scripts have taken since it was opened.
func (b *tab) script() float64 {
	b.Helper()
	for _, m := range call(b, performance.GetMetrics, struct{}{}).Metrics {
		if m.Name == "ScriptDuration" {
			return m.Value * 1000
		}
	}
	b.Fatal("the browser does not say how long scripts took")
	return 0
}

// marked are, by the clock, the milliseconds of the page's own measures of a name.
func marked(b *tab, name string) string {
	list := eval[[]float64](b, fmt.Sprintf(`performance.getEntriesByName(%q).map(e => e.duration)`, "fairlead "+name))
	slices.Sort(list)
	return fmt.Sprintf("%s %.0f (%d of %.0f to %.0f)", name, list[len(list)/2], len(list), list[0], list[len(list)-1])
}

func TestThePageIsFastWithManyServices(t *testing.T) {
	const many = 10_000
	source, origin := serve(t, madeUp(many))
	b := openPage(t, origin, "", wide)
	took := map[string][]float64{}
	for range 3 {
		again := openPage(t, origin, "", wide)
		took["the first picture"] = append(took["the first picture"], again.script())
	}
	b.holds("all are there", says("#services-filter", "10,000 Services"))
	b.holds("one page of rows is in the document", `document.querySelectorAll("tbody tr").length < 100`)

	b.slash()
	for i, key := range "web 12" {
		before := b.script()
		b.press(string(key))
		b.await("the key was heard", fmt.Sprintf(`performance.getEntriesByName("fairlead filter").length === %d`, i+1))
		took["a keystroke"] = append(took["a keystroke"], b.script()-before)
	}
	b.holds("what matches is shown", services+`.every(n => n.startsWith("web-")) && `+services+`.length === 25`)

	for i := range 8 {
		before := b.script()
		change(source, page.Service{Namespace: "shop", Name: "web-0", Status: page.Assigned, Created: 1, Addresses: []page.Address{{Address: fmt.Sprintf("203.0.113.%d", 100+i), Pool: "edge", Layer2: true, Owner: "node6"}}})
		b.await("the change is shown", fmt.Sprintf(`performance.getEntriesByName("fairlead show").length === %d`, i+2))
		took["a change"] = append(took["a change"], b.script()-before)
	}

	begin := time.Now()
	storm := map[string]*page.Service{}
	for i := range 2000 {
		name := fmt.Sprintf("s-%d", i)
		storm["storm/"+name] = &page.Service{Namespace: "storm", Name: name, Status: page.Pending, Created: 1}
	}
	source.Edit(&page.Change{Services: storm})
	b.await("a storm is shown", says("#services-filter", "of 12,000 Services"))
	t.Logf("%d more Services at once were shown after %s", len(storm), time.Since(begin).Round(time.Millisecond))
	t.Logf("by the clock, ms: %s, %s, %s, %s", marked(b, "snapshot"), marked(b, "filter"), marked(b, "change"), marked(b, "show"))
	for what, list := range took {
		slices.Sort(list)
		t.Logf("%s takes %.0f ms of script with %d Services (%.0f to %.0f)", what, list[len(list)/2], many, list[0], list[len(list)-1])
		if middle := list[len(list)/2]; middle > mostScript[what] {
			t.Errorf("%s takes %.0f ms of script, more than %.0f", what, middle, mostScript[what])
		}
	}
}

// A page may stay open for months: what it notes of itself is bounded.
func TestThePageKeepsFewMeasures(t *testing.T) {
	_, origin := serve(t, madeUp(10))
	b := openPage(t, origin, "", wide)
	kept := eval[int](b, `import("/ui/dom.js").then(m => {
		for (let i = 0; i < 1000; i++) m.measured("nothing", () => {});
		return performance.getEntriesByType("measure").length + performance.getEntriesByType("mark").length;
	})`)
	if kept > 250 {
		t.Errorf("%d measures and marks are kept", kept)
	}
}
