package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// grant lets a user do things in a namespace, or in all for "", and waits until the API server knows.
func (w *world) grant(ctx context.Context, t *testing.T, user, namespace string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	name := "plugin-" + user
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}
	roles := w.Kubernetes.RbacV1()
	var err error
	if namespace == "" {
		_, err = roles.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})
		if err == nil {
			_, err = roles.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}}, metav1.CreateOptions{})
		}
		t.Cleanup(func() {
			_ = roles.ClusterRoleBindings().Delete(context.Background(), name, metav1.DeleteOptions{})
			_ = roles.ClusterRoles().Delete(context.Background(), name, metav1.DeleteOptions{})
		})
	} else {
		_, err = roles.Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}, metav1.CreateOptions{})
		if err == nil {
			_, err = roles.RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Subjects: subjects,
				RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}}, metav1.CreateOptions{})
		}
		t.Cleanup(func() {
			_ = roles.RoleBindings(namespace).Delete(context.Background(), name, metav1.DeleteOptions{})
			_ = roles.Roles(namespace).Delete(context.Background(), name, metav1.DeleteOptions{})
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	last := rules[len(rules)-1]
	eventually(ctx, t, user+"'s rights", 5*time.Second, func() error {
		review, err := w.Kubernetes.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: namespace, Group: last.APIGroups[0], Resource: last.Resources[0], Verb: last.Verbs[0]}},
		}, metav1.CreateOptions{})
		if err == nil && !review.Status.Allowed {
			err = errors.New("not yet")
		}
		return err
	})
}

func reading(group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: []string{"list", "get"}}
}

// The whole on one screen, and what is wrong when something is.
func TestPluginStatus(t *testing.T) {
	ctx, w := within(t, time.Minute)
	p := w.plugin(t, "")
	w.service(ctx, t, "whole", single("edge"))
	vips, _ := w.addresses(ctx, t, "whole", 1)
	owner := w.owner(ctx, t, vips[0])
	p.await(ctx, "leads", []string{"Controllers"}, "status")
	p.await(ctx, "3 of 3 ready", []string{"Speakers"}, "status")
	p.await(ctx, owner.Name+" ready", []string{owner.Name}, "status")
	w.service(ctx, t, "wanting", func(s *corev1.Service) { single("nowhere")(s) })
	w.awaitCondition(ctx, t, "wanting", "False NoPool")
	p.await(ctx, "error: Service default/wanting misses what it asks for: NoPool: ", nil, "status")
	p.await(ctx, "kubectl fairlead explain service default/wanting", nil, "status")
	p.want("status --check", p.run(ctx, 1, "status", "--check", "-o", "json"), `"severity": "error"`)
	p.want("pools -o json", p.run(ctx, 0, "pools", "-o", "json"), `"name": "edge"`)
	p.want("completion", p.run(ctx, 0, "__complete", "status", "--fairlead-namespace", "kube-s"), "kube-system\n")
	p.want("completion", p.run(ctx, 0, "__complete", "services", "-n", "def"), "default\n")
	p.want("ui", p.run(ctx, 1, "ui", "--fairlead-namespace", "default"), "error: there is no controller in namespace default: is Fairlead in another one?")
}

// A watch prints what changes, when it does.
func TestPluginWatches(t *testing.T) {
	ctx, w := within(t, time.Minute)
	p := w.plugin(t, "")
	path := filepath.Join(t.TempDir(), "printed")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	command := exec.CommandContext(ctx, p.binary, "services", "-w")
	command.Env = append(os.Environ(), "KUBECONFIG="+p.kubeconfig)
	command.Stdout, command.Stderr = file, file
	if err := w.CP.Do(command.Start); err != nil {
		t.Fatal(err)
	}
	await := func(want string) {
		t.Helper()
		eventually(ctx, t, fmt.Sprintf("%q", want), 10*time.Second, func() error {
			printed, err := os.ReadFile(path)
			if err == nil && !strings.Contains(line(string(printed), strings.Fields(want)...), want) {
				time.Sleep(100 * time.Millisecond)
				err = fmt.Errorf("printed is\n%s", printed)
			}
			return err
		})
	}
	w.service(ctx, t, "watched", single("edge"))
	vips, _ := w.addresses(ctx, t, "watched", 1)
	await("default watched " + vips[0].String() + " edge Assigned")
	if err := w.Kubernetes.CoreV1().Services("default").Delete(ctx, "watched", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	await("default watched (gone)")
	if err := command.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("a watch that is interrupted ends with %v", err)
	}
}

