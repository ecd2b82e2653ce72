package k8s

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/bgp"
)

// Aliases are the names that Communities give.
type Aliases map[string]string

// ReadCommunities returns what the aliases of all Communities stand for. Of two that give one name the older
// counts, and the first by name of the same age. Problems are the aliases of each Community, by name, that do
// not count, and why.
func ReadCommunities(objects []*v1alpha1.Community) (aliases Aliases, problems map[string][]string) {
	byAge := slices.SortedFunc(slices.Values(objects), func(x, y *v1alpha1.Community) int {
		return cmp.Or(x.CreationTimestamp.Compare(y.CreationTimestamp.Time), cmp.Compare(x.Name, y.Name))
	})
	aliases, problems = Aliases{}, map[string][]string{}
	from := map[string]string{}
	for _, o := range byAge {
		for _, c := range o.Spec.Communities {
			if problem := aliases.add(c, from); problem != "" {
				problems[o.Name] = append(problems[o.Name], problem)
			} else {
				from[c.Name] = o.Name
			}
		}
	}
	return aliases, problems
}

// add takes note of an alias, or returns why it does not count. From are the Communities of those before it.
func (a Aliases) add(c v1alpha1.CommunityAlias, from map[string]string) (problem string) {
	if _, _, _, err := bgp.ParseCommunity(c.Name); err == nil {
		return fmt.Sprintf("%q is the name of a well-known community", c.Name)
	}
	if _, _, _, err := bgp.ParseCommunity(c.Value); err != nil {
		return fmt.Sprintf("%q: %v", c.Name, err)
	}
	if other, ok := from[c.Name]; ok {
		return fmt.Sprintf("%q is an alias of Community %s, which is older", c.Name, other)
	}
	a[c.Name] = c.Value
	return ""
}

// value returns what a community stands for that may be an alias.
func (a Aliases) value(text string) string {
	if value, ok := a[text]; ok {
		return value
	}
	return text
}
