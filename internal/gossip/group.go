package gossip

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fairlead-lb/fairlead/internal/lb"
	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
)

// Config of a Group.
type Config struct {
	// Node is this node's name.
	Node string
	// Address to listen on and to be reached at; Port is both the TCP and the UDP port.
	Address netip.Addr
	Port    int
	// Key is the shared secret, of any length but zero. Who does not have it cannot join or listen.
	Key []byte
	Log *slog.Logger
	// Metrics is where the group's metrics are registered.
	Metrics prometheus.Registerer
	// Kick is called when there is something to Take. It must not block.
	Kick func()
}

// Group is this speaker's membership in the group of speakers.
type Group struct {
	config Config
	table  *table
	queue  *memberlist.TransmitLimitedQueue
	// list is set while Run runs.
	list   atomic.Pointer[memberlist.Memberlist]
	joined atomic.Bool
	asked  atomic.Bool
	// refute is kicked when the others have to be told of this node's state again.
	refute chan struct{}
	seal   seal

	mu    sync.Mutex
	peers []netip.Addr
	// reached are the other members as they were when they joined: memberlist writes to its own values of them at any
	// time, but for their name and address, and these change when a member joins anew only.
	reached map[string]*memberlist.Node
	// contact is when another speaker was last heard, silence when the last time ended in which none was, for
	// so long that this one may have been taken for dead.
	contact, silence time.Time
	// answered is when another one last answered this one.
	answered time.Time

	dropped, newer prometheus.Counter
}

const (
	// A message that goes out at once must fit a packet, beside memberlist's own overhead: an IPv6 address,
	// an epoch, two flags and five keys take at most claimOctets beside the node's name, and a Service's key
	// keyOctets beside its names.
	packetOctets = 1200
	claimOctets  = 36
	keyOctets    = 21
	// In a larger group only gossip spreads claims: what a node sends must not grow with the group.
	directMembers = 64
	// Nodes that are missing are asked to join at this pace, a few at a time. Until the first answer all nodes
	// are asked without a pause: where speakers run on a few nodes only, most do not answer.
	joinInterval = time.Second
	joinAtOnce   = 3
	searchAtOnce = 32
	// settle is how long a starting speaker that found another one still waits for the rest, so that
	// speakers that start together share the addresses.
	settle = 2 * time.Second

	// streamTimeout is how long a stream may take as a whole.
	streamTimeout = 2 * time.Second

	probeInterval = 500 * time.Millisecond
	// suspicionMult probe intervals pass between a failed probe and the verdict.
	suspicionMult = 3
	// silenceLimit is how long a node may hear nothing and be sure that nobody took it for dead: a verdict
	// takes longer. Probes alone would not do to tell it: of a group of three of which one is gone, two may
	// fail in a row. So every speaker says a word to a few others at each probe interval.
	silenceLimit = (suspicionMult + 1) * probeInterval * 9 / 10
	wordTo       = 3
)

// New returns a group that nobody has joined yet.
func New(c Config) (*Group, error) {
	if len(bytes.TrimSpace(c.Key)) == 0 {
		return nil, errors.New("the gossip key is empty")
	}
	// The clock makes a speaker that starts anew outdo what is remembered of it at once. If the clock went
	// back, it does so as soon as it has heard what is remembered.
	g := &Group{
		config: c, table: newTable(c.Node, firstVersion(time.Now())), refute: make(chan struct{}, 1),
		seal: newSeal(c.Key), reached: map[string]*memberlist.Node{},
	}
	g.queue = &memberlist.TransmitLimitedQueue{
		RetransmitMult: 3,
		NumNodes:       func() int { return max(1, len(g.Members())) },
	}
	g.dropped, g.newer = newDropped(), newNewer()
	c.Metrics.MustRegister(g.dropped, g.newer, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "fairlead_gossip_members",
		Help: "Speakers that take part in gossip as this one sees it, itself included.",
	}, func() float64 { return float64(len(g.Members())) }))
	return g, nil
}

