package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/garbage"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

// goodObjects are what bad ones are made of, by resource: every field that a user may write, all within their bounds, and
// none that would do something to the fleet's own.
const goodObjects = `
ipaddresspools:
  apiVersion: fairlead.dev/v1alpha1
  kind: IPAddressPool
  spec:
    addresses: ["198.18.140.0/28", "198.18.141.1-198.18.141.9", "2001:db8:99::/120"]
    excludeAddresses: ["198.18.140.3"]
    autoAssign: false
    avoidBuggyIPs: true
    disabled: false
    conflictDetection: true
    retention: 30s
    quota: {perNamespace: 3}
    serviceAllocation:
      priority: 3
      namespaces: [garbage]
      namespaceSelectors: [{matchLabels: {a: b}}]
      serviceSelectors: [{matchExpressions: [{key: a, operator: In, values: [b]}]}]
l2advertisements:
  apiVersion: fairlead.dev/v1alpha1
  kind: L2Advertisement
  spec:
    ipAddressPools: [garbage-0]
    ipAddressPoolSelectors: [{matchLabels: {a: b}}]
    serviceSelectors: [{matchLabels: {a: b}}]
    nodeSelectors: [{matchLabels: {a: b}}]
    preferredNodeSelectors: [{weight: 3, preference: {matchLabels: {a: b}}}]
    interfaces: [eth9, "en*"]
bgpadvertisements:
  apiVersion: fairlead.dev/v1alpha1
  kind: BGPAdvertisement
  spec:
    ipAddressPools: [garbage-0]
    ipAddressPoolSelectors: [{matchLabels: {a: b}}]
    serviceSelectors: [{matchLabels: {a: b}}]
    nodeSelectors: [{matchLabels: {a: b}}]
    aggregationLength: 32
    aggregationLengthV6: 128
    localPref: 100
    communities: ["64512:1", "large:64512:1:2", garbage]
    peers: [garbage-0]
bgppeers:
  apiVersion: fairlead.dev/v1alpha1
  kind: BGPPeer
  spec:
    myASN: 64512
    peerASN: 64500
    peerAddress: 192.0.2.104
    peerPort: 1791
    sourceAddress: 192.0.2.11
    holdTime: 90s
    keepaliveTime: 30s
    connectTime: 10s
    routerID: 192.0.2.11
    nodeSelectors: [{matchLabels: {a: b}}]
    passwordSecret: {name: garbage}
    bfdProfile: garbage-0
    families: [IPv4]
bfdprofiles:
  apiVersion: fairlead.dev/v1alpha1
  kind: BFDProfile
  spec: {receiveInterval: 300, transmitInterval: 300, detectMultiplier: 3, passiveMode: false, minimumTtl: 254}
communities:
  apiVersion: fairlead.dev/v1alpha1
  kind: Community
  spec: {communities: [{name: garbage, value: "64512:7"}, {name: other, value: "large:64512:1:2"}]}
services:
  apiVersion: v1
  kind: Service
  metadata:
    namespace: default
    annotations:
      fairlead.dev/load-balancer-ips: 192.0.2.225,2001:db8::1:ff
      fairlead.dev/address-pool: segment
      fairlead.dev/allow-shared-ip: garbage
      metallb.io/loadBalancerIPs: 192.0.2.225
      kube-vip.io/loadbalancerIPs: 192.0.2.225
  spec:
    type: LoadBalancer
    ipFamilyPolicy: PreferDualStack
    allocateLoadBalancerNodePorts: false
    externalTrafficPolicy: Cluster
    loadBalancerIP: 192.0.2.225
    ports: [{name: a, port: 80, protocol: TCP}, {name: b, port: 53, protocol: UDP}]
`

func resourceOf(name string) schema.GroupVersionResource {
	if name == "services" {
		return schema.GroupVersionResource{Version: "v1", Resource: name}
	}
	return schema.GroupVersionResource{Group: "fairlead.dev", Version: "v1alpha1", Resource: name}
}

// inNamespace is the client of a resource where the bad objects of it go.
func inNamespace(client dynamic.Interface, resource string) dynamic.ResourceInterface {
	if resource == "services" {
		return client.Resource(resourceOf(resource)).Namespace(fleet.Namespace)
	}
	return client.Resource(resourceOf(resource))
}

func objectAttacks() []attack {
	return []attack{
		{
			target: "API objects", what: "bad pools, advertisements, peers, profiles, communities and Services by the hundred: made, edited, deleted",
			lasts: 30 * time.Second, short: 10 * time.Second, lines: 5000, rest: time.Minute,
			send: badObjects,
		},
		{
			target: "API objects", what: "500 annotations, names at their limits, 4,096 references to nothing, finalizers that never end",
			lasts: 10 * time.Second, short: 4 * time.Second, lines: 500,
			send: extremeObjects,
		},
		{
			target: "API objects", what: "the statuses of Services, pools and Speakers overwritten by somebody else, every second",
			lasts: 10 * time.Second, short: 4 * time.Second, lines: 2000, allowed: overwritten,
			send: overwriteStatuses,
		},
		{
			target: "API events", what: "a Service edited 50 times a second",
			lasts: 10 * time.Second, short: 4 * time.Second,
			send: editService,
		},
		{
			target: "API events", what: "300 Services created and deleted, again and again, 25/s",
			lasts: 20 * time.Second, short: 8 * time.Second, lines: 20000, rest: time.Minute,
			send: manyServices,
		},
		{
			target: "API events", what: "the only endpoint of a Service ready and not, 50 times a second",
			lasts: 10 * time.Second, short: 4 * time.Second, lines: 2000,
			send: flapEndpoints,
		},
	}
}

