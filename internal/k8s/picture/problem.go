package picture

import (
	"slices"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/page"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// troubles are the conditions that are True while something is wrong, and how bad that is.
var troubles = map[string]string{
	v1alpha1.ConditionConflicting:     page.Error,
	v1alpha1.ConditionNotAdvertised:   page.Error,
	v1alpha1.ConditionExhausted:       page.Warning,
	v1alpha1.ConditionAddressConflict: page.Warning,
	v1alpha1.ConditionARPNotStrict:    page.Warning,
}

// problemsOf are what an object's conditions complain of, by their keys, each sentence once.
func problemsOf(kind, name string, conditions []metav1.Condition) map[string]*page.Problem {
	problems := map[string]*page.Problem{}
	add := func(c metav1.Condition, severity string) {
		problems[kind+"/"+name+"/"+c.Type] = &page.Problem{
			Kind: kind, Name: name, Severity: severity, Reason: c.Reason, Message: c.Message, Since: millis(c.LastTransitionTime.Time),
		}
	}
	for _, c := range conditions {
		if severity, is := troubles[c.Type]; is && c.Status == metav1.ConditionTrue {
			add(c, severity)
		}
	}
	for _, c := range conditions {
		said := func(d metav1.Condition) bool {
			return d.Type != c.Type && d.Status == metav1.ConditionTrue && troubles[d.Type] != "" && (d.Reason == c.Reason || d.Message == c.Message)
		}
		if c.Type != v1alpha1.ConditionReady || c.Status != metav1.ConditionFalse || slices.ContainsFunc(conditions, said) {
			continue
		}
		severity := page.Error
		if kind == "Speaker" && c.Reason != "Lost" { // stopped, or not there yet: as a rule it passes
			severity = page.Warning
		}
		add(c, severity)
	}
	return problems
}
