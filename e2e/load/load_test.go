package load

import (
	"context"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/measure"
)

// step is how long a step lasts: so long that each user has asked once, and has noticed.
func (c crowd) step() time.Duration { return c.Think + time.Second }

// Users ask for Services all the time, while nodes are taken down one by one and come back.
func TestLoad(t *testing.T) {
	// So many requests keep two processors, which everything shares, half busy.
	c := crowd{
		Users: measure.Less(300, 10000), Think: measure.Less(1600*time.Millisecond, 4*time.Second),
		Patience: measure.Less(1500*time.Millisecond, 2*time.Second),
	}
	enoughFiles(t, c.Users)
	ctx, cancel := context.WithTimeout(t.Context(), measure.Less(3*time.Minute, 25*time.Minute))
	defer cancel()
	f, err := fleet.Start(ctx, fleet.Config{Layer2: measure.Less(3, 12), Routed: measure.Less(3, 12), AllBFD: true})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Stop()
	// The backend keeps what came through a node that was powered off, under that node's address and a port. Where the node
	// is back and draws the same port for a new client, the backend takes that one for the old, and the client has to
	// ask again after a second. Of so many, some always meet: so the backend is to notice by then.
	if err := f.Backend.Sysctls("net/ipv4/tcp_keepalive_time=2", "net/ipv4/tcp_keepalive_intvl=1", "net/ipv4/tcp_keepalive_probes=2"); err != nil {
		t.Fatal(err)
	}
	all, err := approaches(ctx, f)
	if err != nil {
		t.Fatal(err)
	}
	idle, err := atIdle(ctx, f, c)
	if err != nil {
		t.Fatal(err)
	}
	var runs []run
	for _, x := range all {
		var failure error // of the lab: the next one would begin with what is broken now
		t.Run(x.name, func(t *testing.T) {
			var r run
			if r, failure = x.run(ctx, f, c, program(f)); failure != nil {
				t.Fatal(failure)
			}
			runs = append(runs, r)
			for _, e := range r.events {
				t.Logf("%s, node %d: %+v", e.name, e.node, r.figures(e.stretch))
			}
			for _, fault := range slices.Concat(r.faults(r.notes, r.events), r.cost.inTheWay(idle)) {
				t.Error(fault)
			}
			if len(r.Spoiled) > 0 {
				t.Errorf("%d requests failed in a way that nobody thought of, the first: %s", len(r.Spoiled), r.Spoiled[0])
			}
			if t.Failed() {
				for _, e := range r.events {
					for target, text := range r.harmed(e.stretch) {
						t.Logf("%s, node %d, at %s: %s: %s", e.name, e.node, r.notes.Begin.Add(e.at).Format(time.StampMilli), x.targets[target], text)
					}
				}
				for _, n := range f.Nodes {
					t.Logf("%s:\n%s", n.Speaker.Name, n.Speaker.Tail(150))
				}
			}
		})
		if failure != nil {
			break
		}
	}
	measure.Section(t, "performance.md", "load", section(c, idle, runs))
}

// atIdle is what everything costs without users.
func atIdle(ctx context.Context, f *fleet.Fleet, c crowd) (cost, error) {
	_, spent, err := takeAll(ctx, f, []step{rest()}, time.Now(), c.step())
	return spent, err
}

// enoughFiles fails if so many users need more descriptors than this machine allows.
func enoughFiles(t *testing.T, users int) {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if need := uint64(users + 1000); limit.Cur < need {
		t.Fatalf("%d users need %d open files, and the hard limit is %d: raise it (ulimit -Hn)", users, need, limit.Cur)
	}
}
