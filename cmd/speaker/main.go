// Command speaker runs on every node: it agrees with the other speakers on one owner for each Service
// address, answers ARP and Neighbor Discovery for those that its node owns, and advertises addresses to BGP
// peers.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"github.com/fairlead-lb/fairlead/internal/bfd"
	"github.com/fairlead-lb/fairlead/internal/bgp"
	"github.com/fairlead-lb/fairlead/internal/daemon"
	"github.com/fairlead-lb/fairlead/internal/gossip"
	"github.com/fairlead-lb/fairlead/internal/k8s"
	"github.com/fairlead-lb/fairlead/internal/k8s/speaker"
	"github.com/fairlead-lb/fairlead/internal/layer2"
	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

type options struct {
	daemon.Options
	node          string
	gossipAddress string
	gossipPort    uint16
	gossipKeyFile string

	failureDetection string
	restartGrace     time.Duration
	drainCordoned    bool
}

// A speaker starts within a second or two. A frozen one stops answering well within the least grace.
const (
	leastGrace = 5 * time.Second
	mostGrace  = 10 * time.Minute
)

func main() { os.Exit(daemon.Execute(command())) }

func command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "speaker",
		Short: "Makes the external addresses of Services reachable through this node",
		Long: `The speaker runs on every node. Speakers agree by gossip on one owner for each
external address; the owner answers ARP and Neighbor Discovery for it. To BGP
peers each advertises its own node as next hop.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	o.AddFlags(f, ":7573")
	f.StringVar(&o.node, "node-name", os.Getenv("NODE_NAME"), "`NAME` of the Node that this speaker runs\non; the default is $NODE_NAME")
	f.StringVar(&o.gossipAddress, "gossip-address", "", "`ADDRESS` to gossip on, an InternalIP of the\nNode; without it the first")
	f.Uint16Var(&o.gossipPort, "gossip-port", 7956, "`PORT` to gossip on, TCP and UDP, the same\non every node; the next one, UDP, is for\nfailure detection")
	f.StringVar(&o.gossipKeyFile, "gossip-key-file", "", "`FILE` with the secret that all speakers\nshare")
	f.StringVar(&o.failureDetection, "failure-detection", "fast", "`TIMING` of failure detection: fast (50 ms\nx 3), relaxed (300 ms x 3), or the like of\n100x4; the same\neverywhere")
	f.DurationVar(&o.restartGrace, "restart-grace", 15*time.Second, "`TIME` that addresses stay with a node of\nwhich only the speaker is gone; the same\neverywhere")
	f.BoolVar(&o.drainCordoned, "drain-cordoned", false, "move addresses off cordoned nodes too; the\nsame everywhere")
	return cmd
}

func (o *options) validate() error {
	if err := o.Options.Validate(); err != nil {
		return err
	}
	switch {
	case o.node == "":
		return daemon.UsageError{Err: errors.New("--node-name is empty, and so is $NODE_NAME: name the Node that this speaker runs on")}
	case o.gossipKeyFile == "":
		return daemon.UsageError{Err: errors.New("--gossip-key-file is empty: name a file with the secret that all speakers share")}
	case o.gossipPort == 0 || o.gossipPort == 65535:
		return daemon.UsageError{Err: fmt.Errorf("--gossip-port %d cannot be: it and the next one have to be ports", o.gossipPort)}
	case o.restartGrace < leastGrace || o.restartGrace > mostGrace:
		return daemon.UsageError{Err: fmt.Errorf("--restart-grace %s is not between %s and %s", o.restartGrace, leastGrace, mostGrace)}
	}
	if _, err := bfd.ParseTiming(o.failureDetection); err != nil {
		return daemon.UsageError{Err: fmt.Errorf("--failure-detection: %w", err)}
	}
	if o.gossipAddress != "" {
		if _, err := lb.ParseAddr(o.gossipAddress); err != nil {
			return daemon.UsageError{Err: fmt.Errorf("--gossip-address %w", err)}
		}
	}
	return nil
}

func run(ctx context.Context, o options) error {
	if err := o.validate(); err != nil {
		return err
	}
	log, level := o.Logger(os.Stderr)
	slog.SetDefault(log)
	k8s.CaptureLogs(log)
	debug.SetGCPercent(frugal)
	key, err := readKey(o.gossipKeyFile)
	if err != nil {
		return err
	}
	if err := daemon.RaiseCapabilities(); err != nil {
		return err
	}
	if err := layer2.CheckPrivileges(); err != nil {
		return err
	}
	registry := daemon.NewRegistry()
	cluster, err := k8s.Connect(o.Kubeconfig, "fairlead-speaker", daemon.Current(), log, registry)
	if err != nil {
		return err
	}
	events := k8s.NewRecorder(cluster, "fairlead-speaker", o.node, log, registry)
	watchdog := &daemon.Watchdog{Log: log}
	engine := layer2.NewEngine(layer2.Config{
		Node: o.node, RestartGrace: o.restartGrace, Log: log, Metrics: layer2.NewMetrics(registry), Busy: watchdog.Watch("layer 2").Busy,
	})
	var s *speaker.Speaker
	seen := func() { s.SessionsChanged() }
	var bgpEngine *bgp.Engine
	watched := bfd.NewRouters(bfd.RoutersConfig{Log: log, Metrics: registry, Changed: func(e bfd.RouterEvent) { tell(bgpEngine, e); seen() }})
	bgpEngine = bgp.NewEngine(bgp.Config{Log: log, Metrics: registry, Detector: routers{watched}, Changed: seen})
	s = speaker.New(speaker.Config{
		Node: o.node, Class: o.LoadBalancerClass, Version: daemon.Current(), Namespace: o.Namespace, DrainCordoned: o.drainCordoned,
		Cluster: cluster, Engine: engine, BGP: bgpEngine, Events: events, Log: log, Metrics: registry, Busy: watchdog.Watch("objects").Busy,
		CannotBind: !layer2.MayBind(),
	})
	at := place{node: o.node, chosen: o.gossipAddress != "", addresses: s.Addresses, log: log}
	log.Info("starting", "version", daemon.Current(), "node", o.node)

	ready := func() error {
		if err := s.Waiting(); err != nil {
			return err
		}
		if len(s.Addresses()) == 0 {
			return fmt.Errorf(noNode, o.node)
		}
		if _, err := at.check(); err != nil {
			return err
		}
		if engine.State() == layer2.Joining {
			return errors.New("waiting to hear what the other speakers know")
		}
		return nil
	}
	// The speaker proper begins once all that the API server knows is known.
	serve := func(ctx context.Context) error {
		address, err := prepare(ctx, s, o)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if err := checkLocal(address, o.node); err != nil {
			return err
		}
		group, err := gossip.New(gossip.Config{
			Node: o.node, Address: address, Port: int(o.gossipPort), Key: key, Log: log, Kick: engine.Kick, Metrics: registry,
		})
		if err != nil {
			return fmt.Errorf("--gossip-key-file %s: %w", o.gossipKeyFile, err)
		}
		timing, _ := bfd.ParseTiming(o.failureDetection)
		mesh, err := bfd.NewMesh(bfd.Config{
			Local: netip.AddrPortFrom(address, o.gossipPort+1), Key: key, Timing: timing, Log: log, Metrics: registry,
			Changed: func(e bfd.Event) {
				// A peer that says itself that the session is down is there: gossip tells what it is about. But one that
				// does not hear this node may hear nobody.
				switch {
				case e.Up || e.Diagnostic == bfd.ControlDetectionExpired:
					engine.SessionChanged(e.Peer, e.Up, e.At.Add(-e.Detection))
				case e.Remote == bfd.ControlDetectionExpired:
					engine.NotHeardBy(e.Peer)
				}
			},
		})
		if err != nil {
			return fmt.Errorf("preparing failure detection: %w", err)
		}
		at.bound.Store(&address)
		s.FollowPeers(lb.FamilyOf(address), group.SetPeers)
		status := s.NewStatus(engine.Members)
		engine.Changed = func(changes []layer2.Change) { s.Tell(changes); status.Kick() }
		engine.Lost = status.Lost
		log.Info("serving", "gossip", netip.AddrPortFrom(address, o.gossipPort))
		// Told to stop, both of the latter say good-bye at once: a router takes the end of neither for a failure.
		return daemon.Run(ctx, s, &at, status, status.Watch(), daemon.TaskFunc(blindness(cluster, engine)), watched, bgpEngine,
			daemon.TaskFunc(func(ctx context.Context) error {
				return engine.Run(ctx, group, &sessions{Mesh: mesh, node: o.node, timing: timing})
			}))
	}
	http := o.HTTP(registry, log, level)
	http.Ready, http.Alive, http.Authorize = ready, watchdog.Alive, k8s.NewGate(cluster, "/metrics", log).Allow
	tasks := []daemon.Task{http, watchdog, events, daemon.TaskFunc(serve), daemon.TaskFunc(tendHeap)}
	for _, w := range s.Watches() {
		tasks = append(tasks, w)
	}
	err = daemon.Run(ctx, tasks...)
	log.Info("stopped")
	return err
}

// readKey reads the key that all speakers share. What is wrong with it is said before anything is waited for.
func readKey(file string) ([]byte, error) {
	key, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("--gossip-key-file: there is no file %s: mount the Secret fairlead-gossip there, which the controller makes, with its entry secretkey", file)
	case err != nil:
		return nil, fmt.Errorf("--gossip-key-file: %w", err)
	case len(bytes.TrimSpace(key)) == 0:
		return nil, fmt.Errorf("--gossip-key-file: %s is empty: put a key into the Secret fairlead-gossip, entry secretkey, or delete the Secret and restart the "+
			"controller, which makes a new one", file)
	}
	return key, nil
}

// blindness returns a task that tells the engine when the API server's news may be old.
func blindness(cluster *k8s.Cluster, engine *layer2.Engine) func(context.Context) error {
	return func(ctx context.Context) error {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for blind := false; ; {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
			if now := cluster.Reached() != nil; now != blind {
				blind = now
				engine.Update(func(e *layer2.Elector) { e.Blind(now) })
			}
		}
	}
}

const noNode = "there is no Node %s (--node-name, or $NODE_NAME), or it has no InternalIP yet"

// prepare waits for the API server and returns the address to gossip on.
func prepare(ctx context.Context, s *speaker.Speaker, o options) (netip.Addr, error) {
	if err := s.Prepare(ctx); err != nil {
		return netip.Addr{}, nil // told to stop
	}
	for told := false; ; told = true {
		addresses := s.Addresses()
		switch {
		case len(addresses) == 0:
			if !told {
				slog.Warn(fmt.Sprintf(noNode, o.node) + ", waiting")
			}
		case o.gossipAddress == "":
			return addresses[0], nil
		default:
			// The others look for this speaker at its Node's InternalIPs.
			a, err := lb.ParseAddr(o.gossipAddress)
			if err == nil && !slices.Contains(addresses, a) {
				err = fmt.Errorf("--gossip-address %s is no InternalIP of Node %s, where the other speakers look for this one: it has %v", a, o.node, addresses)
			}
			return a, err
		}
		select {
		case <-ctx.Done():
			return netip.Addr{}, nil
		case <-time.After(time.Second):
		}
	}
}

// checkLocal finds an address that is not this machine's before gossip and failure detection, which both listen at it,
// each say so in their own words.
func checkLocal(a netip.Addr, node string) error {
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(a, 0)))
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("%s, an InternalIP of Node %s, is on no interface of this machine: does the speaker run with hostNetwork?", a, node)
	}
	if err != nil {
		return fmt.Errorf("listening on %s: %w", a, err)
	}
	return c.Close()
}
