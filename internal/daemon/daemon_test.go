package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func TestOptions(t *testing.T) {
	tests := []struct {
		name string
		args []string
		err  string
	}{
		{name: "the defaults are valid"},
		{name: "all flags", args: []string{"--kubeconfig=/dev/null", "--namespace=lb", "--load-balancer-class=example.com/internal",
			"--http-address=127.0.0.1:0", "--log-level=debug", "--log-format=json"}},
		{name: "a kubeconfig that is not there", args: []string{"--kubeconfig=/nowhere/config"}, err: "--kubeconfig: open /nowhere/config: no such file"},
		{name: "a namespace with a capital", args: []string{"--namespace=LB"}, err: `--namespace "LB" is not the name`},
		{name: "a class with a space", args: []string{"--load-balancer-class=my class"}, err: `--load-balancer-class "my class" is not a class`},
		{name: "an address without a port", args: []string{"--http-address=127.0.0.1"}, err: `--http-address "127.0.0.1" is not an address`},
		{name: "a port that does not exist", args: []string{"--http-address=:70000"}, err: `--http-address ":70000" is not an address`},
		{name: "metrics over TLS", args: []string{"--metrics-tls-address=:7574"}},
		{name: "metrics over TLS with a certificate", args: []string{"--metrics-tls-address=:7574", "--metrics-tls-cert-file=c", "--metrics-tls-key-file=k"}},
		{name: "a TLS address without a port", args: []string{"--metrics-tls-address=::1"}, err: `--metrics-tls-address "::1" is not an address`},
		{name: "one address for both", args: []string{"--metrics-tls-address=:7572"}, err: `--metrics-tls-address and --http-address are both ":7572"`},
		{name: "a certificate without a key", args: []string{"--metrics-tls-address=:7574", "--metrics-tls-cert-file=c"}, err: "need each other"},
		{name: "a certificate for nothing", args: []string{"--metrics-tls-cert-file=c", "--metrics-tls-key-file=k"}, err: "are for --metrics-tls-address, which is empty"},
		{name: "a level that does not exist", args: []string{"--log-level=loud"}, err: `--log-level "loud" is none of`},
		{name: "a format that does not exist", args: []string{"--log-format=xml"}, err: `--log-format "xml" is neither`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var o Options
			flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
			o.AddFlags(flags, ":7572")
			if err := flags.Parse(tt.args); err != nil {
				t.Fatal(err)
			}
			err := o.Validate()
			if tt.err == "" {
				if err != nil {
					t.Errorf("Validate() = %v", err)
				}
				return
			}
			var usage UsageError
			if !errors.As(err, &usage) || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Validate() = %v, want a UsageError with %q", err, tt.err)
			}
		})
	}
}

func TestNamespaceComesFromThePod(t *testing.T) {
	for value, want := range map[string]string{"lb": "lb", "": DefaultNamespace} {
		t.Setenv("POD_NAMESPACE", value)
		var o Options
		o.AddFlags(pflag.NewFlagSet("test", pflag.ContinueOnError), "")
		if o.Namespace != want {
			t.Errorf("with POD_NAMESPACE=%q the namespace is %q, want %q", value, o.Namespace, want)
		}
	}
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	o := Options{LogLevel: "warn", LogFormat: "json"}
	log, level := o.Logger(&out)
	log.Info("no")
	level.Set(slog.LevelInfo)
	log.Info("yes", "vip", "192.0.2.1")
	if s := out.String(); strings.Contains(s, "no") || !strings.Contains(s, `"msg":"yes","vip":"192.0.2.1"`) {
		t.Errorf("log = %s", s)
	}
}

func TestExecute(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		run    error
		status int
	}{
		{name: "a task that ends well", status: 0},
		{name: "a task that fails", run: errors.New("broken"), status: 1},
		{name: "a value that is refused", run: UsageError{errors.New("bad")}, status: 2},
		{name: "a value that is refused, wrapped", run: fmt.Errorf("flags: %w", UsageError{errors.New("bad")}), status: 2},
		{name: "an unknown flag", args: []string{"--unknown"}, status: 2},
		{name: "an argument", args: []string{"argument"}, status: 2},
		{name: "help", args: []string{"--help"}, status: 0},
		{name: "version", args: []string{"--version"}, status: 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := &cobra.Command{Use: "test", RunE: func(*cobra.Command, []string) error { return tt.run }}
			var out bytes.Buffer
			cmd.SetArgs(append([]string{}, tt.args...))
			cmd.SetOut(&out)
			if got := Execute(cmd); got != tt.status {
				t.Errorf("Execute(%v) = %d, want %d", tt.args, got, tt.status)
			}
			if tt.status != 0 && out.Len() > 0 {
				t.Errorf("a failure prints %q to standard output", &out)
			}
		})
	}
}

func TestRunEndsAllTasksWhenOneFails(t *testing.T) {
	broken := errors.New("broken")
	ended := false
	err := Run(t.Context(),
		TaskFunc(func(ctx context.Context) error { <-ctx.Done(); ended = true; return nil }),
		TaskFunc(func(context.Context) error { return broken }))
	if !errors.Is(err, broken) || !ended {
		t.Errorf("Run = %v, other task ended: %v", err, ended)
	}
}

func TestVersion(t *testing.T) {
	setting := func(k, v string) debug.BuildSetting { return debug.BuildSetting{Key: k, Value: v} }
	tests := []struct {
		name, want string
		info       debug.BuildInfo
	}{
		{name: "nothing is known", want: "devel"},
		{name: "installed as a module", want: "v1.2.3", info: debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}},
		{name: "built in a clone", want: "devel-0123456789ab", info: debug.BuildInfo{Main: debug.Module{Version: "(devel)"},
			Settings: []debug.BuildSetting{setting("vcs.revision", "0123456789abcdef"), setting("vcs.modified", "false")}}},
		{name: "built in a clone with changes", want: "devel-0123456789ab-modified", info: debug.BuildInfo{
			Settings: []debug.BuildSetting{setting("vcs.revision", "0123456789abcdef"), setting("vcs.modified", "true")}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fromBuildInfo(&tt.info); got != tt.want {
				t.Errorf("version = %q, want %q", got, tt.want)
			}
		})
	}
}
