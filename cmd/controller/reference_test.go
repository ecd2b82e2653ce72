package main

import (
	"flag"
	"testing"

	"github.com/fairlead-lb/fairlead/internal/cobradoc"
)

var updateReference = flag.Bool("update", false, "rewrite docs/reference/flags.md")

func TestFlagsPage(t *testing.T) {
	t.Setenv("POD_NAMESPACE", "")
	t.Setenv("NODE_NAME", "")
	cobradoc.Check(t, "../../docs/reference/flags.md", "controller", cobradoc.Flags(command().Flags()), *updateReference)
}
