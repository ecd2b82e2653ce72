package k8s

import (
	"log/slog"
	"strings"
	"sync"
)

// pruned listens to the warnings of the API server for the one that says that a field of what was written is unknown
// to the custom resource definition: such a field is dropped, and the rest is stored. It says so once, for all
// fields and writes. All other warnings are for those who write manifests.
type pruned struct {
	log  *slog.Logger
	once sync.Once
}

// HandleWarningHeader is rest.WarningHandler's.
func (p *pruned) HandleWarningHeader(_ int, _ string, text string) {
	if field, unknown := strings.CutPrefix(text, "unknown field "); unknown {
		p.once.Do(func() {
			p.log.Warn("the API server drops fields that this release writes: its custom resource definitions are of an earlier release; "+
				"everything else works; apply the definitions of this release (manifests/crds)", "field", strings.Trim(field, `"`))
		})
	}
}
