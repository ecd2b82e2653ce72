package fleet

import (
	"context"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// A fleet starts, its users are served by every way, and nothing that holds is missing.
func TestFleet(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	begin := time.Now()
	f, err := Start(ctx, Config{Controllers: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("settled after %.1f s", time.Since(begin).Seconds())
	users, err := f.Users(ctx, UsersConfig{})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	for way, e := range users.Stop() {
		t.Logf("%s: %s", way, e)
		if e.Failed > 0 || e.Broken > 0 || e.Sent == 0 || e.Established == 0 || len(e.Moves) > 0 || e.WatchError != nil {
			t.Errorf("%s: %+v", way, e)
		}
	}
	usage, err := f.Usage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, u := range usage {
		t.Logf("%s: %s", name, u)
	}
	if err := f.Serves(ctx); err != nil {
		t.Error(err)
	}
	holdsNot(ctx, t, f)
}
