package lab

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"k8s.io/klog/v2"
)

// LogsVariable names a directory outside the lab to which the logs are copied when a lab stops.
const LogsVariable = "FAIRLEAD_LAB_LOGS"

// WriteLogs writes the last lines of every process's log.
func (l *Lab) WriteLogs(w io.Writer, lines int) {
	for _, p := range l.Processes() {
		state := "not running"
		if pid := p.PID(); pid != 0 {
			state = fmt.Sprintf("running, pid %d", pid)
		}
		fmt.Fprintf(w, "\n--- %s (%s) ---\n%s\n", p.Name, state, p.Tail(lines))
	}
}

// collectClientLogs sends what client-go says in this process, which is much while a cable is cut, to a file.
func (l *Lab) collectClientLogs() error {
	file, err := os.OpenFile(l.logPath("client-go"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening the log of client-go: %w", err)
	}
	klog.LogToStderr(false)
	// klog sends errors to standard error besides, unless it is told by its flag not to.
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	if err := flags.Set("stderrthreshold", "FATAL"); err != nil {
		return fmt.Errorf("keeping client-go off standard error: %w", err)
	}
	klog.SetOutput(file)
	l.clientLog = file
	return nil
}

// closeClientLogs ends what collectClientLogs has begun. What client-go says later is lost.
func (l *Lab) closeClientLogs() error {
	if l.clientLog == nil {
		return nil
	}
	klog.SetOutput(io.Discard)
	return l.clientLog.Close()
}

// keepLogs copies the logs to where LogsVariable says.
func (l *Lab) keepLogs() error {
	to := os.Getenv(LogsVariable)
	if to == "" {
		return nil
	}
	to = filepath.Join(to, filepath.Base(l.Directory))
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("keeping the logs: %w", err)
	}
	if err := os.CopyFS(to, os.DirFS(l.path("logs"))); err != nil {
		return fmt.Errorf("keeping the logs: %w", err)
	}
	return nil
}
