package plugin

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s/speaker"
)

// Status is the whole as `kubectl fairlead status` shows it. What could not be read is absent, and in Unseen.
type Status struct {
	Time time.Time `json:"time"`
	// Namespace that Fairlead itself is looked for in.
	Namespace   string      `json:"namespace"`
	Controllers *Controlled `json:"controllers,omitempty"`
	Speakers    *Speaking   `json:"speakers,omitempty"`
	Pools       []PoolRow   `json:"pools"`
	Nodes       []NodeRow   `json:"nodes"`
	Sessions    *UpOfAll    `json:"bgpSessions,omitempty"`
	Services    Tally       `json:"services"`
	// Problems, the worst first.
	Problems []Problem `json:"problems"`
	Unseen   []Unseen  `json:"unseen"`
}

// Controlled is how the controllers do.
type Controlled struct {
	// Ready of All Pods; both 0 if it is known only which one leads.
	Ready int `json:"ready"`
	All   int `json:"all"`
	// Images are the tags of their images.
	Images []string `json:"images,omitempty"`
	// Leader is the Pod that leads; empty if none does.
	Leader string `json:"leader,omitempty"`
}

// Speaking is how the speakers do.
type Speaking struct {
	Ready int `json:"ready"`
	All   int `json:"all"`
	// Versions that they say they are.
	Versions []string `json:"versions,omitempty"`
}

// UpOfAll counts BGP sessions.
type UpOfAll struct {
	Established int `json:"established"`
	All         int `json:"all"`
}

// Tally counts Services.
type Tally struct {
	Assigned int `json:"assigned"`
	Pending  int `json:"pending"`
	// Namespace is the one that they are of, if those of others could not be read.
	Namespace string `json:"namespace,omitempty"`
}

// NodeRow is a node as status shows it.
type NodeRow struct {
	Name string `json:"name"`
	// Speaker is "ready", the reason why it is not, or "none".
	Speaker string `json:"speaker"`
	// Addresses that it owns, by its speaker's word or that of those who stand in for it.
	Addresses int `json:"addresses"`
	// StandingIn is how many addresses it answers for on behalf of others.
	StandingIn int `json:"standingIn,omitempty"`
	// StoodIn is how many of its own others answer for.
	StoodIn int `json:"stoodIn,omitempty"`
	// Draining is true while it is asked to give up all it owns.
	Draining bool `json:"draining,omitempty"`
	// SuppressedUntil is set while it owns nothing new since it was lost too often.
	SuppressedUntil *time.Time `json:"suppressedUntil,omitempty"`
	// Barred is why else it may own nothing.
	Barred   string   `json:"barred,omitempty"`
	Sessions *UpOfAll `json:"bgpSessions,omitempty"`

	advertises bool // to some router
}

// MakeStatus draws up the whole.
func MakeStatus(s *Snapshot) *Status {
	v := newSurvey(s)
	st := &Status{Time: s.Time.UTC(), Namespace: s.Installation.Namespace, Pools: Pools(s.Pools), Nodes: v.nodeRows(), Problems: v.problems(), Unseen: v.unseen()}
	if st.Problems == nil {
		st.Problems = []Problem{}
	}
	in := &s.Installation
	if !in.lacks("Pods") || !in.lacks("Leases") {
		st.Controllers = &Controlled{Leader: in.leader(s.Time), Images: in.tags(componentController)}
		for _, p := range in.of(componentController) {
			st.Controllers.All++
			if podReady(p) {
				st.Controllers.Ready++
			}
		}
	}
	if !v.lacks("Speakers") {
		st.Speakers = &Speaking{Versions: slices.Sorted(maps.Keys(v.versions()))}
		for _, n := range st.Nodes {
			switch n.Speaker {
			case "none":
				continue
			case "ready":
				st.Speakers.Ready++
			}
			st.Speakers.All++
		}
		st.Sessions = &UpOfAll{}
		for _, r := range v.peers {
			st.Sessions.count(r)
		}
	}
	if v.lacks("Services") {
		st.Services.Namespace = s.ServicesOf
	}
	for _, r := range v.services {
		if r.Pending {
			st.Services.Pending++
		} else {
			st.Services.Assigned++
		}
	}
	return st
}

// Fine tells whether all could be read, and nothing is wrong.
func (st *Status) Fine() bool { return len(st.Problems)+len(st.Unseen) == 0 }

// count adds a session, if the row is one.
func (u *UpOfAll) count(r PeerRow) {
	if r.Node == "" {
		return
	}
	u.All++
	if r.established() != nil {
		u.Established++
	}
}

// nodeRows are the nodes, and those that have a Speaker, by name.
func (v *survey) nodeRows() []NodeRow {
	names := map[string]bool{}
	for name := range v.g.nodes {
		names[name] = true
	}
	for name := range v.g.speakers {
		names[name] = true
	}
	sessions, advertises := map[string]*UpOfAll{}, map[string]bool{}
	for _, r := range v.peers {
		if sessions[r.Node] == nil {
			sessions[r.Node] = &UpOfAll{}
		}
		sessions[r.Node].count(r)
		if s := r.established(); s != nil && s.PrefixesAdvertised > 0 {
			advertises[r.Node] = true
		}
	}
	rows := []NodeRow{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		sp, n := v.g.speakers[name], v.g.nodes[name]
		row := NodeRow{Name: name, Speaker: speakerWord(sp), Addresses: v.g.owned(name), StoodIn: v.g.stoodIn[name], Sessions: sessions[name], advertises: advertises[name]}
		if sp != nil && sp.Status.Layer2 != nil {
			row.StandingIn = int(sp.Status.Layer2.StandingIn)
		}
		if x, is := v.g.suppressed[name]; is {
			until := x.ReuseTime.UTC()
			row.SuppressedUntil = &until
		}
		if n != nil {
			if row.Draining = Drained(n); !row.Draining {
				row.Barred = speaker.Barred(n)
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// speakerWord is how a node's speaker does, in a word.
func speakerWord(sp *v1alpha1.Speaker) string {
	if sp == nil {
		return "none"
	}
	if ready(sp) {
		return "ready"
	}
	for _, c := range sp.Status.Conditions {
		if c.Type == v1alpha1.ConditionReady {
			return cmp.Or(c.Reason, "not ready")
		}
	}
	return "starting"
}

// notes are what there is to say of a node.
func (r NodeRow) notes() (notes []string) {
	say := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	switch {
	case r.Draining && (r.Addresses > 0 || r.advertises):
		say("draining")
	case r.Draining:
		say("drained")
	}
	if r.Barred != "" {
		say("owns nothing: %s", r.Barred)
	}
	if r.SuppressedUntil != nil {
		say("suppressed until %s", r.SuppressedUntil.Format("15:04:05 MST"))
	}
	if r.StoodIn > 0 {
		say("others answer for its %s", counting(r.StoodIn, "address", "addresses"))
	}
	if r.StandingIn > 0 {
		say("stands in for %s of others", counting(r.StandingIn, "address", "addresses"))
	}
	return notes
}

// remarkable tells whether a node is worth a line where there are many.
func (r NodeRow) remarkable() bool {
	return len(r.notes()) > 0 || r.Speaker != "ready" && r.Speaker != "none" || r.Sessions != nil && r.Sessions.Established < r.Sessions.All
}

// note is the row's last cell.
func (r NodeRow) note() string { return strings.Join(r.notes(), "; ") }
