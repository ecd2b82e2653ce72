package lab

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// Answer is one reply on the wire to WhoHas.
type Answer struct {
	MAC    net.HardwareAddr // that the answer claims for the address
	Source net.HardwareAddr // that the frame came from
	After  time.Duration    // since the question
}

// WhoHas asks on the segment who has an address, by one ARP request or one Neighbor Solicitation from a raw
// socket, and collects every answer that arrives within the window. The host's own cache is neither asked
// nor needed.
func (h *Host) WhoHas(ctx context.Context, address netip.Addr, window time.Duration) ([]Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, window)
	defer cancel()
	kind, recognize := ethernet.EtherTypeARP, h.arpAnswer
	if address.Is6() {
		kind, recognize = ethernet.EtherTypeIPv6, h.ndpAnswer
	}
	answers, err := h.exchangeFrames(ctx, address, kind, recognize)
	if err != nil {
		return nil, fmt.Errorf("asking the segment of %s who has %s: %w", h.Name, address, err)
	}
	return answers, nil
}

// Answerers are the distinct hardware addresses that answer WhoHas, in the order of their first answer.
func (h *Host) Answerers(ctx context.Context, address netip.Addr, window time.Duration) ([]net.HardwareAddr, error) {
	answers, err := h.WhoHas(ctx, address, window)
	if err != nil {
		return nil, err
	}
	var macs []net.HardwareAddr
	seen := map[string]bool{}
	for _, a := range answers {
		if !seen[string(a.MAC)] {
			seen[string(a.MAC)] = true
			macs = append(macs, a.MAC)
		}
	}
	return macs, nil
}

// exchangeFrames sends a question and reads until ctx is done.
func (h *Host) exchangeFrames(
	ctx context.Context, address netip.Addr, kind ethernet.EtherType,
	recognize func(ethernet.Frame, netip.Addr) net.HardwareAddr,
) ([]Answer, error) {
	frame, err := h.Question(address)
	if err != nil {
		return nil, err
	}
	raw, err := h.ListenFrames(kind)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	defer context.AfterFunc(ctx, func() { _ = raw.SetReadDeadline(time.Unix(1, 0)) })()
	begin := time.Now()
	if _, err := raw.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}); err != nil {
		return nil, err
	}
	var answers []Answer
	for buffer := make([]byte, 64<<10); ; {
		n, _, err := raw.ReadFrom(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return answers, nil
		}
		if err != nil {
			return nil, err
		}
		var f ethernet.Frame
		if f.UnmarshalBinary(buffer[:n]) != nil {
			continue
		}
		if mac := recognize(f, address); mac != nil {
			answers = append(answers, Answer{MAC: mac, Source: bytes.Clone(f.Source), After: time.Since(begin)})
		}
	}
}

// ListenFrames opens a raw socket for the frames of an EtherType on the host's eth0.
func (h *Host) ListenFrames(kind ethernet.EtherType) (raw *packet.Conn, err error) {
	err = h.Do(func() (err error) { raw, err = packet.Listen(h.Interface(), packet.Raw, int(kind), nil); return err })
	if err != nil {
		return nil, fmt.Errorf("opening a raw socket on %s: %w", h.Name, err)
	}
	return raw, nil
}

// Question is the frame by which the host asks who has an address: a broadcast ARP request, or a multicast
// Neighbor Solicitation.
func (h *Host) Question(address netip.Addr) ([]byte, error) {
	question, kind := h.arpQuestion, ethernet.EtherTypeARP
	if address.Is6() {
		question, kind = h.ndpQuestion, ethernet.EtherTypeIPv6
	}
	ask, err := question(address)
	if err != nil {
		return nil, fmt.Errorf("asking who has %s: %w", address, err)
	}
	ask.Source, ask.EtherType = h.MAC, kind
	return ask.MarshalBinary()
}

func (h *Host) arpQuestion(address netip.Addr) (ethernet.Frame, error) {
	request, err := arp.NewPacket(arp.OperationRequest, h.MAC, h.V4, make(net.HardwareAddr, 6), address)
	if err != nil {
		return ethernet.Frame{}, err
	}
	payload, err := request.MarshalBinary()
	return ethernet.Frame{Destination: ethernet.Broadcast, Payload: payload}, err
}

