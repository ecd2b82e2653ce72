package main

import (
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// programs compiles something small in place of Fairlead's programs, for two platforms.
func programs(t *testing.T) string {
	directory := t.TempDir()
	if err := os.WriteFile(directory+"/main.go", []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, architecture := range []string{"amd64", "arm64"} {
		for _, c := range components {
			_, err := command(directory, []string{"GOOS=linux", "GOARCH=" + architecture, "CGO_ENABLED=0", "GOFLAGS=-trimpath"},
				"go", "build", "-o", "linux/"+architecture+"/"+c.name, "main.go")
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return directory
}

// serve starts a registry and returns its address.
func serve(t *testing.T) string {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

func TestPush(t *testing.T) {
	programs, address := programs(t), serve(t)
	args := []string{"-programs", programs, "-registry", address + "/fairlead", "-tag", "v1", "-version", "v1"}
	var pushed, archived bytes.Buffer
	if err := run(t.Context(), append(args, "push"), &pushed); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), append(args, "-o", t.TempDir(), "archive"), &archived); err != nil {
		t.Fatal(err)
	}
	if pushed.String() != archived.String() {
		t.Errorf("what is pushed is not what is archived:\n%s%s", &pushed, &archived)
	}
	lines := strings.Fields(pushed.String())
	if len(lines) != len(components) {
		t.Fatalf("pushed %q", lines)
	}
	for i, line := range lines {
		ref, err := name.ParseReference(line)
		if err != nil {
			t.Fatal(err)
		}
		for _, architecture := range []string{"amd64", "arm64"} {
			image, err := remote.Image(ref, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}))
			if err != nil {
				t.Fatal(err)
			}
			config, err := image.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if got := config.Platform(); got.Architecture != architecture || config.Config.Labels["org.opencontainers.image.title"] != "Fairlead "+components[i].name {
				t.Errorf("%s for %s is %v, %q", line, architecture, got, config.Config.Labels)
			}
		}
	}
}

func TestBase(t *testing.T) {
	programs, address := programs(t), serve(t)
	base, err := random.Image(100, 2)
	if err != nil {
		t.Fatal(err)
	}
	config, err := base.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	config.Config = v1.Config{User: "root", Cmd: []string{"shell"}, Env: []string{"PATH=/bin"},
		Labels: map[string]string{"org.opencontainers.image.title": "base", "maintainer": "somebody"}}
	if base, err = mutate.ConfigFile(base, config); err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewTag(address + "/base:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, base); err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/base.tar"
	if err := tarball.WriteToFile(file, ref, base); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{ref.String(), file} {
		t.Run(from, func(t *testing.T) {
			var out bytes.Buffer
			if err := run(t.Context(), []string{"-programs", programs, "-platforms", "linux/amd64", "-base", from, "load"}, &out); err != nil {
				t.Fatal(err)
			}
			tag, err := name.NewTag("ghcr.io/fairlead-lb/speaker:dev")
			if err != nil {
				t.Fatal(err)
			}
			image, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }, &tag)
			if err != nil {
				t.Fatal(err)
			}
			config, err := image.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if got := len(config.RootFS.DiffIDs); got != 3 {
				t.Errorf("%d layers", got)
			}
			c := config.Config
			if c.User != "65532:65532" || len(c.Cmd) != 0 || len(c.Env) != 1 || c.Labels["maintainer"] != "somebody" || c.Labels["org.opencontainers.image.title"] != "Fairlead speaker" {
				t.Errorf("config = %+v", c)
			}
			if named := c.Labels["org.opencontainers.image.base.name"]; from != file && named != from {
				t.Errorf("base name = %q", named)
			}
		})
	}
	err = run(t.Context(), []string{"-programs", programs, "-platforms", "linux/arm64", "-base", file, "load"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "is for linux/amd64") {
		t.Errorf("a base for another platform: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	programs := programs(t)
	tests := []struct {
		name string
		args []string
		want string
	}{
		{name: "nothing to do", want: "load, archive or push"},
		{name: "an unknown thing to do", args: []string{"bake"}, want: `"bake" is none of load, archive and push`},
		{name: "a platform that has only a name", args: []string{"-platforms", "amd64", "load"}, want: `platform "amd64"`},
		{name: "a platform that nothing was compiled for", args: []string{"-platforms", "linux/s390x", "load"}, want: "linux/s390x/controller"},
		{name: "several platforms for Docker", args: []string{"load"}, want: "one platform"},
		{name: "a time in words", args: []string{"-created", "today", "load"}, want: `-created "today"`},
		{name: "a base that is no name", args: []string{"-base", "No Such", "load"}, want: "neither scratch nor a file nor a name"},
		{name: "a tag that is none", args: []string{"-tag", "a/b:c d", "load"}, want: "naming the image of the controller"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := run(t.Context(), append([]string{"-programs", programs}, tt.args...), io.Discard)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one with %q", err, tt.want)
			}
		})
	}

	wrong := programs + "/linux/arm64"
	if err := os.Rename(programs+"/linux/amd64", wrong+"/v8"); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), []string{"-programs", programs, "-platforms", "linux/arm64/v8", "load"}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "the program is for linux/amd64") {
		t.Errorf("a program for another platform: %v", err)
	}
}
