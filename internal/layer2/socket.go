//go:build linux

package layer2

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

const (
	// receiveBuffer bounds what waits to be read: some 300 frames, whatever the system's default.
	receiveBuffer = 128 << 10
	// sendPatience is how long to wait for an interface that takes no more: a card that hangs must not hold up
	// the decisions about the others.
	sendPatience = 50 * time.Millisecond
)

// CheckPrivileges returns an error that says what is missing if this process may not open packet sockets.
func CheckPrivileges() error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a packet socket, without which ARP and Neighbor Discovery cannot be answered: %w; the container needs the capability NET_RAW "+
			"(securityContext.capabilities.add, as in manifests/base), and seccomp, AppArmor or SELinux must not forbid it", err)
	}
	return unix.Close(fd)
}

// MayBind tells whether this process may put addresses on interfaces.
func MayBind() bool {
	var data [2]unix.CapUserData // capget(2): two of 32 bits each
	err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0])
	return err != nil || data[0].Effective&(1<<unix.CAP_NET_ADMIN) != 0
}

// socket is a packet socket for frames of one EtherType on one interface.
type socket struct {
	conn *packet.Conn
}

// openSocket opens a socket with a filter, which local precedes.
func openSocket(l Link, etherType int, filter []bpf.Instruction) (*socket, error) {
	program, err := bpf.Assemble(local(filter))
	if err != nil {
		return nil, fmt.Errorf("assembling a filter: %w", err)
	}
	ifi := &net.Interface{Name: l.Name, Index: l.Index, HardwareAddr: l.HardwareAddr}
	c, err := packet.Listen(ifi, packet.Raw, etherType, &packet.Config{Filter: program})
	if err != nil {
		return nil, err
	}
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer) })
	}
	return &socket{c}, nil
}

// attach replaces the filter, in one step.
func (s *socket) attach(filter []bpf.Instruction) error {
	program, err := bpf.Assemble(local(filter))
	if err != nil {
		return fmt.Errorf("assembling a filter: %w", err)
	}
	return s.conn.SetBPF(program)
}

func (s *socket) read(buffer []byte) (int, error) {
	n, _, err := s.conn.ReadFrom(buffer)
	return n, err
}

func (s *socket) send(frame []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(sendPatience)); err != nil {
		return err
	}
	_, err := s.conn.WriteTo(frame, &packet.Addr{HardwareAddr: net.HardwareAddr(frame[:6])})
	return err
}

// drops returns how many frames the kernel has dropped since the last call because they were not read in time.
func (s *socket) drops() uint32 {
	stats, err := s.conn.Stats()
	if err != nil {
		return 0
	}
	return stats.Drops
}

func (s *socket) close() { s.conn.Close() }

// receive hands every frame to handle until ctx ends, which is to be before the socket is closed: that tells
// the end from a failure.
func (s *socket) receive(ctx context.Context, log *slog.Logger, handle func(frame []byte)) {
	buffer := make([]byte, 2048)
	for ctx.Err() == nil {
		n, err := s.read(buffer)
		switch {
		case ctx.Err() != nil, errors.Is(err, os.ErrClosed):
			return
		case err != nil:
			// The interface went down, as a rule. If it is gone or changed, the socket is closed soon.
			log.Debug("receiving failed", "error", err)
			sleep(ctx, 50*time.Millisecond)
		default:
			handle(buffer[:n])
		}
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
