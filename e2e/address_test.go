package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/api/v1alpha1"
	"github.com/fairlead-lb/fairlead/e2e/lab"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// pool makes a pool that is deleted with the test.
func (w *world) pool(ctx context.Context, t *testing.T, name string, addresses ...v1alpha1.AddressRange) {
	t.Helper()
	pools := w.fairlead.FairleadV1alpha1().IPAddressPools()
	p := &v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: addresses}}
	if _, err := pools.Create(ctx, p, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pools.Delete(context.Background(), name, metav1.DeleteOptions{}) })
}

func (w *world) editPool(ctx context.Context, t *testing.T, name string, addresses ...string) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec": {"addresses": ["%s"]}}`, strings.Join(addresses, `", "`))
	_, err := w.fairlead.FairleadV1alpha1().IPAddressPools().Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitPool waits until a pool's status, in one line, contains a text.
func (w *world) awaitPool(ctx context.Context, t *testing.T, name, text string) {
	t.Helper()
	eventually(ctx, t, "pool "+name+" with "+text, 5*time.Second, func() error {
		p, err := w.fairlead.FairleadV1alpha1().IPAddressPools().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		line := "Ready " + condition(p.Status.Conditions, "Ready") + "; Conflicting " + condition(p.Status.Conditions, "Conflicting")
		if u := p.Status.IPv4; u != nil {
			line += fmt.Sprintf("; IPv4 total %s assigned %d available %s first %s last %s", u.Total, u.Assigned, u.Available, u.First, u.Last)
		}
		if !strings.Contains(line, text) {
			return fmt.Errorf("it is %q", line)
		}
		return nil
	})
}

// single asks for one IPv4 address of a pool.
func single(pool string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		policy := corev1.IPFamilyPolicySingleStack
		s.Spec.IPFamilyPolicy, s.Spec.IPFamilies = &policy, []corev1.IPFamily{corev1.IPv4Protocol}
		s.Annotations = map[string]string{"fairlead.dev/address-pool": pool}
	}
}

func TestRequestedAddress(t *testing.T) {
	ctx, w := within(t, time.Minute)
	ask := func(address string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Spec.LoadBalancerIP = address }
	}
	w.service(ctx, t, "exact", ask("192.0.2.222"))
	if vips, _ := w.addresses(ctx, t, "exact", 2); vips[0].String() != "192.0.2.222" {
		t.Errorf("asked for 192.0.2.222, got %v", vips)
	}
	w.service(ctx, t, "taken", ask("192.0.2.222"))
	w.awaitCondition(ctx, t, "taken", "False AddressInUse: the requested address 192.0.2.222 is in use by Service default/exact")
	w.awaitEvent(ctx, t, "taken", "AddressInUse", "192.0.2.222")
	w.service(ctx, t, "nowhere", ask("198.51.100.77"))
	w.awaitCondition(ctx, t, "nowhere", "False AddressNotInPool: no pool holds the requested address 198.51.100.77")
	w.awaitEvent(ctx, t, "nowhere", "AddressNotInPool", "198.51.100.77")
	// the wait ends by itself
	w.deleteService(t, "default", "exact")
	w.addresses(ctx, t, "taken", 2)
	w.awaitCondition(ctx, t, "taken", "True Assigned")
}

// A pool of 9 shows 9, runs out, and serves who waits when an address is freed.
func TestPoolStatusAndExhaustion(t *testing.T) {
	ctx, w := within(t, time.Minute)
	w.pool(ctx, t, "small", "192.0.2.231 - 192.0.2.239")
	w.awaitPool(ctx, t, "small", "IPv4 total 9 assigned 0 available 9 first 192.0.2.231 last 192.0.2.239")
	w.awaitPool(ctx, t, "small", "Ready True")
	for i := range 9 {
		w.service(ctx, t, fmt.Sprint("small-", i), single("small"))
	}
	for i := range 9 {
		w.addresses(ctx, t, fmt.Sprint("small-", i), 1)
	}
	w.awaitPool(ctx, t, "small", "IPv4 total 9 assigned 9 available 0")
	w.service(ctx, t, "small-late", single("small"))
	w.awaitCondition(ctx, t, "small-late", "False PoolExhausted: pool small: exhausted, 9 of 9 IPv4 addresses in use")
	w.deleteService(t, "default", "small-4")
	w.addresses(ctx, t, "small-late", 1)
}