func newDropped() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: "fairlead_gossip_messages_dropped_total",
		Help: "Messages of other speakers that could not be understood or believed.",
	})
}

func newNewer() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Name: "fairlead_gossip_messages_newer_total",
		Help: "Messages of which this speaker understood a part only, since a speaker of a later release wrote them.",
	})
}

// Run takes part until ctx ends, then says good-bye.
func (g *Group) Run(ctx context.Context) error {
	c := g.memberlistConfig()
	door, err := g.newDoor(c)
	if err != nil {
		return fmt.Errorf("--gossip-port: %w", listenWords(netip.AddrPortFrom(g.config.Address, uint16(g.config.Port)), err))
	}
	c.Transport = door
	list, err := memberlist.Create(c)
	if err != nil {
		return errors.Join(fmt.Errorf("taking part in gossip: %w", err), door.Shutdown())
	}
	g.list.Store(list)
	began := time.Now()
	tick := time.NewTicker(joinInterval)
	defer tick.Stop()
	talking := make(chan struct{})
	go func() { defer close(talking); g.talk(ctx, list) }()
	defer func() { <-talking }()
	// The good-bye does not wait for nodes that do not answer: they take as long as TCP's timeout.
	joining := make(chan struct{})
	go func() {
		defer close(joining)
		g.search(ctx, list)
		for ctx.Err() == nil {
			if missing := g.join(list); missing == 0 || (list.NumMembers() > 1 && time.Since(began) >= settle) {
				g.setJoined()
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	<-ctx.Done()
	defer func() { <-joining }()
	g.list.Store(nil)
	if message, err := encode(content{leaving: g.config.Node}); err == nil {
		g.send(list, message)
	}
	if err := list.Leave(500 * time.Millisecond); err != nil {
		g.config.Log.Debug("the good-bye may not have been heard", "error", err)
	}
	return list.Shutdown()
}

// listenWords says what to do about memberlist's error, which is text.
func listenWords(at netip.AddrPort, err error) error {
	if strings.Contains(err.Error(), "address already in use") {
		return fmt.Errorf("another process has port %d, TCP or UDP, at %s: choose another for all speakers, or stop it", at.Port(), at.Addr())
	}
	return fmt.Errorf("listening on %s: %w", at, err)
}

// talk has the others hear of this speaker at a steady pace, whatever probes do.
func (g *Group) talk(ctx context.Context, list *memberlist.Memberlist) {
	word, err := encode(content{})
	if err != nil {
		g.config.Log.Error("encoding a gossip message", "error", err)
		return
	}
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.refute:
			if state, refuted := g.table.takeRefutation(); refuted {
				g.broadcastState(state)
			}
			continue
		case <-tick.C:
		}
		others := g.others()
		for _, n := range others[:min(wordTo, len(others))] {
			if err := list.SendBestEffort(n, word); err != nil {
				g.config.Log.Debug("gossip packet not sent", "node", n.Name, "error", err)
			}
		}
	}
}

// memberlistConfig sets a pace at which a dead node is noticed within two or three seconds, should no session
// notice it before. A higher one would cost an idle speaker more than all the rest. Nodes of one cluster
// are milliseconds apart: LAN defaults wait for more than that.
func (g *Group) memberlistConfig() *memberlist.Config {
	key := sha256.Sum256(bytes.TrimSpace(g.config.Key)) // AES-256, whatever the key's length
	c := memberlist.DefaultLANConfig()
	c.Name = g.config.Node
	c.BindAddr, c.AdvertiseAddr = g.config.Address.String(), g.config.Address.String()
	c.BindPort, c.AdvertisePort = g.config.Port, g.config.Port
	c.SecretKey = key[:]
	c.TCPTimeout = streamTimeout
	c.ProbeInterval, c.ProbeTimeout = probeInterval, probeInterval/2
	c.SuspicionMult, c.SuspicionMaxTimeoutMult = suspicionMult, 2
	c.GossipInterval = 100 * time.Millisecond
	c.DeadNodeReclaimTime = time.Second // a node may come back with another address
	c.EnableCompression = false         // small messages: it would only cost
	c.Delegate, c.Events, c.Ping, c.Alive = delegate{g}, delegate{g}, delegate{g}, delegate{g}
	c.Logger = log.New(&logWriter{log: g.config.Log, warned: g.dropped.Inc}, "", 0)
	return c
}

// search asks all nodes once, until one has answered.
func (g *Group) search(ctx context.Context, list *memberlist.Memberlist) {
	for some := range slices.Chunk(g.missing(), searchAtOnce) {
		if ctx.Err() != nil || g.ask(list, some) > 0 {
			break
		}
	}
	g.asked.Store(true)
	g.config.Kick()
}

// join asks some of the nodes that are missing. Speakers may run on some of the nodes only, and a partition
// may last: it never gives up, and it asks but a few at a time. It returns how many are still missing.
func (g *Group) join(list *memberlist.Memberlist) int {
	missing := g.missing()
	return len(missing) - g.ask(list, missing[:min(joinAtOnce, len(missing))])
}

// missing returns the nodes that take no part, in random order.
func (g *Group) missing() []netip.Addr {
	g.mu.Lock()
	there := map[netip.Addr]bool{}
	for _, n := range g.reached {
		there[addressOf(n)] = true
	}
	missing := slices.DeleteFunc(slices.Clone(g.peers), func(p netip.Addr) bool { return there[p] })
	g.mu.Unlock()
	rand.Shuffle(len(missing), func(i, j int) { missing[i], missing[j] = missing[j], missing[i] })
	return missing
}

// addressOf returns where a member is reached.
func addressOf(n *memberlist.Node) netip.Addr {
	a, _ := netip.AddrFromSlice(n.Addr)
	return a.Unmap()
}

// ask asks nodes to join, all at once, and returns how many did.
func (g *Group) ask(list *memberlist.Memberlist, nodes []netip.Addr) int {
	var wg sync.WaitGroup
	var came atomic.Int32
	for _, p := range nodes {
		wg.Go(func() {
			at := netip.AddrPortFrom(p, uint16(g.config.Port)).String()
			if n, err := list.Join([]string{at}); n == 0 {
				g.config.Log.Debug("a node does not answer gossip", "address", at, "error", err)
				return
			}
			came.Add(1)
		})
	}
	wg.Wait()
	return int(came.Load())
}

func (g *Group) setJoined() {
	if !g.joined.Swap(true) {
		g.config.Kick()
	}
}

// Joined tells whether this speaker has heard what the others know, from all of them or after a wait from
// one, or whether there are no others.
func (g *Group) Joined() bool { return g.joined.Load() }

// Asked tells whether all nodes have been asked to join, or one has answered.
func (g *Group) Asked() bool { return g.asked.Load() }

// SetPeers tells the group the addresses of the other nodes.
func (g *Group) SetPeers(peers []netip.Addr) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.peers = slices.DeleteFunc(slices.Clone(peers), func(p netip.Addr) bool { return p == g.config.Address })
}

