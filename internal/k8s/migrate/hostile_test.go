package migrate

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode"
)

// A file that grows when it is read (a "billion laughs") is refused at once.
func TestFilesThatGrowAreRefused(t *testing.T) {
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'i'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 9), ","))
	}
	if _, err := Read("bomb", strings.NewReader(bomb)); err == nil {
		t.Error("taken")
	}
}

// What is in another system's objects does not command the terminal of who converts them.
func TestReportPrintsNoControlCharacters(t *testing.T) {
	const evil = `a\u001b[2J\u202e\r\nroot# `
	sources, err := Read("in", strings.NewReader(strings.ReplaceAll(`
{"apiVersion":"metallb.io/v1beta1","kind":"IPAddressPool","metadata":{"name":"EVIL","namespace":"EVIL"},"spec":{"addresses":["EVIL","192.0.2.1-192.0.2.9"],"EVIL":1}}
---
{"apiVersion":"metallb.io/v1beta1","kind":"L2Advertisement","metadata":{"name":"x"},"spec":{"ipAddressPools":["EVIL"],"interfaces":["EVIL"]}}
---
{"apiVersion":"metallb.io/v1beta2","kind":"BGPPeer","metadata":{"name":"EVIL"},"spec":{"peerAddress":"EVIL","myASN":1,"peerASN":2,"password":"EVIL"}}
---
{"apiVersion":"v1","kind":"Service","metadata":{"name":"EVIL","namespace":"EVIL","annotations":{"metallb.io/address-pool":"EVIL","EVIL":"EVIL"}},"spec":{"type":"LoadBalancer"}}
`, "EVIL", evil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, system := range Systems {
		r := Convert(system, sources)
		var report, objects bytes.Buffer
		if err := r.WriteReport(&report); err != nil {
			t.Fatal(err)
		}
		if err := r.WriteObjects(&objects); err != nil {
			t.Fatal(err)
		}
		for what, text := range map[string]string{"report": report.String(), "objects": objects.String()} {
			// YAML escapes what is a control character, and leaves the direction of writing as it is: it is data.
			if i := strings.IndexFunc(text, func(r rune) bool {
				return r != '\n' && (unicode.IsControl(r) || what == "report" && !unicode.IsPrint(r))
			}); i >= 0 {
				t.Errorf("%v: the %s prints %q", system, what, text[max(0, i-60):min(len(text), i+60)])
			}
		}
	}
}
