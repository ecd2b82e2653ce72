package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// LabelSelector selects objects by their labels: all of matchLabels and all of matchExpressions must
// hold, and an empty selector selects everything. It is read as metav1.LabelSelector is, with bounds and
// with its syntax checked at apply.
//
// +structType=atomic
type LabelSelector struct {
	// MatchLabels are labels that must be present with exactly these values.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule=`self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$'))`,messageExpression=`'"' + self.filter(k, !k.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$'))[0] + '" is not a label key; write name or prefix/name, such as example.com/role'`,message=`a key is not a label key; write name or prefix/name, such as example.com/role`
	MatchLabels map[string]LabelValue `json:"matchLabels,omitempty"`

	// MatchExpressions are requirements that must all hold.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	MatchExpressions []LabelSelectorRequirement `json:"matchExpressions,omitempty"`
}

// LabelSelectorRequirement relates a label to a set of values.
//
// +kubebuilder:validation:XValidation:rule=`!(self.operator in ['In', 'NotIn']) || has(self.values) && size(self.values) > 0`,messageExpression=`'operator ' + self.operator + ' compares ' + self.key + ' with values; give at least one'`,message=`the operator compares with values; give at least one`
// +kubebuilder:validation:XValidation:rule=`!(self.operator in ['Exists', 'DoesNotExist']) || !has(self.values) || size(self.values) == 0`,messageExpression=`'operator ' + self.operator + ' of ' + self.key + ' takes no values; remove them, or use In or NotIn'`,message=`the operator takes no values; remove them, or use In or NotIn`
type LabelSelectorRequirement struct {
	// Key is the label's key, with its prefix if it has one.
	//
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$')`,messageExpression=`'"' + self + '" is not a label key; write name or prefix/name, such as example.com/role'`,message=`not a label key; write name or prefix/name, such as example.com/role`
	Key string `json:"key"`

	// Operator is the relation: In, NotIn, Exists or DoesNotExist.
	//
	// +kubebuilder:validation:Enum=In;NotIn;Exists;DoesNotExist
	Operator metav1.LabelSelectorOperator `json:"operator"`

	// Values are what In and NotIn compare with. Exists and DoesNotExist take none.
	//
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Values []LabelValue `json:"values,omitempty"`
}

// LabelValue is the value of a label: at most 63 characters, and it may be empty.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule=`self.matches('^([A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?)?$')`,messageExpression=`'"' + self + '" is not a label value; write letters, digits, dashes, underscores and dots, with a letter or digit at both ends'`,message=`not a label value; write letters, digits, dashes, underscores and dots, with a letter or digit at both ends`
type LabelValue string

// Selector returns s in the form that matches label sets. The error is nil for whatever passed
// validation at apply.
func (s *LabelSelector) Selector() (labels.Selector, error) {
	sel := metav1.LabelSelector{MatchLabels: make(map[string]string, len(s.MatchLabels))}
	for k, v := range s.MatchLabels {
		sel.MatchLabels[k] = string(v)
	}
	for _, e := range s.MatchExpressions {
		r := metav1.LabelSelectorRequirement{Key: e.Key, Operator: e.Operator}
		for _, v := range e.Values {
			r.Values = append(r.Values, string(v))
		}
		sel.MatchExpressions = append(sel.MatchExpressions, r)
	}
	return metav1.LabelSelectorAsSelector(&sel)
}
