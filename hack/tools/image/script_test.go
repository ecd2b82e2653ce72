package main

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// These tests run hack/image.sh as a user does, in clones of a repository with this tree as its only commit.

const (
	committed = "2026-03-04T05:06:07+02:00"
	created   = "2026-03-04T03:06:07Z"
)

// archived is what image.sh wrote for one platform.
type archived struct {
	directory, tar string
	images         map[string]v1.Image
}

var (
	repository string // of the only commit, tagged v1.2.3
	first      archived
)

func TestMain(m *testing.M) {
	// Not in /tmp, which may be mounted nosuid: a program there would get nothing from its file's capabilities.
	root, err := filepath.Abs("../../..")
	if err == nil {
		err = os.MkdirAll(root+"/build", 0o755)
	}
	var work string
	if err == nil {
		work, err = os.MkdirTemp(root+"/build", "image-test.")
	}
	if err == nil {
		err = errors.Join(os.Chmod(work, 0o755), prepare(root, work))
	}
	status := 1
	if err == nil {
		status = m.Run()
	} else {
		os.Stderr.WriteString("cannot prepare the tests: " + err.Error() + "\n")
	}
	os.RemoveAll(work)
	os.Exit(status)
}

func prepare(root, work string) (err error) {
	repository = work + "/clone"
	if err := os.Mkdir(repository, 0o755); err != nil {
		return err
	}
	_, err = command(work, nil, "bash", "-euc", `
		tar -C "$0" -c .gitignore go.mod go.sum api cmd hack internal | tar -x -C "$1"
		cd "$1"
		export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.com GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.com
		export GIT_AUTHOR_DATE=$2 GIT_COMMITTER_DATE=$2
		git init --quiet; git add .; git commit --quiet --message commit; git tag v1.2.3`, root, repository, committed)
	if err != nil {
		return err
	}
	first, err = runScript(repository)
	return err
}

func runScript(clone string, env ...string) (archived, error) {
	a := archived{directory: clone + "/build/image", images: map[string]v1.Image{}}
	a.tar = a.directory + "/fairlead-dev.oci.tar"
	if _, err := command(clone, append(env, "PLATFORMS=linux/amd64"), "hack/image.sh", "archive"); err != nil {
		return a, err
	}
	if err := os.Mkdir(clone+"/build/layout", 0o755); err != nil {
		return a, err
	}
	if _, err := command(clone, nil, "tar", "-x", "-C", "build/layout", "-f", a.tar); err != nil {
		return a, err
	}
	index, err := layout.ImageIndexFromPath(clone + "/build/layout")
	if err != nil {
		return a, err
	}
	top, err := index.IndexManifest()
	if err != nil {
		return a, err
	}
	for i, c := range components {
		inner, err := index.ImageIndex(top.Manifests[i].Digest)
		if err != nil {
			return a, err
		}
		manifest, err := inner.IndexManifest()
		if err != nil {
			return a, err
		}
		if a.images[c.name], err = inner.Image(manifest.Manifests[0].Digest); err != nil {
			return a, err
		}
	}
	return a, nil
}

func command(directory string, env []string, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = directory, slices.Concat(os.Environ(), []string{"VERSION=", "REVISION=", "TAG=", "BASE=", "REGISTRY=", "SOURCE_DATE_EPOCH="}, env)
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = errors.New(name + " " + strings.Join(args, " ") + ": " + err.Error() + ": " + string(out))
	}
	return string(out), err
}

