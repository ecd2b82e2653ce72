package soak

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// rollSpeakers restarts one speaker after another, as the update of a DaemonSet does. Nothing moves and nothing breaks, but
// for what comes through a router without graceful restart: it takes the node out meanwhile (docs/bgp.md).
func (l *life) rollSpeakers(ctx context.Context) error {
	defer l.diary.begin(cause{what: "speakers are replaced", ways: []string{fleet.WithBFD}, kinds: []kind{broken, failed}})()
	for _, n := range l.Nodes {
		if err := n.Speaker.Stop(ctx); err != nil {
			return err
		}
		if err := n.Speaker.Start(); err != nil {
			return err
		}
		if err := l.settle(ctx); err != nil {
			return fmt.Errorf("after %s was replaced: %w", n.Speaker.Name, err)
		}
	}
	return lab.Pause(ctx, showing)
}

// rollControllers restarts one controller after another, the leader among them.
func (l *life) rollControllers(ctx context.Context) error {
	for i, c := range l.Controllers {
		if err := c.Stop(ctx); err != nil {
			return err
		}
		if err := c.Start(); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		err := await(limited, func() error {
			status, page, err := c.Host.Page(limited, lab.ControllerHTTPPort+i, "/readyz")
			if err == nil && status != http.StatusOK {
				err = fmt.Errorf("%s: %s", http.StatusText(status), page)
			}
			return err
		})
		cancel()
		if err != nil {
			return fmt.Errorf("waiting for %s: %w", c.Name, err)
		}
	}
	return l.settle(ctx)
}

// restartAPIServer ends the API server as an upgrade of it does, and starts it again. Those who make Services wait.
func (l *life) restartAPIServer(ctx context.Context) error {
	l.acting.Lock()
	defer l.acting.Unlock()
	limited, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	if err := l.Process("kube-apiserver").Stop(limited); err != nil {
		return err
	}
	if err := l.StartAPIServer(limited); err != nil {
		return err
	}
	_, err := l.Settled(limited)
	return err
}

// settle waits until all that must hold does, with nobody changing anything.
func (l *life) settle(ctx context.Context) error {
	l.acting.Lock()
	defer l.acting.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	_, err := l.Settled(ctx)
	return err
}
