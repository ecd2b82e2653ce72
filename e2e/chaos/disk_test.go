package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/fleet"
)

func init() { families = append(families, family{"disk", diskFaults}) }

func diskFaults() []fault {
	return []fault{
		{target: "etcd", what: "its disk full for 15 s", lasts: starved, short: brief, strike: etcdDiskFull, rest: 60 * time.Second},
		{target: "etcd", what: "out of its quota (NOSPACE: it takes no writes) for 15 s", lasts: starved, short: brief, strike: etcdQuota, rest: 60 * time.Second},
		{target: "node", what: "all logs' disk full for 15 s", lasts: starved, short: brief, strike: logDiskFull},
	}
}

// etcdDiskFull lets etcd write no more. It ends by that, sooner or later, and the API server with it.
func etcdDiskFull(_ context.Context, f *fleet.Fleet, _ *rand.Rand) (func(context.Context) error, error) {
	return func(context.Context) error {
		return errors.Join(f.EtcdDisk.Free(), startAgain(f.Process("etcd")), startAgain(f.Process("kube-apiserver")))
	}, f.EtcdDisk.Fill()
}

// logDiskFull lets nobody write a log.
func logDiskFull(_ context.Context, f *fleet.Fleet, _ *rand.Rand) (func(context.Context) error, error) {
	return func(context.Context) error { return f.LogDisk.Free() }, f.LogDisk.Fill()
}

// etcdQuota raises the alarm that etcd raises itself when its data is larger than its quota.
func etcdQuota(ctx context.Context, f *fleet.Fleet, _ *rand.Rand) (func(context.Context) error, error) {
	return func(ctx context.Context) error { return alarm(ctx, f, "DEACTIVATE") }, alarm(ctx, f, "ACTIVATE")
}

func alarm(ctx context.Context, f *fleet.Fleet, action string) error {
	transport := f.CP.HTTPTransport()
	defer transport.CloseIdleConnections()
	// memberID 0 is all of them.
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1:2379/v3/maintenance/alarm",
		strings.NewReader(`{"action":"`+action+`","memberID":"0","alarm":"NOSPACE"}`))
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("etcd's alarm, %s: %w", action, err)
	}
	defer response.Body.Close()
	if body, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd's alarm, %s: %s: %s", action, response.Status, body)
	}
	return nil
}
