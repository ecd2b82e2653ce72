package page

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is for what comes within a second on an idle machine.
const patience = 20 * time.Second

// browser is the one Chromium of all tests.
var browser struct {
	once sync.Once
	ctx  context.Context
	err  error
}

// startBrowser starts Chromium. What it wants of other machines, for itself or a page, it asks a proxy for that there is
// not; and nothing leads out of the lab's namespaces.
func startBrowser() {
	// What the lab has in /run goes with it.
	directory, err := os.MkdirTemp("/run", "chromium-")
	if err != nil {
		browser.err = err
		return
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath("chromium"), chromedp.UserDataDir(directory), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.ProxyServer("http://127.0.0.1:9"),
	}
	for _, name := range []string{"disable-quic", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage", "hide-scrollbars", "no-pings"} {
		options = append(options, chromedp.Flag(name, true))
	}
	options = append(options, chromedp.Env("LC_ALL=C.UTF-8", "HOME="+directory, "TMPDIR="+directory))
	if *update {
		file := filepath.Join(directory, "fonts.conf")
		if browser.err = os.WriteFile(file, []byte(fonts), 0o644); browser.err != nil {
			return
		}
		options = append(options, chromedp.Env("FONTCONFIG_FILE="+file))
	}
	// The lab's init kills what is left when the tests end.
	allocator, _ := chromedp.NewExecAllocator(context.Background(), options...)
	browser.ctx, _ = chromedp.NewContext(allocator)
	browser.err = chromedp.Do(browser.ctx)
}

// fonts has the docs' pictures look the same wherever they are made.
const fonts = `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
<include ignore_missing="yes">/etc/fonts/fonts.conf</include>
<alias binding="strong"><family>system-ui</family><prefer><family>Inter</family><family>Noto Sans CJK SC</family></prefer></alias>
<alias binding="strong"><family>sans-serif</family><prefer><family>Inter</family><family>Noto Sans CJK SC</family></prefer></alias>
</fontconfig>`

// tab is a tab of the browser, and what went on in it.
type tab struct {
	testing.TB
	ctx    context.Context
	origin string

	mu       sync.Mutex
	troubles []string // on the console
	requests []string // URLs
}

// look describes the window and the reader's settings.
type look struct {
	width, height int64
	dark, still   bool
	forced        bool // colours
	touch         bool
	chinese       bool
}

var (
	wide   = look{width: 1280, height: 900}
	dark   = look{width: 1280, height: 900, dark: true}
	narrow = look{width: 360, height: 740, touch: true}
)

// openPage opens the page of an origin in a new tab, and waits until it shows a state. When the test ends, nothing may
// have gone wrong on the console, and nothing may have been asked of another origin.
func openPage(t testing.TB, origin, hash string, l look) *tab {
	t.Helper()
	browser.once.Do(startBrowser)
	if browser.err != nil {
		t.Fatalf("starting Chromium: %v", browser.err)
	}
	ctx, cancel := chromedp.NewContext(browser.ctx, chromedp.WithNewBrowserContext())
	b := &tab{TB: t, ctx: ctx, origin: origin}
	t.Cleanup(func() {
		b.check()
		cancel()
	})
	if err := chromedp.Listen(ctx, b.note); err != nil {
		t.Fatal(err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, log.Enable, struct{}{})
	call(b, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks})
	// Each of several tabs that are tested at once has the focus, for itself.
	call(b, emulation.SetFocusEmulationEnabled, emulation.SetFocusEmulationEnabledParams{Enabled: true})
	b.turn(l)
	b.do("opening the page", chromedp.Navigate(origin+"/ui/"+hash))
	b.await("a state is shown", `document.body.dataset.shown === "yes"`)
	return b
}

// turn gives the window a size and the reader other settings.
func (b *tab) turn(l look) {
	b.Helper()
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.touch})
	scheme, motion, forced := "light", "no-preference", "none"
	if l.dark {
		scheme = "dark"
	}
	if l.still {
		motion = "reduce"
	}
	if l.forced {
		forced = "active"
	}
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion}, {Name: "forced-colors", Value: forced}}})
	language := "en-GB"
	if l.chinese {
		language = "zh-CN"
	}
	call(b, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "Mozilla/5.0", AcceptLanguage: language})
	call(b, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Berlin"})
}

// note is called for each event of the tab.
func (b *tab) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.troubles = append(b.troubles, "exception: "+e.ExceptionDetails.Text+" "+describe(e.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		if e.Type != runtime.ConsoleAPICalledTypeLog && e.Type != runtime.ConsoleAPICalledTypeInfo && e.Type != runtime.ConsoleAPICalledTypeDebug {
			text := "console: " + string(e.Type)
			for _, a := range e.Args {
				text += " " + describe(a)
			}
			b.troubles = append(b.troubles, text)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Level == log.EntryLevelWarning {
			b.troubles = append(b.troubles, fmt.Sprintf("%s: %s %s", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	}
}

func describe(o *runtime.RemoteObject) string {
	if o == nil {
		return ""
	}
	return o.Description + string(o.Value)
}

// check fails the test if something went wrong on the console, or a request was not for the page's origin.
func (b *tab) check() {
	b.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, trouble := range b.troubles {
		b.Errorf("on the console: %s", trouble)
	}
	if len(b.requests) == 0 {
		b.Error("no request was seen: the test does not see them")
	}
	for _, url := range b.requests {
		if !strings.HasPrefix(url, b.origin+"/ui/") {
			b.Errorf("a request for %s", url)
		}
	}
}

// forgive takes from the console what contains a text, as a test that cuts the stream expects it.
func (b *tab) forgive(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := b.troubles[:0]
	for _, trouble := range b.troubles {
		if !strings.Contains(trouble, text) {
			rest = append(rest, trouble)
		}
	}
	b.troubles = rest
}

func (b *tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.Fatalf("%s: %v", what, err)
	}
}

// await waits until an expression is true in the page.
func (b *tab) await(what, expression string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience+time.Second)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingInterval(30*time.Millisecond), chromedp.WithPollingTimeout(patience)))
	if err != nil {
		b.Fatalf("waiting until %s: %v; the page:\n%s", what, err, eval[string](b, `document.body.innerText.slice(0, 3000)`))
	}
}

// eval returns what an expression, which may be a promise, is in the page.
func eval[T any](b *tab, expression string) T {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.Fatalf("evaluating %s: %v", expression, err)
	}
	return v
}

// holds fails the test unless an expression is true in the page.
func (b *tab) holds(what, expression string) {
	b.Helper()
	if !eval[bool](b, "Boolean("+expression+")") {
		b.Errorf("it does not hold that %s", what)
	}
}

// press types keys into what has the focus.
func (b *tab) press(keys string) {
	b.Helper()
	b.do("pressing "+keys, chromedp.KeyEvent(keys))
}

// slash presses /, which, unlike press, the page can keep from being typed.
func (b *tab) slash() {
	b.Helper()
	call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: "/", Code: "Slash", Text: "/"})
	call(b, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Key: "/", Code: "Slash"})
}

// point moves the pointer to the middle of an element.
func (b *tab) point(selector string) {
	b.Helper()
	at := eval[[]float64](b, fmt.Sprintf(`(() => { const r = document.querySelector(%q).getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2] })()`, selector))
	call(b, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: at[0], Y: at[1]})
}

// call runs a command of the browser's protocol in the tab.
func call[P, R any](b *tab, command cdp.Command[P, R], parameters P) R {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, parameters)
	if err != nil {
		b.Fatalf("%s: %v", command.Method, err)
	}
	return result
}
