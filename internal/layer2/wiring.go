//go:build linux

package layer2

// NewEngine returns an engine that answers on this node's interfaces. Kick, of the result, is the group's.
func NewEngine(c Config) *Engine {
	e := newEngine(c)
	responder, binder := NewResponder(c.Log, c.Metrics), NewBinder(c.Log)
	responder.Sighted, responder.Heard = e.sighted, e.heard
	binder.Holds = responder.Holds
	e.responder, e.binder, e.links, e.neighbors, e.watchLinks = responder, binder, Links, Neighbors, WatchLinks
	return e
}
