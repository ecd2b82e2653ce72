package plugin

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// WritePeer prints all there is to say of one peer: the rows are its own.
func WritePeer(w io.Writer, rows []PeerRow, f Format) error {
	if len(rows) == 0 {
		return nil
	}
	if _, err := fmt.Fprintf(w, "Peer %s\n", printable(rows[0].Peer)); err != nil {
		return err
	}
	if p := rows[0].object; p != nil {
		if err := writeFacts(w, f, peerFacts(p)); err != nil {
			return err
		}
	}
	for _, r := range rows {
		title := cmp.Or(r.Node, "no node")
		if s := r.current(); s != nil {
			title += ": " + r.state()
			if up := r.upFor(); up != "-" {
				title += " for " + up
			} else if !s.DownTime.IsZero() {
				title += " for " + ago(r.now.Sub(s.DownTime.Time))
			}
		}
		if _, err := fmt.Fprintf(w, "\n%s\n", printable(title)); err != nil {
			return err
		}
		if err := writeFacts(w, f, r.facts()); err != nil {
			return err
		}
	}
	return nil
}

// fact is a name and what there is to say of it; facts without text are left out.
type fact struct{ name, text string }

func writeFacts(w io.Writer, f Format, facts []fact) error {
	t := table{}
	for _, x := range facts {
		if x.text != "" && x.text != "-" {
			t.add("  "+x.name, x.text)
		}
	}
	return t.write(w, f.Width)
}

// peerFacts are what a BGPPeer asks for, and its condition.
func peerFacts(p *v1alpha1.BGPPeer) []fact {
	spec := &p.Spec
	var asn string
	switch {
	case spec.PeerASN != 0:
		asn = "AS " + strconv.FormatInt(spec.PeerASN, 10)
	case spec.DynamicASN == v1alpha1.DynamicASNInternal:
		asn = "AS " + strconv.FormatInt(spec.MyASN, 10)
	case spec.DynamicASN == v1alpha1.DynamicASNExternal:
		asn = "any AS but " + strconv.FormatInt(cmp.Or(spec.LocalASN, spec.MyASN), 10)
	}
	router := cmp.Or(spec.PeerAddress, "the router on "+spec.Interface)
	if spec.PeerPort != 0 && spec.PeerPort != 179 {
		router += " port " + strconv.Itoa(int(spec.PeerPort))
	}
	nodes := "AS " + strconv.FormatInt(cmp.Or(spec.LocalASN, spec.MyASN), 10)
	if spec.SourceAddress != "" {
		nodes += ", from " + spec.SourceAddress
	}
	if spec.VRF != "" {
		nodes += ", in VRF " + spec.VRF
	}
	facts := []fact{{"router", strings.Trim(router+", "+asn, ", ")}, {"nodes", nodes}, {"asked for", strings.Join(asked(spec), ", ")}}
	c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case c == nil:
		facts = append(facts, fact{"condition", "none: no controller has looked at the peer yet"})
	case c.ObservedGeneration < p.Generation:
		facts = append(facts, fact{"condition", fmt.Sprintf("%s, %s: %s (before the last edit)", c.Status, c.Reason, c.Message)})
	default:
		facts = append(facts, fact{"condition", fmt.Sprintf("%s, %s: %s", c.Status, c.Reason, c.Message)})
	}
	return facts
}

// asked are what of a BGPPeer's fields is not as it is without them.
func asked(spec *v1alpha1.BGPPeerSpec) (list []string) {
	add := func(is bool, text string) {
		if is {
			list = append(list, text)
		}
	}
	time := func(name string, d *metav1.Duration) {
		if d != nil {
			list = append(list, name+" "+d.Duration.String())
		}
	}
	add(spec.Passive, "the router connects")
	time("hold time", spec.HoldTime)
	time("keepalive time", spec.KeepaliveTime)
	time("connect time", spec.ConnectTime)
	add(spec.EBGPMultiHop, "multi-hop")
	if spec.TTLSecurity != nil {
		add(true, "TTL security, "+count(int(max(spec.TTLSecurity.Hops, 1)), "hop"))
	}
	if spec.PasswordSecret != nil {
		add(true, "password of Secret "+spec.PasswordSecret.Name)
	}
	add(spec.BFDProfile != "", "BFD by profile "+spec.BFDProfile)
	add(spec.EnableGracefulRestart, "graceful restart")
	var families []string
	for _, f := range spec.Families {
		families = append(families, string(f))
	}
	add(len(families) > 0, "families "+enumerate(families))
	add(spec.DualStackAddressFamily, "both families")
	add(spec.ExtendedNextHop, "extended next hop")
	add(spec.RouterID != "", "router ID "+spec.RouterID)
	return list
}

// facts are what there is to say of one node's session.
func (r PeerRow) facts() []fact {
	s := r.current()
	if s == nil {
		return []fact{{"why", r.trouble(true)}}
	}
	router := r.address()
	if s.PeerRouterID != "" {
		router += ", router ID " + s.PeerRouterID
	}
	if s.PeerASN != 0 {
		router += ", AS " + strconv.FormatInt(s.PeerASN, 10)
	}
	facts := []fact{{"note", r.Note}, {"reason", s.Message}, {"router", router}, {"local", s.LocalAddress}}
	if r.established() != nil {
		facts = append(facts, fact{"prefixes", r.prefixes() + " advertised"}, fact{"families", r.families()}, fact{"hold time", r.holdTime()},
			fact{"received", messages(s.MessagesReceived, s.UpdatesReceived)}, fact{"sent", messages(s.MessagesSent, s.UpdatesSent)},
			fact{"restart", restartText(s.GracefulRestart)})
	}
	facts = append(facts, fact{"BFD", bfdText(s)})
	if s.LastError != "" && s.LastError != s.Message {
		last := s.LastError
		if !s.LastErrorTime.IsZero() {
			last += fmt.Sprintf(" (%s ago)", ago(r.now.Sub(s.LastErrorTime.Time)))
		}
		facts = append(facts, fact{"last error", last})
	}
	if s.EstablishedCount > 1 {
		facts = append(facts, fact{"came up", fmt.Sprintf("%d times since the speaker started", s.EstablishedCount)})
	}
	return facts
}

func messages(all, updates int64) string {
	return fmt.Sprintf("%d messages, %d of them UPDATE", all, updates)
}

func restartText(graceful bool) string {
	if graceful {
		return "graceful: the router keeps the routes while the speaker restarts"
	}
	return "not graceful: the router drops the routes while the speaker restarts"
}

// bfdText is what there is to see of the BFD session beside a session; empty without one.
func bfdText(s *v1alpha1.BGPSessionStatus) string {
	if s.BFDState == "" {
		return ""
	}
	text := string(s.BFDState)
	b := s.BFD
	if b == nil {
		return text
	}
	for _, x := range []struct {
		name string
		ms   int32
	}{{"sends every", b.TransmitInterval}, {"hears every", b.ReceiveInterval}, {"detects a loss within", b.DetectionTime}} {
		if x.ms > 0 {
			text += fmt.Sprintf(", %s %d ms", x.name, x.ms)
		}
	}
	if b.Diagnostic != "" {
		text += "; last went down: " + b.Diagnostic
	}
	return text
}
