// Package docs has what the documentation tells people to do, done: its commands are run, and its examples applied, in a
// lab where Fairlead runs as it does for a reader who has followed the quickstart.
package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
	"github.com/vishvananda/netlink"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

func TestMain(m *testing.M) { lab.Main(m) }

// world is the lab that a reader's commands run in: on its cp host, with kubectl, the plugin and administrator's rights.
type world struct {
	*lab.Lab
	root, kubeconfig string
	fairlead         versioned.Interface
	labels           map[string]map[string]string // of the nodes, before anybody labels them
}

// shared has three nodes with an address in 198.51.100.0/24 beside their own, which is where the examples' pools
// are.
var shared = sync.OnceValues(func() (*world, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	root, err := lab.Root()
	if err != nil {
		return nil, err
	}
	config := lab.Config{Nodes: 3, Scheduler: true}
	for path, into := range map[string]*string{"controller": &config.ControllerBinary, "speaker": &config.SpeakerBinary, "kubectl-fairlead": new(string)} {
		*into = filepath.Join(root, "build", path)
		if _, err := os.Stat(*into); err != nil {
			return nil, fmt.Errorf("%w: run `make build` first", err)
		}
	}
	l, err := lab.Start(ctx, config)
	if err != nil {
		return nil, err
	}
	w := &world{Lab: l, root: root, kubeconfig: filepath.Join(l.Directory, "reader"), labels: map[string]map[string]string{}}
	hosts := []*lab.Host{l.CP, l.Client(1)}
	for _, n := range l.Nodes {
		hosts = append(hosts, n.Host)
	}
	for i, h := range hosts {
		if err := addAddress(h, netip.AddrFrom4([4]byte{198, 51, 100, byte(241 + i)})); err != nil {
			return nil, err
		}
	}
	nodes, err := l.Kubernetes.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, n := range nodes.Items {
		w.labels[n.Name] = n.Labels
	}
	if w.fairlead, err = versioned.NewForConfig(l.RESTConfig()); err != nil {
		return nil, err
	}
	return w, l.WriteKubeconfigInside(w.kubeconfig)
})

func addAddress(h *lab.Host, address netip.Addr) error {
	link, err := h.Netlink().LinkByName("eth0")
	if err != nil {
		return err
	}
	network, err := netlink.ParseIPNet(address.String() + "/24")
	if err != nil {
		return err
	}
	if err := h.Netlink().AddrReplace(link, &netlink.Addr{IPNet: network}); err != nil {
		return fmt.Errorf("giving %s the address %s: %w", h.Name, address, err)
	}
	return nil
}

func within(t *testing.T, limit time.Duration) (context.Context, *world) {
	t.Helper()
	w, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx, w
}

// desk is an empty directory with what a clone of the repository has, so that what a command writes goes with it.
func (w *world) desk(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	for _, name := range []string{"examples", "manifests", "charts", "docs", "build"} {
		if err := os.Symlink(filepath.Join(w.root, name), filepath.Join(directory, name)); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// apart makes everything read-only but the directory that a command runs in: what a page says is done on the reader's
// machine, such as an installation, is not to be done on this one.
const apart = `mount --bind "$1" "$1"
mount -o remount,bind,ro /
cd "$1"
exec sh -eu -c "$2"`

// shell runs commands as a reader would, one after another until one fails, and returns what they print. What does not
// end in time is ended with all that it started.
func (w *world) shell(ctx context.Context, directory, commands string, limit time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var output bytes.Buffer
	c := exec.CommandContext(ctx, "unshare", "--mount", "sh", "-eu", "-c", apart, "sh", directory, commands)
	c.Env = []string{
		"PATH=" + strings.Join([]string{filepath.Join(w.root, "build"), filepath.Join(w.Directory, "bin"), os.Getenv("PATH")}, ":"),
		"KUBECONFIG=" + w.kubeconfig, "HOME=" + directory, "TERM=dumb", "COLUMNS=80",
	}
	c.Stdout, c.Stderr = &output, &output
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = time.Second
	err := w.CP.Do(c.Start)
	if err == nil {
		err = c.Wait()
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("did not end within %s", limit)
	}
	return output.String(), err
}

// tidy takes away what a reader made, and gives each node a Pod that the examples' Services select.
func (w *world) tidy(ctx context.Context, t *testing.T) {
	t.Helper()
	all, now := metav1.ListOptions{}, metav1.DeleteOptions{}
	ours, core := w.fairlead.FairleadV1alpha1(), w.Kubernetes.CoreV1()
	errs := []error{
		ours.IPAddressPools().DeleteCollection(ctx, now, all), ours.L2Advertisements().DeleteCollection(ctx, now, all),
		ours.BGPAdvertisements().DeleteCollection(ctx, now, all), ours.BGPPeers().DeleteCollection(ctx, now, all),
		ours.BFDProfiles().DeleteCollection(ctx, now, all), ours.Communities().DeleteCollection(ctx, now, all),
		w.Kubernetes.AppsV1().Deployments(metav1.NamespaceDefault).DeleteCollection(ctx, now, all),
	}
	services, err := core.Services(metav1.NamespaceAll).List(ctx, all)
	errs = append(errs, err)
	for _, s := range services.Items {
		if s.Name != "kubernetes" {
			errs = append(errs, core.Services(s.Namespace).Delete(ctx, s.Name, now))
		}
	}
	namespaces, err := core.Namespaces().List(ctx, all)
	errs = append(errs, err)
	for _, n := range namespaces.Items {
		if n.Name != metav1.NamespaceDefault && n.Name != "fairlead-system" && !strings.HasPrefix(n.Name, "kube-") && n.DeletionTimestamp == nil {
			errs = append(errs, core.Namespaces().Delete(ctx, n.Name, now))
		}
	}
	nodes, err := core.Nodes().List(ctx, all)
	errs = append(errs, err)
	for _, n := range nodes.Items {
		labels, ours := w.labels[n.Name]
		if !ours { // an example's
			errs = append(errs, core.Nodes().Delete(ctx, n.Name, now))
			continue
		}
		errs = append(errs, w.restore(ctx, n.Name, labels))
	}
	for _, n := range w.Nodes {
		name := "web-" + n.Name
		if _, err := core.Pods(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			_, err = w.Deploy(ctx, lab.Backend{Name: name, Labels: map[string]string{"app": "web"}, Node: n.Name})
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("tidying up: %v", err)
	}
}

// restore takes from a Node what a reader puts on it: labels, taints, drain, a cordon.
func (w *world) restore(ctx context.Context, name string, labels map[string]string) error {
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		n, err := w.Kubernetes.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		n.Labels, n.Spec.Taints, n.Spec.Unschedulable = labels, nil, false
		delete(n.Annotations, v1alpha1.AnnotationDrain)
		_, err = w.Kubernetes.CoreV1().Nodes().Update(ctx, n, metav1.UpdateOptions{})
		return err
	})
}