// An edit takes effect at once; an address stays as long as a pool holds it, and leaves with an event.
func TestPoolEdited(t *testing.T) {
	ctx, w := within(t, time.Minute)
	w.pool(ctx, t, "live", "192.0.2.241")
	w.service(ctx, t, "live-a", single("live"))
	w.service(ctx, t, "live-b", single("live"))
	w.addresses(ctx, t, "live-a", 1)
	w.awaitCondition(ctx, t, "live-b", "False PoolExhausted")
	w.editPool(ctx, t, "live", "192.0.2.240-192.0.2.244")
	vips, took := w.addresses(ctx, t, "live-b", 1)
	t.Logf("the Service that waited has its address %s after the edit", took.Round(time.Millisecond))
	if took > 5*time.Second {
		t.Errorf("the edit took effect after %s", took)
	}
	if kept, _ := w.addresses(ctx, t, "live-a", 1); kept[0].String() != "192.0.2.241" {
		t.Errorf("live-a has %v", kept)
	}
	owner := w.owner(ctx, t, vips[0])
	w.editPool(ctx, t, "live", "192.0.2.241-192.0.2.244")
	w.awaitEvent(ctx, t, "live-b", "AddressLost", vips[0].String())
	eventually(ctx, t, "another address", 5*time.Second, func() error {
		if now, _ := w.addresses(ctx, t, "live-b", 1); now[0] == vips[0] {
			return fmt.Errorf("it has %v still", now)
		}
		return nil
	})
	eventually(ctx, t, "silence of "+owner.Name, 5*time.Second, func() error { return w.silent(ctx, vips[0]) })
}

// Of two pools that list the same addresses the older works on, and the younger says why it does not.
func TestOverlappingPools(t *testing.T) {
	ctx, w := within(t, time.Minute)
	w.pool(ctx, t, "second", "192.0.2.225-192.0.2.235")
	w.awaitPool(ctx, t, "second", "Conflicting True")
	w.awaitPool(ctx, t, "second", "192.0.2.225-192.0.2.229")
	w.awaitPool(ctx, t, "second", "edge")
	w.awaitPool(ctx, t, "edge", "Ready True")
	w.service(ctx, t, "of-edge", single("edge"))
	w.addresses(ctx, t, "of-edge", 1)
	w.editPool(ctx, t, "second", "192.0.2.230-192.0.2.235")
	w.awaitPool(ctx, t, "second", "Ready True")
	w.awaitPool(ctx, t, "second", "total 6")
}

// A deleted Service's address is silent and free again.
func TestServiceDeleted(t *testing.T) {
	ctx, w := within(t, time.Minute)
	w.service(ctx, t, "gone", nil)
	vips, _ := w.addresses(ctx, t, "gone", 2)
	for _, vip := range vips {
		w.owner(ctx, t, vip)
	}
	w.deleteService(t, "default", "gone")
	for _, vip := range vips {
		eventually(ctx, t, "silence", 5*time.Second, func() error { return w.silent(ctx, vip) })
	}
	w.service(ctx, t, "heir", func(s *corev1.Service) { s.Spec.LoadBalancerIP = vips[0].String() })
	if heir, _ := w.addresses(ctx, t, "heir", 2); heir[0] != vips[0] {
		t.Errorf("asked for %s, got %v", vips[0], heir)
	}
	w.owner(ctx, t, vips[0])
}

