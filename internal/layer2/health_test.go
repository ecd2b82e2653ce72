package layer2

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// patient is a Health with a segment around it, in virtual time: whoever is asked answers a millisecond later
// if its kernel, or its speaker, is reached.
type patient struct {
	*Health
	now      time.Time
	kernel   map[string]bool // answers on the segment
	speaker  map[string]bool // answers for its addresses
	witness  bool            // somebody else answers
	late     time.Duration   // of this process at each look
	asked    int
	isolated time.Duration
	history  []string // what was found, with the time since the start
}

func newPatient(nodes ...string) *patient {
	p := &patient{Health: NewHealth(15 * time.Second), now: time.Unix(0, 0), kernel: map[string]bool{}, speaker: map[string]bool{}}
	for _, n := range nodes {
		p.Serves(n, 1)
		p.Askable(n, true)
		p.kernel[n], p.speaker[n] = true, true
	}
	return p
}

// run lets time pass, and do something at its end.
func (p *patient) run(d time.Duration) {
	end := p.now.Add(d)
	for {
		f := p.Decide(p.now, p.late)
		p.asked += len(f.Ask)
		at := p.now.Add(time.Millisecond)
		for _, n := range f.Ask {
			if p.kernel[n] {
				p.Answered(n, at)
			}
		}
		for _, n := range f.Query {
			if p.speaker[n] {
				p.Attested(n, at)
			}
		}
		if f.Witness && p.witness {
			p.Heard(at)
		}
		for what, nodes := range map[string][]string{"resting": f.Resting, "lost": f.Lost, "gone": f.Gone} {
			for _, n := range nodes {
				p.history = append(p.history, fmt.Sprintf("%s %s at %d ms", n, what, p.now.Sub(time.Unix(0, 0)).Milliseconds()))
			}
		}
		next := f.Wake
		if len(f.Ask)+len(f.Query) > 0 {
			next = at // an answer is looked at as it comes
		}
		if next.IsZero() || next.After(end) {
			next = end
		}
		if f.Isolated {
			p.isolated += next.Sub(p.now)
		}
		if !next.After(p.now) {
			if next.Equal(end) {
				return
			}
			next = p.now.Add(time.Millisecond)
		}
		p.now = next
	}
}

