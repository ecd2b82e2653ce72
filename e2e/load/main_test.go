package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == crowdArgument {
		os.Exit(beCrowd(os.Args[2]))
	}
	lab.Main(m)
}

// crowdArgument has the test's binary be a crowd, whose description comes after it as JSON.
const crowdArgument = "crowd"

// beCrowd asks until SIGTERM and then writes down what came of it.
func beCrowd(text string) int {
	var c crowd
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	if err := c.gather(ctx, new(net.Dialer).DialContext).write(c.Path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// assembled is a crowd that asks.
type assembled struct {
	crowd
	command *exec.Cmd
	begin   time.Time
}

// assemble starts a crowd on a host.
func (c crowd) assemble(host *lab.Host) (*assembled, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	a := &assembled{crowd: c, command: exec.Command("/proc/self/exe", crowdArgument, string(text)), begin: time.Now()}
	a.command.Stderr = os.Stderr
	if err := host.Do(a.command.Start); err != nil {
		return nil, fmt.Errorf("starting %d users on %s: %w", c.Users, host.Name, err)
	}
	return a, nil
}

// disperse ends it and returns what it has noted, and what it has used of a processor.
func (a *assembled) disperse() (n notes, used float64, err error) {
	if err = a.command.Process.Signal(syscall.SIGTERM); err == nil {
		err = a.command.Wait()
	}
	if err != nil {
		return n, 0, fmt.Errorf("ending %d users: %w", a.Users, err)
	}
	state := a.command.ProcessState
	used = float64(state.UserTime()+state.SystemTime()) / float64(time.Since(a.begin))
	n, err = readNotes(a.Path)
	return n, used, errors.Join(err, os.Remove(a.Path))
}
