package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/internal/k8s"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/yaml"
)

// Bundle collects what somebody needs who is to help from afar.
type Bundle struct {
	Cluster *k8s.Cluster
	// Metadata lists Secrets without what is in them.
	Metadata metadata.Interface
	// Fetch reads a path of a Pod's HTTP port.
	Fetch   func(ctx context.Context, pod *corev1.Pod, port int, path string) (string, error)
	Options *Options
	Version string
	// LogLines is how many lines of each container's log are taken, the last ones.
	LogLines int64
	// Say tells of what could not be read, and how far it is.
	Say func(format string, args ...any)
}

// Write writes a .tar.gz with all that can be read. It fails only if nothing can, or the writer does.
func (b *Bundle) Write(ctx context.Context, w io.Writer, folder string) error {
	s, err := LoadAll(ctx, b.Cluster, b.Options)
	if err != nil {
		return err
	}
	a := newArchive(w, folder, s.Time, b.Say)
	for _, n := range s.Notes {
		a.missing = append(a.missing, redactText(printable(n)))
	}
	for _, step := range []func(context.Context, *archive, *Snapshot) error{
		b.tables, b.versions, b.objects, b.events, b.workloads, b.secrets, b.logs, b.metrics,
	} {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("collecting: %w", err)
		}
		if err := step(ctx, a, s); err != nil {
			return err
		}
	}
	return a.close(b.Version)
}

// tables adds what the commands say.
func (b *Bundle) tables(_ context.Context, a *archive, s *Snapshot) error {
	wide := Format{Wide: true}
	for _, t := range []struct {
		name, what string
		write      func(io.Writer) error
	}{
		{"status.txt", "kubectl fairlead status -o wide", func(w io.Writer) error { return WriteStatus(w, MakeStatus(s), wide) }},
		{"status.json", "the same for programs", func(w io.Writer) error { return WriteData(w, "json", MakeStatus(s)) }},
		{"pools.txt", "kubectl fairlead pools -o wide", func(w io.Writer) error { return WritePools(w, Pools(s.Pools), wide) }},
		{"services.txt", "kubectl fairlead services -A -o wide", func(w io.Writer) error { return WriteServices(w, Services(s), wide) }},
		{"owners.txt", "kubectl fairlead owners -o wide", func(w io.Writer) error { return WriteOwners(w, Owners(s), wide) }},
		{"peers.txt", "kubectl fairlead peers -o wide", func(w io.Writer) error { return WritePeers(w, Peers(s), wide) }},
		{"routes.txt", "kubectl fairlead routes -o wide", func(w io.Writer) error {
			if unknown := newRoster(s).unknown(); unknown != "" {
				_, err := fmt.Fprintf(w, "unknown without the %s\n", unknown)
				return err
			}
			return WriteRoutes(w, Routes(s, Selection{}), wide)
		}},
	} {
		var text strings.Builder
		if err := t.write(&text); err != nil {
			return fmt.Errorf("writing %s: %w", t.name, err)
		}
		if err := a.add(t.name, t.what, text.String()); err != nil {
			return err
		}
	}
	return nil
}

// versions adds what runs.
func (b *Bundle) versions(_ context.Context, a *archive, s *Snapshot) error {
	text := "kubectl-fairlead " + b.Version + "\n"
	if v, err := b.Cluster.Core.Discovery().ServerVersion(); err != nil {
		a.lack("the version of Kubernetes", trouble("the version of Kubernetes", err))
	} else {
		text += "Kubernetes " + v.GitVersion + " " + v.Platform + "\n"
	}
	for _, sp := range s.Speakers {
		text += "speaker on " + sp.Name + " " + sp.Status.Version + "\n"
	}
	for _, p := range s.Installation.Pods {
		for _, c := range p.Status.ContainerStatuses {
			text += "Pod " + p.Name + " " + c.Image + " " + c.ImageID + "\n"
		}
	}
	return a.add("versions.txt", "of the plugin, Kubernetes, the speakers, the images", text)
}

// addObjects adds objects of a kind as one YAML file, without secrets.
func addObjects[T runtime.Object](a *archive, file, what string, kind schema.GroupVersionKind, objects []T) error {
	items := []any{}
	for _, o := range objects {
		data, err := json.Marshal(o)
		var object map[string]any
		if err == nil {
			err = json.Unmarshal(data, &object)
		}
		if err != nil {
			return fmt.Errorf("encoding %s: %w", file, err)
		}
		object["apiVersion"], object["kind"] = kind.GroupVersion().String(), kind.Kind
		redactObject(object)
		items = append(items, object)
	}
	data, err := yaml.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		return fmt.Errorf("encoding %s: %w", file, err)
	}
	return a.add(file, fmt.Sprintf("%s (%d)", what, len(items)), string(data))
}

// secrets adds the names of the Secrets of Fairlead's namespace. What is in them is not even read.
func (b *Bundle) secrets(ctx context.Context, a *archive, s *Snapshot) error {
	list, err := b.Metadata.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(s.Installation.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		a.lack("the names of Secrets", trouble("the names of Secrets in namespace "+s.Installation.Namespace, err))
		return nil
	}
	objects := make([]*metav1.PartialObjectMetadata, 0, len(list.Items))
	for i := range list.Items {
		objects = append(objects, &list.Items[i])
	}
	return addObjects(a, "installation/secrets-metadata.yaml", "Secrets of Fairlead's namespace, by metadata alone",
		metav1.SchemeGroupVersion.WithKind("PartialObjectMetadata"), objects)
}

// perPod is how long one Pod may take to answer.
const perPod = 15 * time.Second
