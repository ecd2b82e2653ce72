package layer2

import (
	"bytes"
	"context"
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/e2e/measure"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
)

// claimsType is the local experimental EtherType of the speakers' claims on the wire (IEEE 802).
const claimsType ethernet.EtherType = 0x88b5

func kindOf(a netip.Addr) ethernet.EtherType {
	if a.Is4() {
		return ethernet.EtherTypeARP
	}
	return ethernet.EtherTypeIPv6
}

// Garbage, forgeries and replays, on everything that a speaker listens to: nothing crashes, nothing moves, all
// of it is counted.
func TestForged(t *testing.T) {
	each(t, small, 2*time.Minute, func(ctx context.Context, t *testing.T, w *world) {
		addresses := slices.Concat(w.fleet(ctx, t, 6)...)
		before := w.owners(ctx, t, addresses)
		_, vips := victim(t, before, nil)
		pids := map[string]int{}
		for _, n := range w.Nodes {
			pids[n.Name] = n.Speaker.PID()
		}
		overheard := w.overhear(ctx, t, w.Node(1), 1500*time.Millisecond)
		counts := w.counters(ctx, t)
		begin := time.Now()
		watch := w.watch(ctx, t, 200*time.Millisecond, addresses...)
		load := w.load(ctx, t, 10, vips...)
		stranger := w.Client(foreign)
		random := rand.New(rand.NewPCG(1, 2))

		datagrams := forgedDatagrams(random, overheard)
		for _, n := range w.Nodes {
			for _, address := range []netip.Addr{n.V4, n.V6} {
				for _, port := range []uint16{gossipPort, gossipPort + 1} {
					sendDatagrams(ctx, t, stranger, netip.AddrPortFrom(address, port), datagrams)
				}
				sendStreams(ctx, stranger, netip.AddrPortFrom(address, gossipPort), datagrams[:20])
			}
		}
		frames := forgedClaims(random, stranger, overheard)
		frames = append(frames, replays(overheard, w.Node(1).Host)...)
		for _, f := range frames {
			sendFrame(t, stranger, f)
		}
		var spoofed int
		for range 20 {
			for _, a := range addresses {
				announce(t, stranger, a)
				spoofed++
			}
			measure.Pause(ctx, t, 50*time.Millisecond)
		}
		last := time.Now()
		var defended measure.Times
		for i, p := range load.probes {
			// RFC 5227, section 2.4 (b): a defender may be silent for DEFEND_INTERVAL, 10 s.
			limited, cancel := context.WithTimeout(ctx, 12*time.Second)
			if _, err := p.AwaitAnswer(limited, last); err != nil {
				t.Errorf("%s is not defended: %v", vips[i], err)
			}
			cancel()
			defended = append(defended, time.Since(last))
		}
		outcome := load.stop()
		w.serving(ctx, t)
		for _, n := range w.Nodes {
			if pid := n.Speaker.PID(); pid != pids[n.Name] {
				t.Errorf("%s's speaker was process %d and is %d", n.Name, pids[n.Name], pid)
			}
		}
		alone(t, watch, begin, addresses...)
		for _, a := range addresses {
			unmoved(t, watch, begin, before[a], a)
		}
		grown := map[string]float64{}
		for name, v := range w.counters(ctx, t) {
			if v > counts[name] {
				grown[name] = v - counts[name]
			}
		}
		for _, part := range []string{"fairlead_gossip_", "fairlead_bfd_", "fairlead_layer2_"} {
			if !slices.ContainsFunc(slices.Collect(maps.Keys(grown)), func(s string) bool { return strings.HasPrefix(s, part) }) {
				t.Errorf("no counter %s... of what was refused has grown", part)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(grown)) {
			t.Logf("%s +%.0f", name, grown[name])
		}
		measure.Report(t, len(w.Nodes), "garbage, forgeries and replays", "counted, nothing moves, nothing crashes",
			"%d datagrams to each port, %d frames, %d spoofed announcements in a second; service back %s after the last; %s",
			len(datagrams), len(frames), spoofed, defended.List(), outcome)
	})
}

// overhear records what a node hears that a forger would like to have: frames of the speakers to each other.
func (w *world) overhear(ctx context.Context, t *testing.T, n *lab.Node, length time.Duration) (frames [][]byte) {
	t.Helper()
	deadline := time.Now().Add(length)
	for _, kind := range []ethernet.EtherType{ethernet.EtherTypeIPv4, claimsType} {
		raw, err := n.ListenFrames(kind)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		_ = raw.SetReadDeadline(deadline)
		for buffer := make([]byte, 64<<10); len(frames) < 400; {
			size, _, err := raw.ReadFrom(buffer)
			if err != nil {
				break
			}
			if f := buffer[:size]; kind == claimsType || speakersPort(f) != 0 && bytes.Equal(f[:6], n.MAC) {
				frames = append(frames, bytes.Clone(f))
			}
		}
		deadline = time.Now().Add(200 * time.Millisecond)
	}
	if len(frames) == 0 {
		t.Error("the speakers said nothing to each other")
	}
	return frames
}

// speakersPort is the port of a UDP datagram in an IPv4 frame if it is one of the speakers', else 0.
func speakersPort(frame []byte) uint16 {
	const ethernetHeader, ipv4Header = 14, 20
	if len(frame) < ethernetHeader+ipv4Header+8 || frame[ethernetHeader] != 0x45 || frame[ethernetHeader+9] != 17 {
		return 0
	}
	port := binary.BigEndian.Uint16(frame[ethernetHeader+ipv4Header+2:])
	if port != gossipPort && port != gossipPort+1 {
		return 0
	}
	return port
}

// forgedDatagrams are garbage, well-formed RFC 5880 packets of an outsider, and what was overheard, as it is and
// with an octet changed.
func forgedDatagrams(random *rand.Rand, overheard [][]byte) (list [][]byte) {
	for range 100 {
		list = append(list, noise(random, random.IntN(200)))
	}
	for i := range 60 {
		// RFC 5880, section 4.1: version 1, state Down or AdminDown, a detect multiplier of 3.
		p := make([]byte, 24)
		p[0], p[1], p[2], p[3] = 1<<5|byte(i%9), byte(i%4)<<6, 3, 24
		binary.BigEndian.PutUint32(p[4:], random.Uint32())
		binary.BigEndian.PutUint32(p[8:], random.Uint32())
		binary.BigEndian.PutUint32(p[12:], 50000)
		binary.BigEndian.PutUint32(p[16:], 50000)
		list = append(list, p)
	}
	for _, f := range overheard {
		if speakersPort(f) == 0 {
			continue
		}
		payload := bytes.Clone(f[14+20+8:])
		list = append(list, payload)
		if len(payload) > 0 {
			changed := bytes.Clone(payload)
			changed[random.IntN(len(changed))] ^= byte(1 + random.IntN(255))
			list = append(list, changed)
		}
	}
	return list
}

func noise(random *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

// forgedClaims are frames of the speakers' EtherType: garbage of all lengths, and overheard ones with an octet
// changed.
func forgedClaims(random *rand.Rand, from *lab.Host, overheard [][]byte) (list [][]byte) {
	header := append(append(bytes.Clone(ethernet.Broadcast), from.MAC...), byte(claimsType>>8), byte(claimsType&0xff))
	for i := range 200 {
		list = append(list, append(bytes.Clone(header), noise(random, i*7)...))
	}
	for _, f := range overheard {
		if len(f) > 14 && binary.BigEndian.Uint16(f[12:]) == uint16(claimsType) {
			changed := bytes.Clone(f)
			changed[14+random.IntN(len(f)-14)] ^= 1
			list = append(list, changed)
		}
	}
	return list
}

// replays are overheard frames once more, with all that they said: the sender's address too, so that they look
// like the first time.
func replays(overheard [][]byte, to *lab.Host) (list [][]byte) {
	for range 3 {
		for _, f := range overheard {
			again := bytes.Clone(f)
			copy(again, to.MAC) // to the one that has heard it already
			list = append(list, again)
		}
	}
	return list
}

// sendFrame sends a frame with its own source as the sender, whoever it names: a switch would learn a wrong port.
func sendFrame(t *testing.T, from *lab.Host, frame []byte) {
	t.Helper()
	frame = bytes.Clone(frame)
	copy(frame[6:], from.MAC)
	raw, err := from.ListenFrames(ethernet.EtherType(binary.BigEndian.Uint16(frame[12:])))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	_, _ = raw.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}) // the kernel refuses some, rightly
}

