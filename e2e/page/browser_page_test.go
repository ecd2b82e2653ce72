package page

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/fairlead-lb/fairlead/internal/page"
	"github.com/fairlead-lb/fairlead/internal/page/pagetest"
)

// says is an expression: an element's text has this in it.
func says(selector, text string) string {
	return fmt.Sprintf(`document.querySelector(%q)?.innerText.includes(%q)`, selector, text)
}

// services is an expression: the names of the Services in the rows.
const services = `[...document.querySelectorAll("table.services tbody .name")].map(e => e.textContent)`

// change sends viewers one Service.
func change(source *pagetest.Source, s page.Service) {
	source.Edit(&page.Change{Services: map[string]*page.Service{s.Namespace + "/" + s.Name: &s}})
}

func TestThePageShowsWhatThereIs(t *testing.T) {
	t.Parallel()
	_, origin := serve(t, madeUp(200))
	b := openPage(t, origin, "", wide)
	for what, expression := range map[string]string{
		"the headline says what is wrong":                `document.querySelector("h1").innerText === "4 things are wrong, and 4 to look at"`,
		"errors are first":                               `document.querySelector(".findings li").classList.contains("error")`,
		"a lost node's takeover is told in one sentence": says(".findings", "node7 was lost: node2, node5 and node10 took over its 24 addresses, the last one 211 ms after it fell silent."),
		"what waits has its reason":                      says(".findings", "2 Services have no address: PoolExhausted."),
		"a session that is down has its error":           says(".findings", "node9: connecting to 2001:db8::1: connection refused"),
		"the figures are there":                          says(".tiles", "197 of 200"),
		"a pool has its figures":                         says("#pools", "24 of 24 in use"),
		"a pool of IPv6 counts in powers":                says("#pools", "50 of 2⁶⁴ in use"),
		"a chart says in words what it draws":            `document.querySelector("#pools svg[role=img]").ariaLabel.includes("→")`,
		"rows of Services are those of a page":           services + `.length === 25`,
		"pending Services are first":                     services + `[0] === "dns-188"`,
		"the table says how many rows there are":         `document.querySelector("table.services").ariaRowCount === "201"`,
		"a Service has its owner, and whom it is from":   says("table.services", "from node7"),
		"a suppressed node says until when":              says("table.nodes", "may own addresses again in 13 min") + "||" + says("table.nodes", "may own addresses again in 14 min"),
		"a draining node says so":                        says("table.nodes", "annotation fairlead.dev/drain"),
		"the matrix has nodes and peers":                 `document.querySelectorAll("table.matrix tbody tr").length === 10 && document.querySelectorAll("table.matrix thead th").length === 4`,
		"a takeover has its cause and duration":          says(".timeline", "Node lost") + "&&" + says(".timeline", "211 ms until the last one answered"),
		"a planned one is without interruption":          says(".timeline", "no interruption"),
		"a conflict names the host":                      says("table.conflicts", "52:54:00:9f:11:3c"),
		"the stream is live":                             says("#connection", "Live"),
		"the title counts what is wrong":                 `document.title === "(4) Fairlead"`,
		"times have their exact value":                   `[...document.querySelectorAll("time")].every(e => e.title && e.dateTime)`,
	} {
		b.holds(what, expression)
	}
}

func TestWithNothingWrongThePageSaysSo(t *testing.T) {
	t.Parallel()
	_, origin := serve(t, calm())
	b := openPage(t, origin, "", wide)
	b.holds("the headline says that all is well", says("h1", "Nothing is wrong"))
	b.holds("no conflict is told of", says("#conflicts", "No foreign host uses an address"))
	b.holds("the title has no count", `document.title === "Fairlead"`)
}

