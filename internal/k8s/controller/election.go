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
		e.controller.leader.Store(e.controller.Identity)
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
// has ended, with all its writes: the next leader reads the cluster as this one leaves it. Not only the
// end of ctx gives it back: client-go does too when it could not renew it in time, and tells the term later.
func (e *election) stand(ctx context.Context) error {
	electing, giveBack := context.WithCancel(context.WithoutCancel(ctx))
	defer giveBack()
	terms, endTerms := context.WithCancel(ctx)
	var mu sync.Mutex // between the start of a term and the end of terms
	var term sync.WaitGroup
	end := func() {
		mu.Lock() // from here on no term starts
		defer mu.Unlock()
		endTerms()
		term.Wait()
	}
	defer end()
	defer context.AfterFunc(ctx, func() {
		end()
		giveBack()
	})()
	e.lock.end = end

	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: e.lock, Name: LeaseName, ReleaseOnCancel: true,
		LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				mu.Lock()
				if terms.Err() != nil || leading.Err() != nil {
					mu.Unlock()
					return
				}
				term.Add(1)
				mu.Unlock()
				defer term.Done()
				leading, cancel := context.WithCancel(leading)
				defer cancel()
				defer context.AfterFunc(terms, cancel)()
				newTerm(e.controller, e.lock.held).run(leading)
			},
			OnStoppedLeading: func() {},
			OnNewLeader: func(identity string) {
				e.controller.leader.Store(identity)
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
	return nil
}

// lock is the Lease, with a bound on each request, and with a memory of when it was last ours. Only the
// elector's goroutine calls it, but for held.
type lock struct {
	resourcelock.Interface
	complaint k8s.Complaint
	// end ends the term, and returns when its last write is over: within writeTimeout.
	end     func()
	renewed atomic.Pointer[time.Time]
	// holder is whose the Lease was when it was last read.
	holder string
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
	if l.holder = ""; err == nil {
		l.holder = record.HolderIdentity
	}
	return record, raw, err
}

func (l *lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.write(ctx, record, l.Interface.Create)
}

func (l *lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if record.HolderIdentity == "" {
		return l.release(ctx, record)
	}
	return l.write(ctx, record, l.Interface.Update)
}

// release gives the Lease back when nothing is written under it any more. client-go has just read it: if
// that has changed since, the API server refuses.
func (l *lock) release(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	l.renewed.Store(nil)
	l.end()
	if l.holder != l.Identity() {
		// client-go goes by what it saw before, and after a freeze would give away another's Lease.
		return fmt.Errorf("not released: the Lease is held by %q", l.holder)
	}
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
		if record.HolderIdentity == l.Identity() {
			l.renewed.Store(&asked)
		}
		l.complaint.Over()
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err): // another was faster
	default:
		l.complaint.Report(err)
	}
	return err
}
