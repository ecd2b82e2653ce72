package plugin

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	metadatafake "k8s.io/client-go/metadata/fake"
	"sigs.k8s.io/yaml"
)

// planted is a secret; each place has one of its own.
func planted(place int) string { return fmt.Sprintf("hunter%d-Zq9", place) }

// places are objects with secrets wherever a user could have put one, and how many.
func places() (objects []runtime.Object, secrets *metav1.PartialObjectMetadata, count int) {
	next := func() string { count++; return planted(count) }
	meta := func(namespace, name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app.kubernetes.io/name": "fairlead", "access-token": next()},
			ManagedFields: []metav1.ManagedFieldsEntry{{Manager: next()}},
			Annotations: map[string]string{
				"kubectl.kubernetes.io/last-applied-configuration": `{"data":{"x":"` + next() + `"}}`,
				"example.com/password":                             next(),
				"example.com/config":                               `{"user":"me","clientSecret":"` + next() + `"}`,
				"example.com/url":                                  "https://me:" + next() + "@db.example/x",
				"example.com/note":                                 "log in with token=" + next(),
			}}
	}
	web := service("shop", "web", "192.0.2.1")
	web.ObjectMeta = meta("shop", "web")
	edge := pool("edge", "192.0.2.1-192.0.2.9")
	edge.ObjectMeta = meta("", "edge")
	edge.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Message: "password: " + next()}}
	peer := &v1alpha1.BGPPeer{ObjectMeta: meta("", "tor"), Spec: v1alpha1.BGPPeerSpec{MyASN: 64512, PeerASN: 64513, PeerAddress: "192.0.2.1",
		PasswordSecret: &v1alpha1.SecretReference{Name: "tor-password"}}}
	node := nodes("node1")[0]
	node.ObjectMeta = meta("", "node1")
	speaker := session("node1", "tor", v1alpha1.BGPSessionIdle, now)
	speaker.Status.BGPSessions[0].LastError = "the router said: secret=" + next()
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "controller", Image: "x:v1",
		Env:     []corev1.EnvVar{{Name: "HARMLESS", Value: next()}, {Name: "HTTPS_PROXY", Value: "http://me:" + next() + "@proxy.example"}, {Name: "GOGC", Value: "50"}},
		Args:    []string{"--api-key=" + next(), "--password", next()},
		Command: []string{"sh", "-c", "TOKEN=" + next() + " exec x"}}}}
	pod := controllerPod("fairlead-controller-1", 5)
	pod.ObjectMeta = meta("fairlead-system", "fairlead-controller-1")
	pod.Labels[componentLabel], pod.Spec = componentController, spec
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "controller", RestartCount: 1, LastTerminationState: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{Message: "bearer " + next()}}}}
	deployment := &appsv1.Deployment{ObjectMeta: meta("fairlead-system", "fairlead-controller"), Spec: appsv1.DeploymentSpec{Template: corev1.PodTemplateSpec{Spec: spec}}}
	event := &corev1.Event{ObjectMeta: meta("fairlead-system", "e"), InvolvedObject: corev1.ObjectReference{Kind: "Pod"}, Message: "pulling with password " + `"` + "x" + `"` + ", token: " + next()}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "fairlead-system", Name: "fairlead-gossip"},
		Data: map[string][]byte{"secretkey": []byte(next())}}
	secrets = &metav1.PartialObjectMetadata{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: meta("fairlead-system", "fairlead-gossip")}
	return []runtime.Object{web, edge, peer, node, speaker, pod, deployment, event, secret}, secrets, count
}

// open reads an archive.
func open(t *testing.T, data []byte) map[string]string {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(zip); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name, inside := strings.CutPrefix(header.Name, "bundle/")
		if !inside || header.Mode != 0o600 {
			t.Errorf("%s has mode %o", header.Name, header.Mode)
		}
		files[name] = string(text)
	}
}