// SetState tells the others of this node. Its name and version are the group's to say.
func (g *Group) SetState(s lb.NodeState) { g.broadcastState(g.table.setSelf(s)) }

// Publish tells the others of this node's claims.
func (g *Group) Publish(claims []lb.Claim) {
	claims = g.table.publish(claims)
	list := g.list.Load()
	for _, chunk := range inMessages(claims, packetOctets) {
		if message, err := encode(content{claims: chunk}); err == nil && list != nil && list.NumMembers() <= directMembers {
			g.send(list, message)
		}
		// Gossip reaches whom the packet did not.
		for _, c := range chunk {
			if message, err := encode(content{claims: []lb.Claim{c}}); err == nil {
				g.queue.QueueBroadcast(broadcast{"claim " + c.Address.String(), message})
			}
		}
	}
}

// Suspect tells the others that a node is not heard any more; silent if its kernel does not answer either. It was
// last heard so long ago, zero if that is not known.
func (g *Group) Suspect(node string, silent bool, unheard time.Duration) {
	s, ok := g.table.suspect(node, silent, unheard)
	if !ok {
		return
	}
	message, err := encode(content{suspicions: []lb.Suspicion{s}})
	if err != nil {
		g.config.Log.Error("encoding a gossip message", "error", err)
		return
	}
	if list := g.list.Load(); list != nil {
		// A loss is rare and has to be known at once, but it is many nodes' at times.
		others := g.others()
		g.sendTo(list, message, others[:min(directMembers, len(others))])
	}
	g.queue.QueueBroadcast(broadcast{"suspicion " + node, message})
}

