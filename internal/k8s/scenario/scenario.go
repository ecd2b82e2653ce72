// Package scenario runs scripts that show a rule of the product by what its user sees: YAML in, tables out.
// The same script runs against an API server that is simulated, in virtual time, and against a real one.
//
// A script is a txtar file: its commands, then its files. A command is a line; what begins with # is prose.
//
//	apply FILE...                create or update the objects of the files
//	delete KIND [NAMESPACE/]NAME
//	status NAMESPACE/NAME IP...  edit a Service's status by hand
//	conflicts NODE [IP MAC INTERFACE]...  have a Speaker report that it found these in use, and no others
//	sessions NODE FILE           have a Speaker report the BGP sessions of a YAML list, and no others
//	stop, start                  the controller
//	wait DURATION
//	services FILE                compare what `kubectl fairlead services` prints
//	status-of NAMESPACE/NAME FILE  compare what a Service's status shows: addresses, conditions
//	standing KIND/NAME... FILE   compare what the statuses of objects say: counts, conditions
//	pools FILE                   compare what `kubectl fairlead pools` prints
//	explain NAMESPACE/NAME FILE  compare what `kubectl fairlead explain service` prints
//	plan FILE... FILE            compare what `kubectl fairlead plan` prints for files
//	events KIND [NAMESPACE/]NAME FILE
//
// Times are printed as <time>. What is compared may take its time to come about, since nothing is
// compared before it is settled.
package scenario

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/k8s/plugin"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Cluster is where a scenario runs.
type Cluster interface {
	// Apply creates or updates the objects of a YAML stream.
	Apply(manifest []byte) error
	Delete(kind string, key lb.Key) error
	Status(service lb.Key) (corev1.ServiceStatus, error)
	// SetStatus has a Service's status show addresses.
	SetStatus(service lb.Key, ips []string) error
	// SetConflicts has the Speaker of a node, made if there is none, report conflicts.
	SetConflicts(node string, conflicts []v1alpha1.AddressConflict) error
	// SetSessions has the Speaker of a node, made if there is none, report BGP sessions.
	SetSessions(node string, sessions []v1alpha1.BGPSessionStatus) error
	// Object returns a cluster-scoped object of Fairlead.
	Object(kind, name string) (any, error)
	Stop() error
	Start() error
	Wait(time.Duration)
	// Settled calls check until it returns true, or until nothing will change any more.
	Settled(check func() bool)
	Snapshot() (*plugin.Snapshot, error)
	// Events returns what was told of an object, in order, as "Warning Reason: message".
	Events(kind string, key lb.Key) ([]string, error)
}

// Files returns the scripts of this package.
func Files(t *testing.T, directory string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(directory, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios in %s (%v)", directory, err)
	}
	return files
}

