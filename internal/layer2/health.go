package layer2

import (
	"maps"
	"slices"
	"time"
)

const (
	// askInterval is the time that a kernel has to answer on the segment before it is asked again, and asks is
	// how often it is asked. Both ends are kernels or close to it: an answer takes a fraction of a millisecond.
	askInterval = 20 * time.Millisecond
	asks        = 3
	// isolatedInterval is the pace of asking while nobody at all answers. For as long as that lasts this node
	// takes itself for the one that is cut off: a takeover would be of use to nobody, since whoever wanted to
	// use the address would be heard asking for it.
	isolatedInterval = 100 * time.Millisecond
	// watchInterval is the least pace at which a resting node's kernel is asked whether it is still there. All
	// speakers ask, so the pace of each is watchShare for every member.
	watchInterval = 50 * time.Millisecond
	watchShare    = 5 * time.Millisecond
	// lateLimit is how late this process may look and still judge: an answer may have come meanwhile and not
	// been read. lateAsks is how often it may put its judgement off for that.
	lateLimit = 15 * time.Millisecond
	lateAsks  = 10
	// extension is how much longer a node rests whose speaker still answers on the segment.
	extension = 5 * time.Second
	// moreAsks are added to the questions to a node of which nothing speaks against it but its watchers' loss.
	moreAsks = 3
	// doubt is how long a node that is on no segment of ours, and so cannot be asked, has to contradict when
	// gossip gives it up: twice the time that gossip takes to tell it and to bring its answer.
	doubt = 150 * time.Millisecond
)

// vital is what became of another node's speaker.
type vital uint8

const (
	heard     vital = iota
	suspected       // it is heard no more; why is being found out
	atRest          // only the speaker is gone, as when it restarts: the node's kernel answers
	doubted         // it counts as heard, but who watched it is lost: its kernel is asked whether it is still there
)

// Health decides what became of speakers that are heard no more, by what is heard on the segment: whether
// their nodes are gone, only their speakers, or whether it is this node that hears nobody. Like the Elector
// it is a value: time is an argument, and what it wants to be asked on the segment it returns.
type Health struct {
	// Grace is how long a node may rest.
	Grace time.Duration

	// peers are the others, but for those that were lost, until they are heard again; unwell are those of them that
	// are not heard: of thousands there are few, and a look is to cost no more than they do.
	peers, unwell map[string]*vitals
	// heard is when anybody answered last: then it is not this node that is cut off. Whom it hears without having asked
	// shows nothing of the sort, since a path may be cut one way.
	heard time.Time
	// proof is a round of questions to witnesses and to the hosts in asked, whether anybody hears this node: Prove began
	// it.
	proof vitals
	asked []string
	// unlinked is true while this node has no interface to ask anybody on.
	unlinked bool
}

type vitals struct {
	version uint64
	vital   vital
	since   time.Time
	// askable is true if the node shares a segment with this one.
	askable bool
	// unheard is true when gossip gave the node up as well.
	unheard bool
	// The present round of questions: its start, the last question, their number, and how many of them are
	// owed to our own lateness. No round is on while asked is zero.
	began, asked time.Time
	count, late  int
	reached      time.Time // when somebody was heard first in this round
	last         time.Time // when its speaker was last heard by who suspects it, as far as is known
	answered     time.Time // when the kernel answered last
	attested     time.Time // when the speaker answered on the segment
	queries      int       // for an address of its, since the grace was over
	queried      time.Time // when the last one was
}

