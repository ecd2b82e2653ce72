package k8s

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestPrunedFieldsAreSaidOnce(t *testing.T) {
	var log bytes.Buffer
	p := &pruned{log: slog.New(slog.NewTextHandler(&log, nil))}
	p.HandleWarningHeader(299, "", "fairlead.dev/v1alpha1 IPAddressPool is deprecated")
	if log.Len() > 0 {
		t.Errorf("said %s", &log)
	}
	for range 3 {
		p.HandleWarningHeader(299, "", `unknown field "status.failureDetection"`)
		p.HandleWarningHeader(299, "", `unknown field "status.layer2.standingIn"`)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 1 || !strings.Contains(log.String(), "field=status.failureDetection") {
		t.Errorf("said in %d lines:\n%s", lines, &log)
	}
}
