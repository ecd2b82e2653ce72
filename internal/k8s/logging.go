package k8s

import (
	"context"
	"log/slog"

	"k8s.io/klog/v2"
)

// CaptureLogs sends what client-go logs to a logger, at debug. What of it matters to an operator (the
// API server is away, a watch is forbidden, the Lease cannot be had) this package says itself, in words
// and once; client-go says it every second.
func CaptureLogs(log *slog.Logger) {
	klog.SetSlogLogger(slog.New(demoted{log.Handler()}).With("from", "client-go"))
}

// demoted hands every record on as debug, and drops what was below info already.
type demoted struct{ slog.Handler }

func (d demoted) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo && d.Handler.Enabled(ctx, slog.LevelDebug)
}

func (d demoted) Handle(ctx context.Context, r slog.Record) error {
	if !d.Enabled(ctx, r.Level) { // klog does not ask for errors
		return nil
	}
	r.Level = slog.LevelDebug
	return d.Handler.Handle(ctx, r)
}

func (d demoted) WithAttrs(attrs []slog.Attr) slog.Handler {
	return demoted{d.Handler.WithAttrs(attrs)}
}
func (d demoted) WithGroup(name string) slog.Handler { return demoted{d.Handler.WithGroup(name)} }
