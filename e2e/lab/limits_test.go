package lab

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestControlGroupsForLimits(t *testing.T) {
	limits := Limits{CPU: 0.02, Memory: 4096, Threads: 9}
	for _, test := range []struct {
		name              string
		mountinfo, cgroup string
		want              map[string]map[string]string // by directory
	}{
		{
			name: "version 1: a group in each controller's hierarchy, below the lab's own",
			mountinfo: `30 23 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 23 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
33 23 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`,
			cgroup: "4:memory:/session/1\n3:pids:/\n1:cpu,cpuacct:/\n0::/\n",
			want: map[string]map[string]string{
				"/sys/fs/cgroup/cpu,cpuacct/x":      {"cpu.cfs_quota_us": "2000", "cpu.cfs_period_us": "100000"},
				"/sys/fs/cgroup/memory/session/1/x": {"memory.limit_in_bytes": "4096"},
				"/sys/fs/cgroup/pids/x":             {"pids.max": "9"},
			},
		}, {
			name:      "version 2: one group, at the root, since the lab's own has members",
			mountinfo: "30 23 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
			cgroup:    "0::/user.slice/session-1.scope\n",
			want: map[string]map[string]string{
				"/sys/fs/cgroup/x": {"cpu.max": "2000 100000", "memory.max": "4096", "pids.max": "9"},
			},
		}, {
			name: "a container that has its own groups mounted",
			mountinfo: `30 23 0:26 /docker/1f /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu
31 23 0:27 /docker/1f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory
32 23 0:28 /docker/1f /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids
`,
			cgroup: "4:memory:/docker/1f/inner\n3:pids:/docker/1f\n1:cpu:/docker/1f\n",
			want: map[string]map[string]string{
				"/sys/fs/cgroup/cpu/x":          {"cpu.cfs_quota_us": "2000", "cpu.cfs_period_us": "100000"},
				"/sys/fs/cgroup/memory/inner/x": {"memory.limit_in_bytes": "4096"},
				"/sys/fs/cgroup/pids/x":         {"pids.max": "9"},
			},
		}, {
			name:      "a machine that limits nothing",
			mountinfo: "30 23 0:26 / / rw - ext4 /dev/vda rw\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			homes, err := controllerHomes(test.mountinfo, test.cgroup)
			if err != nil {
				t.Fatal(err)
			}
			groups, err := limits.groups(homes, "x")
			if (err == nil) != (test.want != nil) {
				t.Errorf("the error is %v", err)
			}
			var got map[string]map[string]string
			for _, g := range groups {
				if got == nil {
					got = map[string]map[string]string{}
				}
				got[g.directory] = g.files
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLimitOfCPU(t *testing.T) {
	ctx, l := sharedLab(t)
	p := l.Program("busy", l.CP, "/bin/sh", "sh", "-c", "while :; do :; done")
	t.Cleanup(func() { _ = p.Kill() })
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	used := func() time.Duration {
		t.Helper()
		before, err := p.CPUTime()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		after, err := p.CPUTime()
		if err != nil {
			t.Fatal(err)
		}
		return after - before
	}
	end, err := l.Limit(Limits{CPU: 0.05}, p)
	if err != nil {
		t.Fatal(err)
	}
	if got := used(); got > 60*time.Millisecond {
		t.Errorf("it used %s in 500 ms under a limit of 5 %%", got)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if got := used(); got > 60*time.Millisecond {
		t.Errorf("started again it used %s in 500 ms under a limit of 5 %%", got)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	// On a machine that others use, too, not each time.
	if err := wait(ctx, "it to use more than 5 %", func(context.Context) (bool, error) { return used() > 60*time.Millisecond, nil }); err != nil {
		t.Error(err)
	}
}

func TestLimitOfMemory(t *testing.T) {
	ctx, l := sharedLab(t)
	p := l.Program("hungry", l.CP, "/usr/bin/tail", "tail", "/dev/zero") // a line that does not end
	t.Cleanup(func() { _ = p.Kill() })
	p.died = func(string) {}
	end, err := l.Limit(Limits{Memory: 16 << 20}, p)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Ended():
	case <-ctx.Done():
		t.Fatal("it lives on 16 MiB")
	}
	if code, err := p.ExitCode(); err != nil || code != 128+int(syscall.SIGKILL) {
		t.Errorf("it ended with %d, %v", code, err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestLimitOfThreads(t *testing.T) {
	ctx, l := sharedLab(t)
	p := l.Program("many", l.CP, "/bin/sh", "sh", "-c", "sleep 0.1; sleep 5 & sleep 5 & sleep 5 & wait")
	t.Cleanup(func() { _ = p.Kill() })
	p.died = func(string) {}
	end, err := l.Limit(Limits{Threads: 2}, p)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if err := wait(ctx, "a thread too many to be refused", func(context.Context) (bool, error) {
		log, err := p.Log()
		return strings.Contains(log, "annot fork"), err
	}); err != nil {
		t.Error(err)
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
}

func TestControlGroupsAreSwept(t *testing.T) {
	_, l := sharedLab(t)
	p := l.Program("limited", l.CP, "/bin/sleep", "sleep", "60")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	if _, err := l.Limit(Limits{CPU: 0.5}, p); err != nil {
		t.Fatal(err)
	}
	sweepGroups()
	directory := p.groups[0].directory
	if _, err := os.Stat(directory); err != nil {
		t.Errorf("the group of a process that runs is swept: %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	sweepGroups()
	if _, err := os.Stat(directory); err == nil {
		t.Error("a group that nobody is in is left behind")
	}
	// The limit still stands: the group is made again.
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(directory); err != nil {
		t.Error(err)
	}
}
