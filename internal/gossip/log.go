package gossip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// logWriter turns memberlist's log lines into ours. What memberlist says of single packets (a node that is
// suspected, a stranger with another key) is a matter of debugging; but an error is worth a warning now and
// then, however many there are.
type logWriter struct {
	log *slog.Logger
	// warned counts what is worth a warning: as a rule, a packet that was not made with the key.
	warned func()
	mu     sync.Mutex
	last   time.Time
	kept   int // errors since the last warning
}

func (w *logWriter) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	level, text := memberlistLevel(text)
	w.mu.Lock()
	defer w.mu.Unlock()
	if level == slog.LevelWarn {
		w.warned()
		if time.Since(w.last) < time.Minute {
			w.kept++
			level = slog.LevelDebug
		} else {
			text = fmt.Sprintf("%s (%d more since the last warning)", text, w.kept)
			w.last, w.kept = time.Now(), 0
		}
	}
	w.log.Log(context.Background(), level, text)
	return len(line), nil
}

// memberlistLevel splits memberlist's "[ERR] memberlist: text". A failed ping or join has its own line, and that a socket
// is closed when the speaker stops is no error.
func memberlistLevel(line string) (slog.Level, string) {
	mark, text, ok := strings.Cut(line, "] ")
	if !ok {
		return slog.LevelDebug, line
	}
	if mark == "[ERR" && !strings.Contains(text, net.ErrClosed.Error()) && !strings.Contains(text, "ping") && !strings.Contains(text, "push/pull") {
		if strings.Contains(strings.ToLower(text), "no installed keys could decrypt") {
			text = "gossip that was not made with this speaker's key: the Secret fairlead-gossip has changed, and not all speakers were restarted, or somebody else sends it: " + text
		}
		return slog.LevelWarn, text
	}
	return slog.LevelDebug, text
}
