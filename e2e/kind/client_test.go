//go:build kind

package kind

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// client is a host on the segment, outside the cluster: a container that runs e2e/kind/echo.
type client struct{ container string }

func startClient(t *testing.T, container, network, image string) client {
	t.Helper()
	docker(t, "run", "--detach", "--name", container, "--network", network, image)
	t.Cleanup(func() {
		_, _ = command(context.Background(), "", "docker", "rm", "--force", container)
	})
	return client{container}
}

func (c client) echo(args ...string) (string, error) {
	return command(context.Background(), "", "docker", append([]string{"exec", c.container, "/echo"}, args...)...)
}

// ask returns the name of the backend that answers at port 80 of an address.
func (c client) ask(network string, address netip.Addr) (backend string, err error) {
	answer, err := c.echo("ask", network, service(address))
	backend, _, _ = strings.Cut(answer, " ")
	return backend, err
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

const (
	// A new connection to each address at this pace, whether or not the one before was answered.
	askInterval = 50 * time.Millisecond
	// Short enough that a lost SYN, which the kernel repeats after a second, never counts as an answer.
	askTimeout = 300 * time.Millisecond
)

// watch records when requests are answered.
type watch struct {
	// stop ends it; it may be called again.
	stop func() error

	mu      sync.Mutex
	answers map[netip.Addr][]time.Time
}

// watch asks until it is stopped.
func (c client) watch(addresses []netip.Addr) (*watch, error) {
	args := []string{"exec", "--interactive", c.container, "/echo", "watch", askInterval.String(), askTimeout.String()}
	for _, a := range addresses {
		args = append(args, service(a))
	}
	cmd := exec.Command("docker", args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	w := &watch{answers: map[netip.Addr][]time.Time{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			w.note(lines.Text())
		}
	}()
	w.stop = sync.OnceValue(func() error {
		stdin.Close()
		<-ended
		return cmd.Wait()
	})
	return w, nil
}

func (w *watch) note(line string) {
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return
	}
	nanoseconds, err := strconv.ParseInt(fields[0], 10, 64)
	at, err2 := netip.ParseAddrPort(fields[1])
	if err != nil || err2 != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers[at.Addr()] = append(w.answers[at.Addr()], time.Unix(0, nanoseconds))
}

// since returns the answers of an address after some time.
func (w *watch) since(address netip.Addr, begin time.Time) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	answers := w.answers[address]
	first, _ := slices.BinarySearchFunc(answers, begin, time.Time.Compare)
	return slices.Clone(answers[first:])
}

// steady returns nil if nearly every request of the last while was answered.
func (w *watch) steady(address netip.Addr, while time.Duration) error {
	want := int(while/askInterval) * 8 / 10
	if got := len(w.since(address, time.Now().Add(-while))); got < want {
		return fmt.Errorf("%s answered %d requests in the last %v, want %d", address, got, while, want)
	}
	return nil
}

// interruption returns the longest time between two answers after some time.
func (w *watch) interruption(address netip.Addr, begin time.Time) (longest time.Duration) {
	answers := w.since(address, begin)
	for i := 1; i < len(answers); i++ {
		longest = max(longest, answers[i].Sub(answers[i-1]))
	}
	return longest
}
