package page

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// violations are the rules of WCAG 2.1 AA, and of best practice, that the page breaks.
func (b *tab) violations() []string {
	b.Helper()
	axe, err := os.ReadFile(os.Getenv(axeVariable))
	if err != nil {
		b.Fatal(err)
	}
	b.do("loading axe", chromedp.Evaluate[chromedp.Void](string(axe)))
	return eval[[]string](b, `axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"] }).then(r => {
		if (r.passes.length < 20) throw new Error("only " + r.passes.length + " rules were checked");
		return r.violations.flatMap(v => v.nodes.slice(0, 5).map(n => v.id + ": " + v.help + ": " + n.html.slice(0, 200) + " " + n.any.map(a => a.message).join("; ")));
	})`)
}

func TestThePageIsAccessible(t *testing.T) {
	t.Parallel()
	_, origin := serve(t, madeUp(200))
	_, calmOrigin := serve(t, calm())
	chinese, forced := narrow, wide
	chinese.chinese, forced.forced = true, true
	for _, test := range []struct {
		name, origin, hash string
		look               look
		prepare            string // done in the page before
	}{
		{name: "light", origin: origin, look: wide},
		{name: "dark", origin: origin, look: dark},
		{name: "narrow", origin: origin, look: narrow},
		{name: "narrow, dark", origin: origin, look: look{width: 360, height: 740, dark: true, touch: true}},
		{name: "narrow, in Chinese", origin: origin, look: chinese},
		{name: "the colours of the reader's system", origin: origin, look: forced},
		{name: "with nothing wrong", origin: calmOrigin, look: wide},
		{name: "with nothing found", origin: origin, hash: "#services?q=nothing+is+called+so", look: wide},
		{name: "with the connection lost", origin: origin, look: dark, prepare: `document.querySelector("#lost").hidden = false, document.querySelector("#connection").dataset.state = "reconnecting"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := openPage(t, test.origin, test.hash, test.look)
			if test.prepare != "" {
				eval[any](b, "("+test.prepare+", true)")
			}
			for _, v := range b.violations() {
				t.Error(v)
			}
		})
	}
}

func TestNothingIsWiderThanAPhone(t *testing.T) {
	t.Parallel()
	_, origin := serve(t, madeUp(200))
	for language, chinese := range map[string]bool{"English": false, "Chinese": true} {
		first := narrow
		first.chinese = chinese
		b := openPage(t, origin, "", first)
		for _, width := range []int64{360, 320, 600, 768, 960} {
			b.turn(look{width: width, height: 740, touch: width < 700, chinese: chinese})
			b.await("the window is so wide", fmt.Sprintf("document.documentElement.clientWidth === %d", width))
			wider := eval[[]string](b, `[...document.querySelectorAll("body *")].filter(e => !e.closest(".unseen, .skip, svg, thead") && e.getBoundingClientRect().right > document.documentElement.clientWidth + 0.5)
				.map(e => e.tagName + "." + e.className + " " + e.textContent.slice(0, 60))`)
			if len(wider) > 0 {
				t.Errorf("in %s, at %d px, these are wider: %s", language, width, strings.Join(wider[:min(5, len(wider))], "\n"))
			}
			b.holds(fmt.Sprintf("in %s, at %d px, the page does not scroll sideways", language, width), `document.documentElement.scrollWidth <= document.documentElement.clientWidth`)
		}
	}
}

func TestWhoWantsNoMotionGetsNone(t *testing.T) {
	t.Parallel()
	_, origin := serve(t, madeUp(20))
	l := wide
	l.still = true
	b := openPage(t, origin, "", l)
	b.holds("nothing moves by itself", `[...document.querySelectorAll("*")].every(e => parseFloat(getComputedStyle(e).transitionDuration) === 0 && getComputedStyle(e).animationName === "none")`)
	b.holds("scrolling is instant", `getComputedStyle(document.documentElement).scrollBehavior === "auto"`)
}
