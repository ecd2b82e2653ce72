package allocator

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
	"go4.org/netipx"
)

func ranges(t testing.TB, texts ...string) (parsed []netipx.IPRange) {
	t.Helper()
	for _, s := range texts {
		r, err := lb.ParseRange(s)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, r)
	}
	return parsed
}

// aged makes a pool; a smaller age is an older pool.
func aged(t testing.TB, name string, age int, addresses ...string) lb.Pool {
	return lb.Pool{Name: name, Created: time.Unix(int64(age), 0), Ranges: ranges(t, addresses...)}
}

func addrs(texts ...string) (parsed []netip.Addr) {
	for _, s := range texts {
		parsed = append(parsed, netip.MustParseAddr(s))
	}
	return parsed
}

var equalAddr = cmp.Comparer(func(x, y netip.Addr) bool { return x == y })

// epoch is when it is in tests that do not care.
var epoch = time.Unix(1_000_000, 0)

func key(name string) lb.Key { return lb.Key{Namespace: "default", Name: name} }

var v4, v6, both = []lb.Family{lb.IPv4}, []lb.Family{lb.IPv6}, []lb.Family{lb.IPv4, lb.IPv6}

// render puts a decision in one line: addresses with their pools, then refusals.
func render(d Decision) string {
	var parts []string
	for _, x := range d.Assignments {
		parts = append(parts, x.Address.String()+"@"+x.Pool)
	}
	for _, r := range d.Refusals {
		parts = append(parts, string(r.Reason)+": "+r.Message)
	}
	if !d.Satisfied {
		parts = append(parts, "pending")
	}
	return strings.Join(parts, ", ")
}

