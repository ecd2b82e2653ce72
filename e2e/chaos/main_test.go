package chaos

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// family is a kind of faults.
type family struct {
	name   string
	faults func() []fault
}

// families are all there are, by the files that have them.
var families []family

// every fault there is, in an order that does not change.
func every() (list []fault) {
	for _, f := range families {
		list = append(list, f.faults()...)
	}
	return list
}

// seedVariable repeats a day.
const seedVariable = "SEED"

// seed is the day's: that of the environment, or 1 for a short day, which is part of a suite that is to say the same twice,
// or the time.
func seed(t *testing.T, full bool) uint64 {
	t.Helper()
	n := uint64(1)
	if full {
		n = uint64(time.Now().Unix())
	}
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Logf("%s=%d repeats this", seedVariable, n)
	return n
}

// present is the fleet that runs. There is one at a time.
var present *fleet.Fleet

// start is the running fleet, or a new one.
func start(t *testing.T) *fleet.Fleet {
	t.Helper()
	if present == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
		defer cancel()
		f, err := fleet.Start(ctx, fleet.Config{Controllers: 2, Binaries: os.Getenv("FAIRLEAD_BINARIES")})
		if err != nil {
			t.Fatal(err)
		}
		present = f
	}
	return present
}

// spoil has the next fault begin in a new fleet.
func spoil() {
	if present != nil {
		present.Stop()
		present = nil
	}
}

// chosen tells whether a test was asked for by name: then it does all it can.
func chosen(name string) bool {
	return strings.Contains(flag.Lookup("test.run").Value.String(), name)
}

// tails are the ends of the logs of the product, of the routers, and of what serves the connections.
func tails(f *fleet.Fleet, lines int) string {
	var s strings.Builder
	for _, p := range f.Processes() {
		if slices.ContainsFunc([]string{"controller", "speaker", "bgpd", "bird", "kube-proxy"}, func(program string) bool { return strings.HasPrefix(p.Name, program) }) {
			fmt.Fprintf(&s, "--- %s, running %v\n%s\n", p.Name, p.Running(), p.Tail(lines))
		}
	}
	return s.String()
}
