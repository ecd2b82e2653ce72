package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
)

// overwritten is what it costs when a Service's status is not what it was: kube-proxy and the speakers follow it, until
// the controller has written it back.
var overwritten = everywhere(cost{
	throughout: true, within: 2 * time.Second, breaks: true, moves: true,
	why: "kube-proxy and speakers follow a Service's status; the controller writes it back",
})

// overwriteStatuses writes what is not so into statuses, as somebody with too many rights, or another controller, does.
func overwriteStatuses(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
	client, err := dynamic.NewForConfig(f.RESTConfig())
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	write := func(resource, name, text string) error {
		_, err := inNamespace(client, resource).Patch(ctx, name, mergePatch, []byte(text), metav1.PatchOptions{}, "status")
		if err != nil && ctx.Err() == nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("overwriting the status of %s in %s: %w", name, resource, err)
		}
		return nil
	}
	err = pace(ctx, 1, func() error {
		victim, other := one(r, f.Layer2), one(r, f.Layer2)
		routed := one(r, f.Routed)
		return errors.Join(
			write("services", victim.Name, one(r, []string{
				`{"status":{"loadBalancer":{"ingress":null}}}`,
				`{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.2"}]}}}`, // a host of the segment
				fmt.Sprintf(`{"status":{"loadBalancer":{"ingress":[{"ip":%q}]}}}`, other.V4),
				fmt.Sprintf(`{"status":{"loadBalancer":{"ingress":[{"ip":%q},{"ip":%q}]}}}`, routed.V4, other.V6),
				`{"status":{"loadBalancer":{"ingress":[{"hostname":"example.com"}]}}}`,
			})),
			write("services", routed.Name, `{"status":{"conditions":null,"loadBalancer":null}}`),
			write("ipaddresspools", one(r, []string{fleet.SegmentPool, fleet.RoutedPool}),
				`{"status":{"ipv4":{"total":"1","assigned":0,"retained":0,"available":"0","first":"192.0.2.1","last":"192.0.2.1"},"conditions":null}}`),
			write("speakers", one(r, f.Nodes).Name, `{"status":{"layer2":null,"bgpSessions":null}}`),
		)
	})
	// That the segment, the routers, pools and Speakers agree again is seen to by Settled; here, that it is what it was.
	after, cancel := detached(ctx)
	defer cancel()
	return errors.Join(err, await(after, 15*time.Second, func() error { return asTheyWere(after, f) }))
}

// asTheyWere checks that the fleet's Services have the addresses that they were given.
func asTheyWere(ctx context.Context, f *fleet.Fleet) error {
	for _, was := range slices.Concat(f.Layer2, f.Routed) {
		s, err := f.Kubernetes.CoreV1().Services(fleet.Namespace).Get(ctx, was.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("getting the Service %s: %w", was.Name, err)
		}
		var has []string
		for _, in := range s.Status.LoadBalancer.Ingress {
			has = append(has, in.IP)
		}
		if slices.Sort(has); !slices.Equal(has, []string{was.V4.String(), was.V6.String()}) {
			return fmt.Errorf("the Service %s has %v, and had %s and %s", was.Name, has, was.V4, was.V6)
		}
	}
	return nil
}

// editService changes what Fairlead does not read, fifty times a second, and checks that nothing is written for it.
func editService(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
	name := one(r, f.Layer2).Name
	before, err := written(ctx, f)
	if err != nil {
		return err
	}
	services, edits := f.Kubernetes.CoreV1().Services(fleet.Namespace), 0
	patch := func(value string) error {
		_, err := services.Patch(context.WithoutCancel(ctx), name, mergePatch,
			fmt.Appendf(nil, `{"metadata":{"annotations":{"garbage.example.com/edit":%s}}}`, value), metav1.PatchOptions{})
		return err
	}
	err = pace(ctx, 50, func() error { edits++; return patch(fmt.Sprintf("\"%d\"", edits)) })
	err = errors.Join(err, patch("null"))
	after, counted := written(context.WithoutCancel(ctx), f)
	const most = 5
	if grown := after - before; counted == nil && grown > most {
		err = errors.Join(err, fmt.Errorf("for %d edits the controller wrote %v times into Services", edits, grown))
	}
	return errors.Join(err, counted)
}

// written is how often the controllers have written into Services.
func written(ctx context.Context, f *fleet.Fleet) (n float64, err error) {
	for i, p := range f.Controllers {
		_, page, err := p.Host.Page(ctx, lab.ControllerHTTPPort+i, "/metrics")
		if err != nil {
			return 0, err
		}
		n += lab.Sum(page, "fairlead_controller_writes_total", `object="service"`)
	}
	return n, nil
}

// manyServices makes 300 Services of both pools and deletes them, 25 a second, again and again until ctx is done: with
// twice as many three kube-proxies and the API server take all of two processors, and now and then the first packet of a
// connection is lost.
func manyServices(ctx context.Context, f *fleet.Fleet, _ *rand.Rand) error {
	const n = 300
	services, step := f.Kubernetes.CoreV1().Services(fleet.Namespace), 0
	name := func(i int) string { return fmt.Sprintf("garbage-%d", i%n) }
	err := pace(ctx, 25, func() error {
		i := step
		step++
		if i/n%2 == 1 {
			if err := services.Delete(ctx, name(i), metav1.DeleteOptions{}); err != nil && ctx.Err() == nil {
				return fmt.Errorf("deleting the Service %s: %w", name(i), err)
			}
			return nil
		}
		s := lab.BackedService(name(i))
		s.Annotations[fleet.PoolAnnotation] = []string{fleet.SegmentPool, fleet.RoutedPool}[i%2]
		if _, err := services.Create(ctx, s, metav1.CreateOptions{}); err != nil && ctx.Err() == nil {
			return fmt.Errorf("making the Service %s: %w", s.Name, err)
		}
		return nil
	})
	client, made := dynamic.NewForConfig(f.RESTConfig())
	if made != nil {
		return errors.Join(err, fmt.Errorf("making a client: %w", made))
	}
	return errors.Join(err, removeGarbage(ctx, client, []string{"services"}))
}

// flapEndpoints has the endpoint of a Service with externalTrafficPolicy Local come and go on a node.
func flapEndpoints(ctx context.Context, f *fleet.Fleet, r *rand.Rand) error {
	const name = "garbage-flap"
	s := lab.BackedService(name)
	s.Annotations[fleet.PoolAnnotation] = fleet.SegmentPool
	s.Spec.ExternalTrafficPolicy = "Local"
	if err := f.Lab.Expose(ctx, s, f.Backend); err != nil {
		return err
	}
	endpoints, node := f.Kubernetes.DiscoveryV1().EndpointSlices(fleet.Namespace), one(r, f.Nodes).Name
	ready := false
	err := pace(ctx, 50, func() error {
		ready = !ready
		text := fmt.Appendf(nil, `{"endpoints":[{"addresses":[%q],"nodeName":%q,"conditions":{"ready":%v}}]}`, f.Backend.V4, node, ready)
		_, err := endpoints.Patch(ctx, name+"-ipv4", mergePatch, text, metav1.PatchOptions{})
		if ctx.Err() != nil {
			return nil
		}
		return err
	})
	undo, cancel := detached(ctx)
	defer cancel()
	return errors.Join(err, f.Kubernetes.CoreV1().Services(fleet.Namespace).Delete(undo, name, metav1.DeleteOptions{}))
}