func TestDecide(t *testing.T) {
	type step struct {
		request Request
		want    string
	}
	tests := []struct {
		name  string
		pools []lb.Pool
		steps []step
	}{
		{
			name:  "gives the lowest free address of the first pool by name",
			pools: []lb.Pool{aged(t, "b", 1, "192.0.2.1"), aged(t, "a", 2, "192.0.2.8-192.0.2.9")},
			steps: []step{
				{Request{Service: key("x"), Families: v4}, "192.0.2.8@a"},
				{Request{Service: key("y"), Families: v4}, "192.0.2.9@a"},
				{Request{Service: key("z"), Families: v4}, "192.0.2.1@b"},
			},
		},
		{
			name:  "says the same when asked again",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1-192.0.2.9")},
			steps: []step{
				{Request{Service: key("x"), Families: v4}, "192.0.2.1@a"},
				{Request{Service: key("x"), Families: v4}, "192.0.2.1@a"},
			},
		},
		{
			name: "says that there is no pool",
			steps: []step{
				{Request{Service: key("x"), Families: v4}, "NoPool: there is no IPAddressPool, pending"},
			},
		},
		{
			name:  "says which pool is exhausted",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1"), aged(t, "b", 1, "2001:db8::/64")},
			steps: []step{
				{Request{Service: key("x"), Families: v4}, "192.0.2.1@a"},
				{Request{Service: key("y"), Families: v4},
					"PoolExhausted: pool a: exhausted, 1 of 1 IPv4 addresses in use; pool b: no IPv4 addresses, pending"},
			},
		},
		{
			name:  "gives the requested address, once",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1-192.0.2.9")},
			steps: []step{
				{Request{Service: key("x"), Families: v4, Addresses: addrs("192.0.2.5")}, "192.0.2.5@a"},
				{Request{Service: key("y"), Families: v4, Addresses: addrs("192.0.2.5")},
					"AddressInUse: the requested address 192.0.2.5 is in use by Service default/x, pending"},
			},
		},
		{
			name:  "refuses a requested address that no pool holds",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1-192.0.2.9")},
			steps: []step{
				{Request{Service: key("x"), Families: v4, Addresses: addrs("192.0.2.10")},
					"AddressNotInPool: no pool holds the requested address 192.0.2.10, pending"},
			},
		},
		{
			name:  "refuses a requested address of a family that the Service does not have",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1", "2001:db8::1")},
			steps: []step{
				{Request{Service: key("x"), Families: v4, Addresses: addrs("2001:db8::1")},
					"InvalidRequest: 2001:db8::1 is asked for, but spec.ipFamilies has no IPv6, pending"},
			},
		},
		{
			name:  "gives several requested addresses of one family, and says which of them it cannot",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1-192.0.2.9")},
			steps: []step{
				{Request{Service: key("x"), Families: v4, Addresses: addrs("192.0.2.3", "192.0.2.2")}, "192.0.2.3@a, 192.0.2.2@a"},
				{Request{Service: key("y"), Families: v4, Addresses: addrs("192.0.2.2", "192.0.2.5")},
					"192.0.2.5@a, AddressInUse: the requested address 192.0.2.2 is in use by Service default/x, pending"},
				{Request{Service: key("x"), Families: v4, Addresses: addrs("192.0.2.3")}, "192.0.2.3@a"},
				{Request{Service: key("y"), Families: v4, Addresses: addrs("192.0.2.2", "192.0.2.5")}, "192.0.2.2@a, 192.0.2.5@a"},
			},
		},
		{
			name:  "keeps the address when another is requested in vain, and moves when it can",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1-192.0.2.9")},
			steps: []step{
				{Request{Service: key("x"), Families: v4}, "192.0.2.1@a"},
				{Request{Service: key("x"), Families: v4, Addresses: addrs("198.51.100.1")},
					"192.0.2.1@a, AddressNotInPool: no pool holds the requested address 198.51.100.1, pending"},
				{Request{Service: key("x"), Families: v4, Addresses: addrs("192.0.2.3")}, "192.0.2.3@a"},
				{Request{Service: key("y"), Families: v4}, "192.0.2.1@a"},
			},
		},
		{
			name:  "takes the address from the requested pool",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1"), aged(t, "b", 1, "198.51.100.1")},
			steps: []step{
				{Request{Service: key("x"), Families: v4, Pool: "b"}, "198.51.100.1@b"},
				{Request{Service: key("y"), Families: v4, Pool: "c"}, `NoPool: there is no pool "c", pending`},
				{Request{Service: key("z"), Families: v4, Pool: "b", Addresses: addrs("192.0.2.1")},
					"AddressNotInPool: the requested address 192.0.2.1 is of pool a, not of the requested pool b, pending"},
			},
		},
		{
			name:  "gives both families in the order of the Service, from two pools if need be",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1"), aged(t, "b", 1, "2001:db8::/64")},
			steps: []step{
				{Request{Service: key("x"), Families: []lb.Family{lb.IPv6, lb.IPv4}, Policy: lb.RequireDualStack},
					"2001:db8::@b, 192.0.2.1@a"},
			},
		},
		{
			name:  "gives nothing when both families are required and one is exhausted",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1")},
			steps: []step{
				{Request{Service: key("x"), Families: both, Policy: lb.RequireDualStack},
					"NoAddressOfFamily: pool a: no IPv6 addresses, pending"},
				{Request{Service: key("y"), Families: v4}, "192.0.2.1@a"},
			},
		},
		{
			name:  "gives one family when two are preferred and one is exhausted",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1")},
			steps: []step{
				{Request{Service: key("x"), Families: both, Policy: lb.PreferDualStack},
					"192.0.2.1@a, NoAddressOfFamily: pool a: no IPv6 addresses"},
			},
		},
		{
			name:  "takes back the address of a family that the Service gave up",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1", "2001:db8::1")},
			steps: []step{
				{Request{Service: key("x"), Families: both, Policy: lb.RequireDualStack}, "192.0.2.1@a, 2001:db8::1@a"},
				{Request{Service: key("x"), Families: v4}, "192.0.2.1@a"},
				{Request{Service: key("y"), Families: v6}, "2001:db8::1@a"},
			},
		},
		{
			name:  "keeps what the status shows after a restart",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1-192.0.2.9")},
			steps: []step{
				{Request{Service: key("x"), Families: v4, Current: addrs("192.0.2.7")}, "192.0.2.7@a"},
				{Request{Service: key("y"), Families: v4, Current: addrs("192.0.2.7")}, "192.0.2.1@a"},
			},
		},
		{
			name:  "gives nothing new to a request on hold",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1-192.0.2.9", "2001:db8::1")},
			steps: []step{
				{Request{Service: key("x"), Families: both, Policy: lb.PreferDualStack, Current: addrs("192.0.2.7"), Hold: true}, "192.0.2.7@a, pending"},
				{Request{Service: key("y"), Families: v4, Hold: true}, "pending"},
				{Request{Service: key("x"), Families: both, Policy: lb.PreferDualStack}, "192.0.2.7@a, 2001:db8::1@a"},
			},
		},
		{
			name:  "does not believe a status that was edited while it knows better",
			pools: []lb.Pool{aged(t, "a", 1, "192.0.2.1-192.0.2.9")},
			steps: []step{
				{Request{Service: key("x"), Families: v4}, "192.0.2.1@a"},
				{Request{Service: key("x"), Families: v4, Current: addrs("192.0.2.7")}, "192.0.2.1@a"},
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := New()
			a.SetPools(tt.pools)
			for i, s := range tt.steps {
				if got := render(a.Decide(s.request)); got != s.want {
					t.Fatalf("step %d: got  %s\nwant %s", i+1, got, s.want)
				}
			}
		})
	}
}

