package lab

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
)

// Serve answers on a port of the host as a Pod does, over TCP and UDP and both families, until it is closed.
// Behind a Service without a selector the host is a backend that no node takes along when it dies.
func (h *Host) Serve(port uint16) (io.Closer, error) {
	s := &sandbox{}
	for _, address := range []netip.Addr{h.V4, h.V6} {
		for protocol, serve := range map[string]func(*namespace, Reply) error{"tcp": s.serveTCP, "udp": s.serveUDP} {
			err := serve(h.ns, Reply{Node: h.Name, Pod: h.Name, Protocol: protocol, Server: netip.AddrPortFrom(address, port)})
			if err != nil {
				return nil, fmt.Errorf("serving port %d of %s: %w", port, h.Name, errors.Join(err, s.Close()))
			}
		}
	}
	return s, nil
}

// Close closes the sockets and waits for their goroutines.
func (s *sandbox) Close() error {
	var errs []error
	for _, c := range s.closers {
		errs = append(errs, c.Close())
	}
	s.serving.Wait()
	return errors.Join(errs...)
}