func TestAnEmptyClusterHasSentencesInsteadOfTables(t *testing.T) {
	t.Parallel()
	_, origin := serve(t, page.NewState())
	b := openPage(t, origin, "", wide)
	for _, id := range []string{"pools", "services", "nodes", "sessions", "takeovers", "conflicts"} {
		b.holds(id+" has a sentence", `document.querySelector("#`+id+` .empty")?.innerText.length > 10`)
	}
	b.holds("nobody leads", says(".findings", "No controller leads"))
}

func TestTheFilterByKeyboard(t *testing.T) {
	t.Parallel()
	_, origin := serve(t, madeUp(200))
	b := openPage(t, origin, "", wide)
	b.slash()
	b.holds("/ leads to the search", `document.activeElement.id === "search"`)
	b.press("mail-1")
	b.await("Services are found", services+`.length > 0 && `+services+`.every(n => n.startsWith("mail-1"))`)
	b.holds("the page's address keeps it", `location.hash === "#services?q=mail-1"`)
	b.holds("the search still has the focus", `document.activeElement.id === "search" && document.activeElement.value === "mail-1"`)
	b.await("it is announced how many there are", `/of 200 Services/.test(document.querySelector("#announcer").textContent)`)
	b.slash()
	b.await("no name has a slash after it", says("#services", "No Service matches."))
	b.press(kb.Escape)
	b.await("Escape clears the search", services+`.length === 25 && location.hash === "#services"`)

	b.press(kb.Tab)
	b.holds("the status is next", `document.activeElement.id === "filter-status"`)
	b.press("Pen") // a select goes to what is typed
	b.await("those that wait are shown", services+`.length === 2`)
	b.holds("the page's address keeps it", `location.hash === "#services?status=pending"`)
	b.press(kb.Tab + kb.Tab + kb.Tab + kb.Tab)
	b.holds("the button that clears is after the filters", `document.activeElement.id === "clear"`)
	b.press(kb.Enter)
	b.await("all are shown", services+`.length === 25`)
	b.holds("the focus is in the search", `document.activeElement.id === "search"`)

	b.press(strings.Repeat(kb.Tab, 5))
	b.holds("the first header is a button", `document.activeElement.matches("th button") && document.activeElement.innerText.includes("Service")`)
	b.press(kb.Enter)
	b.await("it sorts", `document.querySelector("th.of-service").ariaSort === "ascending" && document.activeElement.closest("th.of-service") && `+services+`[0] === "api-134"`)
	b.press(kb.Enter)
	b.await("it sorts the other way", `document.querySelector("th.of-service").ariaSort === "descending" && `+services+`[0] !== "api-134"`)
	eval[bool](b, `(document.querySelector(".pager button:last-child").focus(), true)`)
	b.press(kb.Enter)
	b.await("the next page is shown", says(".pager", "26–50 of 200"))
	b.holds("the button keeps the focus", `document.activeElement.matches(".pager button")`)
	b.holds("the rows are numbered", `document.querySelector("table.services tbody tr").ariaRowIndex === "27"`)
}

func TestTheAddressOfThePageKeepsTheFilter(t *testing.T) {
	t.Parallel()
	_, origin := serve(t, madeUp(200))
	b := openPage(t, origin, "#services?status=pending&q=dns", wide)
	b.holds("only what matches is shown", services+`.join() === "dns-188"`)
	b.holds("the search says so", `document.querySelector("#search").value === "dns"`)
	b.holds("the section is in view", `document.querySelector("#services").getBoundingClientRect().top < innerHeight / 2`)
	eval[bool](b, `(document.querySelector('table.nodes a[href*="node=node2"]').click(), true)`)
	b.await("a node's link shows what it owns", `document.querySelector("#filter-node").value === "node2" && `+services+`.length > 2`)
	eval[bool](b, `(history.back(), true)`)
	b.await("the way back leads back", services+`.join() === "dns-188"`)
	eval[bool](b, `(document.querySelector('.findings a[href*="PoolExhausted"]').click(), true)`)
	b.await("a sentence leads to its Services", services+`.length === 2`)
}

