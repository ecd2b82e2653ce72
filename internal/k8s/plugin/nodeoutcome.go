package plugin

import (
	"fmt"
	"strings"
)

// outcome says in sentences what follows for a node.
func (x *nodeView) outcome(e *NodeExplanation) (sentences []string) {
	say := func(format string, args ...any) { sentences = append(sentences, fmt.Sprintf(format, args...)) }
	has := e.Owned > 0 || x.advertising.tells(e.Node)
	switch e.Standing {
	case standingGone:
		say("The cluster has no Node %s any more; what its Speaker object says goes with it.", e.Node)
	case standingAway:
		say("It takes nothing while its speaker is away.")
		if x.stoodIn[e.Node] > 0 {
			say("Others answer with its hardware address until the speaker is back, or the restart grace is over.")
		}
	case standingDraining:
		say("It gives up what another node may own, and keeps the rest; kubectl fairlead undrain %s ends that.", e.Node)
	case standingDrained:
		say("It is given nothing until kubectl fairlead undrain %s. What moved away stays where it is.", e.Node)
	case standingExcluded:
		say("It must own and advertise nothing as long as that is so: %s.", e.Why)
	case standingSuppressed:
		if e.Owned > 0 {
			say("It keeps what it owns.")
		}
		say("Every loss adds 1000 to its penalty, which halves every 2 minutes. When it has decayed to 750 the node is chosen like any other again; another loss puts that off.")
	case standingIdle:
		say("It owns nothing and advertises nothing: the selectors of the advertisements leave it out.")
	case standingServing:
		if text := x.servingText(e); text != "" {
			say("%s", text)
		}
	}
	switch down := e.Peers - e.PeersUp; {
	case e.Standing == standingGone || e.Standing == standingAway || down == 0:
	case e.PeersUp == 0:
		say("None of its BGP sessions is up: it advertises nothing to any router.")
	default:
		say("%d of its %d BGP sessions are down: those routers have nothing from it.", down, e.Peers)
	}
	if has && len(e.OnlyHere) > 0 {
		what := enumerate(e.OnlyHere)
		if len(e.OnlyHere) > 3 {
			what = fmt.Sprintf("%s and %d more", strings.Join(e.OnlyHere[:2], ", "), len(e.OnlyHere)-2)
		}
		say("No other node advertises %s: without this one nobody does.", what)
	}
	return sentences
}

// servingText says what a node that is well may own, and what is left of its service if it is lost.
func (x *nodeView) servingText(e *NodeExplanation) string {
	if x.unread() {
		return fmt.Sprintf("Which addresses it may own is unknown, without the %s.", enumerate(x.s.Unread))
	}
	may, all := 0, 0
	for _, a := range e.Advertisements {
		may, all = may+a.May, all+a.All
	}
	var text []string
	switch {
	case all == 0:
	case may == 0:
		text = append(text, "It may own none of the addresses that there are: the table says why.")
	case e.Owned == 0:
		text = append(text, "It may own addresses, and has none: a node that joins gets only new ones, since a move breaks connections. "+
			"kubectl fairlead rebalance spreads those that there are.")
	default:
		text = append(text, "It keeps what it owns, whoever else comes.")
	}
	if e.IfLost != nil && len(e.IfLost.Nowhere) > 0 {
		text = append(text, fmt.Sprintf("If it is lost, nobody answers for %s.", counting(len(e.IfLost.Nowhere), "address", "addresses")))
	}
	return strings.Join(text, " ")
}
