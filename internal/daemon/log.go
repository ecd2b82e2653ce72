package daemon

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// levels are those that a log may have, by name.
var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

// noLevel ends the sentence that refuses a level.
const noLevel = "is none of debug, info, warn and error"

// Logger returns a logger as the options describe it, and its level, which may be changed while it is in
// use. The options are to be valid.
func (o *Options) Logger(w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	level.Set(levels[o.LogLevel])
	options := &slog.HandlerOptions{Level: level}
	if o.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}

func (h *HTTP) showLevel(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, strings.ToLower(h.level.Level().String()))
}

// setLevel changes the level to the one that the body names.
func (h *HTTP) setLevel(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64))
	if err != nil {
		http.Error(w, "the body is to be one word, a level: "+err.Error(), http.StatusBadRequest)
		return
	}
	name := strings.ToLower(strings.TrimSpace(string(body)))
	level, ok := levels[name]
	if !ok {
		http.Error(w, fmt.Sprintf("%q %s", name, noLevel), http.StatusBadRequest)
		return
	}
	before := h.level.Level()
	// While the log has the one of the two that shows more.
	h.level.Set(min(before, level))
	h.log.Info("log level changed", "from", strings.ToLower(before.String()), "to", name)
	h.level.Set(level)
	h.showLevel(w, r)
}