func TestTheKeyboardSkipsToTheOverview(t *testing.T) {
	t.Parallel()
	_, origin := serve(t, madeUp(200))
	b := openPage(t, origin, "", wide)
	b.press(kb.Tab)
	b.holds("the skip link is first, and visible", `document.activeElement.id === "skip" && document.activeElement.getBoundingClientRect().top >= 0`)
	b.press(kb.Enter)
	b.holds("it leads to the headline", `document.activeElement.id === "headline"`)
	b.press(kb.Tab)
	b.holds("the first finding is next", `document.activeElement.closest(".findings li:first-child")`)
	b.holds("the focus is seen", `getComputedStyle(document.activeElement).outlineStyle === "solid"`)
}

func TestAChangeAppearsWhereItBelongs(t *testing.T) {
	t.Parallel()
	source, origin := serve(t, madeUp(200))
	b := openPage(t, origin, "#services?q=dns", wide)
	// What the reader has under the pointer and the keyboard.
	eval[bool](b, `(document.querySelector("#search").focus(), document.querySelector("#search").setSelectionRange(1, 2), true)`)
	b.point("table.services tbody tr:nth-child(4)")
	eval[bool](b, `(window.kept = document.querySelector("table.services tbody tr:nth-child(4)"), window.top4 = kept.getBoundingClientRect().top, window.name4 = kept.querySelector(".name").textContent, true)`)
	eval[bool](b, `(window.told = 0, new MutationObserver(() => told++).observe(document.querySelector("#announcer"), { childList: true, characterData: true, subtree: true }), true)`)

	s := page.Service{Namespace: "payments", Name: "dns-188", Status: page.Assigned, Reason: "Assigned", Created: 1, Since: time.Now().UnixMilli(),
		Addresses: []page.Address{{Address: "203.0.113.40", Pool: "payments", Layer2: true, Owner: "node6"}}}
	change(source, s)
	b.await("the Service has its address", says(`table.services tbody tr:first-child`, "203.0.113.40"))
	b.holds("its row stays where it was, though it would sort elsewhere now", services+`[0] === "dns-188"`)
	b.holds("the list says that its order is old", `!document.querySelector("#services-body .notice").hidden`)
	b.holds("the overview counts on", says(".tiles", "198 of 200"))

	// Something above grows: what is under the pointer stays there.
	source.Edit(&page.Change{Conflicts: map[string]*page.Conflict{"198.51.100.45@node6": {Address: "198.51.100.45", Node: "node6", Since: 1}},
		Problems: map[string]*page.Problem{"IPAddressPool/a/Ready": {Kind: "IPAddressPool", Name: "a", Severity: page.Error, Reason: "Overlap", Message: strings.Repeat("it overlaps ", 30)}}})
	b.await("the problem is told of", says(".findings", "IPAddressPool a: Overlap"))
	b.holds("the row is the same element", `kept.isConnected && kept.querySelector(".name").textContent === name4`)
	b.holds("it has not moved", `Math.abs(kept.getBoundingClientRect().top - top4) < 2`)
	b.holds("the focus and the selection are as they were", `document.activeElement.id === "search" && document.activeElement.selectionStart === 1 && document.activeElement.selectionEnd === 2`)

	// A deleted Service stays, marked, while the reader is there.
	source.Edit(&page.Change{Services: map[string]*page.Service{"payments/dns-188": nil}})
	b.await("it is marked as gone", says(`table.services tbody tr:first-child`, "gone"))
	b.point("h1")
	eval[bool](b, `(document.querySelector("#services-body .notice button").click(), true)`)
	b.await("it is gone on request", `!`+services+`.includes("dns-188")`)

	b.await("the headline was announced, once", `told === 1`)
	b.holds("it says what is wrong", says("#announcer", "things are wrong"))
}

