package privilege

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// grant is one verb on one resource that a role of a process gives.
type grant struct {
	cluster bool // by a ClusterRole, else by a Role in Fairlead's namespace
	rbacv1.PolicyRule
}

func (g grant) verb() string     { return g.Verbs[0] }
func (g grant) resource() string { return g.Resources[0] }

// kind is the resource with its group, as kubectl names it.
func (g grant) kind() string {
	if g.APIGroups[0] == "" {
		return g.resource()
	}
	resource, subresource, _ := strings.Cut(g.resource(), "/")
	return strings.TrimSuffix(resource+"."+g.APIGroups[0]+"/"+subresource, "/")
}

// what is "list services": by this name a test is found for it.
func (g grant) what() string { return g.verb() + " " + g.kind() }

// account is a process's service account, whose roles have its name.
type account string

const (
	controllerAccount account = "fairlead-controller"
	speakerAccount    account = "fairlead-speaker"
)

// grants are all that the account has, by the roles that were installed.
func (w *world) grants(ctx context.Context, a account) (list []grant, err error) {
	clusterRole, err := w.Kubernetes.RbacV1().ClusterRoles().Get(ctx, string(a), metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	role, err := w.Kubernetes.RbacV1().Roles(lab.ProductNamespace).Get(ctx, string(a), metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	for _, x := range []struct {
		cluster bool
		rules   []rbacv1.PolicyRule
	}{{true, clusterRole.Rules}, {false, role.Rules}} {
		for _, rule := range x.rules {
			if len(rule.NonResourceURLs) > 0 {
				return nil, fmt.Errorf("%s may get %v, and no test knows what for", a, rule.NonResourceURLs)
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						list = append(list, grant{x.cluster, rbacv1.PolicyRule{
							APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}, ResourceNames: rule.ResourceNames,
						}})
					}
				}
			}
		}
	}
	return list, nil
}

// restrict leaves an account these grants but for one, or all if it is negative, and waits until that is in force.
func (w *world) restrict(ctx context.Context, a account, all []grant, but int) error {
	rules := map[bool][]rbacv1.PolicyRule{}
	for i, g := range all {
		if i != but {
			rules[g.cluster] = append(rules[g.cluster], g.PolicyRule)
		}
	}
	_, err := w.Kubernetes.RbacV1().ClusterRoles().Update(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: string(a)}, Rules: rules[true]}, metav1.UpdateOptions{})
	if err == nil {
		_, err = w.Kubernetes.RbacV1().Roles(lab.ProductNamespace).Update(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: string(a)}, Rules: rules[false]}, metav1.UpdateOptions{})
	}
	if err != nil {
		return err
	}
	for i, g := range all {
		if but >= 0 && i != but {
			continue
		}
		for until := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			allowed, err := w.allowed(ctx, a, g)
			if err == nil && allowed == (i != but) {
				break
			}
			if time.Now().After(until) {
				return errors.Join(fmt.Errorf("whether %s may %s is %v after 5 s", a, g.what(), allowed), err)
			}
		}
	}
	return nil
}

// allowed asks the API server whether an account may do what a grant says.
func (w *world) allowed(ctx context.Context, a account, g grant) (bool, error) {
	resource, subresource, _ := strings.Cut(g.resource(), "/")
	attributes := &authorizationv1.ResourceAttributes{Verb: g.verb(), Group: g.APIGroups[0], Resource: resource, Subresource: subresource}
	if !g.cluster {
		attributes.Namespace = lab.ProductNamespace
	}
	if len(g.ResourceNames) > 0 {
		attributes.Name = g.ResourceNames[0]
	}
	review, err := w.Kubernetes.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: "system:serviceaccount:" + lab.ProductNamespace + ":" + string(a), ResourceAttributes: attributes,
	}}, metav1.CreateOptions{})
	if err != nil {
		return false, err
	}
	return review.Status.Allowed, nil
}
