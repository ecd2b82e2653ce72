package daemon

import (
	"cmp"
	"runtime/debug"
)

// Version and Commit are set by the linker: -ldflags "-X github.com/fairlead-lb/fairlead/internal/daemon.Version=v1.2.3".
var Version, Commit string

// Current returns Version, else what the Go toolchain recorded in the binary.
func Current() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(Version, "unknown")
	}
	return cmp.Or(Version, fromBuildInfo(info))
}

// Describe returns the version and, where it is known, the commit, as --version prints them.
func Describe() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	if commit := cmp.Or(Commit, settings(info)["vcs.revision"]); commit != "" {
		return Current() + " (commit " + commit + ")"
	}
	return Current()
}

func fromBuildInfo(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	settings := settings(info)
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

func settings(info *debug.BuildInfo) map[string]string {
	all := map[string]string{}
	for _, s := range info.Settings {
		all[s.Key] = s.Value
	}
	return all
}