// Each user sees what they may, and is told what that leaves open.
func TestPluginWithLimitedRights(t *testing.T) {
	ctx, w := within(t, time.Minute)
	w.service(ctx, t, "limited", single("edge"))
	vips, _ := w.addresses(ctx, t, "limited", 1)
	vip := vips[0].String()

	t.Run("Services of one namespace alone", func(t *testing.T) {
		dave := w.plugin(t, "dave")
		w.grant(ctx, t, "dave", "default", reading("", "services"))
		services := dave.run(ctx, 0, "services")
		dave.want("services", line(services, "default", "limited"), "default limited "+vip+" ? Assigned")
		dave.want("services", services, "note: you may not read IPAddressPools: ")
		dave.want("services -A", dave.run(ctx, 1, "services", "-A"), "error: you may not read Services in all namespaces: ")
		dave.want("services -w", dave.run(ctx, 1, "services", "-w"), "error: you may not watch Services: ")
		dave.want("owners", dave.run(ctx, 1, "owners"), "error: you may not read Speakers: ")
		status := dave.run(ctx, 0, "status")
		dave.want("status", status, "assigned")
		dave.want("status", status, " in namespace default, the rest was not read")
		dave.want("status", status, "What could not be seen, since you may not read it:")
		dave.want("status", line(status, "Speakers"), "Speakers what the nodes own, and the BGP sessions")
		if strings.Contains(status, "Nothing is wrong.") {
			t.Error("status says that nothing is wrong, which it cannot know")
		}
		dave.run(ctx, 1, "status", "--check")
		dave.want("ui", dave.run(ctx, 1, "ui"), "a Role in namespace fairlead-system has to allow: list of pods")
		dave.want("completion", dave.run(ctx, 0, "__complete", "explain", "service", "limi"), "limited\n")
		dave.run(ctx, 0, "__complete", "drain", "")
	})
	t.Run("a reader of the cluster without Nodes", func(t *testing.T) {
		rita := w.plugin(t, "rita")
		w.grant(ctx, t, "rita", "", reading("", "services", "pods", "namespaces"), reading("discovery.k8s.io", "endpointslices"),
			reading("coordination.k8s.io", "leases"), reading(v1alpha1.GroupName, "*"))
		rita.await(ctx, vip, nil, "owners")
		owners := rita.run(ctx, 0, "owners")
		rita.want("owners", owners, "note: you may not read Nodes: ")
		status := rita.run(ctx, 0, "status")
		rita.want("status", line(status, "Nodes"), "Nodes which nodes may own addresses")
		rita.want("status", line(status, "Speakers"), "of 3 ready")
		rita.want("peers", rita.run(ctx, 0, "peers"), "note: you may not read Nodes: ")
		rita.want("drain", rita.run(ctx, 1, "drain", w.Node(1).Name), "error: you may not read Node "+w.Node(1).Name)
	})
	t.Run("a bundle of what one may read", func(t *testing.T) {
		dora := w.plugin(t, "dora")
		w.grant(ctx, t, "dora", "", reading("", "services"), reading(v1alpha1.GroupName, "*"))
		path := filepath.Join(t.TempDir(), "bundle.tar.gz")
		printed := dora.run(ctx, 0, "support-bundle", "-f", path)
		dora.want("support-bundle", printed, "not included: you may not read Events in namespace fairlead-system: ")
		dora.want("support-bundle", printed, "not included: you may not read the names of Secrets in namespace")
		file := unpack(t, path)
		dora.want("services.txt", file("services.txt"), "limited")
		dora.want("versions.txt", file("versions.txt"), "Kubernetes v1.")
		dora.want("README.txt", file("README.txt"), "you may not read Nodes: ")
		dora.want("speakers.yaml", file("objects/speakers.yaml"), "name: "+w.Node(1).Name)
	})
}

// unpack has tar unpack a bundle, as whoever is sent one does, and returns the text of a file.
func unpack(t *testing.T, path string) func(file string) string {
	t.Helper()
	directory := t.TempDir()
	if output, err := exec.Command("tar", "-C", directory, "--strip-components=1", "-xzf", path).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return func(file string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(directory, file))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
}
