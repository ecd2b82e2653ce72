package daemon

import (
	"cmp"
	"runtime/debug"
)

// Version is set by the linker: -ldflags "-X github.com/fairlead-lb/fairlead/internal/daemon.Version=v1.2.3".
var Version string

// Current returns Version, else what the Go toolchain recorded in the binary.
func Current() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(Version, "unknown")
	}
	return cmp.Or(Version, fromBuildInfo(info))
}

func fromBuildInfo(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	switch {
	case revision == "":
		return "devel"
	case settings["vcs.modified"] == "true":
		return "devel-" + revision[:min(12, len(revision))] + "-modified"
	default:
		return "devel-" + revision[:min(12, len(revision))]
	}
}