// A type changed away takes the address and what we wrote along; changed back, it works again. Services of
// another class are not ours.
func TestTypeAndClass(t *testing.T) {
	ctx, w := within(t, time.Minute)
	w.service(ctx, t, "retyped", nil)
	vips, _ := w.addresses(ctx, t, "retyped", 2)
	retype := func(kind string) {
		patch := []byte(`{"spec": {"type": "` + kind + `"}}`)
		if _, err := w.Kubernetes.CoreV1().Services("default").Patch(ctx, "retyped", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	retype("ClusterIP")
	eventually(ctx, t, "a clean status", 5*time.Second, func() error {
		s, err := w.get(ctx, "retyped")
		if err == nil && (len(s.Status.Conditions) > 0 || len(s.Status.LoadBalancer.Ingress) > 0) {
			err = fmt.Errorf("it is %+v", s.Status)
		}
		return err
	})
	eventually(ctx, t, "silence", 5*time.Second, func() error { return w.silent(ctx, vips[0]) })
	retype("LoadBalancer")
	w.addresses(ctx, t, "retyped", 2)

	class := "example.com/other"
	w.service(ctx, t, "foreign", func(s *corev1.Service) { s.Spec.LoadBalancerClass = &class })
	ours := "fairlead.dev/fairlead"
	w.service(ctx, t, "named", func(s *corev1.Service) { s.Spec.LoadBalancerClass = &ours })
	w.addresses(ctx, t, "named", 2)
	s, err := w.get(ctx, "foreign")
	if err != nil || len(s.Status.Conditions)+len(s.Status.LoadBalancer.Ingress) > 0 {
		t.Errorf("a Service of another class has %+v (%v)", s.Status, err)
	}
}

// Two Services share an address: one node answers for it, and each port reaches its own backend. It stays when
// one of them goes, the one that had it first included.
func TestSharedAddress(t *testing.T) {
	ctx, w := within(t, time.Minute)
	share := func(port int32) func(*corev1.Service) {
		return func(s *corev1.Service) {
			single("edge")(s)
			s.Annotations["fairlead.dev/allow-shared-ip"] = "web and dns"
			s.Spec.Ports = s.Spec.Ports[:1]
			s.Spec.Ports[0].Port = port
		}
	}
	w.deploy(ctx, t, "first", "node1")
	w.deploy(ctx, t, "second", "node2")
	w.service(ctx, t, "first", share(80))
	vips, _ := w.addresses(ctx, t, "first", 1)
	w.service(ctx, t, "second", share(81))
	if also, _ := w.addresses(ctx, t, "second", 1); also[0] != vips[0] {
		t.Fatalf("second has %v, first %v", also, vips)
	}
	owner := w.owner(ctx, t, vips[0])
	reach := func(port uint16, pod string) {
		t.Helper()
		reply, err := w.Client(1).Await(ctx, "tcp", netip.AddrPortFrom(vips[0], port))
		if err != nil || reply.Pod != pod {
			t.Errorf("port %d: %s answered (%v), want %s", port, reply, err, pod)
		}
	}
	reach(80, "first-node1")
	reach(81, "second-node2")

	w.service(ctx, t, "third", func(s *corev1.Service) {
		share(81)(s)
		s.Spec.LoadBalancerIP = vips[0].String()
	})
	w.awaitCondition(ctx, t, "third", "AddressInUse: the requested address "+vips[0].String()+" is in use by Service default/second on port TCP/81")

	w.deleteService(t, "default", "first")
	reach(81, "second-node2")
	if now := w.owner(ctx, t, vips[0]); now != owner {
		t.Errorf("%s owns the address, %s did before one of its Services left", now.Name, owner.Name)
	}
	w.deleteService(t, "default", "second")
	w.addresses(ctx, t, "third", 1) // the wait ends by itself
}

// A pool that no advertisement selects says so; the controller's metrics count each pool by family.
func TestPoolTroubleShows(t *testing.T) {
	ctx, w := within(t, time.Minute)
	everything, err := w.fairlead.FairleadV1alpha1().L2Advertisements().Get(ctx, "edge", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	narrow := func(spec string) {
		t.Helper()
		// Its own context: the test's has ended when it is undone.
		_, err := w.fairlead.FairleadV1alpha1().L2Advertisements().Patch(context.Background(), everything.Name, types.MergePatchType, []byte(spec), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { narrow(`{"spec": null}`) })
	w.pool(ctx, t, "dark", "192.0.2.190-192.0.2.193")
	w.service(ctx, t, "unlit", single("dark"))
	w.addresses(ctx, t, "unlit", 1)
	narrow(`{"spec": {"ipAddressPools": ["edge"]}}`)
	w.awaitEvent(ctx, t, "dark", "NotAdvertised", "no advertisement selects this pool")
	narrow(`{"spec": null}`)
	w.awaitEvent(ctx, t, "dark", "Advertised", "an advertisement selects this pool")
	eventually(ctx, t, "the metrics of the pool", 5*time.Second, func() error {
		_, page, err := w.CP.Page(ctx, lab.ControllerHTTPPort, "/metrics")
		for name, value := range map[string]int{"": 4, "_assigned": 1, "_available": 3, "_retained": 0} {
			line := fmt.Sprintf(`fairlead_controller_pool_addresses%s{family="IPv4",pool="dark"} %d`, name, value)
			if err == nil && !strings.Contains(page, line+"\n") {
				err = fmt.Errorf("no line %s", line)
			}
		}
		return err
	})
}

// Malformed addresses are refused at apply, in a sentence that names the value.
func TestMalformedPools(t *testing.T) {
	ctx, w := within(t, time.Minute)
	for _, tt := range []struct{ addresses, want string }{
		{`[]`, "addresses"},
		{`["192.0.2.300"]`, "192.0.2.300"},
		{`["192.0.2.9-192.0.2.1"]`, "192.0.2.1-192.0.2.9"},
		{`["2001:db8::9-2001:db8::1"]`, "2001:db8::1-2001:db8::9"},
		{`["192.0.2.1-2001:db8::1"]`, "192.0.2.1-2001:db8::1"},
		{`["192.0.2.0/33"]`, "192.0.2.0/33"},
		{`["eth0"]`, "eth0"},
		{`["192.0.2.1", "rubbish", "2001:db8::/64"]`, "rubbish"},
		{`["127.0.0.1"]`, "127.0.0.1"},
		{`["224.0.0.0/24"]`, "224.0.0.0/24"},
	} {
		yaml := "apiVersion: fairlead.dev/v1alpha1\nkind: IPAddressPool\nmetadata: {name: refused}\nspec: {addresses: " + tt.addresses + "}\n"
		err := w.Apply(ctx, []byte(yaml))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.addresses, err)
		}
	}
}
