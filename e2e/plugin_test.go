package e2e

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

// await runs a command until the line of its output that begins with these words, or all of it for none, contains a
// text: a speaker writes its status once a second.
func (p *plugin) await(ctx context.Context, want string, words []string, args ...string) {
	p.t.Helper()
	eventually(ctx, p.t, fmt.Sprintf("%q", want), 10*time.Second, func() error {
		printed := p.run(ctx, 0, args...)
		if len(words) > 0 {
			printed = line(printed, words...)
		}
		if !strings.Contains(printed, want) {
			time.Sleep(200 * time.Millisecond)
			return fmt.Errorf("it is %q", printed)
		}
		return nil
	})
}

// Who owns which address, who answers while the owner's speaker is away, and who would be next.
func TestPluginShowsOwners(t *testing.T) {
	ctx, w := within(t, time.Minute)
	p := w.plugin(t, "")
	w.service(ctx, t, "owned", single("edge"))
	vips, _ := w.addresses(ctx, t, "owned", 1)
	vip, owner := vips[0].String(), w.owner(ctx, t, vips[0])
	other := w.Node(1)
	if other == owner {
		other = w.Node(2)
	}

	p.await(ctx, vip+" default/owned "+owner.Name+" eth0", []string{vip}, "owners")
	p.want("owners --node", p.run(ctx, 0, "owners", "--node", owner.Name, "default/owned"), vip)
	p.want("owners --node", p.run(ctx, 0, "owners", "--node", other.Name, vip), "Node "+other.Name+" owns no such address.")
	p.want("owners -o wide", line(p.run(ctx, 0, "owners", "-o", "wide", vip), vip), "eth0 "+owner.MAC.String()+" edge edge")
	p.want("owners of nothing", p.run(ctx, 1, "owners", "192.0.2.199"), "error: no address is listed for 192.0.2.199")

	explained := p.run(ctx, 0, "explain", "address", vip)
	p.want("explain", line(explained, "answered", "by"), "answered by "+owner.Name+", on eth0 as "+owner.MAC.String())
	p.want("explain", line(explained, "announced", "by"), "L2Advertisement edge")
	p.want("explain", line(explained, owner.Name), owner.Name+" owns it")
	p.want("explain", line(explained, other.Name), other.Name+" yes")
	p.want("explain", explained, owner.Name+" keeps it, whoever else comes")
	p.want("explain since when", line(explained, "owner"), "chosen, as nobody owned it")
	ofService := p.run(ctx, 0, "explain", "service", "default/owned")
	p.want("explain of a Service", line(ofService, vip, owner.Name), "chosen, as nobody owned it; next is")
	ofNode := p.run(ctx, 0, "explain", "node", owner.Name)
	p.want("explain of a node", line(ofNode, vip), vip+" default/owned")
	p.want("explain of a node", line(ofNode, "if", "lost"), " to ")
	p.want("explain of a node", line(ofNode, "standing"), "standing serving")
	p.want("explain of nodes", line(p.run(ctx, 0, "explain", "node"), other.Name), other.Name+" serving")
	p.want("explain -o json", p.run(ctx, 0, "explain", "node", owner.Name, "-o", "json"), `"address": "`+vip+`"`)
	p.want("plan of an advertisement", line(p.run(ctx, 1, "plan", "--delete", "l2advertisement/edge"), vip),
		vip+" silent "+owner.Name+" - no L2Advertisement covers it")
	p.want("explain of no node", p.run(ctx, 1, "explain", "node", "node9"), "error: there is no Node node9")
	p.want("explain of a free address", p.run(ctx, 0, "explain", "address", "192.0.2.229"), "It is free")
	p.want("explain of nobody's address", p.run(ctx, 0, "explain", "address", "192.0.2.199"), "no pool holds it")

	if err := owner.Speaker.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !owner.Speaker.Running() {
			_ = owner.Speaker.Start()
		}
	})
	p.await(ctx, "answers for it while "+owner.Name+"'s speaker is gone", []string{vip}, "owners", vip)
	wide := line(p.run(ctx, 0, "owners", vip, "-o", "wide"), vip)
	p.want("owners -o wide", wide, vip+" default/owned "+owner.Name+" eth0 "+owner.MAC.String())
	explained = p.run(ctx, 0, "explain", "address", vip)
	p.want("explain", line(explained, owner.Name, "owns"), "its speaker is gone for the moment")
	p.want("explain", line(explained, "answered", "by"), "on behalf of "+owner.Name+", on eth0 as "+owner.MAC.String())
	if err := owner.Speaker.Start(); err != nil {
		t.Fatal(err)
	}
	p.await(ctx, "answered by "+owner.Name+", on eth0", []string{"answered", "by"}, "explain", "address", vip)
}

