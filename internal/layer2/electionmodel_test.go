package layer2

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
)

// assembly is the electors of a cluster whose news are with everybody before anything else happens, and beside them the
// rules of doc.go once more, slow and obvious.
type assembly struct {
	t        *testing.T
	seed     uint64
	rand     *rand.Rand
	now      time.Time
	electors map[string]*Elector
	claims   map[netip.Addr]lb.Claim
	scopes   map[string]Scope
	vips     map[netip.Addr]VIP
	barred   map[string]bool
	drained  map[string]bool
	owners   map[netip.Addr]string // by the model; empty where nobody may
	last     map[netip.Addr]string // who had it last, and did not let go of it
	log      []string
}

func newAssembly(t *testing.T, seed uint64) *assembly {
	return &assembly{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(0, 0), electors: map[string]*Elector{}, claims: map[netip.Addr]lb.Claim{},
		scopes: map[string]Scope{}, vips: map[netip.Addr]VIP{}, barred: map[string]bool{}, drained: map[string]bool{}, owners: map[netip.Addr]string{}, last: map[netip.Addr]string{},
	}
}

// candidate is who may own an address, and how much it is wished there.
func (s *assembly) candidate(name string, v VIP) (weight int32, ok bool) {
	if s.electors[name] == nil || s.barred[name] || s.drained[name] || v.Endpoints != nil && !v.Endpoints[name] {
		return 0, false
	}
	for _, scope := range v.Scopes {
		if w := s.scopes[scope].Weights[name]; s.scopes[scope].Nodes[name] && (!ok || w > weight) {
			weight, ok = w, true
		}
	}
	return weight, ok
}

// place gives an address to the first by rank of those candidates with the highest weight whose load, with the address,
// is at most a quarter above the mean; where there is none, to nobody, or it stays with who is drained. Who had it last
// goes before all.
func (s *assembly) place(a netip.Addr) {
	v, before := s.vips[a], s.last[a]
	defer func() {
		if s.owners[a] != "" {
			s.last[a] = s.owners[a]
		}
	}()
	s.owners[a] = ""
	if _, ok := s.candidate(before, v); ok {
		s.owners[a] = before
		return
	}
	var tier []string
	var best int32
	for _, name := range slices.Sorted(maps.Keys(s.electors)) {
		weight, ok := s.candidate(name, v)
		if ok && (len(tier) == 0 || weight > best) {
			tier, best = nil, weight
		}
		if ok && weight == best {
			tier = append(tier, name)
		}
	}
	load := func(name string) (n int) {
		for _, owner := range s.owners {
			if owner == name {
				n++
			}
		}
		return n
	}
	total := 1
	for _, name := range tier {
		total += load(name)
	}
	for _, name := range tier {
		if 4*load(name)*len(tier) < 5*total && (s.owners[a] == "" || lb.Outranks(a, name, s.owners[a])) {
			s.owners[a] = name
		}
	}
	if len(tier) == 0 && s.drained[before] && s.electors[before] != nil {
		s.drained[before] = false // but for that it might
		if _, ok := s.candidate(before, v); ok && !s.barred[before] {
			s.owners[a] = before
		}
		s.drained[before] = true
	}
}

// settle places what its owner may own no longer: first that of the node that something happened to, then what nobody had,
// then what others had although they are drained, each in order. All else stays.
func (s *assembly) settle(node string) {
	turn := func(a netip.Addr) int {
		switch s.owners[a] {
		case node:
			return 0
		case "":
			return 1
		}
		return 2
	}
	before := map[netip.Addr]int{}
	for a := range s.vips {
		before[a] = turn(a)
	}
	for _, a := range slices.SortedFunc(maps.Keys(s.vips), func(a, b netip.Addr) int { return cmp.Or(before[a]-before[b], a.Compare(b)) }) {
		if _, keeps := s.candidate(s.owners[a], s.vips[a]); !keeps {
			s.place(a)
		}
	}
}

// happens has all electors hear of something, in whatever order, and say what comes of it, until nothing does.
func (s *assembly) happens(what string, tell func(e *Elector)) {
	s.log = append(s.log, what)
	s.now = s.now.Add(time.Hour) // no penalty is left
	for _, e := range s.electors {
		tell(e)
	}
	for range 3 { // takeovers are confirmed in time
		for silent := false; !silent; {
			silent = true
			var made []lb.Claim
			for _, e := range s.electors {
				made = append(made, e.Decide(s.now).Claims...)
			}
			s.rand.Shuffle(len(made), func(i, j int) { made[i], made[j] = made[j], made[i] })
			for _, c := range made {
				silent = false
				if c.Beats(s.claims[c.Address]) {
					s.claims[c.Address] = c
				}
				for _, e := range s.electors {
					e.Hear(c)
				}
			}
		}
		s.now = s.now.Add(confirmAfter)
	}
}

// check compares all electors with the model.
func (s *assembly) check() {
	for name, e := range s.electors {
		if got := e.Owners(); !maps.Equal(got, s.owners) {
			var differ []string
			for _, a := range slices.SortedFunc(maps.Keys(s.vips), netip.Addr.Compare) {
				if got[a] != s.owners[a] {
					differ = append(differ, fmt.Sprintf("%s is %q's, not %q's", a, got[a], s.owners[a]))
				}
			}
			s.t.Fatalf("seed %d: after %q, by %s: %s", s.seed, s.log, name, differ)
		}
		for a, x := range e.vips {
			if x.owns() != (s.owners[a] == name) {
				s.t.Fatalf("seed %d: after %q %s answers for %s: %v, which is %q's", s.seed, s.log, name, a, x.owns(), s.owners[a])
			}
		}
	}
}

