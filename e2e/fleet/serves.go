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

// Serves makes a Service of each pool, asks for both its addresses in every way until it is answered, and removes it:
// the product not only keeps what is, it goes on working.
func (f *Fleet) Serves(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, pool := range []string{SegmentPool, RoutedPool} {
		s := lab.BackedService(fmt.Sprintf("newcomer-%d", newcomers.Add(1)))
		s.Annotations[PoolAnnotation] = pool
		if err := f.Lab.Expose(ctx, s, f.Backend); err != nil {
			return err
		}
		made, err := f.Await(ctx, s.Name)
		if err == nil {
			err = f.reached(ctx, pool, made[0])
		}
		if err := errors.Join(err, f.Remove(context.WithoutCancel(ctx), Service{Name: s.Name})); err != nil {
			return fmt.Errorf("the Service %s: %w", s.Name, err)
		}
	}
	return nil
}

func (f *Fleet) reached(ctx context.Context, pool string, s Service) error {
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