// Rest tells the group whether a node that is not heard keeps its addresses: who joins has to hear of it.
func (g *Group) Rest(node string, resting bool) { g.table.rest(node, resting) }

// Offer asks other nodes to take addresses over. An offer that is lost is made again, or to another.
func (g *Group) Offer(offers []lb.Offer) {
	list := g.list.Load()
	if list == nil {
		return
	}
	for _, n := range g.others() {
		mine := slices.DeleteFunc(slices.Clone(offers), func(o lb.Offer) bool { return o.To != n.Name })
		for chunk := range slices.Chunk(mine, packetOctets/(claimOctets+len(n.Name))) {
			if message, err := encode(content{offers: chunk}); err == nil {
				g.sendTo(list, message, []*memberlist.Node{n})
			}
		}
	}
}

// Refresh hears from another what it knows. It returns once one has answered, or false if none did: some may be
// gone, and are waited for as long as TCP's timeout.
func (g *Group) Refresh() bool {
	list := g.list.Load()
	if list == nil {
		return false
	}
	var addresses []netip.Addr
	for _, n := range g.others() {
		addresses = append(addresses, addressOf(n))
	}
	addresses = append(addresses, g.missing()...)
	addresses = addresses[:min(joinAtOnce, len(addresses))]
	answers := make(chan bool, len(addresses))
	for _, a := range addresses {
		go func() { answers <- g.ask(list, []netip.Addr{a}) > 0 }()
	}
	for range addresses {
		if <-answers {
			return true
		}
	}
	return false
}

// Addresses returns where the other members are reached.
func (g *Group) Addresses() map[string]netip.Addr {
	addresses := map[string]netip.Addr{}
	if g.list.Load() != nil {
		for _, n := range g.others() {
			addresses[n.Name] = addressOf(n)
		}
	}
	return addresses
}

func (g *Group) broadcastState(s lb.NodeState) {
	list := g.list.Load()
	message, err := encode(content{states: []lb.NodeState{s}})
	switch {
	case err != nil:
		g.config.Log.Error("encoding a gossip message", "error", err)
	case len(message) <= packetOctets:
		if list != nil && list.NumMembers() <= directMembers {
			g.send(list, message)
		}
		g.queue.QueueBroadcast(broadcast{"state " + s.Node, message})
	case list != nil: // before Run, joining tells everything
		// Gossip has no place for what does not fit a packet. The rest of a large group hears of it by the
		// regular exchange of everything.
		others := g.others()
		for _, n := range others[:min(directMembers, len(others))] {
			// The caller does not wait, as it would for TCP's timeout of each that was cut off just now.
			go func() {
				if err := list.SendReliable(n, message); err != nil {
					g.config.Log.Debug("gossip message not sent", "node", n.Name, "error", err)
				}
			}()
		}
	}
}

// others returns the other members, in random order.
func (g *Group) others() []*memberlist.Node {
	g.mu.Lock()
	others := slices.Collect(maps.Values(g.reached))
	g.mu.Unlock()
	rand.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	return others
}

// send tells all members at once, by one packet each.
func (g *Group) send(list *memberlist.Memberlist, message []byte) {
	g.sendTo(list, message, g.others())
}

func (g *Group) sendTo(list *memberlist.Memberlist, message []byte, nodes []*memberlist.Node) {
	for _, n := range nodes {
		if err := list.SendBestEffort(n, message); err != nil {
			g.config.Log.Debug("gossip packet not sent", "node", n.Name, "error", err)
		}
	}
}

