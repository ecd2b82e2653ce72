package migrate

import (
	"fmt"
	"regexp"
	"strings"
)

// names are those of the objects that are made. All of Fairlead's kinds are the cluster's, so that those of
// several namespaces, and of several kinds, come together.
type names struct {
	taken map[string]string // by "Kind/name", from where
	given map[string]string // by "Kind/namespace/name"
}

func newNames() *names { return &names{taken: map[string]string{}, given: map[string]string{}} }

var invalidInName = regexp.MustCompile(`[^-.a-z0-9]+`)

// cleanName is a name that the API server takes for any object.
func cleanName(s string) string {
	s = invalidInName.ReplaceAllString(strings.ToLower(s), "-")
	if len(s) > 200 { // room for what keeps it apart from others
		s = s[:200]
	}
	// Each part between dots begins and ends with a letter or digit.
	var parts []string
	for part := range strings.SplitSeq(s, ".") {
		if part = strings.Trim(part, "-"); part != "" {
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return "unnamed"
	}
	return strings.Join(parts, ".")
}

// give finds a name for what an object becomes, and why it is not the one that it had.
func (n *names) give(kind, namespace, name, from string) (given, why string) {
	given = cleanName(name)
	if given != name {
		why = fmt.Sprintf("%q is no name for an object", name)
	}
	if other, ok := n.taken[kind+"/"+given]; ok {
		why = fmt.Sprintf("%s has the name %s already, and Fairlead's objects are of no namespace", other, given)
		if namespace != "" && other != from {
			given = cleanName(given + "-" + namespace)
		}
		for base, i := given, 2; n.taken[kind+"/"+given] != ""; i++ {
			given = fmt.Sprintf("%s-%d", base, i)
		}
	}
	n.taken[kind+"/"+given] = from
	n.given[kind+"/"+namespace+"/"+name] = given
	return given, why
}

// of returns the name that an object got, and the name that it had if it was not among the sources.
func (n *names) of(kind, namespace, name string) string {
	if given, ok := n.given[kind+"/"+namespace+"/"+name]; ok {
		return given
	}
	return cleanName(name)
}
