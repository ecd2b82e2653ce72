// Package layer2 measures what clients of a layer-2 address notice when something fails, is moved or is
// attacked, in labs of several sizes, and holds Fairlead to the bounds that docs/performance.md states.
//
// Without -full the tests do less of the same: fewer rounds, and shorter waits where only patience differs.
package layer2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
)

func TestMain(m *testing.M) { lab.Main(m) }

var (
	small = []int{3}
	both  = []int{3, 10}
	// large are both with -full: where 10 nodes show nothing that 3 do not, they are for the figures alone.
	large = func() []int { return measure.Less(small, both) }
)

// Hosts beside the nodes. What measures does nothing else.
const (
	asking   = 1 // client1 sends the requests that are measured
	backend  = 2 // client2 answers them, behind every Service: no endpoint dies with a node
	watching = 3 // client3 asks the segment who has what
	foreign  = 4 // client4 does what it should not
)

// world is a lab with a pool, an advertisement for all nodes, and what tests do in it.
type world struct {
	*lab.Lab
	fairlead versioned.Interface
	server   io.Closer // on the backend host
	spoiled  bool      // not fit for another test
}

// pools are those of all tests. Of the segment's IPv4 addresses the first 118 are for hosts.
const pools = `
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: fleet}
spec: {addresses: ["192.0.2.120-192.0.2.229", "2001:db8::1:0/112"]}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: fleet}
spec: {ipAddressPools: [fleet]}
`

// present is the lab that runs. There is one at a time.
var present *world

// labOf is the running lab if it has so many nodes, or a new one.
func labOf(t *testing.T, nodes int) *world {
	t.Helper()
	if present != nil {
		if len(present.Nodes) == nodes && !present.spoiled {
			return present
		}
		if err := present.server.Close(); err != nil {
			t.Error(err)
		}
		present.Stop()
		present = nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	config := lab.Config{
		Nodes: nodes, Clients: 4, Storage: true,
		ControllerBinary: filepath.Join(root, "build", "controller"), SpeakerBinary: filepath.Join(root, "build", "speaker"),
	}
	for _, path := range []string{config.ControllerBinary, config.SpeakerBinary} {
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("%v: run `make build` first", err)
		}
	}
	l, err := lab.Start(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Lab: l}
	if w.server, err = w.Client(backend).Serve(lab.BackendPort); err == nil {
		w.fairlead, err = versioned.NewForConfig(l.RESTConfig())
	}
	if err == nil {
		err = w.Apply(ctx, []byte(pools))
	}
	if err != nil {
		l.Stop()
		t.Fatal(err)
	}
	present = w
	return w
}

// each runs a test in labs with so many nodes, in the one that runs already first.
func each(t *testing.T, sizes []int, limit time.Duration, test func(context.Context, *testing.T, *world)) {
	t.Helper()
	sizes = slices.Clone(sizes)
	slices.SortStableFunc(sizes, func(a, b int) int {
		running := func(n int) int {
			if present != nil && len(present.Nodes) == n {
				return 0
			}
			return 1
		}
		return running(a) - running(b)
	})
	for _, nodes := range sizes {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			w := labOf(t, nodes)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			t.Cleanup(func() { w.leave(t) })
			w.serving(ctx, t)
			test(ctx, t, w)
		})
	}
}

// leave shows the logs if the test has failed, and mends what it has left broken.
func (w *world) leave(t *testing.T) {
	if t.Failed() {
		for _, n := range w.Nodes {
			t.Logf("%s, running %v:\n%s", n.Speaker.Name, n.Speaker.Running(), n.Speaker.Tail(measure.Less(12, 40)))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, n := range w.Nodes {
		err := errors.Join(w.Restore(n.Host), w.Unblock(ctx, n.Host))
		if !n.Speaker.Running() {
			err = errors.Join(err, n.Speaker.Start())
		} else if t.Failed() {
			err = errors.Join(err, n.Speaker.Thaw())
		}
		if err != nil {
			t.Error(err)
			w.spoiled = true
		}
	}
}
