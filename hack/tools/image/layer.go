package main

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"encoding/binary"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Capabilities as bits, include/uapi/linux/capability.h.
const (
	netBindService = 1 << 10
	netAdmin       = 1 << 12
	netRaw         = 1 << 13
)

type entry struct {
	name         string
	mode         int64
	content      []byte
	capabilities uint32
}

// layer returns a layer with the files in the order given, owned by root.
func (r release) layer(entries ...entry) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: e.mode, Size: int64(len(e.content)), ModTime: r.created}
		if e.capabilities != 0 {
			header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": permitted(e.capabilities)}
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("adding /%s: %w", e.name, err)
		}
		if _, err := w.Write(e.content); err != nil {
			return nil, fmt.Errorf("adding /%s: %w", e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
	return tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// permitted is a struct vfs_cap_data of version 2, which the kernel reads at execve: =p in the words of setcap(8).
//
// Not =ep: a program whose file has effective capabilities is refused where one of them is not to be had, and
// bindAddress or passive peers take some that most Pods do not add. The speaker makes them effective itself.
//
// no_new_privs (allowPrivilegeEscalation: false) does not void them, it only keeps a program from gaining what
// its parent lacks. containerd and CRI-O start a Pod's first process with what the Pod adds, so nothing is gained.
// Docker keeps it from every user but root (https://github.com/moby/moby/issues/45491): there, and only there,
// the speaker has to be root.
func permitted(capabilities uint32) string {
	const revision2 = 0x02000000
	var b []byte
	// The version; permitted and inheritable, lower 32; the same, upper 32.
	for _, word := range []uint32{revision2, capabilities, 0, 0, 0} {
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	return string(b)
}

// compiledFor refuses a program that is for another platform.
func compiledFor(info *buildinfo.BuildInfo, p v1.Platform) error {
	var system, architecture string
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS":
			system = s.Value
		case "GOARCH":
			architecture = s.Value
		}
	}
	if system != p.OS || architecture != p.Architecture {
		return fmt.Errorf("the program is for %s/%s", system, architecture)
	}
	return nil
}
