package plugin

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

var update = flag.Bool("update", false, "write what the commands print into testdata")

// now is when every scenario's cluster is read.
var now = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// A scenario is a cluster.yaml, files, and commands with what they print. A command is the name of a section,
// as a user would type it behind `kubectl fairlead`; a number at its end is the width of the terminal. Each
// runs several times, with the objects in another order.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios (%v)", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			inputs := map[string][]byte{}
			for i, f := range archive.Files {
				if !strings.Contains(f.Name, " ") && strings.HasSuffix(f.Name, ".yaml") {
					inputs[f.Name] = f.Data
					continue
				}
				got := run(inputs, f.Name)
				for range 3 {
					if again := run(inputs, f.Name); again != got {
						t.Errorf("%s depends on the order of the objects:\n%s", f.Name, cmp.Diff(got, again))
					}
				}
				if *update {
					archive.Files[i].Data = []byte(got)
				} else if diff := cmp.Diff(string(f.Data), got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", f.Name, diff)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// run does what the command does with a cluster, and returns what it prints, and the exit status unless
// that is 0.
func run(inputs map[string][]byte, command string) string {
	var out bytes.Buffer
	s, err := read(inputs["cluster.yaml"])
	if err != nil {
		return err.Error()
	}
	words := strings.Fields(command)
	var f Format
	if n, err := strconv.Atoi(words[len(words)-1]); err == nil {
		f.Width, words = n, words[:len(words)-1]
	}
	var data string
	var apply []Manifest
	var remove, rest []string
	for i := 1; i < len(words); i++ {
		switch words[i] {
		case "-o":
			i++
			f.Wide = words[i] == "wide"
			data = strings.TrimPrefix(words[i], "wide")
		case "-f":
			i++
			manifests, notes, problem := ReadManifests(words[i], bytes.NewReader(inputs[words[i]]))
			for _, n := range notes {
				fmt.Fprintln(&out, "note:", n)
			}
			apply, err = append(apply, manifests...), problem
		case "--delete":
			i++
			remove = append(remove, words[i])
		default:
			rest = append(rest, words[i])
		}
		if err != nil {
			return out.String() + "error: " + err.Error() + "\n"
		}
	}
	switch words[0] {
	case "status":
		st := MakeStatus(s)
		if data != "" {
			err = WriteData(&out, data, st)
		} else {
			err = WriteStatus(&out, st, f)
		}
	case "pools":
		if data != "" {
			err = WriteData(&out, data, Pools(s.Pools))
		} else {
			err = WritePools(&out, Pools(s.Pools), f)
		}
	case "services":
		rows := Services(s)
		if len(rest) > 0 {
			rows = OnlyPending(rows)
		}
		if data != "" {
			err = WriteData(&out, data, rows)
		} else {
			err = WriteServices(&out, rows, f)
		}
	case "owners":
		o := Owners(s)
		var addresses []netip.Addr
		var services []lb.Key
		var node string
		for _, word := range rest {
			if a, err := lb.ParseAddr(word); err == nil {
				addresses = append(addresses, a)
			} else if key, err := lb.ParseKey(word); err == nil {
				services = append(services, key)
			} else {
				node = strings.TrimPrefix(word, "--node=")
			}
		}
		o, missing := o.Select(node, addresses, services)
		if data != "" {
			err = WriteData(&out, data, o)
		} else {
			err = WriteOwners(&out, o, f)
		}
		if len(missing) > 0 {
			fmt.Fprintln(&out, "missing:", strings.Join(missing, " "))
		}
	case "peers":
		var peer, node string
		for _, word := range rest {
			if of, is := strings.CutPrefix(word, "--node="); is {
				node = of
			} else {
				peer = word
			}
		}
		var rows []PeerRow
		if rows, err = SelectPeers(Peers(s), peer, node); err != nil {
			break
		}
		switch {
		case data != "":
			err = WriteData(&out, data, rows)
		case peer != "" && !f.Wide:
			err = WritePeer(&out, rows, f)
		default:
			err = WritePeers(&out, rows, f)
		}
	case "routes":
		var want Selection
		for _, word := range rest {
			if of, is := strings.CutPrefix(word, "--node="); is {
				want.Node = of
			} else if of, is := strings.CutPrefix(word, "--peer="); is {
				want.Peer = of
			} else if a, err := lb.ParseAddr(word); err == nil {
				want.Prefix = netip.PrefixFrom(a, a.BitLen())
			} else if p, err := netip.ParsePrefix(word); err == nil {
				want.Prefix = p
			} else if want.Service, err = lb.ParseKey(word); err != nil {
				return err.Error()
			}
		}
		if rows := Routes(s, want); data != "" {
			err = WriteData(&out, data, rows)
		} else {
			err = WriteRoutes(&out, rows, f)
		}
	case "explain":
		if rest[0] == "address" {
			e := ExplainAddress(s, netip.MustParseAddr(rest[1]))
			if data != "" {
				err = WriteData(&out, data, e)
			} else {
				err = WriteAddressExplanation(&out, e, f)
			}
			break
		}
		if rest[0] == "node" && len(rest) == 1 {
			if rows := ExplainNodes(s); data != "" {
				err = WriteData(&out, data, rows)
			} else {
				err = WriteNodes(&out, rows, f)
			}
			break
		}
		if rest[0] == "node" {
			var e *NodeExplanation
			if e, err = ExplainNode(s, rest[1]); err != nil {
				break
			}
			if data != "" {
				err = WriteData(&out, data, e)
			} else {
				err = WriteNodeExplanation(&out, e, f)
			}
			break
		}
		var key lb.Key
		if key, err = lb.ParseKey(rest[1]); err != nil {
			break
		}
		var e *Explanation
		if e, err = Explain(s, key); err != nil {
			break
		}
		if data != "" {
			err = WriteData(&out, data, e)
		} else {
			err = WriteExplanation(&out, e, f)
		}
	case "plan":
		var p *Plan
		if p, err = MakePlan(s, apply, remove); err != nil {
			break
		}
		if data != "" {
			err = WriteData(&out, data, p)
		} else {
			err = WritePlan(&out, p, f)
		}
		if status := p.ExitStatus(); status != 0 {
			fmt.Fprintln(&out, "exit status", status)
		}
	default:
		err = fmt.Errorf("there is no command %s", command)
	}
	if err != nil {
		fmt.Fprintln(&out, "error:", err)
	}
	return out.String()
}

var testDecoder = func() runtime.Decoder {
	scheme := runtime.NewScheme()
	utilruntime.Must(corev1.AddToScheme(scheme))
	utilruntime.Must(discoveryv1.AddToScheme(scheme))
	utilruntime.Must(coordinationv1.AddToScheme(scheme))
	utilruntime.Must(v1alpha1.AddToScheme(scheme))
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}()

// read makes a snapshot of documents, in no certain order.
func read(documents []byte) (*Snapshot, error) {
	s := &Snapshot{Namespaces: map[string]map[string]string{}, Time: now, Installation: Installation{Namespace: "fairlead-system"}}
	for doc := range strings.SplitSeq(string(documents), "\n---\n") {
		object, _, err := testDecoder.Decode([]byte(doc), nil, nil)
		if err != nil {
			return nil, fmt.Errorf("decoding %s: %w", doc, err)
		}
		switch o := object.(type) {
		case *corev1.Service:
			s.Services = append(s.Services, o)
		case *corev1.Namespace:
			s.Namespaces[o.Name] = o.Labels
		case *v1alpha1.IPAddressPool:
			s.Pools = append(s.Pools, o)
		case *corev1.Node:
			s.Nodes = append(s.Nodes, o)
		case *discoveryv1.EndpointSlice:
			s.Slices = append(s.Slices, o)
		case *v1alpha1.L2Advertisement:
			s.Advertisements = append(s.Advertisements, o)
		case *v1alpha1.Speaker:
			s.Speakers = append(s.Speakers, o)
		case *v1alpha1.BGPPeer:
			s.Peers = append(s.Peers, o)
		case *v1alpha1.BGPAdvertisement:
			s.BGPAdvertisements = append(s.BGPAdvertisements, o)
		case *v1alpha1.BFDProfile:
			s.Profiles = append(s.Profiles, o)
		case *v1alpha1.Community:
			s.Communities = append(s.Communities, o)
		case *corev1.Pod:
			s.Installation.Pods = append(s.Installation.Pods, o)
		case *coordinationv1.Lease:
			s.Installation.Lease = o
		}
	}
	shuffle(s.Services)
	shuffle(s.Pools)
	shuffle(s.Nodes)
	shuffle(s.Slices)
	shuffle(s.Advertisements)
	shuffle(s.Speakers)
	shuffle(s.Peers)
	shuffle(s.BGPAdvertisements)
	shuffle(s.Communities)
	shuffle(s.Installation.Pods)
	return s, nil
}

func shuffle[T any](list []T) {
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
}
