//go:build linux

package bgp

// NewEngine returns an engine without peers. Nothing is done before Run.
func NewEngine(c Config) *Engine { return newEngine(c, newKernel(), launch) }