// Run runs a script. With update it writes what it saw into the script instead of comparing.
func Run(t testing.TB, c Cluster, path string, update bool) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, cluster: c, archive: archive, update: update}
	for i, line := range strings.Split(string(archive.Comment), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(line, "#") {
			continue
		}
		s.where = fmt.Sprintf("%s:%d: %s", filepath.Base(path), i+1, line)
		if err := s.do(words[0], words[1:]); err != nil {
			t.Fatalf("%s: %v", s.where, err)
		}
	}
	if s.changed {
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

type script struct {
	t               testing.TB
	cluster         Cluster
	archive         *txtar.Archive
	where           string
	update, changed bool
}

func (s *script) do(command string, args []string) error {
	least := map[string]int{"apply": 1, "delete": 2, "status": 1, "conflicts": 1, "sessions": 2, "standing": 2, "wait": 1, "services": 1, "status-of": 2, "pools": 1, "explain": 2, "plan": 2, "events": 3}
	if len(args) < least[command] {
		return fmt.Errorf("%s needs %d arguments", command, least[command])
	}
	switch command {
	case "apply":
		for _, name := range args {
			file, err := s.file(name)
			if err == nil {
				err = s.cluster.Apply(file.Data)
			}
			if err != nil {
				return err
			}
		}
		return nil
	case "delete":
		return s.cluster.Delete(args[0], key(args[1]))
	case "status":
		return s.cluster.SetStatus(key(args[0]), args[1:])
	case "conflicts":
		conflicts := []v1alpha1.AddressConflict{}
		for c := range slices.Chunk(args[1:], 3) {
			if len(c) < 3 {
				return fmt.Errorf("%s: a conflict is an address, a hardware address and an interface", c)
			}
			conflicts = append(conflicts, v1alpha1.AddressConflict{
				Address: c[0], HardwareAddress: c[1], Interface: c[2], Since: metav1.NewTime(time.Now()), Detected: true})
		}
		return s.cluster.SetConflicts(args[0], conflicts)
	case "sessions":
		file, err := s.file(args[1])
		if err != nil {
			return err
		}
		sessions := []v1alpha1.BGPSessionStatus{}
		if err := yaml.UnmarshalStrict(file.Data, &sessions); err != nil {
			return err
		}
		return s.cluster.SetSessions(args[0], sessions)
	case "stop":
		return s.cluster.Stop()
	case "start":
		return s.cluster.Start()
	case "wait":
		d, err := time.ParseDuration(args[0])
		s.cluster.Wait(d)
		return err
	case "services", "status-of", "standing", "pools", "explain", "plan", "events":
		last := len(args) - 1
		return s.compare(args[last], func(b *bytes.Buffer) error { return s.show(b, command, args[:last]) })
	}
	return fmt.Errorf("there is no command %q", command)
}

var wide = plugin.Format{Wide: true}

func (s *script) show(b *bytes.Buffer, command string, args []string) error {
	switch command {
	case "status-of":
		status, err := s.cluster.Status(key(args[0]))
		for _, ingress := range status.LoadBalancer.Ingress {
			fmt.Fprintln(b, "address", ingress.IP)
		}
		for _, c := range status.Conditions {
			fmt.Fprintf(b, "condition %s %s\n", c.Type, c.Status)
		}
		return err
	case "standing":
		for _, object := range args {
			kind, name, _ := strings.Cut(object, "/")
			o, err := s.cluster.Object(kind, name)
			if err != nil {
				return err
			}
			if len(args) > 1 {
				fmt.Fprintln(b, object)
			}
			writeStanding(b, o)
		}
		return nil
	case "events":
		events, err := s.cluster.Events(args[0], key(args[1]))
		for _, e := range events {
			fmt.Fprintln(b, e)
		}
		return err
	}
	snapshot, err := s.cluster.Snapshot()
	if err != nil {
		return err
	}
	switch command {
	case "services":
		return plugin.WriteServices(b, plugin.Services(snapshot), wide)
	case "pools":
		return plugin.WritePools(b, plugin.Pools(snapshot.Pools), wide)
	case "explain":
		e, err := plugin.Explain(snapshot, key(args[0]))
		if err != nil {
			return err
		}
		return plugin.WriteExplanation(b, e, wide)
	}
	var manifests []plugin.Manifest
	for _, name := range args {
		file, err := s.file(name)
		if err != nil {
			return err
		}
		read, _, err := plugin.ReadManifests(name, bytes.NewReader(file.Data))
		if err != nil {
			return err
		}
		manifests = append(manifests, read...)
	}
	p, err := plugin.MakePlan(snapshot, manifests, nil)
	if err != nil {
		return err
	}
	return plugin.WritePlan(b, p, wide)
}

// writeStanding writes what the status of an object says: one line a count and condition.
func writeStanding(b *bytes.Buffer, object any) {
	var conditions []metav1.Condition
	switch o := object.(type) {
	case *v1alpha1.BGPPeer:
		fmt.Fprintf(b, "nodes %d, established %d\n", o.Status.Nodes, o.Status.Established)
		conditions = o.Status.Conditions
	case *v1alpha1.BGPAdvertisement:
		conditions = o.Status.Conditions
	case *v1alpha1.L2Advertisement:
		conditions = o.Status.Conditions
	case *v1alpha1.BFDProfile:
		conditions = o.Status.Conditions
	case *v1alpha1.Community:
		conditions = o.Status.Conditions
	}
	for _, c := range conditions {
		fmt.Fprintf(b, "%s %s, %s: %s\n", c.Type, c.Status, c.Reason, c.Message)
	}
}

var times = regexp.MustCompile(`\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d( UTC|Z)|\(for \w+\)`)

// compare holds what is shown, once it is settled, against a file.
func (s *script) compare(name string, show func(*bytes.Buffer) error) error {
	want, err := s.file(name)
	if err != nil {
		return err
	}
	var got string
	s.cluster.Settled(func() bool {
		var b bytes.Buffer
		err = show(&b)
		got = string(times.ReplaceAll(b.Bytes(), []byte("<time>")))
		return err == nil && got == string(want.Data)
	})
	if err != nil || got == string(want.Data) {
		return err
	}
	if s.update {
		want.Data, s.changed = []byte(got), true
		return nil
	}
	s.t.Errorf("%s: got\n%s\nwant\n%s", s.where, got, want.Data)
	return nil
}

func (s *script) file(name string) (*txtar.File, error) {
	for i := range s.archive.Files {
		if s.archive.Files[i].Name == name {
			return &s.archive.Files[i], nil
		}
	}
	return nil, fmt.Errorf("there is no file %s in the script", name)
}

// key parses [NAMESPACE/]NAME.
func key(s string) lb.Key {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok {
		return lb.Key{Name: s}
	}
	return lb.Key{Namespace: namespace, Name: name}
}