// start begins a node's speaker, which hears what the others know.
func (s *assembly) start(name string) {
	e := NewElector(name)
	for _, scope := range s.scopes {
		e.SetScope(scope)
	}
	s.electors[name] = e
	for other := range s.electors {
		e.Join(other, segment)
	}
	for other, barred := range s.barred {
		if barred {
			e.Bar(other, "barred")
		}
	}
	for other, drained := range s.drained {
		if drained {
			e.Drain(other, "drained")
		}
	}
	for _, c := range s.claims {
		e.Hear(c)
	}
	for _, a := range slices.SortedFunc(maps.Keys(s.vips), netip.Addr.Compare) {
		e.SetVIP(s.vips[a])
	}
	s.happens(name+" comes", func(e *Elector) { e.Join(name, segment) })
	s.settle(name)
}

// stop ends a node's speaker.
func (s *assembly) stop(name string, lost bool) {
	delete(s.electors, name)
	s.happens(fmt.Sprintf("%s goes, lost: %v", name, lost), func(e *Elector) { e.Part(name, lost, s.now) })
	s.settle(name)
}

// Whatever happens, one thing at a time, each address is where the obvious rules have it, for everybody: an owner keeps
// what it may, what is placed goes where rank and bounded loads say, and nothing else moves.
func TestElectionAgreesWithItsModel(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	for seed := range uint64(150) {
		s := newAssembly(t, seed)
		some := func() map[string]bool {
			set := map[string]bool{}
			for _, n := range names {
				if s.rand.IntN(4) > 0 {
					set[n] = true
				}
			}
			return set
		}
		scope := func(name string) Scope {
			x := Scope{Name: name, Nodes: some(), Weights: map[string]int32{}}
			for _, n := range names {
				if s.rand.IntN(4) == 0 {
					x.Weights[n] = int32(s.rand.IntN(3))
				}
			}
			return x
		}
		s.scopes["one"], s.scopes["two"] = scope("one"), scope("two")
		for range 2 + s.rand.IntN(4) {
			if i := slices.IndexFunc(names, func(n string) bool { return s.electors[n] == nil }); i >= 0 {
				s.start(names[i])
			}
		}
		for range 60 {
			name, at := names[s.rand.IntN(len(names))], address(1+s.rand.IntN(25))
			switch s.rand.IntN(8) {
			case 0, 1, 2:
				v := VIP{Address: at, Service: service(int(at.As4()[3])), Scopes: [][]string{{"one"}, {"two"}, {"one", "two"}, {"one"}, nil}[s.rand.IntN(5)]}
				if s.rand.IntN(4) == 0 {
					v.Endpoints = some()
				}
				s.vips[at] = v
				s.happens(fmt.Sprintf("%s of %v at %v", at, v.Scopes, v.Endpoints), func(e *Elector) { e.SetVIP(v) })
				if _, keeps := s.candidate(s.owners[at], v); !keeps {
					s.place(at)
				}
			case 3:
				if _, there := s.vips[at]; there && s.rand.IntN(3) == 0 {
					if s.owners[at] != "" {
						delete(s.last, at)
					}
					delete(s.vips, at)
					delete(s.owners, at)
					s.happens(at.String()+" goes", func(e *Elector) { e.RemoveVIP(at) })
				}
			case 4:
				// That alone moves nothing, and what had no owner may have one now.
				x := scope([]string{"one", "two"}[s.rand.IntN(2)])
				old := s.scopes[x.Name]
				s.scopes[x.Name] = x
				s.happens(fmt.Sprintf("%s is %v %v", x.Name, x.Nodes, x.Weights), func(e *Elector) { e.SetScope(x) })
				for _, n := range slices.Sorted(maps.Keys(old.Nodes)) {
					if x.Nodes[n] {
						continue
					}
					for _, a := range slices.SortedFunc(maps.Keys(s.vips), netip.Addr.Compare) {
						if _, keeps := s.candidate(n, s.vips[a]); s.owners[a] == n && !keeps {
							s.place(a)
						}
					}
				}
				s.settle("")
			case 5:
				if s.electors[name] == nil {
					s.start(name)
				} else if len(s.electors) > 3 {
					s.stop(name, s.rand.IntN(2) == 0)
				}
			case 6:
				s.barred[name] = !s.barred[name]
				s.drained[name] = false
				why := map[bool]string{true: "barred"}[s.barred[name]]
				s.happens(fmt.Sprintf("%s barred: %v", name, s.barred[name]), func(e *Elector) { e.Bar(name, why) })
				s.settle(name)
			case 7:
				if s.barred[name] {
					continue
				}
				s.drained[name] = !s.drained[name]
				why := map[bool]string{true: "drained"}[s.drained[name]]
				s.happens(fmt.Sprintf("%s drained: %v", name, s.drained[name]), func(e *Elector) { e.bar(name, why, why != "") })
				s.settle(name)
			}
			s.check()
		}
	}
}
