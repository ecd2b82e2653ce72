package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Reply is what a Pod answers to each request.
type Reply struct {
	Node      string         `json:"node"`
	Namespace string         `json:"namespace"`
	Pod       string         `json:"pod"`
	Protocol  string         `json:"protocol"` // tcp or udp
	Client    netip.AddrPort `json:"client"`   // as the Pod sees it
	Server    netip.AddrPort `json:"server"`   // the Pod's own
}

// sandbox is a Pod's addresses and its open ports.
type sandbox struct {
	pod       *corev1.Pod
	started   metav1.Time
	index     int          // in the node's Pod ranges; 0 on the host's network
	addresses []netip.Addr // v4, v6

	linger   *time.Timer // runs while the Pod is being deleted
	lingered bool

	closers []io.Closer
	serving sync.WaitGroup
}

// openSandbox gives a Pod addresses, or the node's own for a Pod on the host's network, and serves the
// ports of its containers there.
func (a *agent) openSandbox(pod *corev1.Pod) (_ *sandbox, err error) {
	n := a.node
	s := &sandbox{pod: pod, started: metav1.Now(), addresses: []netip.Addr{n.V4, n.V6}}
	ns := n.ns
	defer func() {
		if err != nil {
			err = fmt.Errorf("running the Pod %s/%s on %s: %w", pod.Namespace, pod.Name, n.Name, errors.Join(err, a.dissolve(s)))
		}
	}()
	if !pod.Spec.HostNetwork {
		if s.index, err = a.freeIndex(); err != nil {
			return nil, err
		}
		ns = n.pods
		s.addresses = []netip.Addr{nth(n.Pods4.Addr(), s.index), nth(n.Pods6.Addr(), s.index)}
		for _, address := range s.addresses {
			if err := n.pods.addAddress(n.inPod, single(address)); err != nil {
				return nil, err
			}
		}
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			for _, address := range s.addresses {
				at := netip.AddrPortFrom(address, uint16(port.ContainerPort))
				reply := Reply{Node: n.Name, Namespace: pod.Namespace, Pod: pod.Name, Server: at}
				switch port.Protocol {
				case corev1.ProtocolTCP:
					reply.Protocol = "tcp"
					err = s.serveTCP(ns, reply)
				case corev1.ProtocolUDP:
					reply.Protocol = "udp"
					err = s.serveUDP(ns, reply)
				}
				if err != nil {
					return nil, err
				}
			}
		}
	}
	return s, nil
}

// freeIndex is the lowest number above the gateway's that no Pod of the node has.
func (a *agent) freeIndex() (int, error) {
	taken := map[int]bool{}
	for _, s := range a.sandboxes {
		taken[s.index] = true
	}
	for i := 2; i < podsOwnIndex; i++ {
		if !taken[i] {
			return i, nil
		}
	}
	return 0, fmt.Errorf("all 252 Pod addresses of %s are taken", a.node.Name)
}

// nth is the i-th address after a, for i under 256 and an a that ends in zero.
func nth(a netip.Addr, i int) netip.Addr {
	bytes := a.AsSlice()
	bytes[len(bytes)-1] = byte(i)
	n, _ := netip.AddrFromSlice(bytes)
	return n
}

// closeSandbox stops a Pod. It does nothing if the Pod does not run.
func (a *agent) closeSandbox(uid types.UID) {
	s := a.sandboxes[uid]
	if s == nil {
		return
	}
	delete(a.sandboxes, uid)
	if err := a.dissolve(s); err != nil {
		a.node.lab.progress(fmt.Sprintf("stopping the Pod %s/%s: %v", s.pod.Namespace, s.pod.Name, err))
	}
}

// dissolve closes the sockets, waits for their goroutines and takes the addresses away.
func (a *agent) dissolve(s *sandbox) error {
	var errs []error
	if s.linger != nil {
		s.linger.Stop()
	}
	errs = append(errs, s.Close())
	if s.index != 0 {
		for _, address := range s.addresses {
			errs = append(errs, a.node.pods.removeAddress(a.node.inPod, single(address)))
		}
	}
	return errors.Join(errs...)
}

// serveTCP speaks HTTP: every request is answered with the Reply.
func (s *sandbox) serveTCP(ns *namespace, reply Reply) error {
	listener, err := ns.listen(context.Background(), "tcp", reply.Server.String())
	if err != nil {
		return err
	}
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // connections that a cut cable has broken
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := reply
			answer.Client, _ = netip.ParseAddrPort(r.RemoteAddr)
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(answer.encode())
		}),
	}
	s.closers = append(s.closers, server, ignoreClosed{listener})
	s.serving.Go(func() { _ = server.Serve(listener) })
	return nil
}

// ignoreClosed is a listener that a server may have closed already: it does so only once it serves.
type ignoreClosed struct{ net.Listener }

func (l ignoreClosed) Close() error {
	if err := l.Listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// serveUDP answers every datagram with the Reply.
func (s *sandbox) serveUDP(ns *namespace, reply Reply) error {
	conn, err := ns.listenPacket(context.Background(), "udp", reply.Server.String())
	if err != nil {
		return err
	}
	s.closers = append(s.closers, conn)
	s.serving.Go(func() {
		buffer := make([]byte, 64<<10)
		for {
			_, from, err := conn.ReadFrom(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue // an ICMP error that an earlier answer has brought back
			}
			answer := reply
			answer.Client = from.(*net.UDPAddr).AddrPort()
			_, _ = conn.WriteTo(answer.encode(), from)
		}
	})
	return nil
}

// encode is the reply as one line of JSON.
func (r Reply) encode() []byte {
	text, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and addresses always encode
	}
	return append(text, '\n')
}

// String names the Pod, its node and the client that it saw.
func (r Reply) String() string {
	return strings.Join([]string{r.Pod, "on", r.Node, "saw", r.Client.Addr().String(), "over", r.Protocol, strconv.Itoa(int(r.Server.Port()))}, " ")
}
