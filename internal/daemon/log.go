package daemon

import (
	"io"
	"log/slog"
)

// Logger returns a logger as the options describe it, and its level, which may be changed while it is in
// use. The options are to be valid.
func (o *Options) Logger(w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	l, _ := o.level()
	level.Set(l)
	options := &slog.HandlerOptions{Level: level}
	if o.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}