// Findings are what Health came to.
type Findings struct {
	// Ask are the nodes whose kernels are to be asked now, Query those whose speakers are, for an address that
	// they own. Witnesses are to be asked too while Witness is true: whoever answers shows that it is not this
	// node that is cut off.
	Ask, Query []string
	Witness    bool
	// Resting, Lost and Gone are nodes found to be so: Lost is a node that does not answer at all, Gone one that
	// has rested for too long.
	Resting, Lost, Gone []string
	// Silent are the nodes of which the others are to be told that their kernels do not answer.
	Silent []string
	// Isolated is true while nobody answers: it is this node that is cut off, as far as it can tell.
	Isolated bool
	// Detection is how long it took to find each of Lost, since it was suspected.
	Detection map[string]time.Duration
	// LastHeard is when each of Lost was last heard by anybody, as far as this node knows: its speaker or its kernel.
	// Where nobody knows, it is when it was suspected.
	LastHeard map[string]time.Time
	Wake      time.Time
}

// NewHealth returns a Health that knows nobody.
func NewHealth(grace time.Duration) *Health {
	return &Health{Grace: grace, peers: map[string]*vitals{}, unwell: map[string]*vitals{}}
}

// Serves takes note of a node whose speaker is heard, and of the version of its state.
func (h *Health) Serves(node string, version uint64) {
	p := h.peers[node]
	if p == nil {
		p = &vitals{askable: false}
		h.peers[node] = p
	}
	if p.askable && !p.began.IsZero() && (p.vital == suspected || p.vital == doubted) {
		// What it says takes one way. Its kernel has been asked whether there is another, and has still to answer.
		p.vital, p.version, p.unheard, p.last = doubted, version, false, time.Time{}
		return
	}
	*p = vitals{version: version, askable: p.askable}
	delete(h.unwell, node)
}

// Linked takes note whether this node has an interface on a segment of others.
func (h *Health) Linked(linked bool) { h.unlinked = !linked }

// Askable takes note whether a node shares a segment with this one.
func (h *Health) Askable(node string, askable bool) {
	if p := h.peers[node]; p != nil {
		p.askable = askable
	}
}

// Suspect takes note of a suspicion about the version of a node's state; silent if its kernel is said not to
// answer. It tells whether the suspicion is of use here.
func (h *Health) Suspect(node string, version uint64, silent bool, now time.Time) bool {
	p := h.peers[node]
	if p == nil || version < p.version {
		return false
	}
	switch p.vital {
	case heard, doubted:
		if p.count > asks+p.late {
			p.vital = suspected // nobody answers at all, and a new round would pass over that for its length
			return true
		}
		p.vital, p.since = suspected, now
		h.unwell[node] = p
		p.begin(now)
	case atRest:
		if silent && p.began.IsZero() {
			p.begin(now)
		}
	default:
		return false
	}
	return true
}

// Unheard takes note that gossip gave a node up.
func (h *Health) Unheard(node string, now time.Time) {
	if p := h.peers[node]; p != nil {
		p.unheard = true
		h.Suspect(node, p.version, true, now)
	}
}

// Leaves takes note of a speaker's good-bye: it rests without being suspected. It tells whether that is news.
func (h *Health) Leaves(node string, now time.Time) bool {
	p := h.peers[node]
	if p == nil || p.vital == atRest {
		return false
	}
	p.vital, p.since, p.answered = atRest, now, now
	h.unwell[node] = p
	p.end()
	return true
}

// LastHeard takes note of when a node's speaker was last heard by who suspects it.
func (h *Health) LastHeard(node string, at time.Time) {
	if p := h.peers[node]; p != nil && p.vital != heard && at.After(p.last) {
		p.last = at
	}
}

// Answered takes note that a node's kernel answered on the segment.
func (h *Health) Answered(node string, at time.Time) {
	h.Heard(at)
	if p := h.peers[node]; p != nil {
		p.answered = at
	}
}

// Attested takes note that a node's speaker answered on the segment.
func (h *Health) Attested(node string, at time.Time) {
	h.Answered(node, at)
	if p := h.peers[node]; p != nil {
		p.attested = at
	}
}

// Heard takes note that somebody answered this node, whoever it is, on the segment or by gossip.
func (h *Health) Heard(at time.Time) {
	if at.After(h.heard) {
		h.heard = at
	}
	for _, p := range h.unwell {
		if p.reached.IsZero() && at.After(p.began) {
			p.reached = at
		}
	}
}