// Members returns the names of the nodes that take part, sorted, this one included.
func (g *Group) Members() []string { return g.table.members() }

// Take returns what has changed since it was last called.
func (g *Group) Take() lb.GossipUpdate { return g.table.take() }

// broadcast is a message that replaces an older one of the same name.
type broadcast struct {
	name    string
	message []byte
}

func (b broadcast) Name() string    { return b.name }
func (b broadcast) Message() []byte { return b.message }
func (b broadcast) Finished()       {}
func (b broadcast) Invalidates(o memberlist.Broadcast) bool {
	x, ok := o.(broadcast)
	return ok && x.name == b.name
}

// delegate is called by memberlist, under its locks: it merges into the table and kicks, no more.
type delegate struct{ *Group }

func (d delegate) NodeMeta(int) []byte { return nil }

func (d delegate) NotifyMsg(b []byte) { d.passOn(d.receive(b)) }

func (d delegate) GetBroadcasts(overhead, limit int) [][]byte {
	return d.queue.GetBroadcasts(overhead, limit)
}

func (d delegate) LocalState(bool) []byte {
	message, err := encode(d.table.all())
	if err != nil {
		d.config.Log.Error("encoding the gossip state", "error", err)
	}
	return message
}

// MergeRemoteState is of a TCP connection, which nobody has who is not heard.
func (d delegate) MergeRemoteState(b []byte, _ bool) {
	d.answer()
	d.receive(b)
}

// receive takes in a message. It returns what was new.
func (d delegate) receive(b []byte) (fresh content) {
	c, err := decode(b)
	if err != nil {
		d.dropped.Inc()
		d.config.Log.Debug("gossip message dropped", "error", err)
		return content{}
	}
	d.hear()
	d.dropped.Add(float64(c.believe(time.Now())))
	if c.more {
		d.newer.Inc()
	}
	if len(c.states)+len(c.claims)+len(c.suspicions)+len(c.offers) == 0 && c.leaving == "" {
		return content{} // only a word
	}
	if c.leaving != "" {
		d.table.leave(c.leaving)
	}
	fresh, refuted := d.table.merge(c)
	if refuted {
		select {
		case d.refute <- struct{}{}:
		default:
		}
	}
	d.config.Kick()
	return fresh
}

// passOn gossips what another speaker said. memberlist itself spreads only who is a member: without this, a
// message would reach nobody but those whom its author sends it to, who are few in a large group.
func (d delegate) passOn(fresh content) {
	queue := func(name string, c content) {
		if message, err := encode(c); err == nil && len(message) <= packetOctets {
			d.queue.QueueBroadcast(broadcast{name, message})
		}
	}
	for _, s := range fresh.states {
		queue("state "+s.Node, content{states: []lb.NodeState{s}})
	}
	for _, s := range fresh.suspicions {
		queue("suspicion "+s.Node, content{suspicions: []lb.Suspicion{s}})
	}
	for _, c := range fresh.claims {
		queue("claim "+c.Address.String(), content{claims: []lb.Claim{c}})
	}
}

func (d delegate) NotifyJoin(n *memberlist.Node) {
	if n.Name != d.config.Node {
		member := *n
		member.Addr, member.Meta = slices.Clone(n.Addr), nil
		d.mu.Lock()
		d.reached[n.Name] = &member
		d.mu.Unlock()
	}
	d.table.join(n.Name)
	d.config.Kick()
}

// AckPayload and NotifyPingComplete are memberlist's PingDelegate: an answered probe is a sign of life too.
func (d delegate) AckPayload() []byte { return nil }

func (d delegate) NotifyPingComplete(*memberlist.Node, time.Duration, []byte) { d.answer() }

func (d delegate) NotifyUpdate(*memberlist.Node) {}

func (d delegate) NotifyLeave(n *memberlist.Node) {
	d.mu.Lock()
	delete(d.reached, n.Name)
	d.mu.Unlock()
	d.table.part(n.Name)
	d.config.Kick()
}
