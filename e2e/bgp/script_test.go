package bgp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// Types of BGP messages (RFC 4271, section 4.1).
const (
	openMessage         = 1
	updateMessage       = 2
	notificationMessage = 3
	keepaliveMessage    = 4
)

// message is a BGP message with its header.
func message(kind byte, body []byte) []byte {
	m := make([]byte, 19, 19+len(body))
	for i := range 16 {
		m[i] = 0xff
	}
	binary.BigEndian.PutUint16(m[16:], uint16(19+len(body)))
	m[18] = kind
	return append(m, body...)
}

// open is an OPEN message: the version, AS number, hold time and identifier; the capabilities of IPv4 unicast (RFC 4760)
// and of AS numbers with four octets (RFC 6793).
func open(version byte, asn uint16, hold uint16, id netip.Addr) []byte {
	body := []byte{version}
	body = binary.BigEndian.AppendUint16(body, asn)
	body = binary.BigEndian.AppendUint16(body, hold)
	body = append(body, id.AsSlice()...)
	capabilities := []byte{1, 4, 0, 1, 0, 1, 65, 4, 0, 0}
	capabilities = binary.BigEndian.AppendUint16(capabilities, asn)
	body = append(body, byte(2+len(capabilities)), 2, byte(len(capabilities)))
	return message(openMessage, append(body, capabilities...))
}

// unwanted is an UPDATE message with a route that nobody has asked for.
func unwanted(i int, next netip.Addr) []byte {
	attributes := []byte{
		0x40, 1, 1, 0, // ORIGIN
		0x40, 2, 6, 2, 1, 0, 0, routerASN >> 8, routerASN & 0xff, // AS_PATH
		0x40, 3, 4,
	}
	attributes = append(attributes, next.AsSlice()...)
	body := []byte{0, 0}
	body = binary.BigEndian.AppendUint16(body, uint16(len(attributes)))
	body = append(body, attributes...)
	return message(updateMessage, append(body, 24, 10, byte(i>>8), byte(i))) // of which 65,536 differ
}

// script plays a router on a host: each connection is handed to what it does.
func script(ctx context.Context, t *testing.T, r *lab.Router, does func(net.Conn) error) {
	t.Helper()
	listener, err := r.Listen(ctx, "tcp", netip.AddrPortFrom(r.V4, 179).String())
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	serving.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			serving.Go(func() {
				defer c.Close()
				_ = does(c)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		serving.Wait()
	})
}

// read is the next message's type and body.
func read(c net.Conn) (kind byte, body []byte, err error) {
	header := make([]byte, 19)
	if _, err := io.ReadFull(c, header); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint16(header[16:])
	if length < 19 {
		return 0, nil, fmt.Errorf("a message of %d octets", length)
	}
	body = make([]byte, length-19)
	_, err = io.ReadFull(c, body)
	return header[18], body, err
}

// establish answers OPEN and KEEPALIVE, and goes on to keep the session alive and to read what comes.
func establish(c net.Conn, r *lab.Router, then func(write func([]byte) error) error) error {
	var mu sync.Mutex
	write := func(m []byte) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := c.Write(m)
		return err
	}
	if _, _, err := read(c); err != nil {
		return err
	}
	if err := errors.Join(write(open(4, routerASN, 90, r.V4)), write(message(keepaliveMessage, nil))); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		for {
			if _, _, err := read(c); err != nil {
				done <- err
				return
			}
		}
	}()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	go func() {
		if err := then(write); err != nil {
			c.Close()
		}
	}()
	for {
		select {
		case err := <-done:
			return err
		case <-ticker.C:
			if err := write(message(keepaliveMessage, nil)); err != nil {
				return err
			}
		}
	}
}
