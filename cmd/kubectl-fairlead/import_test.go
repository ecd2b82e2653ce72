package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const foreignPool = `{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: edge, namespace: metallb-system}, spec: {addresses: [192.0.2.0/28], fancy: 1}}`

func foreignService(address string) string {
	return "\n---\n{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {type: LoadBalancer, ports: [{port: 80}]}, status: {loadBalancer: {ingress: [{ip: " + address + "}]}}}"
}

func TestImport(t *testing.T) {
	tests := []struct {
		name   string
		args   string
		stdin  string
		status int
		out    string // what standard output has
		err    string // what standard error has
	}{
		{"without a system", "import", "", 1, "", "error: say what to come from: --from metallb, --from openelb, --from kube-vip"},
		{"from what is none", "import --from f5", "", 1, "", `error: --from "f5" is none of metallb, openelb, kube-vip`},
		{"in no such format", "import --from metallb -o wide", "", 1, "", `error: -o "wide" is none of yaml, json, report`},
		{"with an argument", "import metallb", "", 1, "", `error: kubectl fairlead import takes no names, and was given "metallb"; write --from metallb`},
		{"objects, and the report beside them", "import --from metallb -f -", foreignPool, 0, "kind: IPAddressPool\nmetadata:\n  name: edge", "unknown         spec.fancy"},
		{"objects alone", "import --from metallb -f - -o yaml", foreignPool, 0, "# From IPAddressPool metallb-system/edge (metallb.io/v1beta1)", ""},
		{"the report alone", "import --from metallb -f - -o report", foreignPool, 0, "1 object read, 1 object made.", ""},
		{"all for a program", "import --from metallb -f - -o json", foreignPool, 0, `"outcome": "Unknown"`, ""},
		{"what is no YAML", "import --from metallb -f -", "{", 1, "", "error: standard input, document 1: "},
		{"what is there beside what cannot be read", "import --from metallb -f - -f NOWHERE -o yaml", foreignPool, 1, "name: edge", "error: open "},
		{"nothing of it", "import --from openelb -f -", foreignPool, 0, "", "note: nothing of OpenELB's is in these files"},
		{"checking what stays", "import --from metallb -f - --check", foreignPool + foreignService("192.0.2.3"), 0, "shop/web  kept    192.0.2.3  the same", ""},
		{"checking what is lost", "import --from metallb -f - --check", foreignPool + foreignService("203.0.113.3"), 1, "shop/web  lost    203.0.113.3  -", ""},
		{"checking for a program", "import --from metallb -f - --check -o yaml", foreignPool + foreignService("192.0.2.3"), 0, "change: kept", ""},
		{"checking without a cluster to ask", "import --from metallb -f - --check", foreignPool, 2, "", "error: no cluster is configured"},
		{"checking nothing of it", "import --from openelb -f - --check", foreignPool, 2, "", "error: nothing of OpenELB's is in these files: there is nothing to compare with"},
		{"reading nothing at all", "import --from metallb -f NOWHERE", "", 1, "", "error: open "},
		{"checking what cannot be read", "import --from metallb -f NOWHERE --check", "", 2, "", "error: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", "")
			t.Setenv("HOME", t.TempDir())
			var out, failure bytes.Buffer
			args := strings.Fields(strings.ReplaceAll(tt.args, "NOWHERE", filepath.Join(t.TempDir(), "nowhere.yaml")))
			if status := execute(t.Context(), args, strings.NewReader(tt.stdin), &out, &failure); status != tt.status {
				t.Errorf("exit status %d, want %d", status, tt.status)
			}
			if !strings.Contains(out.String(), tt.out) || tt.out == "" && out.Len() > 0 {
				t.Errorf("printed\n%s\nwant %q", &out, tt.out)
			}
			if !strings.Contains(failure.String(), tt.err) || tt.err == "" && failure.Len() > 0 {
				t.Errorf("said\n%s\nwant %q", &failure, tt.err)
			}
		})
	}
}

func TestImportReadsDirectories(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.yaml": foreignPool, "b.json": strings.ReplaceAll(`{"apiVersion":"v1","kind":"List","items":[POOL]}`, "POOL",
		`{"apiVersion":"metallb.io/v1beta1","kind":"L2Advertisement","metadata":{"name":"all"}}`), "c.txt": "{"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out, failure bytes.Buffer
	if status := execute(t.Context(), []string{"import", "--from", "metallb", "-f", dir, "-o", "yaml"}, nil, &out, &failure); status != 0 {
		t.Fatalf("exit status %d: %s", status, &failure)
	}
	for _, want := range []string{"kind: IPAddressPool", "kind: L2Advertisement", "b.json, document 1, item 1"} {
		if !strings.Contains(strings.ReplaceAll(out.String(), "\n# ", " "), want) {
			t.Errorf("%q is not in\n%s", want, &out)
		}
	}
}
