package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"
)

// Config is what a lab is made of. The zero value is a control plane with one node and one client, and no
// product.
type Config struct {
	Nodes   int // node1, node2, ...; 1 if 0; none if None
	Clients int // client1, client2, ...; 1 if 0
	// Storage joins the nodes by a network besides the segment, data0 of each, which goes on when a cable is cut.
	Storage bool

	// Scheduler starts kube-scheduler too, so that Deployments work. Deploy names its node itself.
	Scheduler bool

	// The product's binaries. Without ControllerBinary and SpeakerBinary the manifests are not applied.
	ControllerBinary, SpeakerBinary string
	ControllerArgs, SpeakerArgs     []string // after the lab's own
	Controllers                     int      // replicas; 1 if 0

	// Manifests are the files that install the product, applied in this order, workloads left out. If nil:
	// manifests/fairlead.yaml of the repository.
	Manifests []string

	// Progress receives lines about what the lab does and what happens to its processes. Standard error if nil.
	Progress func(line string)
}

// None is how many nodes a lab has that measures controllers alone: kube-proxy at 10,000 Services would take
// the processor from them.
const None = -1

// Lab is a running lab. Its methods may be called from several goroutines.
type Lab struct {
	Directory   string // logs, credentials and data, on a tmpfs
	Version     string // of Kubernetes
	CP          *Host
	Nodes       []*Node
	Clients     []*Host
	Controllers []*Process           // Fairlead's, on CP
	Kubernetes  kubernetes.Interface // administrator's, dialled from CP
	// EtcdDisk has etcd's data, LogDisk what all processes write to their output.
	EtcdDisk, LogDisk *Disk

	config    Config
	hyperkube string
	network   *network
	authority *authority
	admin     identity

	relay     *relay
	clientLog *os.File
	controlPlane

	tasks   *errgroup.Group
	running context.Context
	cancel  context.CancelFunc
	stop    sync.Once

	mu        sync.Mutex
	processes []*Process
	routers   []*Router
	outside   []*Host
}

var (
	// current is the lab of this process. There is one at a time: the hosts' names are the process's.
	current atomic.Pointer[Lab]
	// labs numbers the labs of this process.
	labs atomic.Int64
)

// Start starts a lab and returns when its nodes are Ready, their kube-proxies have written their rules, and
// the product, if there is one, runs. On failure nothing is left running. ctx bounds the start only: the
// lab runs until Stop.
func Start(ctx context.Context, config Config) (_ *Lab, err error) {
	if !isolated {
		return nil, errors.New("starting a lab: this process is not inside Isolate or Main")
	}
	switch config.Nodes {
	case 0:
		config.Nodes = 1
	case None:
		config.Nodes = 0
	}
	if config.Clients == 0 {
		config.Clients = 1
	}
	if config.Controllers == 0 {
		config.Controllers = 1
	}
	if config.Progress == nil {
		config.Progress = printProgress
	}
	if config.Nodes < 0 || config.Nodes > maxNodes || config.Clients < 0 || config.Clients > maxClients {
		return nil, fmt.Errorf("starting a lab with %d nodes and %d clients: at most %d and %d are possible", config.Nodes, config.Clients, maxNodes, maxClients)
	}
	l := &Lab{config: config, Directory: filepath.Join(labDirectory, fmt.Sprint(labs.Add(1)))}
	if !current.CompareAndSwap(nil, l) {
		return nil, errors.New("starting a lab: this process has one already")
	}
	l.running, l.cancel = context.WithCancel(context.Background())
	l.tasks, l.running = errgroup.WithContext(l.running)
	defer func() {
		if err != nil {
			l.WriteLogs(os.Stderr, 15)
			l.Stop()
		}
	}()
	if l.hyperkube, err = Hyperkube(ctx, config.Progress); err != nil {
		return nil, err
	}
	if l.hyperkube, err = filepath.Abs(l.hyperkube); err != nil {
		return nil, fmt.Errorf("finding hyperkube: %w", err)
	}
	if l.EtcdDisk, err = l.newDisk("etcd"); err != nil {
		return nil, err
	}
	if l.LogDisk, err = l.newDisk("logs"); err != nil {
		return nil, err
	}
	if err := l.collectClientLogs(); err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := l.build(); err != nil {
		return nil, err
	}
	if err := l.startControlPlane(ctx); err != nil {
		return nil, err
	}
	if err := l.connectOutside(); err != nil {
		return nil, err
	}
	l.progress(fmt.Sprintf("control plane ready in %.1f s", time.Since(begin).Seconds()))
	if err := l.startNodes(ctx); err != nil {
		return nil, err
	}
	if err := l.startProduct(ctx); err != nil {
		return nil, err
	}
	l.progress(fmt.Sprintf("lab ready in %.1f s", time.Since(begin).Seconds()))
	return l, nil
}

