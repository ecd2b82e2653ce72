package page

import (
	"encoding/json"
	"testing"
)

func TestMerge(t *testing.T) {
	web := Service{Namespace: "shop", Name: "web", Status: Assigned, Addresses: []Address{{Address: "192.0.2.1", Owner: "node1"}}}
	moved := web
	moved.Addresses = []Address{{Address: "192.0.2.1", Owner: "node2"}}
	equal := web
	equal.Addresses = []Address{{Address: "192.0.2.1", Owner: "node1"}} // built by itself
	full := func() *State {
		s := NewState()
		s.About = About{Version: "v1"}
		s.Services["shop/web"] = web
		s.Pools["main"] = Pool{Name: "main"}
		s.Usage["main"] = []Step{{60_000, 1, 0}}
		return s
	}
	for _, tt := range []struct {
		name   string
		change *Change
		told   string // to viewers, empty if there is nothing to tell
	}{
		{"what is as it was is not told", &Change{About: &About{Version: "v1"}, Services: map[string]*Service{"shop/web": &equal},
			Pools: map[string]*Pool{"main": {Name: "main"}}, Usage: map[string][]Step{"main": {{60_000, 1, 0}}}}, ""},
		{"what is gone already is not told", &Change{Services: map[string]*Service{"shop/old": nil}, Peers: map[string]*Peer{"r1": nil}}, ""},
		{"an entry that is other is told, and its neighbour that is not is not",
			&Change{Services: map[string]*Service{"shop/web": &moved}, Pools: map[string]*Pool{"main": {Name: "main"}}},
			`{"now":0,"services":{"shop/web":{"namespace":"shop","name":"web","status":"assigned","created":0,"addresses":[{"address":"192.0.2.1","owner":"node2"}]}}}`},
		{"an entry that goes is null", &Change{Services: map[string]*Service{"shop/web": nil}}, `{"now":0,"services":{"shop/web":null}}`},
		{"a new entry is told", &Change{Routes: map[string]*Route{"all": {Nodes: 3}}}, `{"now":0,"routes":{"all":{"nodes":3}}}`},
		{"another leader is told", &Change{About: &About{Version: "v1", Leader: "b"}}, `{"now":0,"about":{"version":"v1","controller":"","leader":"b","started":0}}`},
		{"of the usage only the steps from the last one on", &Change{Usage: map[string][]Step{"main": {{0, 0, 0}, {60_000, 2, 0}, {120_000, 3, 0}}}},
			`{"now":0,"usage":{"main":[[60000,2,0],[120000,3,0]]}}`},
		{"a pool goes", &Change{Pools: map[string]*Pool{"main": nil}}, `{"now":0,"pools":{"main":null}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := full()
			news := s.Merge(tt.change)
			told, _ := json.Marshal(tt.change)
			if news != (tt.told != "") || news && string(told) != tt.told {
				t.Errorf("told %s, want %s", told, tt.told)
			}
			if s.Pools["main"].Name == "" && len(s.Usage) > 0 {
				t.Error("the usage of a pool outlives it")
			}
			if s.Merge(tt.change) && tt.change.Usage == nil {
				t.Error("the same change a second time is news")
			}
		})
	}
}