// What every speaker complains of is one thing.
func TestSpeakersThatComplainAlikeAreOneFinding(t *testing.T) {
	t.Parallel()
	source, origin := serve(t, page.NewState())
	b := openPage(t, origin, "", wide)
	loose := map[string]*page.Problem{}
	for _, node := range []string{"node1", "node2", "node3"} {
		loose["Speaker/"+node+"/ARPNotStrict"] = &page.Problem{Kind: "Speaker", Name: node, Severity: page.Warning, Reason: "IPVSWithoutStrictARP", Message: "kube-proxy"}
	}
	source.Edit(&page.Change{Problems: loose})
	b.await("it is told of", says(".findings", "Speaker node1 + 2: IPVSWithoutStrictARP"))
	source.Edit(&page.Change{Problems: map[string]*page.Problem{"Speaker/node1/ARPNotStrict": nil, "Speaker/node3/ARPNotStrict": nil}})
	b.await("of one alone, too", says(".findings", "Speaker node2: IPVSWithoutStrictARP"))
}

func TestANewTakeoverWaitsWhileTheReaderIsInTheList(t *testing.T) {
	t.Parallel()
	source, origin := serve(t, madeUp(200))
	b := openPage(t, origin, "#takeovers", wide)
	b.await("the list is in view", `document.querySelector(".timeline").getBoundingClientRect().top < innerHeight`)
	b.point(".timeline li:nth-child(2) .sentence")
	fresh := func(id, node, from string) {
		source.Edit(&page.Change{Takeovers: map[string]*page.Takeover{id: {Time: time.Now().UnixMilli(), Node: node, From: from, Cause: "Lost", Count: 3, Duration: 1450, Addresses: []string{"198.51.100.9"}}}})
	}
	fresh("a", "node1", "node9")
	b.await("a button tells of it", says("#takeovers", "Show 1 new takeover"))
	b.holds("the list is as it was", `!`+says(".timeline", "from node9"))
	b.point("h2")
	fresh("b", "node4", "node8")
	b.await("both are there", says(".timeline li:first-child", "node4 took over 3 addresses from node8")+"&&"+says(".timeline li:first-child", "1.5 s until it answered"))
}

func TestThePageComesBackWithTheController(t *testing.T) {
	t.Parallel()
	source := pagetest.New(madeUp(20))
	origin, stop := serveAt(t, source, "127.0.0.1:0")
	b := openPage(t, origin, "", wide)
	b.holds("it is live", says("#connection", "Live"))
	stop()
	b.await("it says that it is not", says("#connection", "Reconnecting…, last heard"))
	b.await("it is announced", says("#announcer", "connection to the controller is lost"))
	b.await("it says what to do when that lasts", `!document.querySelector("#lost").hidden && `+says("#lost", "kubectl fairlead ui"))
	b.holds("what was known is still there", says("#services", "20 Services"))
	change(source, page.Service{Namespace: "a", Name: "late", Status: page.Pending, Reason: "NoPool", Message: "there is no pool", Created: 1})
	serveAt(t, source, strings.TrimPrefix(origin, "http://"))
	b.await("it is live again", says("#connection", "Live")+` && document.querySelector("#lost").hidden`)
	b.await("it shows what has come meanwhile", says("#services", "21 Services")+"&&"+says("#services", "there is no pool"))
	b.forgive("net::ERR_CONNECTION_REFUSED")
	b.forgive("net::ERR_INCOMPLETE_CHUNKED_ENCODING")
	b.forgive("net::ERR_CONNECTION_RESET")
}

