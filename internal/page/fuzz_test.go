package page

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

// A viewer that has a snapshot and hears every change since has what there is: also if the source says much that was so
// already, and nothing that is told twice is news.
func TestSnapshotAndChangesAreTheState(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 0))
		s, viewer := NewState(), NewState()
		for step := range 40 {
			c := someChange(random)
			text, _ := json.Marshal(c)
			want := applied(s, text)
			news := s.Merge(c)
			if got := asJSON(t, s); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, step %d: %s leads to\n%v, want\n%v", seed, step, text, got, want)
			}
			told, _ := json.Marshal(c)
			if !news {
				if string(told) != `{"now":0}` {
					t.Fatalf("seed %d, step %d: no news, and yet %s", seed, step, told)
				}
				continue
			}
			var heard Change // as it comes out of the stream
			if err := json.Unmarshal(told, &heard); err != nil {
				t.Fatal(err)
			}
			if !viewer.Merge(&heard) {
				t.Fatalf("seed %d, step %d: %s is no news to a viewer", seed, step, told)
			}
			if got := asJSON(t, viewer); !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d, step %d: after %s a viewer has\n%v, want\n%v", seed, step, told, got, want)
			}
		}
	}
}

// applied is what a change makes of a state, the obvious way: a table's entries are replaced, and removed by null. The
// history of pools, which grows at its end only, is left out.
func applied(s *State, change []byte) map[string]any {
	var state, edits map[string]any
	text, _ := json.Marshal(s)
	_ = json.Unmarshal(text, &state)
	_ = json.Unmarshal(change, &edits)
	for table, entries := range edits {
		switch entries := entries.(type) {
		case map[string]any:
			if table == "about" {
				state[table] = entries
				continue
			}
			of := state[table].(map[string]any)
			for key, entry := range entries {
				if entry == nil {
					delete(of, key)
				} else {
					of[key] = entry
				}
			}
		}
	}
	delete(state, "usage")
	return state
}

func asJSON(t *testing.T, s *State) (m map[string]any) {
	t.Helper()
	text, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	delete(m, "usage")
	return m
}

// someChange touches few entries of few tables, each in few ways.
func someChange(random *rand.Rand) *Change {
	c := &Change{}
	if random.IntN(4) == 0 {
		c.About = &About{Version: "v1", Leader: fmt.Sprint(random.IntN(2))}
	}
	name := func() string { return fmt.Sprint("x", random.IntN(3)) }
	some := func(edit func(key string, gone bool)) {
		for range random.IntN(3) {
			edit(name(), random.IntN(3) == 0)
		}
	}
	c.Services, c.Nodes, c.Routes, c.Problems = map[string]*Service{}, map[string]*Node{}, map[string]*Route{}, map[string]*Problem{}
	some(func(k string, gone bool) {
		if c.Services[k] = nil; !gone {
			c.Services[k] = &Service{Namespace: "shop", Name: k, Addresses: []Address{{Address: "192.0.2.1", Owner: name()}}}
		}
	})
	some(func(k string, gone bool) {
		if c.Nodes[k] = nil; !gone {
			c.Nodes[k] = &Node{Name: name()}
		}
	})
	some(func(k string, gone bool) {
		if c.Routes[k] = nil; !gone {
			c.Routes[k] = &Route{Nodes: random.IntN(2)}
		}
	})
	return c
}

// FuzzRequest: whatever a browser is made to say, nobody reads the page but who came to this machine for it, and asking
// for something that is not there costs an answer.
func FuzzRequest(f *testing.F) {
	for _, x := range [][5]string{
		{"GET", "/ui/", "localhost:8080", "same-origin", "gzip"}, {"GET", "/ui/../metrics", "127.0.0.1", "", ""}, {"GET", "/ui/stream", "evil.example", "", "gzip"},
		{"HEAD", "/ui/stream", "[::1]:7472", "none", ""}, {"POST", "/ui/", "localhost", "", ""}, {"GET", "/ui/app.js", "localhost.", "", "br;q=1.0, gzip;q=0.8, *;q=0.1"},
		{"GET", "/ui/stream", "localhost", "cross-site", "gzip"}, {"GET", "/ui/%2e%2e/", "LOCALHOST", "", ",;,"}, {"GET", "/ui/\x00", "[[::1]]", "", "\x00"},
	} {
		f.Add(x[0], x[1], x[2], x[3], x[4])
	}
	p := New(nil) // whoever gets as far as the source crashes
	f.Fuzz(func(t *testing.T, method, path, host, site, coding string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Method, r.URL.Path, r.Host = method, path, host
		r.Header.Set("Sec-Fetch-Site", site)
		r.Header.Set("Accept-Encoding", coding)
		if path == streamPath && method == http.MethodGet && local(host) && !foreign(r) {
			return // to be served
		}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		switch ok := w.Code < 300; {
		case w.Code >= 500:
			t.Errorf("%s %q of %q: %d", method, path, host, w.Code)
		case ok && (method != http.MethodGet && method != http.MethodHead || !local(host)):
			t.Errorf("%s %q of %q is answered", method, path, host)
		case ok && path == streamPath && w.Body.Len() > 0:
			t.Errorf("%s of the stream has %d octets", method, w.Body.Len())
		}
		if w.Header().Get("Content-Security-Policy") == "" || w.Header().Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s %q without the headers that keep others out", method, path)
		}
		if name := strings.ToLower(host); local(host) && !strings.Contains(name, "localhost") && !strings.Contains(name, "127.0.0.1") && !strings.Contains(name, "::1") {
			t.Errorf("%q is this machine", host)
		}
	})
}
