package plugin

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A WebSocket is a GET, for which many a Role for port-forwarding allows nothing, and which old API servers and proxies
// do not know: SPDY, a POST, is tried after it, and says what is wrong.
func TestForwardFails(t *testing.T) {
	answer := func(code int, contentType, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(code)
			_, _ = w.Write([]byte(text))
		}
	}
	status := func(code int, reason, message string) http.HandlerFunc {
		return answer(code, "application/json", `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "`+reason+`", "message": "`+message+`"}`)
	}
	tests := []struct {
		name string
		post http.HandlerFunc // nil for an API server that is not there
		want string
	}{
		{"a right is missing", status(403, "Forbidden", "no"),
			"you may not reach Pod fairlead-system/a: no; a Role in namespace fairlead-system has to allow: create of pods/portforward"},
		{"the Pod is gone", status(404, "NotFound", "there is no a"), "reaching Pod fairlead-system/a: there is no a"},
		{"a proxy has its own opinion", answer(502, "text/html", "<h1>no</h1>"), "reaching Pod fairlead-system/a: "},
		{"nobody is there", nil, "the API server cannot be reached: dial tcp 127.0.0.1:"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var methods []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if methods = append(methods, r.Method); r.Method == http.MethodGet {
					status(403, "Forbidden", "not by WebSocket")(w, r)
					return
				}
				tt.post(w, r)
			}))
			defer server.Close()
			if tt.post == nil {
				server.Close()
			}
			o := Options{Kubeconfig: kubeconfig(t, server.URL, "shop")}
			f, err := o.Forwarder("test")
			if err != nil {
				t.Fatal(err)
			}
			err = f.Forward(t.Context(), controllerPod("a", 1), 0, 7572, func(int) { t.Error("it listens") })
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if got := strings.Join(methods, " "); tt.post != nil && got != "GET POST" {
				t.Errorf("it asked by %s", got)
			}
		})
	}
}

// What listens on a port is not asked anything.
func TestUIOnABusyPort(t *testing.T) {
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ui := UI{Port: listener.Addr().(*net.TCPAddr).Port}
	if err := ui.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be used: listen tcp") {
		t.Errorf("error %v", err)
	}
}