func TestHealth(t *testing.T) {
	second := time.Second
	tests := []struct {
		name string
		do   func(*patient)
		want string
	}{
		{"a node that does not answer is lost", func(p *patient) {
			p.kernel["n1"], p.witness = false, true
			p.Suspect("n1", 1, false, p.now)
			p.run(second)
		}, "n1 lost at 60 ms"},
		{"a node whose kernel answers rests until its grace is over", func(p *patient) {
			p.speaker["n1"] = false
			p.Suspect("n1", 1, false, p.now)
			p.run(20 * second)
		}, "n1 resting at 1 ms, n1 gone at 15121 ms"},
		{"it rests on while its speaker answers on the segment", func(p *patient) {
			p.Suspect("n1", 1, false, p.now)
			p.run(60 * second)
			p.speaker["n1"] = false
			p.run(20 * second)
		}, "n1 resting at 1 ms, n1 gone at 60130 ms"},
		{"a good-bye needs no suspicion", func(p *patient) {
			p.speaker["n1"] = false
			p.Leaves("n1", p.now)
			p.run(20 * second)
		}, "n1 gone at 15120 ms"},
		{"a node that dies while it rests is lost", func(p *patient) {
			p.Leaves("n1", p.now)
			p.witness = true
			p.run(second)
			p.kernel["n1"] = false
			p.run(second)
		}, "n1 lost at 1110 ms"},
		{"whoever is heard again is neither", func(p *patient) {
			p.Suspect("n1", 1, false, p.now)
			p.run(second)
			p.Serves("n1", 2)
			p.run(60 * second)
		}, "n1 resting at 1 ms"},
		{"a suspicion that was contradicted does not count", func(p *patient) {
			p.Serves("n1", 2)
			p.kernel["n1"], p.witness = false, true
			p.Suspect("n1", 1, false, p.now)
			p.run(second)
		}, ""},
		{"nobody answers: it is we who are cut off, for a while", func(p *patient) {
			p.kernel["n1"], p.kernel["n2"] = false, false
			p.Suspect("n1", 1, false, p.now)
			p.run(1900 * time.Millisecond)
		}, ""},
		{"for as long as it takes until somebody asks for an address", func(p *patient) {
			p.kernel["n1"], p.kernel["n2"] = false, false
			p.Suspect("n1", 1, false, p.now)
			p.run(60 * second)
			p.Heard(p.now)
			p.run(second)
		}, "n1 lost at 60120 ms"},
		{"without an interface it is we who are cut off", func(p *patient) {
			p.Linked(false)
			p.Askable("n1", false)
			p.Unheard("n1", p.now)
			p.run(60 * second)
		}, ""},
		{"cut off for a moment: nothing is lost", func(p *patient) {
			p.kernel["n1"], p.kernel["n2"] = false, false
			p.Suspect("n1", 1, false, p.now)
			p.Suspect("n2", 1, false, p.now)
			p.run(second)
			p.kernel["n1"], p.kernel["n2"] = true, true
			p.run(second)
		}, "n1 resting at 1061 ms, n2 resting at 1061 ms"},
		{"cut off until after the last question: who is heard first says nothing of who was asked before", func(p *patient) {
			p.kernel["n1"], p.kernel["n2"] = false, false
			p.Suspect("n1", 1, false, p.now)
			p.run(50 * time.Millisecond)
			p.Heard(p.now)
			p.kernel["n1"], p.kernel["n2"] = true, true
			p.run(second)
		}, "n1 resting at 61 ms"},
		{"another suspect that answers is a witness", func(p *patient) {
			p.kernel["n1"] = false
			p.Suspect("n1", 1, false, p.now)
			p.Suspect("n2", 1, false, p.now)
			p.run(second)
		}, "n2 resting at 1 ms, n1 lost at 60 ms"},
		{"who is late itself asks again before it judges", func(p *patient) {
			p.kernel["n1"], p.witness, p.late = false, true, 20*time.Millisecond
			p.Suspect("n1", 1, false, p.now)
			p.run(200 * time.Millisecond)
			p.kernel["n1"] = true
			p.run(second)
		}, "n1 resting at 221 ms"},
		{"but not for ever", func(p *patient) {
			p.kernel["n1"], p.witness, p.late = false, true, 20*time.Millisecond
			p.Suspect("n1", 1, false, p.now)
			p.run(second)
		}, "n1 lost at 260 ms"},
		{"a node on no segment of ours is lost when gossip gives it up", func(p *patient) {
			p.Askable("n1", false)
			p.kernel["n1"] = false
			p.Suspect("n1", 1, false, p.now)
			p.run(second)
			p.Unheard("n1", p.now)
			p.run(second)
		}, "n1 lost at 1000 ms"},
		{"a node that says that it does not hear us, and whose kernel answers, is well", func(p *patient) {
			p.Deaf("n1", p.now)
			p.run(second)
		}, ""},
		{"one whose kernel does not answer either is lost", func(p *patient) {
			p.kernel["n1"], p.witness = false, true
			p.Deaf("n1", p.now)
			p.run(second)
		}, "n1 lost at 60 ms"},
		{"that its speaker is heard meanwhile, which takes one way, does not save it", func(p *patient) {
			p.kernel["n1"], p.witness = false, true
			p.Suspect("n1", 1, false, p.now)
			p.run(30 * time.Millisecond)
			p.Serves("n1", 2)
			p.run(second)
		}, "n1 lost at 60 ms"},
		{"nor does that make us less cut off where nobody answers", func(p *patient) {
			p.kernel["n1"], p.kernel["n2"] = false, false
			p.Deaf("n1", p.now)
			p.run(second)
			p.Serves("n1", 2)
			p.Suspect("n1", 2, true, p.now)
			p.run(second)
			if p.isolated < 1900*time.Millisecond {
				p.history = append(p.history, fmt.Sprintf("isolated for %s", p.isolated))
			}
		}, ""},
		{"a node that would insist, and nobody answers, is cut off", func(p *patient) {
			p.kernel["n1"] = false
			p.Prove([]string{"n1"}, p.now)
			p.run(second)
			if p.isolated != 940*time.Millisecond {
				p.history = append(p.history, fmt.Sprintf("isolated for %s", p.isolated))
			}
		}, ""},
		{"it is not if the claimant answers, and asks no more", func(p *patient) {
			p.Prove([]string{"n1"}, p.now)
			p.run(second)
			if p.asked != 1 || p.isolated > 0 {
				p.history = append(p.history, fmt.Sprintf("asked %d times, isolated for %s", p.asked, p.isolated))
			}
		}, ""},
		{"nor if anybody else does", func(p *patient) {
			p.kernel["n1"], p.witness = false, true
			p.Prove([]string{"n1"}, p.now)
			p.run(second)
			if p.asked != 1 || p.isolated > 0 {
				p.history = append(p.history, fmt.Sprintf("asked %d times, isolated for %s", p.asked, p.isolated))
			}
		}, ""},
		{"the others learn at once of a resting node that dies", func(p *patient) {
			p.Leaves("n1", p.now)
			p.witness = true
			p.run(1025 * time.Millisecond)
			p.kernel["n1"] = false
			p.Suspect("n1", 1, true, p.now)
			p.run(second)
		}, "n1 lost at 1085 ms"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPatient("n1", "n2")
			tt.do(p)
			slices.Sort(p.history)
			want := strings.Split(tt.want, ", ")
			slices.Sort(want)
			if got := strings.Join(p.history, ", "); got != strings.Join(want, ", ") {
				t.Errorf("found %s; want %s", got, tt.want)
			}
		})
	}
}

// However many speakers look after a resting node, it is not asked more than 200 times a second by all of them.
func TestHealthAsksLittle(t *testing.T) {
	for _, others := range []int{2, 10, 500} {
		p := newPatient()
		for i := range others {
			p.Serves(fmt.Sprint("n", i), 1)
			p.Askable(fmt.Sprint("n", i), true)
			p.kernel[fmt.Sprint("n", i)] = true
		}
		p.Leaves("n0", p.now)
		p.run(10 * time.Second)
		if rate := float64(p.asked*others) / 10; rate > 201 {
			t.Errorf("%d speakers ask %.0f times a second", others, rate)
		}
	}
}
