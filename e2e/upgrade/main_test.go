// Package upgrade runs two releases together: the one before and this one, as they are on a cluster while it is
// upgraded, and while it is taken back. What docs/upgrade.md promises is what it holds them to.
//
// The previous release is built from git's history: the commit or tag that FAIRLEAD_PREVIOUS names, else the newest tag
// before HEAD, else the commit before HEAD.
package upgrade

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
)

func TestMain(m *testing.M) { lab.MainBuilt(m, builtVariable, buildPrevious) }

// Hosts beside the nodes. What measures does nothing else.
const (
	asking   = 1 // client1 sends the requests that are measured
	backend  = 2 // client2 answers them, behind every Service: no endpoint dies with a node
	watching = 3 // client3 asks the segment who has what
)

// world is a lab with three nodes and two controllers, and what tests do in it.
type world struct {
	*lab.Lab
	fairlead versioned.Interface
	server   io.Closer // on the backend host
	old, now release
	runs     map[*lab.Process]release
	logged   map[*lab.Process]int // bytes before the present run
}

const pools = `
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: fleet}
spec: {addresses: ["192.0.2.120-192.0.2.229", "2001:db8::1:0/112"], retention: 1h}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: fleet}
spec: {ipAddressPools: [fleet]}
`

// present is the lab that runs, for all tests.
var present *world

// start is the lab for one test, which takes so long at most. The previous release was installed in it.
func start(t *testing.T, limit time.Duration) (context.Context, *world) {
	t.Helper()
	if present == nil {
		w, err := newWorld()
		if err != nil {
			t.Fatal(err)
		}
		present = w
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	t.Cleanup(func() { present.leave(t) })
	present.serving(ctx, t)
	return ctx, present
}

func newWorld() (_ *world, err error) {
	w := &world{runs: map[*lab.Process]release{}, logged: map[*lab.Process]int{}}
	if w.old, w.now, err = releases(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	w.Lab, err = lab.Start(ctx, lab.Config{
		Nodes: 3, Clients: 3, Controllers: 2,
		ControllerBinary: w.old.controller, SpeakerBinary: w.old.speaker, Manifests: []string{w.old.manifest},
	})
	if err != nil {
		return nil, err
	}
	for _, p := range w.Product() {
		w.runs[p] = w.old
	}
	if w.server, err = w.Client(backend).Serve(lab.BackendPort); err == nil {
		w.fairlead, err = versioned.NewForConfig(w.RESTConfig())
	}
	if err == nil {
		err = w.Apply(ctx, []byte(pools))
	}
	return w, err
}

// install applies a release's manifest: definitions, roles, all but what runs.
func (w *world) install(ctx context.Context, t *testing.T, r release) {
	t.Helper()
	if err := w.ApplyFile(ctx, r.manifest); err != nil {
		t.Fatal(err)
	}
}

// replace stops a process and starts it as another release, as a rollout does with a Pod.
func (w *world) replace(ctx context.Context, t *testing.T, p *lab.Process, r release) {
	t.Helper()
	if err := p.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if code, err := p.ExitCode(); err != nil || code != 0 {
		t.Errorf("%s, the %s release, ended with exit status %d: %v", p.Name, w.runs[p].name, code, err)
	}
	measure.Pause(ctx, t, 300*time.Millisecond) // the next Pod's start
	w.begin(t, p, r)
}

// begin starts a process that is stopped.
func (w *world) begin(t *testing.T, p *lab.Process, r release) {
	t.Helper()
	p.Use(r.speaker)
	if slices.Contains(w.Controllers, p) {
		p.Use(r.controller)
	}
	log, err := p.Log()
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	w.runs[p], w.logged[p] = r, len(log)
}

// roll replaces the speakers one after another, where they are not of the release that is wanted.
func (w *world) roll(ctx context.Context, t *testing.T, want ...release) {
	t.Helper()
	for i, n := range w.Nodes {
		if w.runs[n.Speaker] != want[i] {
			w.replace(ctx, t, n.Speaker, want[i])
			w.serving(ctx, t)
		}
	}
}

// leave shows the logs if the test has failed, and mends what it has left broken.
func (w *world) leave(t *testing.T) {
	for _, p := range w.Product() {
		if t.Failed() {
			t.Logf("%s, the %s release, running %v:\n%s", p.Name, w.runs[p].name, p.Running(), p.Tail(12))
		}
		if !p.Running() {
			t.Errorf("%s, the %s release, does not run", p.Name, w.runs[p].name)
			w.begin(t, p, w.runs[p])
		}
	}
	for _, n := range w.Nodes {
		if err := errors.Join(w.Restore(n.Host), w.drain(context.Background(), n, false)); err != nil {
			t.Error(err)
		}
	}
}

// complaints are the lines above info that a process has logged since its last start.
func (w *world) complaints(t *testing.T, p *lab.Process) (lines []string) {
	t.Helper()
	log, err := p.Log()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(log[w.logged[p]:]) {
		if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") || strings.Contains(line, "panic:") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
