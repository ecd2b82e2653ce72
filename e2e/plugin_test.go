package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// plugin is `kubectl fairlead` on the lab's cp host, with administrator's rights or those of a user.
type plugin struct {
	t          *testing.T
	w          *world
	binary     string
	kubeconfig string
}

func (w *world) plugin(t *testing.T, user string) *plugin {
	t.Helper()
	p := &plugin{t: t, w: w, kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	var err error
	if p.binary, err = binary("kubectl-fairlead"); err != nil {
		t.Fatal(err)
	}
	rest := w.RESTConfig()
	config := clientcmdapi.NewConfig()
	config.Clusters["lab"] = &clientcmdapi.Cluster{Server: rest.Host, CertificateAuthorityData: rest.CAData}
	config.AuthInfos["me"] = &clientcmdapi.AuthInfo{ClientCertificateData: rest.CertData, ClientKeyData: rest.KeyData, Impersonate: user}
	config.Contexts["lab"] = &clientcmdapi.Context{Cluster: "lab", AuthInfo: "me", Namespace: "default"}
	config.CurrentContext = "lab"
	if err := clientcmd.WriteToFile(*config, p.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return p
}

// run returns what the command prints, standard error behind standard output, and holds it to an exit status.
func (p *plugin) run(ctx context.Context, status int, args ...string) string {
	p.t.Helper()
	var output, failure bytes.Buffer
	command := exec.CommandContext(ctx, p.binary, args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+p.kubeconfig)
	command.Stdout, command.Stderr = &output, &failure
	err := p.w.CP.Do(command.Start)
	if err == nil {
		err = command.Wait()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	printed := output.String() + failure.String()
	p.t.Logf("$ kubectl fairlead %s\n%s", strings.Join(args, " "), printed)
	if got := command.ProcessState.ExitCode(); got != status {
		p.t.Errorf("kubectl fairlead %s: exit status %d, want %d", strings.Join(args, " "), got, status)
	}
	return printed
}

// line is the line of a table that begins with these words.
func line(table string, words ...string) string {
	for text := range strings.Lines(table) {
		fields := strings.Fields(text)
		if len(fields) >= len(words) && strings.Join(fields[:len(words)], " ") == strings.Join(words, " ") {
			return strings.Join(fields, " ")
		}
	}
	return fmt.Sprintf("no line of %q", words)
}

func (p *plugin) want(what, got, want string) {
	p.t.Helper()
	if !strings.Contains(got, want) {
		p.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// The plugin tells what there is, and why something is missing.
func TestPluginShows(t *testing.T) {
	ctx, w := within(t, time.Minute)
	p := w.plugin(t, "")
	w.pool(ctx, t, "told", "192.0.2.246-192.0.2.247")
	for _, name := range []string{"told-a", "told-b"} {
		w.service(ctx, t, name, single("told"))
		w.addresses(ctx, t, name, 1)
	}
	w.service(ctx, t, "told-late", single("told"))
	w.awaitCondition(ctx, t, "told-late", "False PoolExhausted")
	w.awaitPool(ctx, t, "told", "assigned 2 available 0")

	p.want("pools", line(p.run(ctx, 0, "pools"), "told"), "told True 2/2 0 - - all")
	p.want("pools -o wide", line(p.run(ctx, 0, "pools", "-o", "wide"), "told"), "192.0.2.246-192.0.2.247")
	services := p.run(ctx, 0, "services")
	p.want("services", line(services, "default", "told-a"), "default told-a 192.0.2.246 told Assigned")
	p.want("services", line(services, "default", "told-late"), "default told-late - - PoolExhausted pool told: exhausted, 2 of 2 IPv4 addresses in use")
	if pending := p.run(ctx, 0, "services", "-A", "--pending"); !strings.Contains(pending, "told-late") || strings.Contains(pending, "told-a") {
		t.Errorf("pending are\n%s", pending)
	}
	explained := p.run(ctx, 0, "explain", "service", "default/told-late")
	p.want("explain", line(explained, "told"), "told no exhausted, 2 of 2 IPv4 addresses in use")
	p.want("explain", line(explained, "edge"), "edge no the Service asks for pool told")
	p.want("explain", explained, "it gets one as soon as one of pool told is free")
	p.want("explain", p.run(ctx, 0, "explain", "service", "-n", "default", "told-a"), "It has what it asks for.")
	p.want("explain", p.run(ctx, 0, "explain", "service", "kubernetes"), "its spec.type is ClusterIP")
	p.want("explain", p.run(ctx, 1, "explain", "service", "nowhere/nothing"), "error: there is no Service nowhere/nothing")
	p.want("completion", p.run(ctx, 0, "__complete", "explain", "service", "told-l"), "told-late\n")
}

// What a plan says comes true, and its exit status says whether somebody would be hit.
func TestPluginPlans(t *testing.T) {
	ctx, w := within(t, time.Minute)
	p := w.plugin(t, "")
	w.pool(ctx, t, "planned", "192.0.2.248-192.0.2.249")
	for _, name := range []string{"planned-a", "planned-b"} {
		w.service(ctx, t, name, single("planned"))
		w.addresses(ctx, t, name, 1)
	}
	file := func(name, addresses string) string {
		path := filepath.Join(t.TempDir(), name)
		text := "apiVersion: fairlead.dev/v1alpha1\nkind: IPAddressPool\nmetadata: {name: planned}\nspec: {" + addresses + "}\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	p.want("a pool that grows", p.run(ctx, 0, "plan", "-f", file("grown.yaml", "addresses: [192.0.2.248-192.0.2.251]")), "0 moved, 0 lost")
	shifted := p.run(ctx, 1, "plan", "-f", file("shifted.yaml", "addresses: [192.0.2.249-192.0.2.250]"))
	p.want("a pool that shifts", line(shifted, "default/planned-a"), "default/planned-a moved 192.0.2.248 192.0.2.250")
	p.want("a pool that shifts", shifted, "1 moved, 0 lost")
	p.want("a pool that goes", line(p.run(ctx, 1, "plan", "--delete", "planned"), "default/planned-a"), "lost 192.0.2.248")
	p.want("an unknown field", p.run(ctx, 2, "plan", "-f", file("typo.yaml", "addreses: [192.0.2.248]")), `typo.yaml, document 1: unknown field "spec.addreses"`)
	p.want("no address", p.run(ctx, 2, "plan", "-f", file("bad.yaml", "addresses: [192.0.2.300]")), `"192.0.2.300" is not an IP address`)
	p.want("no file", p.run(ctx, 2, "plan", "-f", "/nowhere.yaml"), "error: open /nowhere.yaml: no such file")
	p.want("no pool", p.run(ctx, 2, "plan", "--delete", "nobody"), "error: there is no IPAddressPool nobody to delete")

	w.editPool(ctx, t, "planned", "192.0.2.249-192.0.2.250")
	eventually(ctx, t, "what was planned", 5*time.Second, func() error {
		if vips, _ := w.addresses(ctx, t, "planned-a", 1); vips[0].String() != "192.0.2.250" {
			return fmt.Errorf("planned-a has %v", vips)
		}
		return nil
	})
	if vips, _ := w.addresses(ctx, t, "planned-b", 1); vips[0].String() != "192.0.2.249" {
		t.Errorf("planned-b has %v", vips)
	}
}

// A user's rights to read Services and pools are enough; what is missing is said.
func TestPluginWithAUsersRights(t *testing.T) {
	ctx, w := within(t, time.Minute)
	eve := w.plugin(t, "eve")
	p := eve.run(ctx, 1, "pools")
	eve.want("pools", p, `error: you may not read IPAddressPools: ipaddresspools.fairlead.dev is forbidden: User "eve" cannot list`)

	read := []string{"get", "list"}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "plugin-reader"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: read},
		{APIGroups: []string{v1alpha1.GroupName}, Resources: []string{"ipaddresspools"}, Verbs: read},
	}}
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: role.ObjectMeta,
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "eve"}}}
	roles := w.Kubernetes.RbacV1()
	if _, err := roles.ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = roles.ClusterRoles().Delete(context.Background(), role.Name, metav1.DeleteOptions{}) })
	if _, err := roles.ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = roles.ClusterRoleBindings().Delete(context.Background(), role.Name, metav1.DeleteOptions{})
	})

	chosen := &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "chosen"}, Spec: v1alpha1.IPAddressPoolSpec{
		Addresses: []v1alpha1.AddressRange{"192.0.2.252"},
		ServiceAllocation: &v1alpha1.ServiceAllocation{
			NamespaceSelectors: []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"chosen": "yes"}}}},
	}}
	pools := w.fairlead.FairleadV1alpha1().IPAddressPools()
	if _, err := pools.Create(ctx, chosen, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pools.Delete(context.Background(), "chosen", metav1.DeleteOptions{}) })
	w.service(ctx, t, "seen", func(s *corev1.Service) { single("edge")(s); s.Annotations = nil })
	w.addresses(ctx, t, "seen", 1)

	// The API server takes a moment to read the binding.
	eventually(ctx, t, "eve's rights", 5*time.Second, func() error {
		listsPools := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: "eve",
			ResourceAttributes: &authorizationv1.ResourceAttributes{Group: v1alpha1.GroupName, Resource: "ipaddresspools", Verb: "list"}}}
		review, err := w.Kubernetes.AuthorizationV1().SubjectAccessReviews().Create(ctx, listsPools, metav1.CreateOptions{})
		if err == nil && !review.Status.Allowed {
			err = errors.New("not yet")
		}
		return err
	})
	explained := eve.run(ctx, 0, "explain", "service", "seen")
	eve.want("explain", line(explained, "chosen"), "chosen unknown selects namespaces by their labels")
	eve.want("explain", line(explained, "edge"), "edge has it")
	eve.want("explain", explained, "note: you may not read namespace default: ")
	eve.want("plan", eve.run(ctx, 0, "plan", "--delete", "chosen"), "note: you may not read namespaces: ")
	eve.want("services", line(eve.run(ctx, 0, "services", "-A"), "default", "seen"), "edge Assigned")
}
