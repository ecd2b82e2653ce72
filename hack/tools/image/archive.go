package main

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// archive writes all images, of all platforms, as one OCI image layout in a tar file, for machines that reach no
// registry (ctr images import, K3s' agent/images, skopeo), and each SBOM as a file beside it.
func archive(all []built, file string, out io.Writer) error {
	index := v1.ImageIndex(empty.Index)
	for _, b := range all {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: b.index, Descriptor: v1.Descriptor{Annotations: map[string]string{
			"io.containerd.image.name":          b.name.String(), // containerd's, and that of docker load
			"org.opencontainers.image.ref.name": b.name.String(),
		}}})
		for _, image := range b.images {
			sbom := fmt.Sprintf("%s-%s.cdx.json", b.component.name, strings.ReplaceAll(image.platform.String(), "/", "-"))
			if err := os.WriteFile(filepath.Join(filepath.Dir(file), sbom), image.sbom, 0o644); err != nil {
				return err
			}
		}
		if err := report(b, out); err != nil {
			return err
		}
	}
	directory, err := os.MkdirTemp("", "fairlead-image.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	if _, err := layout.Write(directory, index); err != nil {
		return fmt.Errorf("writing the images: %w", err)
	}
	w, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := pack(w, directory); err != nil {
		w.Close()
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return w.Close()
}

// pack writes the files of a directory, in the order of their names, as nobody's and of no time.
func pack(w io.Writer, directory string) error {
	t := tar.NewWriter(w)
	root := os.DirFS(directory)
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(content))}); err != nil {
			return err
		}
		_, err = t.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	return t.Close()
}
