package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

func init() { families = append(families, family{"clock", clockFaults}) }

const day24 = 24 * time.Hour

// A clock that is moved by so much is moved back at the end: that is a jump, too.
func clockFaults() []fault {
	return []fault{
		{target: "speaker", what: "its clock an hour ahead for 8 s", lasts: brief, strike: moveClock(speakers(1), time.Hour)},
		{target: "speaker", what: "its clock an hour behind for 8 s", lasts: brief, strike: moveClock(speakers(1), -time.Hour)},
		{target: "speaker", what: "its clock a day ahead for 8 s", lasts: brief, strike: moveClock(speakers(1), day24)},
		{target: "speaker", what: "its clock an hour to and fro every 2 s for 20 s", lasts: 20 * time.Second, short: brief, strike: swing(speakers(1), time.Hour)},
		{target: "speaker", what: "all clocks an hour ahead for 8 s", lasts: brief, strike: moveClock(allSpeakers, time.Hour), alone: true},
		{target: "speaker", what: "all clocks an hour behind for 8 s", lasts: brief, strike: moveClock(allSpeakers, -time.Hour), alone: true},
		{target: "speaker", what: "restarted with its clock an hour behind, and again with it right 8 s later", lasts: brief,
			strike: restartMoved(speakers(1), -time.Hour), allowed: allowance{fleet.WithBFD: rerouted}},
		{target: "controller", what: "the leader's clock an hour ahead for 30 s", lasts: long, short: brief, strike: moveClock(leader, time.Hour)},
		{target: "controller", what: "the leader's clock an hour behind for 30 s", lasts: long, short: brief, strike: moveClock(leader, -time.Hour)},
		{target: "controller", what: "all clocks a day ahead for 30 s", lasts: long, short: brief, strike: moveClock(controllers, day24)},
		{target: "controller", what: "the leader's clock an hour to and fro every 2 s for 20 s", lasts: 20 * time.Second, short: brief, strike: swing(leader, time.Hour)},
		// Bearers' tokens are not valid yet for it, or not any more: nobody of the product is let in.
		{target: "API server", what: "its clock an hour ahead for 15 s", lasts: starved, short: brief, strike: moveClock(program("kube-apiserver"), time.Hour), rest: 60 * time.Second},
		{target: "API server", what: "its clock an hour behind for 15 s", lasts: starved, short: brief, strike: moveClock(program("kube-apiserver"), -time.Hour), rest: 60 * time.Second},
		{target: "API server", what: "its clock two days ahead for 15 s", lasts: starved, short: brief, strike: moveClock(program("kube-apiserver"), 2*day24), rest: 60 * time.Second},
		{target: "etcd", what: "its clock an hour ahead for 15 s", lasts: starved, short: brief, strike: moveClock(program("etcd"), time.Hour), rest: 60 * time.Second},
		{target: "etcd", what: "its clock an hour behind for 15 s", lasts: starved, short: brief, strike: moveClock(program("etcd"), -time.Hour), rest: 60 * time.Second},
	}
}

// moved moves a process's clock.
func moved(by time.Duration) func(*lab.Process) error {
	return func(p *lab.Process) error { return p.MoveClock(by) }
}

// moveClock moves the wall clock of what is chosen, and back at the end.
func moveClock(who victims, by time.Duration) strike {
	return func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		list, err := who(ctx, f, r)
		if err == nil {
			err = each(list, moved(by))
		}
		return func(context.Context) error { return each(list, moved(0)) }, err
	}
}

// swing moves the clocks ahead, behind, and so on.
func swing(who victims, by time.Duration) strike {
	return func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		list, err := who(ctx, f, r)
		if err != nil {
			return nil, err
		}
		stop, err := repeat(func(context.Context, *fleet.Fleet, *rand.Rand) (func(context.Context) error, error) {
			return func(context.Context) error {
				by = -by
				return each(list, moved(-by))
			}, nil
		})(ctx, f, r)
		return func(ctx context.Context) error { return errors.Join(stop(ctx), each(list, moved(0))) }, err
	}
}

// restartMoved starts what is chosen anew with its clock moved, as on a node whose clock was wrong when it was switched
// on; and once more with a clock that is right.
func restartMoved(who victims, by time.Duration) strike {
	restart := func(by time.Duration) func(*lab.Process) error {
		return func(p *lab.Process) error { return errors.Join(p.Kill(), p.MoveClock(by), p.Start()) }
	}
	return func(ctx context.Context, f *fleet.Fleet, r *rand.Rand) (func(context.Context) error, error) {
		list, err := who(ctx, f, r)
		if err == nil {
			err = each(list, restart(by))
		}
		return func(context.Context) error { return each(list, restart(0)) }, err
	}
}