func TestNotAdopted(t *testing.T) {
	a := New()
	a.SetPools([]lb.Pool{aged(t, "a", 1, "192.0.2.1-192.0.2.9")})
	a.Decide(Request{Service: key("x"), Families: v4})
	d := a.Decide(Request{Service: key("y"), Families: v4, Current: addrs("192.0.2.1", "198.51.100.1", "2001:db8::1", "198.51.100.2")})
	want := []NotAdopted{
		{addrs("192.0.2.1")[0], Refusal{ReasonInUse, "192.0.2.1 is in use by Service default/x"}},
		{addrs("2001:db8::1")[0], Refusal{ReasonInvalidRequest, "2001:db8::1 is of a family that the Service does not have"}},
		{addrs("198.51.100.2")[0], Refusal{ReasonInvalidRequest, "198.51.100.2 is one more IPv4 address than the Service asks for"}},
	}
	if diff := cmp.Diff(want, d.NotAdopted, equalAddr); diff != "" {
		t.Errorf("NotAdopted (-want +got):\n%s", diff)
	}
}

func TestWaiting(t *testing.T) {
	newFull := func(t *testing.T) *Allocator {
		a := New()
		a.SetPools([]lb.Pool{aged(t, "a", 1, "192.0.2.1", "2001:db8::1")})
		a.Decide(Request{Service: key("holder"), Families: both, Policy: lb.RequireDualStack})
		return a
	}
	t.Run("whoever waits longest is asked first, and the next when that one does not take it", func(t *testing.T) {
		a := newFull(t)
		// a Service that no free IPv4 address helps as long as there is no IPv6 address
		first := Request{Service: key("first"), Families: both, Policy: lb.RequireDualStack}
		second := Request{Service: key("second"), Families: v4}
		a.Decide(first)
		a.Decide(second)
		// only the IPv4 address is freed
		again := a.Decide(Request{Service: key("holder"), Families: v6}).Again
		if diff := cmp.Diff([]lb.Key{key("first")}, again); diff != "" {
			t.Fatalf("freed (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]lb.Key{key("second")}, a.Decide(first).Again); diff != "" {
			t.Fatalf("passed on (-want +got):\n%s", diff)
		}
		if got := render(a.Decide(second)); got != "192.0.2.1@a" {
			t.Errorf("second got %s", got)
		}
	})
	t.Run("a Service that waits for one address is asked when that one is free", func(t *testing.T) {
		a := newFull(t)
		a.Decide(Request{Service: key("w"), Families: v4, Addresses: addrs("192.0.2.1")})
		if diff := cmp.Diff([]lb.Key{key("w")}, a.Release(key("holder"), epoch)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
	t.Run("a Service that left is not asked", func(t *testing.T) {
		a := newFull(t)
		a.Decide(Request{Service: key("w"), Families: v4})
		a.Release(key("w"), epoch)
		if again := a.Release(key("holder"), epoch); len(again) > 0 {
			t.Errorf("asked %v", again)
		}
	})
	t.Run("a new pool ends the wait", func(t *testing.T) {
		a := New()
		w := Request{Service: key("w"), Families: v4}
		a.Decide(w)
		change := a.SetPools([]lb.Pool{aged(t, "a", 1, "192.0.2.1")})
		if diff := cmp.Diff([]lb.Key{key("w")}, change.Again); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := render(a.Decide(w)); got != "192.0.2.1@a" {
			t.Errorf("got %s", got)
		}
	})
}

func TestSetPools(t *testing.T) {
	request := Request{Service: key("x"), Families: v4, Addresses: addrs("192.0.2.5")}
	tests := []struct {
		name   string
		before []lb.Pool
		after  []lb.Pool
		change PoolChange
		want   string
	}{
		{
			name:   "an address stays when its pool grows",
			before: []lb.Pool{aged(t, "a", 1, "192.0.2.5")},
			after:  []lb.Pool{aged(t, "a", 1, "192.0.2.0/24")},
			want:   "192.0.2.5@a",
		},
		{
			name:   "an address stays when its pool is split around it",
			before: []lb.Pool{aged(t, "a", 1, "192.0.2.0/24")},
			after:  []lb.Pool{aged(t, "a", 1, "192.0.2.1", "192.0.2.5", "192.0.2.9")},
			want:   "192.0.2.5@a",
		},
		{
			name:   "an address moves along when its pool is renamed",
			before: []lb.Pool{aged(t, "a", 1, "192.0.2.0/24")},
			after:  []lb.Pool{aged(t, "b", 2, "192.0.2.0/24")},
			change: PoolChange{Again: []lb.Key{key("x")}},
			want:   "192.0.2.5@b",
		},
		{
			name:   "an address stays when an older pool grows over its own",
			before: []lb.Pool{aged(t, "old", 1, "198.51.100.1"), aged(t, "young", 2, "192.0.2.0/24")},
			after:  []lb.Pool{aged(t, "old", 1, "198.51.100.1", "192.0.2.4-192.0.2.6"), aged(t, "young", 2, "192.0.2.0/24")},
			change: PoolChange{
				Conflicts: []Conflict{{Pool: "young", With: "old", Overlap: ranges(t, "192.0.2.4-192.0.2.6")[0]}},
				Again:     []lb.Key{key("x")},
			},
			want: "192.0.2.5@old",
		},
		{
			name:   "an address leaves when no pool holds it",
			before: []lb.Pool{aged(t, "a", 1, "192.0.2.0/24")},
			after:  []lb.Pool{aged(t, "a", 1, "192.0.2.0/30")},
			change: PoolChange{Losses: []Loss{{key("x"), addrs("192.0.2.5")[0], "no pool holds 192.0.2.5 any more; it was of pool a"}}, Again: []lb.Key{key("x")}},
			want:   "AddressNotInPool: no pool holds the requested address 192.0.2.5, pending",
		},
		{
			name:   "an address leaves when its pool is deleted",
			before: []lb.Pool{aged(t, "a", 1, "192.0.2.0/24")},
			change: PoolChange{Losses: []Loss{{key("x"), addrs("192.0.2.5")[0], "no pool holds 192.0.2.5 any more; it was of pool a"}}, Again: []lb.Key{key("x")}},
			want:   "AddressNotInPool: no pool holds the requested address 192.0.2.5, pending",
		},
		{
			name:   "a younger pool gives way to two older ones and is told of both",
			before: []lb.Pool{aged(t, "a", 1, "192.0.2.0/24")},
			after: []lb.Pool{aged(t, "a", 1, "192.0.2.0/29"), aged(t, "b", 2, "192.0.2.16/29"),
				aged(t, "c", 3, "192.0.2.0/24")},
			change: PoolChange{Conflicts: []Conflict{
				{Pool: "c", With: "a", Overlap: ranges(t, "192.0.2.0/29")[0]},
				{Pool: "c", With: "b", Overlap: ranges(t, "192.0.2.16/29")[0]},
			}},
			want: "192.0.2.5@a",
		},
		{
			name:   "of two pools of one age the first by name keeps what both list",
			before: []lb.Pool{aged(t, "b", 1, "192.0.2.0/24")},
			after:  []lb.Pool{aged(t, "b", 1, "192.0.2.0/24"), aged(t, "a", 1, "192.0.2.5")},
			change: PoolChange{
				Conflicts: []Conflict{{Pool: "b", With: "a", Overlap: ranges(t, "192.0.2.5")[0]}},
				Again:     []lb.Key{key("x")},
			},
			want: "192.0.2.5@a",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := New()
			a.SetPools(tt.before)
			a.Decide(request)
			change := a.SetPools(tt.after)
			equalRange := cmp.Comparer(func(x, y netipx.IPRange) bool { return x == y })
			if diff := cmp.Diff(tt.change, change, equalRange, equalAddr); diff != "" {
				t.Errorf("change (-want +got):\n%s", diff)
			}
			if got := render(a.Decide(request)); got != tt.want {
				t.Errorf("afterwards: %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	a := New()
	a.SetPools([]lb.Pool{aged(t, "a", 1, "192.0.2.8-192.0.2.15", "192.0.2.1", "2001:db8::/64")})
	a.Decide(Request{Service: key("x"), Families: both})
	usage, ok := a.Usage("a")
	if !ok {
		t.Fatal("no usage")
	}
	line := func(u Usage) string {
		return strings.Join([]string{u.Total.String(), netip.Addr.String(u.First), u.Last.String(), u.Available.String()}, " ")
	}
	if got, want := line(usage[lb.IPv4]), "9 192.0.2.1 192.0.2.15 8"; got != want {
		t.Errorf("IPv4: got %s, want %s", got, want)
	}
	if got, want := line(usage[lb.IPv6]), "18446744073709551616 2001:db8:: 2001:db8::ffff:ffff:ffff:ffff 18446744073709551615"; got != want {
		t.Errorf("IPv6: got %s, want %s", got, want)
	}
	if diff := cmp.Diff([]string{"a"}, a.TakeDirty()); diff != "" {
		t.Errorf("dirty (-want +got):\n%s", diff)
	}
	if again := a.TakeDirty(); len(again) > 0 {
		t.Errorf("still dirty: %v", again)
	}
}
