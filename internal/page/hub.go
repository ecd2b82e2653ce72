package page

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Source is where the state comes from. One goroutine calls its methods.
type Source interface {
	// Begin returns the state as it is, with tables that the caller may change, and takes note of changes from then
	// on.
	Begin() *State
	// Changes returns what may have changed since it was last asked, by Begin or Changes. Some of it may be as it was.
	Changes() *Change
	// Changed has a value once Changes has something to say.
	Changed() <-chan struct{}
	// About is where the state is from now. It is asked with Changes, and every BeatInterval.
	About() About
	// End is called when nobody looks any more: no note is taken until the next Begin.
	End()
}

const (
	// gather is how long changes are gathered before viewers hear of them: a storm of changes is a few events.
	gather = 250 * time.Millisecond
	// mostViewers bounds what browsers can cost. Each has some 300 KiB for its compressor, and what is queued.
	mostViewers = 16
	// mostQueued is how many events may wait for a viewer: two seconds of a storm, as a rule.
	mostQueued = 8
)

// hub owns the state while somebody looks. Otherwise there is none.
type hub struct {
	source      Source
	join, leave chan *viewer
	ended       chan struct{}
}

// viewer is one who looks. Events are whole ones, as they are sent. They end when the viewer is behind by mostQueued
// of them, is one too many, or the hub ends.
type viewer struct{ events chan []byte }

func newHub(source Source) *hub {
	return &hub{source: source, join: make(chan *viewer), leave: make(chan *viewer), ended: make(chan struct{})}
}

// view has the hub send its events, from a snapshot on, until stop is called. It returns nil if the hub or ctx has
// ended.
func (h *hub) view(ctx context.Context) (events <-chan []byte, stop func()) {
	v := &viewer{make(chan []byte, mostQueued)}
	select {
	case h.join <- v:
	case <-h.ended:
		return nil, func() {}
	case <-ctx.Done():
		return nil, func() {}
	}
	return v.events, func() {
		select {
		case h.leave <- v:
		case <-h.ended:
		}
	}
}

// run serves viewers until ctx ends.
func (h *hub) run(ctx context.Context) {
	defer close(h.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-h.join:
			h.show(ctx, first)
		case <-h.leave: // the hub was done with it before
		}
	}
}

// show serves viewers until there is none any more.
func (h *hub) show(ctx context.Context, first *viewer) {
	a := audience{h.source.Begin(), map[*viewer]bool{}}
	defer h.source.End()
	defer a.close()
	a.state.About = h.source.About()
	a.admit(first)
	beat := time.NewTicker(BeatInterval)
	defer beat.Stop()
	var gathered <-chan time.Time // nil while there is nothing
	for len(a.viewers) > 0 {
		select {
		case <-ctx.Done():
			return
		case v := <-h.join:
			a.admit(v)
		case v := <-h.leave:
			delete(a.viewers, v)
		case <-h.source.Changed():
			if gathered == nil {
				gathered = time.After(gather)
			}
		case <-gathered:
			gathered = nil
			a.tell(h.source.Changes(), h.source.About())
		case <-beat.C:
			a.tell(&Change{}, h.source.About())
			a.send(event("beat", Beat{time.Now().UnixMilli()}))
		}
	}
}

// audience is who looks, and at what.
type audience struct {
	state   *State
	viewers map[*viewer]bool
}

// admit gives a viewer all there is.
func (a *audience) admit(v *viewer) {
	if len(a.viewers) == mostViewers {
		close(v.events)
		return
	}
	a.viewers[v] = true
	a.state.Now = time.Now().UnixMilli()
	v.events <- event("snapshot", a.state) // there is room: it is the first
}

// tell has all viewers hear of what has changed.
func (a *audience) tell(c *Change, about About) {
	c.About = &about
	if a.state.Merge(c) {
		c.Now = time.Now().UnixMilli()
		a.send(event("change", c))
	}
}

// send queues an event for all viewers. One that is too far behind is left out, with what it has been sent: it may ask
// for a snapshot, of what is then, when it can take it.
func (a *audience) send(e []byte) {
	for v := range a.viewers {
		select {
		case v.events <- e:
		default:
			close(v.events)
			delete(a.viewers, v)
		}
	}
}

func (a *audience) close() {
	for v := range a.viewers {
		close(v.events)
	}
}

// event is one as a text/event-stream has it. JSON has no line breaks.
func event(name string, data any) []byte {
	text, err := json.Marshal(data)
	if err != nil {
		panic(fmt.Sprintf("encoding the page's %s: %v", name, err)) // strings, numbers and tables only
	}
	return fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, text)
}