// build makes the switch and the hosts.
func (l *Lab) build() (err error) {
	if l.network, err = newNetwork(); err != nil {
		return err
	}
	if l.config.Storage {
		if l.network.storage, err = l.network.newBridge(storageName); err != nil {
			return err
		}
	}
	if l.CP, err = newHost(l.network, "cp", numberCP); err != nil {
		return err
	}
	for i := 1; i <= l.config.Nodes; i++ {
		n, err := l.newNode(i)
		if err != nil {
			return err
		}
		l.Nodes = append(l.Nodes, n)
	}
	for i := 1; i <= l.config.Clients; i++ {
		c, err := newHost(l.network, fmt.Sprintf("client%d", i), numberClients+i-1)
		if err != nil {
			return err
		}
		l.Clients = append(l.Clients, c)
	}
	return l.routePods()
}

// connectOutside makes the administrator's clients, for this process and for the machine outside.
func (l *Lab) connectOutside() (err error) {
	if l.Kubernetes, err = kubernetes.NewForConfig(l.RESTConfig()); err != nil {
		return fmt.Errorf("making the administrator's client: %w", err)
	}
	version, err := l.Kubernetes.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("asking the API server for its version: %w", err)
	}
	l.Version = version.GitVersion
	l.relay, err = newRelay(func(ctx context.Context) (net.Conn, error) {
		return l.CP.DialContext(ctx, "tcp", netip.AddrPortFrom(l.CP.V4, apiServerPort).String())
	})
	if err != nil {
		return err
	}
	l.tasks.Go(func() error { return l.relay.run(l.running) })
	return nil
}

// Stop ends everything and lets the kernel destroy the namespaces. Further calls do nothing.
func (l *Lab) Stop() {
	l.stop.Do(func() {
		l.cancel()
		for _, n := range l.Nodes {
			n.stopAgent()
		}
		l.mu.Lock()
		processes := l.processes
		l.mu.Unlock()
		var g errgroup.Group
		for _, p := range processes {
			g.Go(p.Kill)
		}
		errs := []error{g.Wait(), l.tasks.Wait()}
		sweepGroups()
		for _, h := range l.hosts() {
			errs = append(errs, h.ns.close())
		}
		for _, n := range l.Nodes {
			errs = append(errs, n.pods.close())
		}
		if l.network != nil {
			errs = append(errs, l.network.close())
		}
		errs = append(errs, l.reportRaces(), l.keepLogs())
		errs = append(errs, l.closeClientLogs(), l.EtcdDisk.close(), l.LogDisk.close(), os.RemoveAll(l.Directory))
		if err := errors.Join(errs...); err != nil {
			l.progress("stopping the lab: " + err.Error())
		}
		current.CompareAndSwap(l, nil)
	})
}

// hosts are all hosts, the control plane's first.
func (l *Lab) hosts() []*Host {
	var hosts []*Host
	if l.CP != nil {
		hosts = append(hosts, l.CP)
	}
	for _, n := range l.Nodes {
		hosts = append(hosts, n.Host)
	}
	hosts = append(hosts, l.Clients...)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.routers {
		hosts = append(hosts, r.Host)
	}
	return append(hosts, l.outside...)
}

// Node is the i-th node, counting from 1 as its name does. It panics if there is none.
func (l *Lab) Node(i int) *Node { return l.Nodes[i-1] }

// Client is the i-th client, counting from 1 as its name does. It panics if there is none.
func (l *Lab) Client(i int) *Host { return l.Clients[i-1] }

// NodeNamed is the node with this name, nil if there is none.
func (l *Lab) NodeNamed(name string) *Node {
	for _, n := range l.Nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}

// Host is the host with this name, nil if there is none.
func (l *Lab) Host(name string) *Host {
	return l.findHost(func(h *Host) bool { return h.Name == name })
}

// HostByMAC is the host whose eth0 has this hardware address, nil if there is none.
func (l *Lab) HostByMAC(mac net.HardwareAddr) *Host {
	return l.findHost(func(h *Host) bool { return bytes.Equal(h.MAC, mac) })
}

func (l *Lab) findHost(match func(*Host) bool) *Host {
	for _, h := range l.hosts() {
		if match(h) {
			return h
		}
	}
	return nil
}

// Processes are all processes of the lab, running or not.
func (l *Lab) Processes() []*Process {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.processes)
}

// Process is the process with this name, such as etcd or kube-proxy-node1, nil if there is none.
func (l *Lab) Process(name string) *Process {
	for _, p := range l.Processes() {
		if p.Name == name {
			return p
		}
	}
	return nil
}

func (l *Lab) progress(line string) { l.config.Progress(line) }