// mergePatch is RFC 7386's.
const mergePatch = types.MergePatchType

// badObjects makes, edits and deletes objects that are wrong until ctx is done, some hundred in a round. The API server
// refuses many, and must be able to say why; the rest is for the product.
func badObjects(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
	var good map[string]garbage.Object
	if err := yaml.Unmarshal([]byte(goodObjects), &good); err != nil {
		return fmt.Errorf("reading the good objects: %w", err)
	}
	client, err := dynamic.NewForConfig(f.RESTConfig())
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	resources := slices.Sorted(maps.Keys(good))
	for _, resource := range resources { // else bad ones would be refused for what is meant to be right
		o := garbage.Object{"metadata": garbage.Object{"name": "garbage-good"}}
		maps.Copy(o, good[resource])
		if meta, ok := good[resource]["metadata"].(garbage.Object); ok {
			meta["name"] = "garbage-good"
		}
		if _, err := inNamespace(client, resource).Create(ctx, &unstructured.Unstructured{Object: o}, metav1.CreateOptions{}); err != nil {
			return errors.Join(fmt.Errorf("making a good one of %s: %w", resource, err), removeGarbage(ctx, client, resources))
		}
	}
	const each = 60
	var accepted, refused atomic.Int64
	note := func(err error) error {
		switch {
		case err == nil:
			accepted.Add(1)
		case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
			refused.Add(1)
		case apierrors.IsNotFound(err), apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), ctx.Err() != nil:
		default: // an internal error is one of a definition's rules
			return err
		}
		return nil
	}
	for ctx.Err() == nil && err == nil {
		var rounds []func() error
		for _, resource := range resources {
			made, edited := garbage.Objects(r, good[resource], "garbage", each), garbage.Objects(r, good[resource], "garbage", each)
			rounds = append(rounds, func() error {
				c := inNamespace(client, resource)
				for _, o := range made {
					_, err := c.Create(ctx, &unstructured.Unstructured{Object: o}, metav1.CreateOptions{})
					if err := note(err); err != nil {
						return fmt.Errorf("making one of %s: %w", resource, err)
					}
				}
				for _, o := range edited {
					u := &unstructured.Unstructured{Object: o}
					is, err := c.Get(ctx, u.GetName(), metav1.GetOptions{})
					if err != nil {
						continue
					}
					u.SetResourceVersion(is.GetResourceVersion())
					_, err = c.Update(ctx, u, metav1.UpdateOptions{})
					if err := note(err); err != nil {
						return fmt.Errorf("editing one of %s: %w", resource, err)
					}
				}
				return nil
			})
		}
		err = errors.Join(together(rounds...), removeGarbage(ctx, client, resources))
	}
	if accepted.Load() == 0 || refused.Load() == 0 {
		err = errors.Join(err, fmt.Errorf("%d objects were accepted, and %d refused", accepted.Load(), refused.Load()))
	}
	return err
}

// removeGarbage deletes what has been made, also when ctx is done.
func removeGarbage(ctx context.Context, client dynamic.Interface, resources []string) error {
	ctx, cancel := detached(ctx)
	defer cancel()
	var errs []error
	for _, resource := range resources {
		c := inNamespace(client, resource)
		list, err := c.List(ctx, metav1.ListOptions{})
		if err != nil {
			errs = append(errs, fmt.Errorf("listing %s: %w", resource, err))
			continue
		}
		for _, o := range list.Items {
			if !strings.HasPrefix(o.GetName(), "garbage") {
				continue
			}
			if len(o.GetFinalizers()) > 0 {
				_, err := c.Patch(ctx, o.GetName(), mergePatch, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
				if err != nil && !apierrors.IsNotFound(err) {
					errs = append(errs, err)
				}
			}
			if err := c.Delete(ctx, o.GetName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// extremeObjects makes objects that are as large as they may be, and some that are deleted and stay.
func extremeObjects(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
	client, err := dynamic.NewForConfig(f.RESTConfig())
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	var good map[string]garbage.Object
	if err := yaml.Unmarshal([]byte(goodObjects), &good); err != nil {
		return fmt.Errorf("reading the good objects: %w", err)
	}
	var errs []error
	for resource, o := range good {
		c := inNamespace(client, resource)
		annotations := map[string]any{}
		for i := range 500 {
			annotations[fmt.Sprintf("garbage.example.com/%d", i)] = strings.Repeat("x", 400)
		}
		longest := 253
		if resource == "services" {
			longest = 63
			annotations["fairlead.dev/address-pool"] = fleet.SegmentPool
		}
		name := "garbage-" + strings.Repeat("n", longest-len("garbage-"))
		meta := garbage.Object{"name": name, "annotations": annotations, "finalizers": []any{"garbage.example.com/never"}}
		spec := o["spec"].(garbage.Object)
		delete(spec, "loadBalancerIP")
		if pools, ok := spec["ipAddressPools"].([]any); ok {
			for i := range 255 {
				pools = append(pools, fmt.Sprintf("nothing-%d", i))
			}
			spec["ipAddressPools"] = pools
		}
		_, err := c.Create(ctx, &unstructured.Unstructured{Object: garbage.Object{
			"apiVersion": o["apiVersion"], "kind": o["kind"], "metadata": meta, "spec": spec,
		}}, metav1.CreateOptions{})
		if err == nil {
			err = c.Delete(ctx, name, metav1.DeleteOptions{})
		}
		if err != nil && ctx.Err() == nil {
			errs = append(errs, fmt.Errorf("making an extreme one of %s: %w", resource, err))
		}
	}
	<-ctx.Done()
	return errors.Join(append(errs, removeGarbage(ctx, client, slices.Sorted(maps.Keys(good))))...)
}
