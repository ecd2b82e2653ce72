package install

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairlead-lb/fairlead/manifests/render"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// helm runs Helm with administrator's rights on the host of the control plane.
func (c *cluster) helm(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	output, err := c.tryHelm(ctx, t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return output
}

func (c *cluster) tryHelm(ctx context.Context, t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	program, err := render.HelmProgram()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	kubeconfig := filepath.Join(home, "kubeconfig")
	if err := c.WriteKubeconfigInside(kubeconfig); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"HOME=" + home, program, "--kubeconfig", kubeconfig, "--namespace", render.Namespace}, args...)
	return c.CP.Run(ctx, "env", args...)
}

func chart(t *testing.T) string {
	t.Helper()
	root, err := render.Root()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(root, "charts", "fairlead")
}

// leftovers are the objects of Fairlead that are not in its namespace, by its label.
func (c *cluster) leftovers(ctx context.Context) (names []string, err error) {
	for _, r := range []schema.GroupVersionResource{
		{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"},
		{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
		{Version: "v1", Resource: "serviceaccounts"},
		{Version: "v1", Resource: "secrets"},
		{Version: "v1", Resource: "services"},
		{Group: "apps", Version: "v1", Resource: "deployments"},
		{Group: "apps", Version: "v1", Resource: "daemonsets"},
	} {
		list, err := c.client.Resource(r).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		for _, o := range list.Items {
			if strings.Contains(o.GetName(), "fairlead") {
				names = append(names, name(&o))
			}
		}
	}
	return names, nil
}

func (c *cluster) nothingLeft(ctx context.Context, t *testing.T) {
	t.Helper()
	eventually(ctx, t, "all objects to be gone", func() error {
		names, err := c.leftovers(ctx)
		if err == nil && len(names) > 0 {
			err = fmt.Errorf("there is %q", names)
		}
		return err
	})
}

func (c *cluster) namespaceGone(ctx context.Context, t *testing.T) {
	t.Helper()
	eventually(ctx, t, "the namespace to be gone", func() error {
		namespace, err := c.Kubernetes.CoreV1().Namespaces().Get(ctx, render.Namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return fmt.Errorf("it is %s: %v", namespace.Status.Phase, namespace.Status.Conditions)
	})
}

func helmMakesTheNamespace(ctx context.Context, t *testing.T, c *cluster) {
	t.Log("\n" + c.helm(ctx, t, "install", "fairlead", chart(t), "--create-namespace"))
	daemonSet, err := c.Kubernetes.AppsV1().DaemonSets(render.Namespace).Get(ctx, "fairlead-speaker", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if image := daemonSet.Spec.Template.Spec.Containers[0].Image; image != "ghcr.io/fairlead-lb/speaker:dev" {
		t.Errorf("the image is %s", image)
	}
	// Definitions in a chart's folder crds are never upgraded.
	definitions := c.client.Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	definition := func() *metav1.ObjectMeta {
		o, err := definitions.Get(ctx, "ipaddresspools.fairlead.dev", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return &metav1.ObjectMeta{Annotations: o.GetAnnotations()}
	}
	const keep = "helm.sh/resource-policy"
	if definition().Annotations[keep] != "" {
		t.Error("the definitions are kept")
	}
	if out, err := c.tryHelm(ctx, t, "upgrade", "fairlead", chart(t), "--set", "crds.install=false"); err == nil || !strings.Contains(out+err.Error(), "upgrade with crds.keep=true first") {
		t.Errorf("an upgrade that would delete all pools: %v\n%s", err, out)
	}
	c.helm(ctx, t, "upgrade", "fairlead", chart(t), "--set", "speaker.bindAddress=true,crds.keep=true,image.tag=v2")
	if definition().Annotations[keep] != "keep" {
		t.Error("the upgrade left the definitions as they were")
	}
	if daemonSet, err = c.Kubernetes.AppsV1().DaemonSets(render.Namespace).Get(ctx, "fairlead-speaker", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	container := daemonSet.Spec.Template.Spec.Containers[0]
	if container.Image != "ghcr.io/fairlead-lb/speaker:v2" || len(container.SecurityContext.Capabilities.Add) != 2 {
		t.Errorf("the upgrade left %s with %v", container.Image, container.SecurityContext.Capabilities.Add)
	}
	c.helm(ctx, t, "rollback", "fairlead", "1")
	c.helm(ctx, t, "uninstall", "fairlead")
	c.nothingLeft(ctx, t)
	// Helm leaves the namespace that it has made.
	if err := c.Kubernetes.CoreV1().Namespaces().Delete(ctx, render.Namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.namespaceGone(ctx, t)
}

func helmOwnsTheNamespace(ctx context.Context, t *testing.T, c *cluster) {
	c.helm(ctx, t, "install", "fairlead", chart(t), "--create-namespace", "--set", "namespace.create=true")
	labelled := func(what string) {
		t.Helper()
		namespace, err := c.Kubernetes.CoreV1().Namespaces().Get(ctx, render.Namespace, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if label := namespace.Labels["pod-security.kubernetes.io/enforce"]; label != "privileged" || namespace.DeletionTimestamp != nil {
			t.Errorf("%s the namespace is labelled %v, deleted %v", what, namespace.Labels, namespace.DeletionTimestamp)
		}
	}
	labelled("installed,")
	// Helm forgets what an earlier --set said.
	c.helm(ctx, t, "upgrade", "fairlead", chart(t), "--set", "logLevel=debug")
	labelled("after an upgrade that does not speak of it")
	c.helm(ctx, t, "uninstall", "fairlead")
	c.nothingLeft(ctx, t)
	labelled("uninstalled,")
	if err := c.Kubernetes.CoreV1().Namespaces().Delete(ctx, render.Namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.namespaceGone(ctx, t)
}
