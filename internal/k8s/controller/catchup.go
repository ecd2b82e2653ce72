package controller

import (
	"context"
	"fmt"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/lb"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// versions are the resourceVersions of objects by name.
type versions map[lb.Key]string

// behind returns an object of which seen is older than what is there, and false if there is none. An
// object that seen does not have counts as behind, although it may have been deleted: who asks reads
// anew what is there.
func (there versions) behind(seen func(lb.Key) (version string, ok bool)) (lb.Key, bool) {
	for key, version := range there {
		have, ok := seen(key)
		if !ok {
			return key, true
		}
		if have == version {
			continue
		}
		if order, err := resourceversion.CompareResourceVersion(have, version); err != nil || order < 0 {
			return key, true
		}
	}
	return lb.Key{}, false
}

// catchUp returns when what is in memory is as new as the cluster was when the term began. A watch may
// lag: without this, a new leader could give out an address that the former one has written to a Service
// a moment ago.
func (c *Controller) catchUp(ctx context.Context) error {
	complaint := k8s.Complaint{What: "Services and IPAddressPools cannot be listed, trying again", Log: c.Log}
	for ctx.Err() == nil {
		services, pools, err := c.listVersions(ctx)
		if err != nil {
			complaint.Report(err)
			pause(ctx, time.Second)
			continue
		}
		for until := time.Now().Add(2 * time.Second); ctx.Err() == nil && time.Now().Before(until); pause(ctx, 20*time.Millisecond) {
			key, behind := services.behind(c.serviceVersion)
			for behind && c.gone(ctx, key) { // where Services are deleted all the time, no list is ever true
				delete(services, key)
				key, behind = services.behind(c.serviceVersion)
			}
			if !behind {
				_, behind = pools.behind(c.poolVersion)
			}
			if !behind {
				return nil
			}
		}
		c.Log.Debug("the watches are behind the cluster, waiting")
	}
	return ctx.Err()
}

// gone tells whether a Service that was listed, and is not in memory, is not there any more or no load balancer.
func (c *Controller) gone(ctx context.Context, key lb.Key) bool {
	if _, seen := c.serviceVersion(key); seen {
		return false
	}
	svc, err := c.Cluster.Core.CoreV1().Services(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	return apierrors.IsNotFound(err) || err == nil && svc.Spec.Type != corev1.ServiceTypeLoadBalancer
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (c *Controller) serviceVersion(key lb.Key) (string, bool) {
	svc, err := c.serviceLister.Services(key.Namespace).Get(key.Name)
	if err != nil {
		return "", false
	}
	return svc.ResourceVersion, true
}

func (c *Controller) poolVersion(key lb.Key) (string, bool) {
	pool, err := c.poolLister.Get(key.Name)
	if err != nil {
		return "", false
	}
	return pool.ResourceVersion, true
}

// listVersions reads from the API server itself, in pages: only names and versions stay in memory.
func (c *Controller) listVersions(ctx context.Context) (services, pools versions, err error) {
	services, pools = versions{}, versions{}
	options := metav1.ListOptions{FieldSelector: k8s.LoadBalancers, Limit: 500}
	for {
		page, err := c.Cluster.Core.CoreV1().Services(metav1.NamespaceAll).List(ctx, options)
		if err != nil {
			return nil, nil, fmt.Errorf("listing Services: %w", err)
		}
		for i := range page.Items {
			services[k8s.Key(&page.Items[i])] = page.Items[i].ResourceVersion
		}
		if options.Continue = page.Continue; options.Continue == "" {
			break
		}
	}
	list, err := c.Cluster.Fairlead.FairleadV1alpha1().IPAddressPools().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, nil, fmt.Errorf("listing IPAddressPools: %w", err)
	}
	for i := range list.Items {
		pools[k8s.Key(&list.Items[i])] = list.Items[i].ResourceVersion
	}
	return services, pools, nil
}
