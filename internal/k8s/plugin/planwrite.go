package plugin

import (
	"fmt"
	"io"
	"math/big"
	"strings"
)

// WritePlan prints a plan: the pools, the Services that it does something to, and a line that counts all. Those
// that wait as before are only counted, unless the format is wide: where many wait nobody would find the
// one that moves.
func WritePlan(w io.Writer, p *Plan, f Format) error {
	if f.Wide {
		f.Width = 0
	}
	if len(p.Pools) > 0 {
		if err := p.writePools(w, f); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	t := table{header: []string{"SERVICE", "CHANGE", "FROM", "TO", "WHY"}}
	waiting := 0
	for _, s := range p.Services {
		if s.AsBefore && !f.Wide {
			waiting++
		} else {
			t.add(s.Namespace+"/"+s.Name, string(s.Change), orDash(s.From), orDash(s.To), s.Why)
		}
	}
	if len(t.rows) > 0 {
		if err := t.write(w, f.Width); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	if waiting > 0 {
		what := "1 Service waits as before; -o wide shows it."
		if waiting > 1 {
			what = fmt.Sprintf("%d Services wait as before; -o wide shows them.", waiting)
		}
		if err := writeParagraph(w, f.Width, what); err != nil {
			return err
		}
	}
	if p.Undecided > 0 {
		what := "1 Service is about to change in any case: the plan starts from what it will have."
		if p.Undecided > 1 {
			what = fmt.Sprintf("%d Services are about to change in any case: the plan starts from what they will have.", p.Undecided)
		}
		if err := writeParagraph(w, f.Width, what); err != nil {
			return err
		}
	}
	if len(p.Pools) > 0 || p.Announcements == nil {
		if _, err := fmt.Fprintln(w, p.Summary); err != nil {
			return err
		}
	}
	return p.writeAnnouncements(w, f)
}

// nodes are the names of nodes, or how many there are.
func (a PlannedAnnouncement) nodes(names []string, all bool) string {
	if len(names) > 2 && !all {
		return count(len(names), "node")
	}
	return orDash(strings.Join(names, ","))
}

// writeAnnouncements prints what becomes of announcements, if the plan is of advertisements.
func (p *Plan) writeAnnouncements(w io.Writer, f Format) error {
	if p.Announcements == nil {
		return nil
	}
	if len(p.Pools) > 0 {
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	t := table{header: []string{"ANNOUNCED", "CHANGE", "FROM", "TO", "WHY"}}
	counts := map[AnnouncementChange]int{}
	for _, a := range p.Announcements {
		counts[a.Change]++
		what := a.Address
		if a.Peer != "" {
			what += " to " + a.Peer
		}
		if f.Wide {
			what += " (" + strings.Join(a.Services, ",") + ")"
		}
		t.add(what, string(a.Change), a.nodes(a.From, f.Wide), a.nodes(a.To, f.Wide), a.Why)
	}
	if len(t.rows) > 0 {
		if err := t.write(w, f.Width); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	for _, text := range p.Unknown {
		if err := writeParagraph(w, f.Width, text); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "Local segment: %d silent, %d moved, %d answered anew.\nBGP: %d withdrawn, %d changed, %d advertised anew.\n",
		counts[Silent], counts[Handed], counts[Answered], counts[Withdrawn], counts[Rerouted], counts[Advertised])
	return err
}

// String is the summary line.
func (s Summary) String() string {
	total := s.Lost + s.Moved + s.Pending + s.Assigned + s.Kept
	kept := fmt.Sprintf("%d kept", s.Kept)
	if s.Carried > 0 {
		kept += fmt.Sprintf(" (%d of them from another pool)", s.Carried)
	}
	return fmt.Sprintf("%s: %s, %d moved, %d lost, %d pending, %d newly assigned.",
		count(total, "Service"), kept, s.Moved, s.Lost, s.Pending, s.Assigned)
}

func (p *Plan) writePools(w io.Writer, f Format) error {
	t := table{header: []string{"POOL", "CHANGE", "IPV4 USED", "IPV6 USED", ""}}
	for _, pool := range p.Pools {
		cells := []string{pool.Name, string(pool.Change)}
		for _, family := range []FamilyPlan{pool.IPv4, pool.IPv6} {
			before, after := useText(family.Before), useText(family.After)
			if before != after {
				before += " -> " + after
			}
			cells = append(cells, before)
		}
		t.add(append(cells, "")...)
	}
	if err := t.write(w, f.Width); err != nil {
		return err
	}
	first := true
	for _, pool := range p.Pools {
		var old, fresh []string
		for _, c := range pool.Conflicts {
			text := fmt.Sprintf("%s belongs to pool %s, which is older", c.Overlap, c.With)
			if c.New {
				fresh = append(fresh, text)
			} else {
				old = append(old, text)
			}
		}
		for _, part := range []struct {
			kind  string
			texts []string
		}{{"Conflicting", fresh}, {"Conflicting, as it is now", old}} {
			if len(part.texts) == 0 {
				continue
			}
			if first {
				first = false
				if _, err := fmt.Fprintln(w); err != nil {
					return err
				}
			}
			if err := writeParagraph(w, f.Width, fmt.Sprintf("pool %s: %s: %s", pool.Name, part.kind, strings.Join(part.texts, "; "))); err != nil {
				return err
			}
		}
	}
	return nil
}

func useText(u PoolUse) string {
	if n, ok := new(big.Int).SetString(u.Total, 10); !ok || n.Sign() == 0 {
		return "none"
	}
	return fmt.Sprintf("%d/%s", u.Assigned, shortNumber(u.Total))
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
