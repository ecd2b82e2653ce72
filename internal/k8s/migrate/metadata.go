package migrate

import (
	"fmt"
	"strings"
)

// toolKeys begin the labels and annotations by which a tool of deployment knows what it has deployed. On an object
// that it did not deploy they have it take the object for a stray, and delete it.
var toolKeys = []string{"app.kubernetes.io/managed-by", "app.kubernetes.io/instance", "helm.sh/", "meta.helm.sh/", "argocd.argoproj.io/",
	"kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/", "kubectl.kubernetes.io/", "objectset.rio.cattle.io/", "addonmanager.kubernetes.io/"}

func ofTool(key string) bool {
	for _, tool := range toolKeys {
		if strings.HasPrefix(key, tool) {
			return true
		}
	}
	return false
}

// metadata carries labels and annotations over to what an object becomes.
func (c *conversion) metadata(d *draft) {
	e := d.e
	for _, field := range []string{"labels", "annotations"} {
		kept := map[string]any{}
		all := e.dict(path{"metadata", field})
		for _, key := range sortedKeys(all) {
			p := path{"metadata", field, key}
			if e.seen[p.String()] { // it says something that another field says now
				continue
			}
			if ofTool(key) && !(field == "labels" && c.selected[key]) {
				e.lacks(p, markOfTool, "")
				continue
			}
			kept[key] = all[key]
			e.carried(p)
		}
		if len(kept) > 0 {
			d.meta[field] = kept
		}
	}
	e.bookkeeping()
}

// bookkeeping accounts for what no converter carries over from any object.
func (e *entry) bookkeeping() {
	e.lacks(path{"metadata", "finalizers"}, ofSource, "")
	e.lacks(path{"metadata", "ownerReferences"}, ofSource, "")
	if status := e.dict(path{"status"}); len(status) > 0 {
		e.lacks(path{"status"}, noConfiguration, "")
	} else {
		e.note(path{"status"}, Finding{Outcome: Carried, Why: emptyStatus})
	}
}

// named says how the name and the namespace came through.
func (c *conversion) named(e *entry, kind, given, why string) {
	if why != "" {
		e.changed(path{"metadata", "name"}, kind+" "+given+": "+why)
	} else {
		e.carried(path{"metadata", "name"})
	}
	switch {
	case c.running != nil && e.Namespace != c.home:
		e.note(path{"metadata", "namespace"}, Finding{Outcome: Changed, Why: fmt.Sprintf("%s reads its own namespace alone, %s, and so not this object; Fairlead will",
			c.system.Name(), c.home), Do: "leave the object out if it is not meant to count"})
	case e.Namespace != "":
		e.changed(path{"metadata", "namespace"}, noNamespace)
	}
}

const (
	noNamespace     = "Fairlead's objects are of no namespace"
	markOfTool      = "it is the mark of the tool that deployed the object, which did not deploy Fairlead's"
	noConfiguration = "it is no configuration; Fairlead writes its own status"
	emptyStatus     = "it is empty"
	ofSource        = "it is about the source alone"
)
