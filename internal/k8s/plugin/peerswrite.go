package plugin

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
)

// history is the uptime from which the last error of a session is history, and left to -o wide.
const history = time.Hour

func peersTable(rows []PeerRow, f Format) *table {
	t := &table{header: []string{"PEER", "NODE", "STATE", "UPTIME", "PREFIXES", "BFD"},
		styles: map[int]func(string) style{2: stateStyle, 5: bfdStyle}, colour: f.Colour}
	if f.Wide {
		t.header = append(t.header, "ADDRESS", "ASN", "HOLD-TIME", "FAMILIES", "RECEIVED", "SENT", "GR")
	}
	t.header = append(t.header, "LAST-ERROR")
	for _, r := range rows {
		cells := []string{r.Peer, cmp.Or(r.Node, "-"), r.state(), r.upFor(), r.prefixes(), r.bfd()}
		if f.Wide {
			received, sent := r.messages()
			cells = append(cells, r.address(), r.asn(), r.holdTime(), r.families(), received, sent, r.restart())
		}
		t.add(append(cells, r.trouble(f.Wide))...)
	}
	return t
}

// WritePeers prints a table, with errors and notes beneath it where the terminal is too narrow for them: each
// once, with the sessions that it is of.
func WritePeers(w io.Writer, rows []PeerRow, f Format) error {
	if f.Wide {
		f.Width = 0
	}
	t := peersTable(rows, f)
	type whose struct{ peer, text string }
	var said []whose
	nodes := map[whose][]string{}
	for _, r := range rows {
		text := r.trouble(f.Wide)
		if text != "" {
			of := whose{r.Peer, text}
			if nodes[of] == nil {
				said = append(said, of)
			}
			nodes[of] = append(nodes[of], r.Node)
		}
	}
	if len(said) > 0 && t.fits(f.Width) {
		return t.write(w, f.Width)
	}
	t.dropLast()
	if err := t.write(w, 0); err != nil {
		return err
	}
	for i, of := range said {
		if i == 0 {
			if _, err := fmt.Fprintln(w); err != nil {
				return err
			}
		}
		text := of.peer
		if names := nodes[of]; names[0] != "" {
			text += " on " + few("node", names)
		}
		if err := writeParagraph(w, f.Width, text+": "+of.text); err != nil {
			return err
		}
	}
	return nil
}

// state is "?" where nobody knows.
func (r PeerRow) state() string {
	switch {
	case r.Gone:
		return "?"
	case r.Session == nil:
		return "-"
	}
	return cmp.Or(string(r.Session.State), "?")
}

func (r PeerRow) upFor() string {
	if up, ok := r.uptime(); ok {
		return ago(up)
	}
	return "-"
}

func (r PeerRow) prefixes() string {
	if s := r.established(); s != nil {
		return strconv.Itoa(int(s.PrefixesAdvertised))
	}
	return "-"
}

func (r PeerRow) bfd() string {
	if s := r.current(); s != nil {
		return cmp.Or(string(s.BFDState), "-")
	}
	return "-"
}

// address is the router's, as the speaker has it, or else as the BGPPeer does.
func (r PeerRow) address() string {
	if s := r.current(); s != nil && s.Address != "" {
		return s.Address
	}
	if r.object == nil {
		return "-"
	}
	return cmp.Or(r.object.Spec.PeerAddress, r.object.Spec.Interface, "-")
}

// asn is the router's AS number, as it said itself, or else as the BGPPeer does.
func (r PeerRow) asn() string {
	if s := r.current(); s != nil && s.PeerASN != 0 {
		return strconv.FormatInt(s.PeerASN, 10)
	}
	switch {
	case r.object == nil:
		return "-"
	case r.object.Spec.PeerASN != 0:
		return strconv.FormatInt(r.object.Spec.PeerASN, 10)
	}
	return cmp.Or(string(r.object.Spec.DynamicASN), "-")
}

func (r PeerRow) holdTime() string {
	s := r.established()
	switch {
	case s == nil || s.HoldTime == nil:
		return "-"
	case s.HoldTime.Duration == 0:
		return "none"
	}
	return s.HoldTime.Duration.String()
}

func (r PeerRow) families() string {
	s := r.established()
	if s == nil || len(s.Families) == 0 {
		return "-"
	}
	var texts []string
	for _, f := range s.Families {
		texts = append(texts, string(f))
	}
	slices.Sort(texts)
	return strings.Join(texts, ",")
}

func (r PeerRow) messages() (received, sent string) {
	if s := r.established(); s != nil {
		return strconv.FormatInt(s.MessagesReceived, 10), strconv.FormatInt(s.MessagesSent, 10)
	}
	return "-", "-"
}

// restart tells whether the router goes on forwarding while the speaker restarts.
func (r PeerRow) restart() string {
	switch s := r.established(); {
	case s == nil:
		return "-"
	case s.GracefulRestart:
		return "yes"
	}
	return "no"
}

// trouble says why a session is not what it should be, and, of one that has been Established for long only if
// old, why it last was not.
func (r PeerRow) trouble(old bool) string {
	s := r.Session
	if r.Gone {
		return r.Note + "; the last it said of the session is " + cmp.Or(string(s.State), "nothing")
	}
	if s == nil {
		return r.Note
	}
	if up, ok := r.uptime(); ok && up >= history && !old {
		return joined(r.Note, s.Message)
	}
	return joined(r.Note, sessionTrouble(s))
}

// sessionTrouble is what a speaker has to say against a session.
func sessionTrouble(s *v1alpha1.BGPSessionStatus) string {
	if s.LastError == s.Message {
		return s.Message
	}
	return joined(s.Message, s.LastError)
}

// joined are what there is of sentences.
func joined(sentences ...string) string {
	return strings.Join(slices.DeleteFunc(sentences, func(s string) bool { return s == "" }), "; ")
}
