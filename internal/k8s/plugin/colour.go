package plugin

import "strings"

// style is how a terminal shows a word (ECMA-48 8.3.117, SGR); empty for as it is.
type style string

const (
	plain  style = ""
	good   style = "32" // green
	doubt  style = "33" // yellow
	bad    style = "31" // red
	strong style = "1"
)

func (s style) of(text string) string {
	if s == plain || strings.TrimSpace(text) == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// stateStyle is the style of a condition's status or reason, or of a session's state: what is known to be good, and
// what may yet become so; the rest is bad.
func stateStyle(word string) style {
	switch word {
	case "True", "Assigned", "Established", "Up", "yes", "ready":
		return good
	case "?", "-", "Unknown", statusUndecided, "Connect", "Active", "OpenSent", "OpenConfirm", "Init", "AdminDown":
		return doubt
	case "":
		return plain
	}
	return bad
}

// ownerStyle tells nobody and somebody unknown from the names of nodes.
func ownerStyle(owner string) style {
	switch owner {
	case "-":
		return bad
	case "?":
		return doubt
	}
	return plain
}

// bfdStyle is stateStyle for a session that may do without BFD.
func bfdStyle(state string) style {
	if state == "-" {
		return plain
	}
	return stateStyle(state)
}
