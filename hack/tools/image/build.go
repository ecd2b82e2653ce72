package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const source = "https://github.com/fairlead-lb/fairlead"

// component is a program that has an image.
type component struct {
	name, description string
	// capabilities of the program's file, which a user other than root is permitted as far as the Pod adds them.
	capabilities uint32
}

var components = []component{
	{name: "controller", description: "Assigns external addresses to Kubernetes Services of type LoadBalancer"},
	{name: "speaker", description: "Makes the external addresses of Kubernetes Services reachable through a node",
		// NET_RAW for ARP and NDP. The others are for features that the Pod may have left out.
		capabilities: netRaw | netAdmin | netBindService},
}

// release is what all images of one build have in common.
type release struct {
	version, revision string
	created           time.Time
	base              string
	platforms         []v1.Platform
}

// built is a component's images, one for each platform, and the index of them.
type built struct {
	component
	name   name.Tag
	index  v1.ImageIndex
	images []platformImage
}

type platformImage struct {
	v1.Image
	platform v1.Platform
	sbom     []byte
}

func (r release) build(ctx context.Context, c component, programs string) (built, error) {
	b := built{component: c, index: mutate.IndexMediaType(empty.Index, types.OCIImageIndex)}
	for _, p := range r.platforms {
		file := filepath.Join(programs, p.String(), c.name)
		image, err := r.image(ctx, c, p, file)
		if err != nil {
			return b, fmt.Errorf("making an image for %s of %s: %w", p, file, err)
		}
		b.images = append(b.images, image)
		b.index = mutate.AppendManifests(b.index, mutate.IndexAddendum{Add: image.Image, Descriptor: v1.Descriptor{Platform: &p}})
	}
	b.index = mutate.Annotations(b.index, r.labels(c)).(v1.ImageIndex)
	return b, nil
}

func (r release) image(ctx context.Context, c component, p v1.Platform, file string) (platformImage, error) {
	result := platformImage{platform: p}
	program, err := os.ReadFile(file)
	if err != nil {
		return result, err
	}
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return result, err
	}
	if err := compiledFor(info, p); err != nil {
		return result, err
	}
	if result.sbom, err = r.sbom(c, info); err != nil {
		return result, err
	}
	layer, err := r.layer(
		entry{name: "sbom.cdx.json", mode: 0o644, content: result.sbom},
		entry{name: c.name, mode: 0o755, content: program, capabilities: c.capabilities},
	)
	if err != nil {
		return result, err
	}
	base, labels, err := r.baseImage(ctx, p)
	if err != nil {
		return result, err
	}
	for key, value := range r.labels(c) {
		labels[key] = value
	}
	image, err := mutate.Append(base, mutate.Addendum{Layer: layer, History: v1.History{
		Created: v1.Time{Time: r.created}, CreatedBy: "hack/image.sh", Comment: "/" + c.name + " and what it is made of",
	}})
	if err != nil {
		return result, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return result, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
	config.Created = v1.Time{Time: r.created}
	// A number, not a name: runAsNonRoot cannot tell whether a name is root.
	config.Config.User = "65532:65532"
	config.Config.Entrypoint, config.Config.Cmd = []string{"/" + c.name}, nil
	config.Config.WorkingDir = "/"
	config.Config.Labels = labels
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return result, err
	}
	result.Image = mutate.Annotations(image, labels).(v1.Image)
	return result, nil
}

// labels are those of https://specs.opencontainers.org/image-spec/annotations.
func (r release) labels(c component) map[string]string {
	const prefix = "org.opencontainers.image."
	labels := map[string]string{
		prefix + "title":       "Fairlead " + c.name,
		prefix + "description": c.description,
		prefix + "source":      source,
		prefix + "licenses":    "Apache-2.0",
		prefix + "version":     r.version,
		prefix + "created":     r.created.Format(time.RFC3339),
	}
	if r.revision != "" {
		labels[prefix+"revision"] = r.revision
	}
	return labels
}

// baseImage returns the image to build on, and labels that say which it is, the base's own among them.
func (r release) baseImage(ctx context.Context, p v1.Platform) (v1.Image, map[string]string, error) {
	labels := map[string]string{}
	if r.base == "scratch" {
		return mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), labels, nil
	}
	var image v1.Image
	if _, err := os.Stat(r.base); err == nil {
		if image, err = tarball.ImageFromPath(r.base, nil); err != nil {
			return nil, nil, fmt.Errorf("reading the base image in %s: %w", r.base, err)
		}
	} else {
		ref, err := name.ParseReference(r.base)
		if err != nil {
			return nil, nil, fmt.Errorf("the base image is neither scratch nor a file nor a name: %w", err)
		}
		image, err = remote.Image(ref, remote.WithContext(ctx), remote.WithPlatform(p), remote.WithAuthFromKeychain(authn.DefaultKeychain))
		if err != nil {
			return nil, nil, fmt.Errorf("getting the base image %s: %w", r.base, err)
		}
		digest, err := image.Digest()
		if err != nil {
			return nil, nil, err
		}
		labels["org.opencontainers.image.base.name"] = ref.Name()
		labels["org.opencontainers.image.base.digest"] = digest.String()
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, nil, err
	}
	if config.OS != p.OS || config.Architecture != p.Architecture {
		return nil, nil, fmt.Errorf("the base image %s is for %s/%s", r.base, config.OS, config.Architecture)
	}
	for key, value := range config.Config.Labels {
		if _, ours := labels[key]; !ours {
			labels[key] = value
		}
	}
	return mutate.MediaType(image, types.OCIManifestSchema1), labels, nil
}