func sendDatagrams(ctx context.Context, t *testing.T, from *lab.Host, to netip.AddrPort, datagrams [][]byte) {
	t.Helper()
	conn, err := from.DialContext(ctx, "udp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, d := range datagrams {
		_, _ = conn.Write(d) // a port that nobody listens on says so
	}
}

// sendStreams opens a connection for each text, and leaves some open for a moment.
func sendStreams(ctx context.Context, from *lab.Host, to netip.AddrPort, texts [][]byte) {
	for _, text := range texts {
		conn, err := from.DialContext(ctx, "tcp", to.String())
		if err != nil {
			return // gossip has one family
		}
		_, _ = conn.Write(text)
		conn.Close()
	}
}

// refusal matches what a metric or its labels say of something that was not taken for good.
var refusal = regexp.MustCompile(`drop|malformed|conflict|reject|invalid|auth|refus|replay|stale|unknown|discard|forged|bad|error`)

// counters are the counters, over all speakers, of what was not taken for good.
func (w *world) counters(ctx context.Context, t *testing.T) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for _, n := range w.Nodes {
		page, err := w.page(ctx, n, "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range lab.Samples(page) {
			name := m.Name + m.Labels
			if strings.HasPrefix(name, "fairlead_") && strings.HasSuffix(m.Name, "_total") && refusal.MatchString(name) {
				all[name] += m.Value
			}
		}
	}
	return all
}