// arpAnswer is the hardware address that an ARP reply to this host gives, nil if the frame is none.
// Announcements in reply form (RFC 5227, section 3) have the address as their target: they answer nobody.
func (h *Host) arpAnswer(f ethernet.Frame, address netip.Addr) net.HardwareAddr {
	var p arp.Packet
	if p.UnmarshalBinary(f.Payload) != nil || p.Operation != arp.OperationReply || p.SenderIP != address || p.TargetIP != h.V4 {
		return nil
	}
	return bytes.Clone(p.SenderHardwareAddr)
}

// ipv6Header is the length of an IPv6 header (RFC 8200, section 3). NDP messages carry no extension headers
// between it and ICMPv6.
const ipv6Header = 40

func (h *Host) ndpQuestion(address netip.Addr) (ethernet.Frame, error) {
	group, err := ndp.SolicitedNodeMulticast(address)
	if err != nil {
		return ethernet.Frame{}, err
	}
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborSolicitation{
		TargetAddress: address,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: h.MAC}},
	}, h.V6, group)
	if err != nil {
		return ethernet.Frame{}, err
	}
	return multicast(h.V6, group, message), nil
}

// multicast is a frame with an ICMPv6 message to a group.
func multicast(from, group netip.Addr, message []byte) ethernet.Frame {
	header := make([]byte, ipv6Header, ipv6Header+len(message))
	header[0] = 6 << 4
	binary.BigEndian.PutUint16(header[4:], uint16(len(message)))
	header[6], header[7] = unix.IPPROTO_ICMPV6, ndp.HopLimit
	copy(header[8:], from.AsSlice())
	copy(header[24:], group.AsSlice())
	// RFC 2464, section 7: a multicast address goes to 33:33 and its last four bytes.
	to := append(net.HardwareAddr{0x33, 0x33}, group.AsSlice()[12:]...)
	return ethernet.Frame{Destination: to, Payload: append(header, message...)}
}

// Announcement is the frame by which the host claims an address for itself: an ARP announcement (RFC 5227,
// section 3), or an unsolicited Neighbor Advertisement with the Override flag (RFC 4861, section 7.2.6).
func (h *Host) Announcement(address netip.Addr) ([]byte, error) {
	f, err := h.announcement(address)
	if err != nil {
		return nil, fmt.Errorf("announcing %s: %w", address, err)
	}
	f.Source = h.MAC
	return f.MarshalBinary()
}

func (h *Host) announcement(address netip.Addr) (ethernet.Frame, error) {
	if address.Is4() {
		p, err := arp.NewPacket(arp.OperationRequest, h.MAC, address, make(net.HardwareAddr, 6), address)
		if err != nil {
			return ethernet.Frame{}, err
		}
		payload, err := p.MarshalBinary()
		return ethernet.Frame{Destination: ethernet.Broadcast, EtherType: ethernet.EtherTypeARP, Payload: payload}, err
	}
	all := netip.IPv6LinkLocalAllNodes()
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Override: true, TargetAddress: address,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: h.MAC}},
	}, address, all)
	f := multicast(address, all, message)
	f.EtherType = ethernet.EtherTypeIPv6
	return f, err
}

// ndpAnswer is the target hardware address of a solicited Neighbor Advertisement, nil if the frame is none.
// RFC 4861, section 4.4: the Solicited flag tells it from an announcement.
func (h *Host) ndpAnswer(f ethernet.Frame, address netip.Addr) net.HardwareAddr {
	p := f.Payload
	if len(p) < ipv6Header || p[6] != unix.IPPROTO_ICMPV6 || p[7] != ndp.HopLimit || !bytes.Equal(p[24:40], h.V6.AsSlice()) {
		return nil
	}
	// Ethernet pads short frames: the header says where the message ends.
	end := min(len(p), ipv6Header+int(binary.BigEndian.Uint16(p[4:])))
	message, err := ndp.ParseMessage(p[ipv6Header:end])
	if err != nil {
		return nil
	}
	advertisement, ok := message.(*ndp.NeighborAdvertisement)
	if !ok || advertisement.TargetAddress != address || !advertisement.Solicited {
		return nil
	}
	for _, o := range advertisement.Options {
		if l, ok := o.(*ndp.LinkLayerAddress); ok && l.Direction == ndp.Target {
			return l.Addr
		}
	}
	// RFC 4861, section 4.4: an answer to a multicast solicitation must carry the option.
	return nil
}
