package bfd

import (
	"fmt"
	"maps"
	"time"
)

// kernel is what makes sockets.
type kernel struct {
	listen func(c channel, shared bool) (receiver, error)
	dial   func(k routerKey, taken func(port uint16) bool) (sender, uint16, error)
	// index of an interface, by name.
	index func(name string) (int, error)
}

// renewEvery is how often sockets that could not be opened are tried again, and the others looked after: an
// interface that is made anew has another index, and who is bound to the old one hears nothing.
const renewEvery = time.Second

// sockets of the sessions with routers: one for each channel to receive, one for each session to send.
type sockets struct {
	kernel    kernel
	receivers map[channel]*opened
	senders   map[routerKey]*opened
	renewed   time.Time // zero if the sessions have changed since
}

// opened is a socket, or why there is none.
type opened struct {
	receiver receiver
	sender   sender
	port     uint16
	// device and zone are the indices of its interfaces, 0 for none.
	device, zone int
	trouble      error
	// failure is why the last packet was not sent.
	failure error
}

func newSockets(k kernel) sockets {
	return sockets{kernel: k, receivers: map[channel]*opened{}, senders: map[routerKey]*opened{}}
}

func (s *sockets) stale() { s.renewed = time.Time{} }

func (s *sockets) due(now time.Time) bool {
	return s.renewed.IsZero() || now.Sub(s.renewed) >= renewEvery
}

// renew opens the sockets that sessions need and closes the others. It returns what stands against it.
func (s *sockets) renew(keys []routerKey, now time.Time) (troubles []error) {
	s.renewed = now
	channels, sessions := map[channel]bool{}, map[routerKey]bool{}
	for _, k := range keys {
		channels[k.channel()], sessions[k] = true, true
	}
	retain(s.receivers, channels)
	retain(s.senders, sessions)
	for c, o := range s.receivers {
		err := s.refresh(o, c.device, "", func() (err error) {
			o.receiver, err = s.kernel.listen(c, s.shares(c))
			return err
		})
		if o.trouble = nil; err != nil {
			o.trouble = fmt.Errorf("listening for BFD on %s: %w", c, err)
			troubles = append(troubles, o.trouble)
		}
	}
	for k, o := range s.senders {
		err := s.refresh(o, k.device, k.remote.Zone(), func() (err error) {
			o.sender, o.port, err = s.kernel.dial(k, s.taken)
			return err
		})
		if o.trouble = nil; err != nil {
			o.trouble = fmt.Errorf("preparing BFD with %s: %w", k.remote, err)
			troubles = append(troubles, o.trouble)
		}
	}
	return troubles
}

// retain makes all that is wanted, and closes what is not.
func retain[K comparable](have map[K]*opened, want map[K]bool) {
	maps.DeleteFunc(have, func(k K, o *opened) bool {
		if !want[k] {
			o.close()
		}
		return !want[k]
	})
	for k := range want {
		if have[k] == nil {
			have[k] = &opened{}
		}
	}
}

// refresh opens a socket if there is none, or if its interfaces are not those any more that it was opened on.
func (s *sockets) refresh(o *opened, device, zone string, open func() error) error {
	d, err := s.index(device)
	if err != nil {
		o.close()
		return err
	}
	z, err := s.index(zone)
	if err != nil {
		o.close()
		return err
	}
	if o.open() && o.device == d && o.zone == z {
		return nil
	}
	o.close()
	o.device, o.zone = d, z
	return open()
}

func (s *sockets) index(name string) (int, error) {
	if name == "" {
		return 0, nil
	}
	return s.kernel.index(name)
}

// shares tells whether a channel has to share its port with one that is open, of another device.
func (s *sockets) shares(c channel) bool {
	for other, o := range s.receivers {
		if other.v6 == c.v6 && other.multiHop == c.multiHop && o.open() {
			return true
		}
	}
	return false
}

func (s *sockets) taken(port uint16) bool {
	for _, o := range s.senders {
		if o.open() && o.port == port {
			return true
		}
	}
	return false
}

// zone returns the index of the interface of a link-local router, 0 if it is not known.
func (s *sockets) zone(k routerKey) int {
	if o := s.senders[k]; o != nil {
		return o.zone
	}
	return 0
}

// trouble is what stands against a session.
func (s *sockets) trouble(k routerKey) error {
	if o := s.receivers[k.channel()]; o != nil && o.trouble != nil {
		return o.trouble
	}
	if o := s.senders[k]; o != nil && o.trouble != nil {
		return o.trouble
	} else if o != nil {
		return o.failure
	}
	return nil
}

// send sends a packet, or does nothing where the answer could not be heard.
func (s *sockets) send(k routerKey, b []byte) (sent bool, err error) {
	in, out := s.receivers[k.channel()], s.senders[k]
	if in == nil || out == nil || !in.open() || !out.open() {
		return false, nil
	}
	if out.failure = out.sender.send(b); out.failure != nil {
		out.failure = fmt.Errorf("sending a BFD packet to %s: %w", k.remote, out.failure)
	}
	return out.failure == nil, out.failure
}

func (o *opened) open() bool { return o.receiver != nil || o.sender != nil }

func (o *opened) close() {
	if o.receiver != nil {
		_ = o.receiver.close()
	}
	if o.sender != nil {
		_ = o.sender.close()
	}
	o.receiver, o.sender, o.failure = nil, nil, nil
}