func TestMarkupInNamesAndMessagesIsText(t *testing.T) {
	t.Parallel()
	state := madeUp(5)
	const evil = `<img src=x onerror="window.broken=1"><script>window.broken=1</script>&lt;b&gt;`
	state.About.Controller, state.About.Unreached = evil, evil
	state.Services[evil+"/"+evil] = page.Service{Namespace: evil, Name: evil, Status: page.Pending, Reason: evil, Message: evil, Created: 1,
		Addresses: []page.Address{{Address: evil, Pool: evil, Layer2: true, Owner: evil, From: evil, Cause: evil, StandIn: evil, Since: 1}}}
	state.Pools[evil] = page.Pool{Name: evil, Ranges: []string{evil}, For: evil, Modes: []string{evil}, IPv4: &page.Family{Total: "1", Available: "1", First: evil, Last: evil}}
	state.Usage[evil] = []page.Step{{1, 1, 1}}
	state.Nodes[evil] = page.Node{Name: evil, Why: evil, Speaker: evil, SpeakerWhy: evil, Version: evil, Holds: []page.Hold{{Kind: evil, Why: evil}, {Kind: page.Draining, Why: evil}},
		Suppressed: &page.Suppression{Until: 1, By: []string{evil}}}
	state.Peers[evil] = page.Peer{Name: evil, Address: evil, ASN: evil, MyASN: evil, BFD: evil}
	state.Sessions[evil+"/"+evil] = page.Session{Node: evil, Peer: evil, State: evil, BFD: evil, LastError: evil, Reason: evil, Message: evil}
	state.Takeovers[evil] = page.Takeover{Time: time.Now().UnixMilli(), Node: evil, From: evil, Cause: evil, Reason: evil, Count: 1, Addresses: []string{evil}}
	state.Conflicts[evil] = page.Conflict{Address: evil, Node: evil, Interface: evil, HardwareAddress: evil, Service: evil}
	state.Problems[evil] = page.Problem{Kind: evil, Name: evil, Severity: evil, Reason: evil, Message: evil}
	_, origin := serve(t, state)
	b := openPage(t, origin, "#services?q=%3Cimg+src%3Dx+onerror%3D%22window.broken%3D1%22%3E", narrow)
	b.holds("each section shows it as it is", `["pools", "services", "nodes", "sessions", "takeovers", "conflicts", "overview"].every(id => document.getElementById(id).textContent.includes('<img src=x onerror="window.broken=1">'))`)
	b.holds("no element came of it", `document.querySelectorAll("main img, main script, main b").length === 0`)
	b.holds("nothing ran", `window.broken === undefined`)
	b.holds("it is found", services+`.length === 1`)
}

func TestBothLanguagesSayEverything(t *testing.T) {
	t.Parallel()
	_, origin := serve(t, madeUp(200))
	l := wide
	l.chinese = true
	b := openPage(t, origin, "", l)
	b.holds("a reader of Chinese gets Chinese", says("h1", "有 4 处故障")+` && document.documentElement.lang === "zh-Hans"`)
	b.holds("what Kubernetes says stays English", says(".findings", "Kubelet stopped posting node status."))
	eval[bool](b, `(document.querySelector("#language").click(), true)`)
	b.await("the switch goes to English", says("h1", "4 things are wrong")+` && document.documentElement.lang === "en"`)
	b.do("loading the page anew", chromedp.Reload())
	b.await("the choice is kept", says("h1", "4 things are wrong"))
	missing := eval[[]string](b, `(async () => {
		const [en, zh] = [(await import("/ui/en.js")).default, (await import("/ui/zh.js")).default];
		return [...Object.keys(en).filter(k => !(k in zh) || typeof zh[k] !== typeof en[k]), ...Object.keys(zh).filter(k => !(k in en))];
	})()`)
	if len(missing) > 0 {
		t.Errorf("in one language only: %v", missing)
	}
}

func TestTimesCanBeExact(t *testing.T) {
	t.Parallel()
	_, origin := serve(t, madeUp(20))
	b := openPage(t, origin, "", wide)
	b.holds("they are relative", says(".tiles", "s ago"))
	eval[bool](b, `(document.querySelector("#times").click(), true)`)
	b.await("they are exact", `/\d\d:\d\d:\d\d/.test(document.querySelector(".tiles").innerText) && !`+says(".tiles", "s ago"))
}
