package plugin

import (
	"fmt"
	"io"
	"strconv"
)

// sources says what of an explanation is whose word.
const sources = `OWNS and "answered by" are what the speakers' statuses say. The order and the reasons are worked out here, by the ` +
	"speakers' rule, from Nodes, Services and L2Advertisements."

// WriteAddressExplanation prints an explanation.
func WriteAddressExplanation(w io.Writer, e *AddressExplanation, f Format) error {
	if _, err := fmt.Fprintf(w, "Address %s\n", e.Address); err != nil {
		return err
	}
	facts := table{}
	addFacts(&facts, []factLines{{"pool", e.Pool}, {"Service", orNone(e.Services)}, {"announced by", orNone(e.Advertisements)},
		{"answered by", e.Says}, {"owner", e.Owner}, {"before", e.Before}})
	if err := facts.write(w, f.Width); err != nil {
		return err
	}
	if len(e.Nodes) > 0 {
		if err := writeVerdicts(w, e.Nodes, f); err != nil {
			return err
		}
	}
	if err := writeRoutesSection(w, e.Routes, f); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	if err := writeProse(w, f.Width, e.Outcome); err != nil {
		return err
	}
	if len(e.Nodes) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return writeProse(w, f.Width, sources)
}

func writeVerdicts(w io.Writer, nodes []NodeVerdict, f Format) error {
	t := table{header: []string{"  NODE", "MAY", "OWNS", "WHY"}}
	for _, v := range nodes {
		t.add("  "+v.Node, string(v.May), strconv.Itoa(v.Owned), v.Why)
	}
	if _, err := fmt.Fprintln(w, "\nNodes, in the order in which they would be chosen:"); err != nil {
		return err
	}
	return t.write(w, f.Width)
}

func orNone(lines []string) []string {
	if len(lines) == 0 {
		return []string{"none"}
	}
	return lines
}