// bundleOf is a Bundle of fake clients.
func bundleOf(t *testing.T) (*Bundle, clients, int) {
	objects, secrets, count := places()
	c, fakes := cluster(objects...)
	scheme := runtime.NewScheme()
	utilruntime.Must(metav1.AddMetaToScheme(scheme))
	utilruntime.Must(corev1.AddToScheme(scheme))
	return &Bundle{
		Cluster: c, Metadata: metadatafake.NewSimpleMetadataClient(scheme, secrets), Options: &Options{FairleadNamespace: "fairlead-system"},
		Version: "v0", LogLines: 10, Say: t.Logf,
		Fetch: func(_ context.Context, p *corev1.Pod, port int, path string) (string, error) {
			return fmt.Sprintf("fairlead_up{token=%q} 1 # %s:%d%s\n", planted(1), p.Name, port, path), nil
		},
	}, fakes, count
}

// Secrets in every place that a user can write to are not in the bundle; all the rest is.
func TestBundleKeepsSecrets(t *testing.T) {
	b, _, count := bundleOf(t)
	var out bytes.Buffer
	if err := b.Write(t.Context(), &out, "bundle"); err != nil {
		t.Fatal(err)
	}
	files := open(t, out.Bytes())
	for name, text := range files {
		for i := range count {
			if strings.Contains(text, planted(i+1)) {
				at := strings.Index(text, planted(i+1))
				t.Errorf("%s has secret %d: ...%s", name, i+1, text[max(at-60, 0):at+20])
			}
		}
	}
	for name, text := range files {
		var list struct{ Items []any }
		if err := yaml.Unmarshal([]byte(text), &list); strings.HasSuffix(name, ".yaml") && err != nil {
			t.Errorf("%s is no YAML any more: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"README.txt":                                         "nothing: all that was asked for is here",
		"status.txt":                                         "no Pod",
		"versions.txt":                                       "kubectl-fairlead v0\n",
		"objects/services.yaml":                              "ip: 192.0.2.1",
		"objects/bgppeers.yaml":                              "name: tor-password",
		"objects/nodes.yaml":                                 "kind: Node",
		"objects/endpointslices.yaml":                        "items: []",
		"objects/events.yaml":                                "kind: Event",
		"installation/pods.yaml":                             "value: \"50\"",
		"installation/deployments.yaml":                      "kind: Deployment",
		"installation/secrets-metadata.yaml":                 "name: fairlead-gossip",
		"peers.txt":                                          "the router said",
		"logs/fairlead-controller-1/controller.log":          "fake logs",
		"logs/fairlead-controller-1/controller.previous.log": "fake logs",
		"metrics/fairlead-controller-1.txt":                  "fairlead-controller-1:7572/metrics",
	} {
		if name == "status.txt" {
			want = "1 of 1 ready"
		}
		if !strings.Contains(files[name], want) {
			t.Errorf("%s lacks %q:\n%s", name, want, files[name])
		}
		if name != "README.txt" && !strings.Contains(files["README.txt"], name) {
			t.Errorf("README.txt does not list %s", name)
		}
	}
}

// What may not be read is named, with why, and the rest is there.
func TestBundleWithoutRights(t *testing.T) {
	b, fakes, _ := bundleOf(t)
	for _, kind := range []string{"nodes", "pods", "events", "deployments"} {
		fakes.forbid("list", kind, "*")
	}
	var out bytes.Buffer
	if err := b.Write(t.Context(), &out, "bundle"); err != nil {
		t.Fatal(err)
	}
	files := open(t, out.Bytes())
	for _, want := range []string{"you may not read Nodes: ", "you may not read Pods in namespace fairlead-system: ", " you may not read Deployments: ",
		"you may not read Events in namespace fairlead-system: "} {
		if !strings.Contains(strings.Join(strings.Fields(files["README.txt"]), " "), want) {
			t.Errorf("README.txt lacks %q:\n%s", want, files["README.txt"])
		}
	}
	if !strings.Contains(files["objects/services.yaml"], "192.0.2.1") || !strings.Contains(files["status.txt"], "What could not be seen") {
		t.Errorf("%s\n%s", files["objects/services.yaml"], files["status.txt"])
	}
}