func TestOneCommitGivesOneArchive(t *testing.T) {
	elsewhere := filepath.Join(filepath.Dir(repository), "a clone", "of somebody else")
	if err := os.MkdirAll(filepath.Dir(elsewhere), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := command(".", nil, "git", "clone", "--quiet", repository, elsewhere); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // git itself refuses such a clone
		if _, err := command(".", nil, "chown", "-R", "1234:1234", elsewhere); err != nil {
			t.Fatal(err)
		}
	}
	second, err := runScript(elsewhere, "TZ=Asia/Tokyo", "LC_ALL=C", "GOFLAGS=-tags=other", "GOAMD64=v3", "TMPDIR="+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fairlead-dev.oci.tar", "controller-linux-amd64.cdx.json", "speaker-linux-amd64.cdx.json"} {
		a, err := os.ReadFile(first.directory + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(second.directory + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs between two clones of one commit", name)
		}
	}
}

func TestTreeWithoutGit(t *testing.T) {
	// As an archive is unpacked: inside somebody's repository, which is not asked.
	tree := repository + "/build/unpacked"
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := command(repository, nil, "bash", "-c", "git archive HEAD | tar -x -C build/unpacked"); err != nil {
		t.Fatal(err)
	}
	a, err := runScript(tree)
	if err != nil {
		t.Fatal(err)
	}
	for name, image := range a.images {
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		labels := config.Config.Labels
		if got := labels["org.opencontainers.image.version"]; got != "v0.0.0-dev" {
			t.Errorf("version of the %s = %q", name, got)
		}
		if got, found := labels["org.opencontainers.image.revision"]; found {
			t.Errorf("revision of the %s = %q", name, got)
		}
		if got := config.Created.Unix(); got != 0 {
			t.Errorf("the %s was made at %d", name, got)
		}
	}
}

func TestImages(t *testing.T) {
	revision, err := command(repository, nil, "git", "rev-parse", "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	revision = strings.TrimSpace(revision)
	for _, c := range components {
		t.Run(c.name, func(t *testing.T) {
			image := first.images[c.name]
			config, err := image.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if config.Config.User != "65532:65532" || !slices.Equal(config.Config.Entrypoint, []string{"/" + c.name}) {
				t.Errorf("runs %q as %s", config.Config.Entrypoint, config.Config.User)
			}
			if config.Created.UTC().Format("2006-01-02T15:04:05Z") != created {
				t.Errorf("made at %s, the commit at %s", config.Created, created)
			}
			want := map[string]string{
				"org.opencontainers.image.title":       "Fairlead " + c.name,
				"org.opencontainers.image.description": c.description,
				"org.opencontainers.image.source":      source,
				"org.opencontainers.image.licenses":    "Apache-2.0",
				"org.opencontainers.image.version":     "v1.2.3",
				"org.opencontainers.image.revision":    revision,
				"org.opencontainers.image.created":     created,
			}
			if !maps.Equal(config.Config.Labels, want) {
				t.Errorf("labels = %q, want %q", config.Config.Labels, want)
			}
			manifest, err := image.Manifest()
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(manifest.Annotations, want) {
				t.Errorf("annotations = %q, want %q", manifest.Annotations, want)
			}

			files := extract(t, image)
			if names := slices.Sorted(maps.Keys(files)); !slices.Equal(names, slices.Sorted(slices.Values([]string{c.name, "sbom.cdx.json"}))) {
				t.Errorf("the image has %q", names)
			}
			for name, f := range files {
				if f.header.Uid != 0 || f.header.Gid != 0 || f.header.ModTime.UTC().Format("2006-01-02T15:04:05Z") != created {
					t.Errorf("/%s is owned by %d:%d, of %s", name, f.header.Uid, f.header.Gid, f.header.ModTime)
				}
			}
			checkSBOM(t, c, files)

			if out, err := command(".", nil, install(t, files[c.name]), "--version"); err != nil || !strings.Contains(out, " v1.2.3 (commit "+revision+")") {
				t.Errorf("--version: %q, %v", out, err)
			}
		})
	}
}

// checkSBOM holds an SBOM to its schema and to what `go version -m` says of the program.
func checkSBOM(t *testing.T, c component, files map[string]file) {
	sbom := files["sbom.cdx.json"].content
	if beside, err := os.ReadFile(first.directory + "/" + c.name + "-linux-amd64.cdx.json"); err != nil || !bytes.Equal(beside, sbom) {
		t.Errorf("the SBOM beside the archive is not the one in the image: %v", err)
	}
	schema, err := command("../..", nil, "go", "-C", "tools", "list", "-m", "-f", "{{.Dir}}/schema/bom-1.6.schema.json", "github.com/CycloneDX/cyclonedx-go")
	if err != nil {
		t.Fatal(err)
	}
	schema = strings.TrimSpace(schema)
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(schemas(filepath.Dir(schema)))
	valid, err := compiler.Compile("http://cyclonedx.org/schema/bom-1.6.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := json.Unmarshal(sbom, &value); err != nil {
		t.Fatal(err)
	}
	if err := valid.Validate(value); err != nil {
		t.Errorf("the SBOM is not valid: %v", err)
	}

	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(sbom), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if bom.SerialNumber != "" || bom.Metadata.Timestamp != created {
		t.Errorf("serial number %q and time %q do not come from the commit", bom.SerialNumber, bom.Metadata.Timestamp)
	}
	if got := bom.Metadata.Component; got.PackageURL != "pkg:golang/github.com/fairlead-lb/fairlead@v1.2.3" || got.Name != "fairlead-"+c.name {
		t.Errorf("the SBOM is of %s, %s", got.Name, got.PackageURL)
	}
	info, err := buildinfo.Read(bytes.NewReader(files[c.name].content))
	if err != nil {
		t.Fatal(err)
	}
	version := strings.TrimPrefix(info.GoVersion, "go")
	want := []string{"stdlib " + version + " pkg:golang/stdlib@" + version + " "}
	for _, m := range info.Deps {
		want = append(want, m.Path+" "+m.Version+" pkg:golang/"+m.Path+"@"+strings.ReplaceAll(m.Version, "+", "%2B")+" "+m.Sum)
	}
	if len(want) < 30 {
		t.Errorf("the program has but %d modules", len(want))
	}
	var got []string
	for _, part := range *bom.Components {
		sum := ""
		if part.Properties != nil {
			sum = (*part.Properties)[0].Value
		}
		got = append(got, part.Name+" "+part.Version+" "+part.PackageURL+" "+sum)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the SBOM lists\n%s\nand the program has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// schemas reads CycloneDX's schemas from the files that its module has.
type schemas string

func (directory schemas) Load(url string) (any, error) {
	f, err := os.Open(filepath.Join(string(directory), strings.Replace(filepath.Base(url), "jsf-0.82.schema.json", "jsf-0.82.schemax.json", 1)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return jsonschema.UnmarshalJSON(f)
}

// A Pod's first process on containerd and CRI-O: another user than root, no new privileges, and as permitted what
// the Pod adds.
func TestSpeakerIsNotRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("only root can give a file capabilities")
		}
		t.Skip("only root can give a file capabilities")
	}
	speaker := extract(t, first.images["speaker"])["speaker"]
	if speaker.header.PAXRecords["SCHILY.xattr.security.capability"] == "" {
		// setpriv below cannot tell: without them the ambient ones would do.
		t.Fatal("the program's file has no capabilities")
	}
	program := install(t, speaker)
	key := filepath.Join(filepath.Dir(program), "key")
	if err := os.WriteFile(key, bytes.Repeat([]byte("k"), 32), 0o444); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, add string
		want      string
	}{
		{name: "with NET_RAW it goes on, to look for its cluster", add: ",+net_raw", want: "--kubeconfig"},
		{name: "with the optional capabilities too", add: ",+net_raw,+net_admin,+net_bind_service", want: "--kubeconfig"},
		{name: "without any it starts, and says what is missing", want: "capability NET_RAW"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := command("/", nil, "setpriv", "--reuid=65532", "--regid=65532", "--clear-groups", "--no-new-privs",
				"--bounding-set=-all"+tt.add, "--inh-caps=-all"+tt.add, "--ambient-caps=-all"+tt.add,
				program, "--node-name=node", "--gossip-key-file="+key)
			if err == nil || !strings.Contains(out, tt.want) {
				t.Errorf("the speaker said %q, %v", out, err)
			}
		})
	}
}

type file struct {
	header  *tar.Header
	content []byte
}

func extract(t *testing.T, image v1.Image) map[string]file {
	files := map[string]file{}
	r := mutate.Extract(image)
	defer r.Close()
	for reader := tar.NewReader(r); ; {
		header, err := reader.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = file{header, content}
	}
}

// install writes a program as a container runtime does, and returns its path.
func install(t *testing.T, f file) string {
	directory, err := os.MkdirTemp(filepath.Dir(repository), "installed.")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(directory, f.header.Name)
	if err := errors.Join(os.Chmod(directory, 0o755), os.WriteFile(path, f.content, 0o755)); err != nil {
		t.Fatal(err)
	}
	if xattr := f.header.PAXRecords["SCHILY.xattr.security.capability"]; xattr != "" && os.Geteuid() == 0 {
		if err := syscall.Setxattr(path, "security.capability", []byte(xattr), 0); err != nil {
			t.Fatal("giving a file capabilities:", err)
		}
	}
	return path
}
