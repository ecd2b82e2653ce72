package chaos

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// stroke is one fault of a day.
type stroke struct {
	fault fault
	seed  uint64        // of what it draws, such as its victims
	after time.Duration // the stroke before it
}

// draws is where the fault draws its victims.
func (s stroke) draws() *rand.Rand { return rand.New(rand.NewPCG(s.seed, 0)) }

// alone is each of these faults as a stroke of its own.
func alone(seed uint64, faults []fault) (rounds [][]stroke) {
	r := rand.New(rand.NewPCG(seed, 0))
	for _, f := range faults {
		rounds = append(rounds, []stroke{{fault: f, seed: r.Uint64()}})
	}
	return rounds
}

// day is so many rounds of faults at random. In most of them two overlap, of different targets: what befalls one thing
// twice at a time has one name, and is a fault of its own.
func day(seed uint64, faults []fault, rounds int) (list [][]stroke) {
	r := rand.New(rand.NewPCG(seed, 1))
	for range rounds {
		first := faults[r.IntN(len(faults))]
		round := []stroke{{fault: first, seed: r.Uint64()}}
		others := slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return f.alone || f.target == first.target })
		if !first.alone && len(others) > 0 && r.IntN(4) > 0 {
			round = append(round, stroke{
				fault: others[r.IntN(len(others))], seed: r.Uint64(), after: time.Duration(r.IntN(3000)) * time.Millisecond,
			})
		}
		list = append(list, round)
	}
	return list
}

// sampleOf is one fault of each family.
func sampleOf(seed uint64) (faults []fault) {
	r := rand.New(rand.NewPCG(seed, 2))
	for _, f := range families {
		all := f.faults()
		faults = append(faults, all[r.IntN(len(all))])
	}
	return faults
}

func TestTheSameSeedDrawsTheSameDay(t *testing.T) {
	type drawn struct {
		name    string
		victims uint64
		after   time.Duration
	}
	flat := func(seed uint64) (list []drawn) {
		for _, round := range slices.Concat(alone(seed, every()), day(seed, every(), 200)) {
			for _, s := range round {
				list = append(list, drawn{s.fault.name(), s.draws().Uint64(), s.after})
			}
		}
		return list
	}
	if !slices.Equal(flat(7), flat(7)) {
		t.Error("the same seed has drawn two days")
	}
	if slices.Equal(flat(7), flat(8)) {
		t.Error("two seeds have drawn the same day")
	}
	both := 0
	for _, round := range day(7, every(), 200) {
		if len(round) == 2 {
			both++
			if round[0].fault.target == round[1].fault.target {
				t.Errorf("%s and %s overlap", round[0].fault.name(), round[1].fault.name())
			}
			if round[0].fault.alone || round[1].fault.alone {
				t.Errorf("%s and %s overlap, and one is to be alone", round[0].fault.name(), round[1].fault.name())
			}
		}
	}
	if both < 50 {
		t.Errorf("in %d of 200 rounds two faults overlap", both)
	}
	names := map[string]bool{}
	for _, f := range every() {
		if names[f.name()] {
			t.Errorf("two faults have the name %q", f.name())
		}
		names[f.name()] = true
	}
}