// A drained node gives up all that others may own, says what they may not, and stays empty until a rebalance.
func TestPluginDrainsAndRebalances(t *testing.T) {
	ctx, w := within(t, 2*time.Minute)
	p := w.plugin(t, "")
	var vips []netip.Addr
	for i := range 6 {
		w.service(ctx, t, fmt.Sprint("moved-", i), single("edge"))
	}
	for i := range 6 {
		list, _ := w.addresses(ctx, t, fmt.Sprint("moved-", i), 1)
		vips = append(vips, list...)
	}
	node := w.owner(ctx, t, vips[0])
	owned := func() (n int) {
		for _, a := range vips {
			if w.owner(ctx, t, a) == node {
				n++
			}
		}
		return n
	}
	listed := func() {
		for i, a := range vips {
			p.await(ctx, fmt.Sprintf("%s default/moved-%d %s eth0", a, i, w.owner(ctx, t, a).Name), []string{a.String()}, "owners", a.String())
		}
	}
	listed()
	t.Cleanup(func() { p.run(context.Background(), 0, "undrain", node.Name) })

	drained := p.run(ctx, 0, "drain", node.Name)
	p.want("drain", drained, "to move")
	p.want("drain", drained, "node "+node.Name+" owns no address now: it took ")
	if n := owned(); n > 0 {
		t.Errorf("%s, which is drained, answers for %d addresses", node.Name, n)
	}
	explained := p.run(ctx, 0, "explain", "address", vips[0].String())
	p.want("explain", line(explained, node.Name), node.Name+" no 0 annotation fairlead.dev/drain")
	p.want("explain why it moved", line(explained, "owner"), "moved from "+node.Name+": annotation fairlead.dev/drain")
	p.want("explain what is drained", line(p.run(ctx, 0, "explain", "node"), node.Name), node.Name+" drained 0")
	p.want("drain again", p.run(ctx, 0, "drain", node.Name), "node "+node.Name+" is drained already; it owns 0 addresses")
	p.want("drain of no node", p.run(ctx, 1, "drain", "node9"), "error: there is no Node node9")
	p.want("undrain", p.run(ctx, 0, "undrain", node.Name), "node "+node.Name+" is drained no longer")
	p.want("undrain again", p.run(ctx, 0, "undrain", node.Name), "node "+node.Name+" is not drained")

	p.want("rebalance of nothing", p.run(ctx, 1, "rebalance", "nobody"), "error: there is no L2Advertisement nobody")
	if n := owned(); n > 0 {
		t.Errorf("%s answers for %d addresses before anybody asked for a rebalance", node.Name, n)
	}
	listed() // a rebalance is foreseen by what the statuses list
	rebalanced := p.run(ctx, 0, "rebalance", "edge", "--wait", "--timeout", "40s")
	p.want("rebalance", rebalanced, "About 2 addresses are to move")
	p.want("rebalance", rebalanced, "The addresses are spread evenly.")
	if n := owned(); n != 2 {
		t.Errorf("%s answers for %d of 6 addresses after the rebalance, want 2", node.Name, n)
	}
}

// An address that no other node may own stays, and is named.
func TestPluginDrainsInVain(t *testing.T) {
	ctx, w := within(t, time.Minute)
	p := w.plugin(t, "")
	node := w.Node(2)
	w.service(ctx, t, "stuck", func(s *corev1.Service) {
		single("edge")(s)
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	})
	w.deploy(ctx, t, "stuck", node.Name)
	vips, _ := w.addresses(ctx, t, "stuck", 1)
	vip := vips[0].String()
	p.await(ctx, vip+" default/stuck "+node.Name+" eth0", []string{vip}, "owners")
	t.Cleanup(func() { p.run(context.Background(), 0, "undrain", node.Name) })
	drained := p.run(ctx, 1, "drain", node.Name)
	p.want("drain", drained, vip+" (default/stuck) has nowhere to go and stays: ")
	p.want("drain", drained, "no ready endpoint of the Service on the node (externalTrafficPolicy: Local)")
	p.want("drain", drained, "error: node "+node.Name+" keeps "+vip+", which no other node may own; it stays drained")
	p.await(ctx, node.Name+" keeps it as long as no other node may own it", nil, "explain", "address", vip)
	if owner := w.owner(ctx, t, vips[0]); owner != node {
		t.Errorf("%s answers for what %s is to keep", owner.Name, node.Name)
	}
	p.want("undrain", p.run(ctx, 0, "undrain", node.Name), "is drained no longer")
	p.await(ctx, vip+" default/stuck "+node.Name+" eth0", []string{vip}, "owners")
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
