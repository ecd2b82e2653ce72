package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// newcomers numbers the Services of Serves: a name that was used may have something left of it.
var newcomers atomic.Int64

const (
	// servedWithin is how long the product may take to give a new Service its addresses and to answer for them.
	servedWithin = 20 * time.Second
	// followedWithin is how long kube-proxy may take to hear of a new Service: client-go's reflector, which it uses, asks an
	// API server that was away again after up to 60 s (k8s.io/client-go/tools/cache, defaultBackoffMax and its jitter).
	followedWithin = 70 * time.Second
)

// Serves makes a Service of each pool, asks for both its addresses in every way until it is answered, and removes it:
// the product not only keeps what is, it goes on working.
func (f *Fleet) Serves(ctx context.Context) (err error) {
	for _, pool := range []string{SegmentPool, RoutedPool} {
		s := lab.BackedService(fmt.Sprintf("newcomer-%d", newcomers.Add(1)))
		s.Annotations[PoolAnnotation] = pool
		if err := f.Lab.Expose(ctx, s, f.Backend); err != nil {
			return err
		}
		made, err := f.announced(ctx, pool, s.Name)
		if err == nil {
			err = f.reached(ctx, pool, made)
		}
		if err := errors.Join(err, f.Remove(context.WithoutCancel(ctx), Service{Name: s.Name})); err != nil {
			return fmt.Errorf("the Service %s: %w", s.Name, err)
		}
	}
	return nil
}

// announced waits until a Service has its addresses, and nodes answer for those of the segment.
func (f *Fleet) announced(ctx context.Context, pool, name string) (Service, error) {
	ctx, cancel := context.WithTimeout(ctx, servedWithin)
	defer cancel()
	made, err := f.Await(ctx, name)
	if err == nil && pool == SegmentPool {
		_, err = await(ctx, func() error { _, err := f.Owners(ctx, made[0].Addresses()...); return err })
	}
	return made[0], err
}

// reached waits until a Service's addresses answer to clients of every way.
func (f *Fleet) reached(ctx context.Context, pool string, s Service) error {
	ctx, cancel := context.WithTimeout(ctx, followedWithin)
	defer cancel()
	from := []*lab.Host{f.User}
	if pool == RoutedPool {
		from = f.Visitors
	}
	for _, h := range from {
		for _, a := range s.Addresses() {
			if _, err := h.Await(ctx, "tcp", At(a)); err != nil {
				return err
			}
		}
	}
	return nil
}
