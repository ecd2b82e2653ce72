package layer2

import (
	"testing"
	"time"
)

func TestCounts(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name string
		tell func(*Elector)
		want counts
	}{
		{"an address with an owner", func(*Elector) {}, counts{known: 1}},
		{"the same told twice", func(e *Elector) { e.SetVIP(VIP{Address: address(1), Service: service(1), Scopes: []string{"all"}}) }, counts{known: 1}},
		{"an address of BGP alone", func(e *Elector) { e.SetVIP(VIP{Address: address(1), Service: service(1)}) }, counts{}},
		{"an address whose Service is gone", func(e *Elector) { e.RemoveVIP(address(1)) }, counts{}},
		{"no node is selected", func(e *Elector) { e.SetScope(everywhere()) }, counts{known: 1, ownerless: 1}},
		{"no node is selected any more, and then one is", func(e *Elector) {
			e.SetScope(everywhere())
			e.Decide(now)
			e.SetScope(everywhere("b"))
		}, counts{known: 1}},
		{"the Service has no endpoint", func(e *Elector) {
			e.SetVIP(VIP{Address: address(1), Service: service(1), Scopes: []string{"all"}, Endpoints: map[string]bool{}})
		}, counts{known: 1}},
		{"its endpoints are on nodes that do not take part", func(e *Elector) {
			e.SetVIP(VIP{Address: address(1), Service: service(1), Scopes: []string{"all"}, Endpoints: map[string]bool{"z": true}})
		}, counts{known: 1, ownerless: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := one()
			e.SetVIP(VIP{Address: address(1), Service: service(1), Scopes: []string{"all"}})
			e.Decide(now)
			tt.tell(e)
			e.Decide(now)
			if e.counts != tt.want {
				t.Errorf("counts %+v, want %+v", e.counts, tt.want)
			}
		})
	}
}
