// Package vulncheck holds hack/vulncheck.sh to what it says.
package vulncheck

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// database is one with a single, made-up vulnerability in a function of Go's library that internal/lb calls. A package with
// few imports is read in seconds.
func database(t *testing.T, fixed string) (url string) {
	t.Helper()
	dir := t.TempDir()
	type object = map[string]any
	const id, at, module = "GO-2099-0001", "2099-01-01T00:00:00Z", "stdlib"
	for name, content := range map[string]any{
		"index/db.json":      object{"modified": at},
		"index/modules.json": []object{{"path": module, "vulns": []object{{"id": id, "modified": at, "fixed": fixed}}}},
		"index/vulns.json":   []object{{"id": id, "modified": at}},
		"ID/" + id + ".json": object{
			"schema_version": "1.3.1", "id": id, "modified": at, "published": at, "summary": "made up", "details": "made up",
			"affected": []object{{
				"package":            object{"name": module, "ecosystem": "Go"},
				"ranges":             []object{{"type": "SEMVER", "events": []object{{"introduced": "0"}, {"fixed": fixed}}}},
				"ecosystem_specific": object{"imports": []object{{"path": "crypto/sha256", "symbols": []string{"Sum256"}}}},
			}},
		},
	} {
		text, err := json.Marshal(content)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return "file://" + dir
}

func TestScript(t *testing.T) {
	for _, tt := range []struct {
		name, database, required string
		passes                   bool
		says                     string
	}{
		{"a vulnerability that is reached fails", database(t, "99.0.0"), "", false, "GO-2099-0001"},
		{"one that is mended passes", database(t, "0.0.1"), "", true, "No vulnerabilities found"},
		{"a database that is not reached is said", "http://127.0.0.1:1", "", true, "NOT CHECKED"},
		{"and fails where it is required", "http://127.0.0.1:1", "required", false, "NOT CHECKED"},
		{"so does one that is not there", "file:///nowhere", "required", false, "NOT CHECKED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := exec.Command("../../vulncheck.sh", "./internal/lb")
			c.Env = append(os.Environ(), "GOVULNDB="+tt.database, "VULNCHECK="+tt.required)
			out, err := c.CombinedOutput()
			if (err == nil) != tt.passes || !strings.Contains(string(out), tt.says) {
				t.Errorf("ended with %v, and said\n%s", err, out)
			}
		})
	}
}
