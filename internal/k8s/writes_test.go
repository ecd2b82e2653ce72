package k8s

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// answer is what an API server says to a write.
type answer struct {
	code       int
	retryAfter string
	body       string
}

// writing returns a cluster that gets these answers, the last one again and again, and keeps the requests.
func writing(answers ...answer) (c *Cluster, requests *[]string) {
	requests = &[]string{}
	reply := transport(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		*requests = append(*requests, r.Method+" "+r.URL.String()+" "+r.Header.Get("Content-Type")+" "+r.UserAgent()+" "+string(body))
		a := answers[min(len(*requests), len(answers))-1]
		header := http.Header{}
		if a.retryAfter != "" {
			header.Set("Retry-After", a.retryAfter)
		}
		if len(*requests) > 1000 { // no time passes between them
			return nil, errors.New("asked again and again")
		}
		return &http.Response{StatusCode: a.code, Header: header, Body: io.NopCloser(strings.NewReader(a.body))}, err
	})
	server := &url.URL{Scheme: "https", Host: "192.0.2.10:6443", Path: "/prefix/"}
	return &Cluster{writes: &writes{reply, server, []string{"fairlead-controller/v1"}}}, requests
}

func TestPatchServiceStatus(t *testing.T) {
	const request = `PATCH https://192.0.2.10:6443/prefix/api/v1/namespaces/default/services/web/status ` +
		`application/strategic-merge-patch+json fairlead-controller/v1 {"status":{}}`
	refusal := func(code int, reason metav1.StatusReason) answer {
		return answer{code: code, body: `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"because","reason":"` + string(reason) + `"}`}
	}
	busy := refusal(429, metav1.StatusReasonTooManyRequests)
	busy.retryAfter = "1"
	nonsense := func(retryAfter string) answer { return answer{429, retryAfter, busy.body} }
	written := answer{code: 200, body: `{"kind":"PartialObjectMetadata"}`}
	tests := []struct {
		name    string
		answers []answer
		is      func(error) bool
		tries   int
		took    time.Duration
	}{
		{name: "written", answers: []answer{written}, tries: 1},
		{name: "changed in between", answers: []answer{refusal(409, metav1.StatusReasonConflict)}, is: apierrors.IsConflict, tries: 1},
		{name: "gone", answers: []answer{refusal(404, metav1.StatusReasonNotFound)}, is: apierrors.IsNotFound, tries: 1},
		{name: "asked for patience", answers: []answer{busy, busy, written}, tries: 3, took: 2 * time.Second},
		{name: "asked for more patience than there is", answers: []answer{busy}, is: apierrors.IsTooManyRequests, tries: 4, took: 3500 * time.Millisecond},
		{name: "asked for no patience at all", answers: []answer{nonsense("-1")}, is: apierrors.IsTooManyRequests, tries: 1},
		{name: "asked for patience in words", answers: []answer{nonsense("Sat, 21 Nov 2026 22:00:00 GMT")}, is: apierrors.IsTooManyRequests, tries: 1},
		{name: "asked for more patience than time has", answers: []answer{nonsense("9223372036854775807")}, is: apierrors.IsTooManyRequests, tries: 1,
			took: 3500 * time.Millisecond},
		{name: "a proxy answers in its own words", answers: []answer{{code: 502, body: "<html>"}}, is: Answered, tries: 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, requests := writing(tt.answers...)
				ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
				defer cancel()
				began := time.Now()
				err := c.PatchServiceStatus(ctx, lb.Key{Namespace: "default", Name: "web"}, []byte(`{"status":{}}`))
				if tt.is == nil && err != nil || tt.is != nil && !tt.is(err) {
					t.Errorf("error %v", err)
				}
				if took := time.Since(began); took != tt.took || len(*requests) != tt.tries {
					t.Errorf("%d tries in %s, want %d in %s", len(*requests), took, tt.tries, tt.took)
				}
				for _, r := range *requests {
					if r != request {
						t.Errorf("request %s\nwant    %s", r, request)
					}
				}
			})
		})
	}
}

func TestEventsAreWrittenAsTheAPIServerReadsThem(t *testing.T) {
	c, requests := writing(answer{code: 201})
	event := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web.1"}, Reason: "AddressAssigned", Count: 1}
	if err := c.createEvent(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	line, body, _ := strings.Cut((*requests)[0], "fairlead-controller/v1 ")
	if want := "POST https://192.0.2.10:6443/prefix/api/v1/namespaces/default/events application/vnd.kubernetes.protobuf "; line != want {
		t.Errorf("request %s\nwant    %s", line, want)
	}
	read, _, err := scheme.Codecs.UniversalDeserializer().Decode([]byte(body), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := read.(*corev1.Event); got.Name != "web.1" || got.Reason != "AddressAssigned" || got.Count != 1 {
		t.Errorf("the API server reads %+v", got)
	}
}

func TestEventName(t *testing.T) {
	tests := []struct{ name, object, want string }{
		{"as client-go makes it", "web", "web.1f"},
		{"a name of full length", strings.Repeat("a", 253), strings.Repeat("a", 250) + ".1f"},
		{"a name that would be cut at a dot", strings.Repeat("a", 249) + ".b", strings.Repeat("a", 249) + ".1f"},
	}
	for _, tt := range tests {
		if got := eventName(tt.object, 31); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}
