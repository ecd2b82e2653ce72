package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
)

// sweepRetry is long: what is left is untidy and harms nobody.
const sweepRetry = 10 * time.Second

// sweep takes what we wrote from Services whose type changed away while no controller led: the watch does not
// have them. It is done once a term, in pages, beside the decisions.
func (t *term) sweep(ctx context.Context) {
	complaint := k8s.Complaint{What: "Services that are no load balancers any more cannot be cleared, trying again", Log: t.Log}
	for ctx.Err() == nil {
		err := t.sweepOnce(ctx)
		if err == nil {
			return
		}
		complaint.Report(err)
		pause(ctx, sweepRetry)
	}
}

func (t *term) sweepOnce(ctx context.Context) error {
	options := metav1.ListOptions{
		FieldSelector: fields.OneTermNotEqualSelector("spec.type", string(corev1.ServiceTypeLoadBalancer)).String(), Limit: 500,
	}
	var failures []error
	for {
		page, err := t.Cluster.Core.CoreV1().Services(metav1.NamespaceAll).List(ctx, options)
		if err != nil {
			return fmt.Errorf("listing Services that are no load balancers: %w", err)
		}
		for i := range page.Items {
			svc := &page.Items[i]
			if k8s.AssignedCondition(svc) == nil || !t.held() {
				continue
			}
			if err := t.clear(ctx, k8s.Key(svc), svc.UID, k8s.IngressIPs(svc)); err != nil {
				failures = append(failures, err) // the others are none the worse for it
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return errors.Join(failures...)
		}
	}
}
