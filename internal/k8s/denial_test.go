package k8s

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// What an API server answers, in the three forms that it comes in here.
const (
	clusterWide = `ipaddresspools.fairlead.dev is forbidden: User "system:serviceaccount:fairlead-system:fairlead-controller" cannot list ` +
		`resource "ipaddresspools" in API group "fairlead.dev" at the cluster scope`
	inJSON = `{"kind":"Status","message":"services \"web\" is forbidden: User \"system:serviceaccount:fairlead-system:fairlead-controller\" ` +
		`cannot patch resource \"services/status\" in API group \"\" in the namespace \"default\"","code":403}`
	inProtobuf = "k8s\x00\x1a\x8f" + `secrets is forbidden: User "system:serviceaccount:fl:speaker" cannot list resource "secrets" in API group "" ` +
		`in the namespace "fl"` + "\x1a\x09Forbidden"
)

func TestReadDenial(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"a list at the cluster scope", clusterWide,
			"forbidden to list ipaddresspools.fairlead.dev: the ClusterRole fairlead-controller does not grant it; apply the manifests (or the chart) of this version again"},
		{"a status in a user's namespace, in JSON", inJSON,
			"forbidden to patch services/status: the ClusterRole fairlead-controller does not grant it; apply the manifests (or the chart) of this version again"},
		{"Secrets in the own namespace, in protobuf", inProtobuf,
			"forbidden to list secrets: the Role speaker in fl does not grant it; apply the manifests (or the chart) of this version again"},
		{"a subresource of a group", strings.Replace(clusterWide, `"ipaddresspools"`, `"speakers/status"`, 1),
			"forbidden to list speakers.fairlead.dev/status: the ClusterRole fairlead-controller does not grant it; apply the manifests (or the chart) of this version again"},
		{"somebody's own kubeconfig", strings.Replace(clusterWide, "system:serviceaccount:fairlead-system:fairlead-controller", "jane", 1),
			"forbidden to list ipaddresspools.fairlead.dev: no role of this user grants it; apply the manifests (or the chart) of this version again"},
		{"a namespace that is being deleted", `events "web.1" is forbidden: unable to create new content in namespace a because it is being terminated`, ""},
		{"a quota", `secrets "x" is forbidden: exceeded quota: q, requested: count/secrets=1, used: count/secrets=0, limited: count/secrets=0`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, ok := readDenial(tt.text)
			if ok != (tt.want != "") || ok && d.Error() != tt.want {
				t.Errorf("%v, want %q", d, tt.want)
			}
		})
	}
}

// A right that is missing is said once, however many requests lack it, and who asked gets the whole answer.
func TestLinkSaysADenialOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		l := newLink("https://192.0.2.10:6443", slog.New(slog.NewTextHandler(&log, nil)))
		answer := inJSON
		l.next = transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusForbidden, Body: io.NopCloser(strings.NewReader(answer))}, nil
		})
		ask := func(times int) (lines int) {
			before := strings.Count(log.String(), "forbids")
			for range times {
				r, _ := http.NewRequestWithContext(t.Context(), http.MethodPatch, l.server, nil)
				response, err := l.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(response.Body); err != nil || string(text) != answer {
					t.Errorf("%q, %v", text, err)
				}
				time.Sleep(100 * time.Millisecond)
			}
			return strings.Count(log.String(), "forbids") - before
		}
		for _, step := range []struct {
			name, answer string
			want         int
		}{
			{"many Services", inJSON, 1},
			{"another namespace", strings.ReplaceAll(inJSON, "default", "shop"), 0},
			{"another right", inProtobuf, 1},
			{"no right at all", `{"kind":"Status","message":"exceeded quota","code":403}`, 0},
		} {
			if answer = step.answer; ask(100) != step.want {
				t.Errorf("%s: not %d lines:\n%s", step.name, step.want, &log)
			}
		}
	})
}

// Nor does what is tried again say it once more, but it knows.
func TestComplaintLeavesDenialsToTheLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		c := Complaint{What: "IPAddressPools cannot be watched", Log: slog.New(slog.NewTextHandler(&log, nil))}
		forbidden := apierrors.NewForbidden(schema.GroupResource{Group: "fairlead.dev", Resource: "ipaddresspools"}, "", errors.New(
			strings.TrimPrefix(clusterWide, "ipaddresspools.fairlead.dev is forbidden: ")))
		for range 10 {
			c.Report(forbidden)
			time.Sleep(time.Second)
		}
		if log.Len() > 0 || !strings.HasPrefix(Denied(c.Err()).Error(), "forbidden to list ipaddresspools.fairlead.dev") {
			t.Errorf("%v, log: %s", Denied(c.Err()), &log)
		}
	})
}
