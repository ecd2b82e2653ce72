//go:build kind

package kind

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// most is how often a step is begun whose judgement the machine spoils: all nodes, and who asks them, stand still with
// its processors.
const most = 3

// attempt is a step that has begun. What its helpers find wrong ends it only if no processor stood still meanwhile.
type attempt struct {
	*testing.T
	wrong []string
}

func (a *attempt) Errorf(format string, args ...any) {
	a.Helper()
	a.Logf(format, args...)
	a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
}

// attempts runs a step, and does so again if it went wrong while the machine stood still. Each sees to what it needs.
func attempts(t *testing.T, step func(*attempt)) {
	for i := 1; ; i++ {
		a := &attempt{T: t}
		still, err := measure.Still(t.Context())
		if err != nil {
			t.Logf("whether the machine stands still is not known: %v", err)
		}
		step(a)
		times, longest := still()
		if len(a.wrong) == 0 {
			return
		}
		if times == 0 || i == most {
			t.Fatalf("%d times a processor stood still, and this is wrong:\n%s", times, strings.Join(a.wrong, "\n"))
		}
		t.Logf("begun again, for a processor stood still %d times, for %v at most", times, longest)
	}
}
