package manifests_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/manifests/render"
)

func TestChartHasNothingToComplainOf(t *testing.T) {
	files, err := filepath.Glob("../charts/fairlead/ci/*-values.yaml")
	if err != nil || len(files) < 7 {
		t.Fatalf("%d files of values (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			if _, err := render.Helm("lint", "--strict", "--quiet", "charts/fairlead", "--values", strings.TrimPrefix(file, "../")); err != nil {
				t.Error(err)
			}
		})
	}
}

// One who misspells a value, or takes it for another's, is told where and why, and nothing is installed.
func TestWrongValuesAreRefusedWithPathAndReason(t *testing.T) {
	for _, tt := range []struct {
		name, set string // a value, as for --set-json
		want      []string
	}{
		{"a misspelt section", `contoller={}`, []string{"additional properties 'contoller' not allowed"}},
		{"a misspelt value", `speaker.bindAddres=true`, []string{"'/speaker'", "additional properties 'bindAddres' not allowed"}},
		{"a value of another chart", `speaker.frr={"enabled":true}`, []string{"'/speaker'", "additional properties 'frr' not allowed"}},
		{"a string for a truth", `speaker.bindAddress="no"`, []string{"'/speaker/bindAddress'", "got string, want boolean"}},
		{"no controller", `controller.replicas=0`, []string{"'/controller/replicas'", "minimum: got 0, want 1"}},
		{"half a controller", `controller.replicas=1.5`, []string{"'/controller/replicas'", "got number, want integer"}},
		{"a port that leaves none for failure detection", `speaker.gossipPort=65535`, []string{"'/speaker/gossipPort'", "maximum: got 65,535, want 65,534"}},
		{"a port that is text", `speaker.gossipPort="7956"`, []string{"'/speaker/gossipPort'", "got string, want integer"}},
		{"a level that is none", `logLevel="trace"`, []string{"'/logLevel'", "must be one of 'debug', 'info', 'warn', 'error'"}},
		{"a format that is none", `logFormat="logfmt"`, []string{"'/logFormat'", "must be one of 'text', 'json'"}},
		{"a class with two slashes", `loadBalancerClass="a/b/c"`, []string{"'/loadBalancerClass'", "'a/b/c' does not match pattern"}},
		{"a tag with a space", `image.tag="v1 "`, []string{"'/image/tag'", "does not match pattern"}},
		{"a tag in the repository", `image.repository="ghcr.io/fairlead-lb:v1"`, []string{"'/image/repository'", "does not match pattern"}},
		{"half a digest", `image.digests.speaker="sha256:12"`, []string{"'/image/digests/speaker'", "does not match pattern"}},
		{"a policy that is none", `image.pullPolicy="always"`, []string{"'/image/pullPolicy'", "must be one of"}},
		{"a pull secret by its name alone", `imagePullSecrets=["registry"]`, []string{"'/imagePullSecrets/0'", "got string, want object"}},
		{"a timing that is none", `speaker.failureDetection="50ms"`, []string{"'/speaker/failureDetection'", "'50ms' does not match pattern"}},
		{"a grace without a unit", `speaker.restartGrace="15"`, []string{"'/speaker/restartGrace'", "'15' does not match pattern"}},
		{"a grace that is a number", `speaker.restartGrace=15`, []string{"'/speaker/restartGrace'", "got number, want string"}},
		{"a surge, for which the node has no second port", `speaker.updateStrategy.rollingUpdate.maxSurge=1`, []string{"'/speaker/updateStrategy/rollingUpdate'", "additional properties 'maxSurge' not allowed"}},
		{"more than all", `speaker.updateStrategy.rollingUpdate.maxUnavailable="200%"`, []string{"'/speaker/updateStrategy/rollingUpdate/maxUnavailable'", "does not match pattern"}},
		{"a budget that says two things", `controller.podDisruptionBudget={"maxUnavailable":1,"minAvailable":1}`, []string{"'/controller/podDisruptionBudget'", "maxProperties: got 2, want 1"}},
		{"a toleration of a taint that is none", `controller.tolerations=[{"effect":"NoRun"}]`, []string{"'/controller/tolerations/0/effect'", "must be one of"}},
		{"a spread without a bound", `controller.topologySpreadConstraints=[{"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule"}]`, []string{"'/controller/topologySpreadConstraints/0'", "missing property 'maxSkew'"}},
		{"a label that is no text", `speaker.nodeSelector={"edge":true}`, []string{"'/speaker/nodeSelector/edge'", "got boolean, want string"}},
		{"memory in a unit that is none", `controller.resources.requests.memory="64MB"`, []string{"'/controller/resources/requests/memory'", "does not match pattern"}},
		{"an argument that is no flag", `controller.extraArgs=["pprof"]`, []string{"'/controller/extraArgs/0'", "does not match pattern"}},
		{"a monitor that is none", `metrics.monitor="podMonitor"`, []string{"'/metrics/monitor'", "must be one of '', 'PodMonitor', 'ServiceMonitor'"}},
		{"a reader of no namespace", `metrics.tls.readers=[{"name":"prometheus"}]`, []string{"'/metrics/tls/readers/0'", "missing property 'namespace'"}},
		{"no part to update at a time, and no surge", `speaker.updateStrategy.rollingUpdate.maxUnavailable=0`, []string{"'/speaker/updateStrategy/rollingUpdate/maxUnavailable'", "'not' failed"}},
		{"the port of the probes", `speaker.gossipPort=7573`, []string{"four different ports of the node, not [7573 7574 7573 7575]"}},
		{"the port of the probes for failure detection", `speaker.httpPort=7957`, []string{"the port after gossipPort is for failure detection"}},
		{"a port that takes a capability", `speaker.gossipPort=956`, []string{"'/speaker/gossipPort'", "minimum: got 956, want 1,024"}},
		{"a section that is emptied", `controller=null`, []string{"missing property 'controller'"}},
		{"a section in a section that is emptied", `metrics.tls=null`, []string{"'/metrics'", "missing property 'tls'"}},
		{"labels that are emptied", `metrics.labels=null`, []string{"'/metrics'", "missing property 'labels'"}},
		{"a number that is emptied", `controller.replicas=null`, []string{"'/controller'", "missing property 'replicas'"}},
		{"a PodMonitor that has no token to send", `metrics={"monitor":"PodMonitor","tls":{"enabled":true}}`, []string{"metrics.monitor: a PodMonitor cannot send"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := render.Template("--set-json", tt.set)
			if err == nil {
				t.Fatalf("%s is taken", tt.set)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%s: the message lacks %q:\n%v", tt.set, want, err)
				}
			}
		})
	}
}
