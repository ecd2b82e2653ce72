package controller

import (
	"testing"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

func TestBehind(t *testing.T) {
	web := lb.Key{Namespace: "default", Name: "web"}
	tests := []struct {
		name        string
		there, seen versions
		behind      bool
	}{
		{name: "nothing there"},
		{name: "the same", there: versions{web: "10"}, seen: versions{web: "10"}},
		{name: "older", there: versions{web: "10"}, seen: versions{web: "9"}, behind: true},
		{name: "newer than what was read", there: versions{web: "9"}, seen: versions{web: "10"}},
		{name: "not seen yet", there: versions{web: "9"}, behind: true},
		{name: "seen, and deleted since", seen: versions{web: "9"}},
		{name: "versions that have no order", there: versions{web: "a"}, seen: versions{web: "b"}, behind: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, behind := tt.there.behind(func(k lb.Key) (string, bool) { v, ok := tt.seen[k]; return v, ok })
			if behind != tt.behind {
				t.Errorf("behind = %v, want %v", behind, tt.behind)
			}
		})
	}
}
