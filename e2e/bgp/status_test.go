package bgp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// removePeer deletes a BGPPeer.
func (w *world) removePeer(t *testing.T, name string) {
	t.Helper()
	err := w.fairlead.FairleadV1alpha1().BGPPeers().Delete(context.Background(), name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

// columns is what `kubectl get` shows of an object, by the heads of its columns.
func (w *world) columns(ctx context.Context, resource, name string) (map[string]string, error) {
	text, err := w.fairlead.FairleadV1alpha1().RESTClient().Get().Resource(resource).Name(name).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	var table metav1.Table
	if err := json.Unmarshal(text, &table); err != nil {
		return nil, err
	}
	cells := map[string]string{}
	for i, c := range table.ColumnDefinitions {
		cells[c.Name] = fmt.Sprint(table.Rows[0].Cells[i])
	}
	return cells, nil
}

// What there is to see with kubectl: the columns of a BGPPeer, the Speaker, events, and what the plugin says.
func TestSeen(t *testing.T) {
	ctx, w := start(t, time.Minute)
	r := w.routers[lab.FRR]
	prefix := w.service(ctx, t, "field")[0]
	w.everything(ctx, t, r, ", enableGracefulRestart: true")
	took := measure.Eventually(ctx, t, "the columns of the BGPPeer", 5*time.Second, func() error {
		c, err := w.columns(ctx, "bgppeers", "router")
		if err == nil && (c["Ready"] != "True" || c["Nodes"] != "3" || c["Established"] != "3" || c["Address"] != r.V4.String() || c["ASN"] != "64500") {
			err = fmt.Errorf("they are %v", c)
		}
		return err
	})
	t.Logf("the BGPPeer says so %s after the router", took.Round(time.Millisecond))
	s := w.says(ctx, t, "node1", "router", "all there is to see", func(s v1alpha1.BGPSessionStatus) bool {
		return s.State == v1alpha1.BGPSessionEstablished && s.PrefixesAdvertised >= 2 && s.MessagesSent > 0 && s.MessagesReceived > 0
	})
	if s.HoldTime == nil || s.HoldTime.Duration != 90*time.Second || len(s.Families) != 2 || s.PeerASN != routerASN || s.PeerRouterID != r.V4.String() ||
		s.Address != r.V4.String() || s.LocalAddress != w.Node(1).V4.String() || !s.GracefulRestart || s.UpdatesSent == 0 {
		t.Errorf("the Speaker says %+v", s)
	}
	out := w.kubectl(ctx, t, "peers")
	for _, want := range []string{"router", "Established", "node1", "node2", "node3"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in what it prints", want)
		}
	}
	out = w.kubectl(ctx, t, "routes")
	if !strings.Contains(out, prefix.Addr().String()) {
		t.Errorf("%s is not in what it prints", prefix)
	}
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	w.says(ctx, t, "node1", "router", "the session is lost", func(s v1alpha1.BGPSessionStatus) bool {
		return s.State != v1alpha1.BGPSessionEstablished && s.LastError != ""
	})
	measure.Eventually(ctx, t, "the condition", 6*time.Second, func() error { return w.condition(ctx, "router", "NotEstablished") })
	measure.Eventually(ctx, t, "events of both kinds", 6*time.Second, func() error {
		events, err := w.events(ctx, "router")
		if err != nil {
			return err
		}
		seen := map[string]int{}
		for _, e := range events {
			seen[e.Reason]++
		}
		if seen["SessionEstablished"] == 0 || seen["SessionLost"] == 0 {
			return fmt.Errorf("there are %v", seen)
		}
		return nil
	})
}

// kubectl runs `kubectl fairlead` on the cp host and returns what it prints.
func (w *world) kubectl(ctx context.Context, t *testing.T, arguments ...string) string {
	t.Helper()
	root, err := lab.Root()
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := w.WriteKubeconfigInside(kubeconfig); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	command := exec.CommandContext(ctx, filepath.Join(root, "build", "kubectl-fairlead"), arguments...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	command.Stdout, command.Stderr = &output, &output
	if err = w.CP.Do(command.Start); err == nil {
		err = command.Wait()
	}
	t.Logf("$ kubectl fairlead %s\n%s", strings.Join(arguments, " "), output.String())
	if err != nil {
		t.Errorf("kubectl fairlead %s: %v", strings.Join(arguments, " "), err)
	}
	return output.String()
}
