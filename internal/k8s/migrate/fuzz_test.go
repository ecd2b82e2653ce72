package migrate

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// Whatever is in a file, it is converted or refused, and what is made can be printed and read again.
func FuzzConvert(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(a.Files[0].Data)
	}
	for _, text := range []string{
		"{apiVersion: metallb.io/v1beta1, kind: IPAddressPool, metadata: {name: a}, spec: {addresses: [{a: b}, {a: b}, [1], null]}}",
		"{apiVersion: metallb.io/v1beta1, kind: L2Advertisement, metadata: {name: 1, labels: [], annotations: x}, spec: {nodeSelectors: x, interfaces: [[], []]}}",
		"{apiVersion: metallb.io/v1beta2, kind: BGPPeer, metadata: null, spec: {holdTime: 3, passwordSecret: x, nodeSelectors: [[]]}}",
		"{apiVersion: metallb.io/v1beta1, kind: Community, metadata: {}, spec: {communities: [x, {name: []}]}}",
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: config}, data: {config: 'peers: [x]\naddress-pools: {}'}}",
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: kubevip}, data: {cidr-: '', range-x: 1.2.3.4-1.2.3.1, cidr-y: '::/0,0.0.0.0/0'}}",
		"{apiVersion: network.kubesphere.io/v1alpha2, kind: BgpConf, metadata: {name: default}, spec: {as: x, asPerRack: {a: {}}}}\n---\n{apiVersion: network.kubesphere.io/v1alpha2, kind: BgpPeer, metadata: {name: p}, spec: {conf: {peerAs: 1, neighborAddress: 1.1.1.1}, nodeSelector: {matchLabels: x, matchExpressions: y}, afiSafis: [x]}}",
		"{apiVersion: v1, kind: Service, metadata: {finalizers: [1, {}]}, spec: {type: LoadBalancer}}",
		"{apiVersion: apps/v1, kind: DaemonSet, spec: {template: {spec: {containers: [{image: metallb/speaker, args: [1, --lb-class, {}], env: [x, {name: {}}]}]}}}}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, system := range Systems {
			sources, err := Read("in", bytes.NewReader(data)) // anew, since a conversion may not change what it is given
			if err != nil {
				return
			}
			r := Convert(system, sources)
			var out bytes.Buffer
			if err := r.WriteObjects(&out); err != nil {
				t.Fatal(err)
			}
			if err := r.WriteReport(io.Discard); err != nil {
				t.Fatal(err)
			}
			again, err := Read("out", &out)
			if err != nil || len(again) != len(r.Objects) {
				t.Fatalf("%d objects, %d read again (%v)", len(r.Objects), len(again), err)
			}
			names := map[string]bool{}
			for _, o := range r.Objects {
				if key := o.Kind + "/" + o.Name; names[key] || o.Name == "" || strings.ToLower(o.Name) != o.Name {
					t.Fatalf("%q is there twice, or no name", key)
				} else {
					names[key] = true
				}
			}
			for _, e := range r.Report {
				if len(e.Findings) == 0 && len(e.Made) == 0 {
					t.Fatalf("nothing is said of %s", e.Title())
				}
			}
		}
	})
}
