package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// krewPlugin is krew's manifest: https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest
type krewPlugin struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string         `json:"version"`
		Homepage         string         `json:"homepage"`
		ShortDescription string         `json:"shortDescription"`
		Description      string         `json:"description"`
		Caveats          string         `json:"caveats"`
		Platforms        []krewPlatform `json:"platforms"`
	} `json:"spec"`
}

type krewPlatform struct {
	Selector *metav1.LabelSelector `json:"selector"`
	URI      string                `json:"uri"`
	SHA256   string                `json:"sha256"`
	Bin      string                `json:"bin"`
}

// check holds a manifest to what krew itself does (sigs.k8s.io/krew/internal/index/validation).
func (p krewPlugin) check() error {
	var wrong []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	must(p.APIVersion == "krew.googlecontainertools.github.com/v1alpha2" && p.Kind == "Plugin", "it is %s %s", p.APIVersion, p.Kind)
	must(regexp.MustCompile(`^[\w-]+$`).MatchString(p.Metadata.Name), "it is called %q", p.Metadata.Name)
	must(regexp.MustCompile(`^v\d+\.\d+\.\d+([-+][0-9A-Za-z.+-]+)?$`).MatchString(p.Spec.Version), "version %q", p.Spec.Version)
	must(p.Spec.ShortDescription != "" && len(p.Spec.ShortDescription) <= 50 && !strings.Contains(p.Spec.ShortDescription, "\n"), "short description %q", p.Spec.ShortDescription)
	must(strings.HasPrefix(p.Spec.Homepage, "https://") && p.Spec.Description != "", "it has no homepage or description")
	must(len(p.Spec.Platforms) > 0, "it has no platform")
	for _, x := range p.Spec.Platforms {
		must(regexp.MustCompile(`^[a-f0-9]{64}$`).MatchString(x.SHA256), "sha256 %q", x.SHA256)
		must(x.Bin != "" && strings.HasPrefix(x.URI, "https://"), "bin %q, uri %q", x.Bin, x.URI)
		if x.Selector == nil || len(x.Selector.MatchExpressions) > 0 || len(x.Selector.MatchLabels) != 2 || x.Selector.MatchLabels["os"] == "" || x.Selector.MatchLabels["arch"] == "" {
			must(false, "selector %v", x.Selector)
		}
	}
	return errors.Join(wrong...)
}

// The manifest is one that krew takes once version and digests are in it, and names each platform's archive.
func TestKrewManifest(t *testing.T) {
	data, err := os.ReadFile("../../hack/krew.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(data), "VERSION", "v1.2.3")
	text = regexp.MustCompile(`SHA256_\w+`).ReplaceAllStringFunc(text, func(name string) string {
		sum := sha256.Sum256([]byte(name))
		return hex.EncodeToString(sum[:])
	})
	var p krewPlugin
	if err := yaml.UnmarshalStrict([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	if err := p.check(); err != nil {
		t.Error(err)
	}
	var platforms []string
	for _, x := range p.Spec.Platforms {
		os, arch := x.Selector.MatchLabels["os"], x.Selector.MatchLabels["arch"]
		platforms = append(platforms, os+"/"+arch)
		if want := fmt.Sprintf("/v1.2.3/kubectl-fairlead-v1.2.3-%s-%s.tar.gz", os, arch); !strings.HasSuffix(x.URI, want) {
			t.Errorf("%s is at %s", want, x.URI)
		}
		if sum := sha256.Sum256(fmt.Appendf(nil, "SHA256_%s_%s", os, arch)); x.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("%s/%s has another's digest", os, arch)
		}
		if (x.Bin == "kubectl-fairlead.exe") != (os == "windows") {
			t.Errorf("%s runs %s", os, x.Bin)
		}
	}
	if want := []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}; !slices.Equal(platforms, want) {
		t.Errorf("it is for %v", platforms)
	}
}

// An archive has the program, which knows its version, the program for completion, and the licence.
func TestPluginArchive(t *testing.T) {
	out, platform := t.TempDir(), runtime.GOOS+"/"+runtime.GOARCH
	build := exec.CommandContext(t.Context(), "../../hack/plugin.sh")
	build.Env = append(os.Environ(), "OUT="+out, "VERSION=v1.2.3", "PLATFORMS="+platform, "SOURCE_DATE_EPOCH=1")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	file, err := os.Open(filepath.Join(out, "kubectl-fairlead-v1.2.3-"+strings.ReplaceAll(platform, "/", "-")+".tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	zip, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(zip); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		extracted, err := os.OpenFile(filepath.Join(out, header.Name), os.O_CREATE|os.O_WRONLY, header.FileInfo().Mode())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(extracted, r); err != nil {
			t.Fatal(err)
		}
		if err := extracted.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"LICENSE", "kubectl-fairlead", "kubectl_complete-fairlead"}; !slices.Equal(names, want) {
		t.Errorf("it has %v", names)
	}
	said, err := exec.CommandContext(t.Context(), filepath.Join(out, "kubectl-fairlead"), "version").CombinedOutput()
	if err != nil || string(said) != "kubectl-fairlead v1.2.3\n" {
		t.Errorf("%v: %s", err, said)
	}
	complete := exec.CommandContext(t.Context(), filepath.Join(out, "kubectl_complete-fairlead"), "rebal")
	complete.Env = append(os.Environ(), "PATH="+out+":"+os.Getenv("PATH"))
	if said, err := complete.Output(); err != nil || !strings.HasPrefix(string(said), "rebalance\t") {
		t.Errorf("%v: %s", err, said)
	}
}