// Miss takes note that this node's own session with a speaker is lost. It tells whether that is news.
func (h *Health) Miss(node string, now time.Time) bool {
	p := h.peers[node]
	return p != nil && (p.vital == heard || p.vital == doubted) && h.Suspect(node, p.version, false, now)
}

// Doubt has a node's kernel asked whether it is still there: those that would have said so if not are lost themselves,
// as with a rack, and gossip takes seconds. It makes no difference if the kernel answers.
func (h *Health) Doubt(node string, now time.Time) { h.doubt(node, moreAsks, now) }

// Deaf takes note that a node's speaker says that it hears this one no more. If its kernel answers, only speakers are
// cut off from each other, or it stood still for a moment; else it hears no client either.
func (h *Health) Deaf(node string, now time.Time) { h.doubt(node, 0, now) }

func (h *Health) doubt(node string, more int, now time.Time) {
	if p := h.peers[node]; p != nil && p.vital == heard && p.askable {
		p.vital, p.since = doubted, now
		h.unwell[node] = p
		p.begin(now)
		p.late = more
	}
}

// Prove has nodes asked, and witnesses, until anybody answers this one: else it is this node that is cut off. It tells
// whether there is something to ask now.
func (h *Health) Prove(nodes []string, now time.Time) (fresh bool) {
	if fresh = h.proof.began.IsZero(); fresh {
		h.proof.begin(now)
		h.asked = nil
	}
	for _, name := range nodes {
		if !slices.Contains(h.asked, name) {
			h.asked = append(h.asked, name)
		}
	}
	return fresh
}

// allWell tells whether there is nobody to ask.
func (h *Health) allWell() bool { return len(h.unwell) == 0 && h.proof.began.IsZero() }

// Resting tells whether a node rests.
func (h *Health) Resting(node string) bool {
	p := h.peers[node]
	return p != nil && p.vital == atRest
}

// Serving tells whether a node's speaker is heard, as far as is known.
func (h *Health) Serving(node string) bool {
	p := h.peers[node]
	return p != nil && (p.vital == heard || p.vital == doubted)
}

// Decide settles what can be settled at this time. late is how much later than wanted this process looks.
func (h *Health) Decide(now time.Time, late time.Duration) (f Findings) {
	switch p := &h.proof; {
	case p.began.IsZero():
	case h.heard.After(p.began):
		p.end()
	default:
		h.exhausted(p, now, late, &f, h.asked...)
	}
	if len(h.unwell) == 0 {
		return f
	}
	f.Detection, f.LastHeard = map[string]time.Duration{}, map[string]time.Time{}
	for _, name := range slices.Sorted(maps.Keys(h.unwell)) {
		p := h.unwell[name]
		switch {
		case h.unlinked && !h.heard.After(p.since): // nor is there another way to them
			f.Isolated = true
		case p.vital == suspected:
			h.decideSuspected(name, p, now, late, &f)
		case p.vital == atRest:
			h.decideResting(name, p, now, late, &f)
		case p.answered.After(p.since): // it was doubted
			p.vital = heard
			p.end()
			delete(h.unwell, name)
		case h.exhausted(p, now, late, &f, name):
			f.Silent = append(f.Silent, name)
			h.lose(name, p, now, &f)
		}
	}
	return f
}

func (h *Health) decideSuspected(name string, p *vitals, now time.Time, late time.Duration, f *Findings) {
	switch {
	case !p.askable:
		// Gossip's word alone counts, and it has to be asked for twice as long as an answer takes.
		if !p.unheard {
			return // a session may break for reasons of its own
		}
		if due := p.since.Add(doubt); now.Before(due) {
			f.wake(due)
			return
		}
		h.lose(name, p, now, f)
	case p.answered.After(p.since):
		p.vital, p.since = atRest, now
		p.end()
		f.Resting = append(f.Resting, name)
		f.wake(p.asked.Add(h.watch()))
	case h.exhausted(p, now, late, f, name):
		h.lose(name, p, now, f)
	}
}

