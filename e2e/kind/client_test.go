//go:build kind

package kind

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// client is a host outside the cluster that runs e2e/kind/echo: a container, or this machine.
type client struct{ program []string }

// startClient runs a container on a Docker network until the end of the test.
func startClient(t testing.TB, name, network, image string, options ...string) client {
	t.Helper()
	start(t, name, network, image, options, nil)
	return client{program: []string{"docker", "exec", "--interactive", name, "/echo"}}
}

// start runs a container that is not of the cluster until the end of the test.
func start(t testing.TB, name, network, image string, options, args []string) {
	t.Helper()
	remove := func() { _, _ = command(context.Background(), "", "docker", "rm", "--force", name) }
	remove()
	t.Cleanup(remove)
	run := slices.Concat([]string{"run", "--detach", "--label", "fairlead-e2e", "--name", name, "--network", network}, options, []string{image}, args)
	docker(t, run...)
}

func (c client) echo(args ...string) (string, error) {
	program := slices.Concat(c.program, args)
	return command(context.Background(), "", program[0], program[1:]...)
}

// ask returns the name of the backend that answers at port 80 of an address, and whom it saw.
func (c client) ask(network string, address netip.Addr) (backend, saw string, err error) {
	answer, err := c.echo("ask", network, service(address))
	backend, saw, _ = strings.Cut(answer, " ")
	return backend, saw, err
}

// whoHas returns the hardware addresses that answer ARP or Neighbor Discovery for some addresses.
func (c client) whoHas(addresses []netip.Addr) (map[netip.Addr][]string, error) {
	args := []string{"whohas"}
	for _, a := range addresses {
		args = append(args, a.String())
	}
	out, err := c.echo(args...)
	if err != nil {
		return nil, err
	}
	macs := map[netip.Addr][]string{}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		a, err := netip.ParseAddr(fields[0])
		if err != nil {
			return nil, fmt.Errorf("line %q: %w", line, err)
		}
		macs[a] = fields[1:]
	}
	return macs, nil
}

// neighbor returns the hardware address that the client's kernel itself found, by its own cache.
func (c client) neighbor(address netip.Addr) (string, error) {
	return c.echo("neighbor", address.String())
}

func service(address netip.Addr) string { return netip.AddrPortFrom(address, 80).String() }

// outcome is what a load has come to: e2e/kind/echo has what is in it.
type outcome struct {
	Sent, Failed int
	Cut          int
	Why          []string
	Longest      time.Duration
	LongestAt    time.Time
	Held, Broken int
	Slowest      time.Duration
}

// load is what clients do with addresses: connections that stay, and new ones all the time.
type load struct {
	stop func() (map[string]outcome, error)
}

// load begins with so many established connections and so many new ones a second, shared out over addresses.
func (c client) load(t testing.TB, held, perSecond int, addresses ...netip.Addr) *load {
	t.Helper()
	args := slices.Concat(c.program, []string{"load", fmt.Sprint(held), fmt.Sprint(perSecond)})
	for _, a := range addresses {
		args = append(args, service(a))
	}
	cmd := exec.Command(args[0], args[1:]...)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	l := &load{stop: sync.OnceValues(func() (outcomes map[string]outcome, err error) {
		stdin.Close()
		text, err := io.ReadAll(out)
		if waited := cmd.Wait(); waited != nil {
			return nil, fmt.Errorf("%w: %s", waited, &complaints)
		}
		if err != nil {
			return nil, err
		}
		return outcomes, json.Unmarshal(text, &outcomes)
	})}
	t.Cleanup(func() { _, _ = l.stop() })
	if line, err := out.ReadString('\n'); err != nil || line != "established\n" {
		_, err := l.stop()
		t.Fatalf("%d connections to %s: %q, %v", held, addresses, line, err)
	}
	return l
}

// end ends a load, after a moment in which what is late may come, and tells of each address.
func (l *load) end(t testing.TB) map[netip.Addr]outcome {
	t.Helper()
	time.Sleep(time.Second)
	outcomes, err := l.stop()
	if err != nil {
		t.Fatal(err)
	}
	result := map[netip.Addr]outcome{}
	var total outcome
	for to, o := range outcomes {
		a := netip.MustParseAddrPort(to).Addr()
		result[a] = o
		total.Sent, total.Failed, total.Cut = total.Sent+o.Sent, total.Failed+o.Failed, total.Cut+o.Cut
		total.Held, total.Broken = total.Held+o.Held, total.Broken+o.Broken
		total.Longest, total.Slowest = max(total.Longest, o.Longest), max(total.Slowest, o.Slowest)
		for _, why := range o.Why {
			t.Logf("%s: %s", a, why)
		}
	}
	t.Logf("%d of %d new connections failed, %d were cut, the longest gap of an address %d ms; %d of %d established ones broke, the slowest answer %d ms",
		total.Failed, total.Sent, total.Cut, total.Longest.Milliseconds(), total.Broken, total.Held, total.Slowest.Milliseconds())
	return result
}

// flawless ends a load of which nothing may have failed.
func (l *load) flawless(t testing.TB) {
	t.Helper()
	l.within(t, 0)
}

// moved ends a load while which addresses moved as was planned. A connection that is not through with its one request
// when its address moves is cut as those are that last; at ten a second to an address that is one at most.
func (l *load) moved(t testing.TB) {
	t.Helper()
	l.within(t, 1)
}

func (l *load) within(t testing.TB, cut int) {
	t.Helper()
	for a, o := range l.end(t) {
		if o.Failed > 0 || o.Cut > cut || o.Broken > 0 {
			t.Errorf("%s: of %d new connections %d failed and %d were cut, %d of %d established ones broke; the longest gap is %v from %s",
				a, o.Sent, o.Failed, o.Cut, o.Broken, o.Held, o.Longest, o.LongestAt.Format("15:04:05.000"))
		}
	}
}
