package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// LeaseName is the Lease that the leader holds.
const LeaseName = "fairlead-controller"

// client-go's defaults: a leader that died is replaced after 15 s, and one that does not get through
// stops 5 s before that.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// election is the task that runs a term whenever this controller leads.
type election struct {
	controller *Controller
	lock       *lock
	log        *slog.Logger
}

func newElection(c *Controller) *election {
	return &election{controller: c, log: c.Log, lock: &lock{
		Interface: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: c.Namespace, Name: LeaseName},
			Client:     c.Cluster.Core.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: c.Identity},
		},
		complaint: k8s.Complaint{What: fmt.Sprintf("the Lease %s/%s cannot be had", c.Namespace, LeaseName), Log: c.Log},
	}}
}

// Run stands for election until ctx ends. Losing the lead ends a term, not the process.
func (e *election) Run(ctx context.Context) error {
	if !e.controller.LeaderElect {
		newTerm(e.controller, func() bool { return true }).run(ctx)
		return nil
	}
	for ctx.Err() == nil {
		if err := e.stand(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stand waits for the lead and keeps it as long as it can. The Lease is given back only after the term
// has ended, with all its writes: the next leader reads the cluster as this one leaves it.
func (e *election) stand(ctx context.Context) error {
	electing, giveBack := context.WithCancel(context.WithoutCancel(ctx))
	defer giveBack()
	var mu sync.Mutex // between the start of a term and the end of ctx
	var term sync.WaitGroup
	stop := context.AfterFunc(ctx, func() {
		mu.Lock() // from here on no term starts
		defer mu.Unlock()
		term.Wait()
		giveBack()
	})
	defer stop()

	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: e.lock, Name: LeaseName, ReleaseOnCancel: true,
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				mu.Lock()
				if ctx.Err() != nil || leading.Err() != nil {
					mu.Unlock()
					return
				}
				term.Add(1)
				mu.Unlock()
				defer term.Done()
				leading, end := context.WithCancel(leading)
				defer end()
				defer context.AfterFunc(ctx, end)()
				newTerm(e.controller, e.lock.held).run(leading)
			},
			OnStoppedLeading: func() {},
			OnNewLeader: func(identity string) {
				if identity != e.lock.Identity() && identity != "" {
					e.log.Info("standing by: another controller leads", "leader", identity)
				}
			},
		},
	})
	if err != nil {
		return fmt.Errorf("preparing the election of a leader: %w", err)
	}
	elector.Run(electing)
	mu.Lock() // whoever takes it after this finds that leading is over
	defer mu.Unlock()
	term.Wait()
	return nil
}

// lock is the Lease, with a bound on each request, and with a memory of when it was last ours.
type lock struct {
	resourcelock.Interface
	complaint k8s.Complaint
	renewed   atomic.Pointer[time.Time]
}

// held tells whether the Lease is surely ours still, by our own clock. A process that was frozen, or that
// waited for a processor, may be a former leader without having been told yet.
func (l *lock) held() bool {
	renewed := l.renewed.Load()
	return renewed != nil && time.Since(*renewed) < renewDeadline
}

func (l *lock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, renewDeadline/2)
	defer cancel()
	record, raw, err := l.Interface.Get(ctx)
	if err == nil || apierrors.IsNotFound(err) {
		l.complaint.Over()
	} else {
		l.complaint.Report(err)
	}
	return record, raw, err
}

func (l *lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, record, l.Interface.Create)
}

func (l *lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, record, l.Interface.Update)
}

func (l *lock) write(ctx context.Context, record resourcelock.LeaderElectionRecord,
	write func(context.Context, resourcelock.LeaderElectionRecord) error) error {
	ctx, cancel := context.WithTimeout(ctx, renewDeadline/2)
	defer cancel()
	asked := time.Now() // not when the answer came: the Lease counts from before that
	err := write(ctx, record)
	switch {
	case err == nil:
		l.renewed.Store(&asked)
		l.complaint.Over()
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err): // another was faster
	default:
		l.complaint.Report(err)
	}
	return err
}
