package daemon

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// fromHere lets through only who asks from the process's own machine, or its Pod where that has a network of its
// own: `kubectl port-forward` arrives there, and with it whoever has the right to that.
func fromHere(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().Unmap().IsLoopback() {
			http.Error(w, "only from the loopback address: use kubectl port-forward", http.StatusForbidden)
			return
		}
		next(w, r)
	})
}

// Authorize tells whether who has a bearer token may read /metrics: the status 200, or another one and, in a
// sentence, why.
type Authorize func(ctx context.Context, token string) (status int, why string)

// noToken is for people who try it with curl.
const noToken = "no bearer token: send the header Authorization: Bearer TOKEN, of a service account that may get the non-resource URL /metrics"

// guard lets through who is authorized.
func (a Authorize) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, why := http.StatusUnauthorized, noToken
		// RFC 6750 section 2.1; the scheme's case is of no importance (RFC 9110 section 11.1).
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if token = strings.TrimSpace(token); strings.EqualFold(scheme, "Bearer") && token != "" {
			status, why = a(r.Context(), token)
		}
		if status != http.StatusOK {
			if status == http.StatusUnauthorized {
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			http.Error(w, why, status)
			return
		}
		next.ServeHTTP(w, r)
	})
}
