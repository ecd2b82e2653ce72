package page

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

const labObjects = `
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: edge}
spec: {addresses: ["198.51.100.0/24"], avoidBuggyIPs: true, serviceAllocation: {priority: 10}}
---
apiVersion: fairlead.dev/v1alpha1
kind: IPAddressPool
metadata: {name: fleet}
spec: {addresses: ["192.0.2.120-192.0.2.250"]}
---
apiVersion: fairlead.dev/v1alpha1
kind: L2Advertisement
metadata: {name: fleet}
spec: {ipAddressPools: [fleet]}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPAdvertisement
metadata: {name: edge}
spec: {ipAddressPools: [edge]}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPPeer
metadata: {name: router}
spec: {myASN: 64512, peerASN: 64513, peerAddress: %s}
---
apiVersion: fairlead.dev/v1alpha1
kind: BGPPeer
metadata: {name: absent}
spec: {myASN: 64512, peerASN: 64514, peerAddress: 192.0.2.99, nodeSelectors: [{matchLabels: {kubernetes.io/hostname: node1}}]}
`

// forward does what kubectl port-forward does: it leads a port of this process to a port of the controller's loopback.
func forward(t *testing.T, l *lab.Lab, port int) (origin string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer from.Close()
				to, err := l.CP.DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", port))
				if err != nil {
					return
				}
				defer to.Close()
				go func() {
					_, _ = io.Copy(to, from)
					to.Close()
				}()
				_, _ = io.Copy(from, to)
			}()
		}
	}()
	return fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
}

// TestARealClusterOnThePage has 10 nodes, 200 Services and a router, loses a node, and then the controller.
func TestARealClusterOnThePage(t *testing.T) {
	t.Parallel()
	l := startLab(t, lab.Config{Nodes: 10})
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	router, err := l.NewRouter("router", lab.FRR)
	must(t, err)
	b := lab.BGP{ASN: 64513}
	for _, n := range l.Nodes {
		b.Peers = append(b.Peers, lab.Peer{Name: n.Name, Address: n.V4, ASN: 64512})
	}
	must(t, router.Speak(ctx, b))
	must(t, l.Apply(ctx, fmt.Appendf(nil, labObjects, router.V4)))
	makeServices(ctx, t, l)

	origin := forward(t, l, lab.ControllerHTTPPort)
	page := openPage(t, origin, "", wide)
	page.await("all Services have an address", says(".tiles", "200 of 200"))
	page.await("each address has its owner", `!document.querySelector('.findings a[href*="unanswered"]') && `+says("table.nodes", "10 of 10"))
	page.await("the sessions are up", says("table.matrix", "10 of 10 up"))
	page.await("one is not", says(".findings", "1 of 1 session with absent is down."))
	page.holds("nothing is told of nodes", `!document.querySelector('.findings a[href="#nodes"]')`)

	lost := l.Nodes[6]
	owned := eval[int](page, fmt.Sprintf(`Number([...document.querySelectorAll("table.nodes tbody tr")].find(r => r.cells[0].innerText === %q).querySelector(".amount").innerText)`, lost.Name))
	if owned == 0 {
		t.Fatalf("%s owns nothing", lost.Name)
	}
	must(t, l.Cut(lost.Host, lab.SwitchSide))
	page.await("the takeover is told of", says(".findings", lost.Name+" was lost: "))
	page.await("all its addresses are in the timeline", says(".timeline li:first-child .sentence", fmt.Sprintf("nodes took over %d addresses from %s", owned, lost.Name)))
	page.holds("it took milliseconds", `/\d+ ms until the last one answered/.test(document.querySelector(".timeline").innerText)`)
	page.await("the node is shown as lost", fmt.Sprintf(`[...document.querySelectorAll("table.nodes tbody tr")].find(r => r.cells[0].innerText === %q).innerText.match(/lost|Not ready/)`, lost.Name))
	page.await("its addresses are others'", `!document.querySelector('.findings a[href*="unanswered"]')`)
	page.holds("its sessions are not known, and not told of as down", `!`+says(".findings", "sessions with router"))
	page.shoot("lab", "body", "#services", 1250)
	for _, v := range page.violations() {
		t.Error(v)
	}

	must(t, l.Controllers[0].Kill())
	page.await("the page says that the controller is gone", says("#connection", "Reconnecting"))
	must(t, l.Controllers[0].Start())
	page.await("it is live again by itself", says("#connection", "Live"))
	page.await("with all there was", says(".tiles", "200 of 200")+"&&"+says(".findings", lost.Name+" was lost: "))
	page.forgive("net::ERR_")
}

// makeServices makes 120 Services for the nodes' segment and 80 for the router.
func makeServices(ctx context.Context, t *testing.T, l *lab.Lab) {
	t.Helper()
	var workers sync.WaitGroup
	for part := range 8 {
		workers.Go(func() {
			for i := part; i < 200; i += 8 {
				pool := "fleet"
				if i >= 120 {
					pool = "edge"
				}
				_, err := l.Kubernetes.CoreV1().Services("default").Create(ctx, &corev1.Service{
					ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("web-%03d", i), Annotations: map[string]string{"fairlead.dev/address-pool": pool}},
					Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, AllocateLoadBalancerNodePorts: ptr.To(false), Ports: []corev1.ServicePort{{Port: 80}}},
				}, metav1.CreateOptions{})
				if err != nil {
					t.Errorf("making a Service: %v", err)
				}
			}
		})
	}
	workers.Wait()
}