func (h *Health) decideResting(name string, p *vitals, now time.Time, late time.Duration, f *Findings) {
	if p.answered.After(p.began) {
		p.end()
	}
	if p.askable && p.began.IsZero() {
		if due := p.asked.Add(h.watch()); !now.Before(due) {
			p.begin(now)
		} else {
			f.wake(due)
		}
	}
	if !p.began.IsZero() && h.exhausted(p, now, late, f, name) {
		f.Silent = append(f.Silent, name)
		h.lose(name, p, now, f)
		return
	}
	over := p.since.Add(h.Grace)
	if now.Before(over) {
		f.wake(over)
		return
	}
	// Its speaker may be there all the same, where only gossip is cut.
	if p.attested.After(over) {
		p.since, p.queries = now.Add(extension-h.Grace), 0
		f.wake(now.Add(extension))
		return
	}
	// From the last one, not from the end of the grace: who looks late is to leave time for an answer as well.
	next := p.queried.Add(2 * askInterval)
	switch {
	case p.queries > 0 && now.Before(next):
		f.wake(next)
	case p.askable && p.queries < asks:
		p.queries, p.queried = p.queries+1, now
		f.Query = append(f.Query, name)
		f.wake(now.Add(2 * askInterval))
	default:
		h.drop(name)
		f.Gone = append(f.Gone, name)
	}
}

// exhausted goes on with a round of questions to nodes. It tells whether they did not answer all of them although
// somebody else is heard.
func (h *Health) exhausted(p *vitals, now time.Time, late time.Duration, f *Findings, nodes ...string) bool {
	interval, most := askInterval, asks+p.late
	// Between two questions too.
	f.Isolated = f.Isolated || (p.count > most && !h.heard.After(p.began))
	if p.count >= most {
		interval = isolatedInterval
		if p.count == most {
			interval = askInterval
		}
	}
	if due := p.asked.Add(interval); p.count > 0 && now.Before(due) {
		f.wake(due)
		return false
	}
	if p.count >= most {
		switch {
		case late > lateLimit && p.late < lateAsks:
			p.late++
		case p.reached.After(p.asked):
			// It was we who were cut off till just now, or nobody spoke: who answered first says nothing of this one.
			p.count = 0
		case h.heard.After(p.began):
			return true
		default:
			f.Isolated = true
		}
	}
	p.count, p.asked = p.count+1, now
	f.Ask = append(f.Ask, nodes...)
	f.Witness = f.Witness || !h.heard.After(p.began)
	if p.count > most {
		f.wake(now.Add(isolatedInterval))
	} else {
		f.wake(now.Add(askInterval))
	}
	return false
}

func (h *Health) watch() time.Duration {
	return max(watchInterval, time.Duration(len(h.peers)+1)*watchShare)
}

// begin begins a round of questions, end ends it.
func (p *vitals) begin(now time.Time) { p.began, p.count, p.late, p.reached = now, 0, 0, time.Time{} }
func (p *vitals) end()                { p.begin(time.Time{}) }

func (p *vitals) lastHeard() time.Time {
	last := p.last
	for _, at := range []time.Time{p.answered, p.attested} {
		if at.After(last) {
			last = at
		}
	}
	if last.IsZero() {
		return p.since
	}
	return last
}

func (h *Health) lose(name string, p *vitals, now time.Time, f *Findings) {
	f.Lost = append(f.Lost, name)
	f.Detection[name] = now.Sub(p.since)
	f.LastHeard[name] = p.lastHeard()
	h.drop(name)
}

func (h *Health) drop(name string) {
	delete(h.peers, name)
	delete(h.unwell, name)
}

func (f *Findings) wake(at time.Time) {
	if f.Wake.IsZero() || at.Before(f.Wake) {
		f.Wake = at
	}
}
