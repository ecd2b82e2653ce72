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
func database(t *testing.T, id, fixed, at string) (url string) {
	t.Helper()
	dir := t.TempDir()
	type object = map[string]any
	const module = "stdlib"
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
			"database_specific": object{"url": "https://pkg.go.dev/vuln/" + id},
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
	const id, accepted, none, now, old = "GO-2099-0001", "GO-2026-4736", "No vulnerabilities found", "2099-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
	for _, tt := range []struct {
		name, database, required string
		passes                   bool
		says                     string
	}{
		{"a vulnerability that is reached fails", database(t, id, "99.0.0", now), "", false, id},
		{"one that is mended passes", database(t, id, "0.0.1", now), "", true, none},
		{"one that is accepted passes, and is named", database(t, accepted, "99.0.0", now), "", true, "accepts: " + accepted},
		{"an old database is said", database(t, id, "0.0.1", old), "", true, "DAYS OLD"},
		{"a database that is not reached is said, and ours is read", "http://127.0.0.1:1", "", true, "CHECKED IN PART ONLY"},
		{"what is read then is said as well", "http://127.0.0.1:1", "", true, "hack/vulndb of 2026-"},
		{"where Go's is required ours does not do", "http://127.0.0.1:1", "required", false, "NOT CHECKED"},
		{"nor for one that is not there", "file:///nowhere", "required", false, "NOT CHECKED"},
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
