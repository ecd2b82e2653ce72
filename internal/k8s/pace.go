package k8s

import (
	"context"
	"net"
	"time"
)

const (
	// pause is how soon a connection is read again. In a burst of Services the API server sends something every
	// millisecond or less: a new Service, an answer, the Service as we have just written it. To wake up for each
	// costs more than what there is to do about it, so what comes in between waits, and is dealt with together;
	// network cards do the same with their interrupts. What comes after a silence is read at once.
	pause = 10 * time.Millisecond
	// bulk is how much makes it a list, which is not to be slowed down.
	bulk = 16 << 10
)

// pacedConn is a connection whose reads are some time apart.
type pacedConn struct {
	net.Conn
	buffer []byte
	unread []byte
	next   time.Time
}

func newPacedConn(c net.Conn) *pacedConn { return &pacedConn{Conn: c, buffer: make([]byte, 4*bulk)} }

// Read returns what has come, but not before it is time. It is called by one goroutine at a time.
func (c *pacedConn) Read(p []byte) (int, error) {
	if len(c.unread) == 0 {
		time.Sleep(time.Until(c.next))
		n, err := c.Conn.Read(c.buffer)
		if err != nil {
			return 0, err
		}
		if c.unread = c.buffer[:n]; n < bulk {
			c.next = time.Now().Add(pause)
		}
	}
	n := copy(p, c.unread)
	c.unread = c.unread[n:]
	return n, nil
}

// dialPaced dials as client-go does.
func dialPaced(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	c, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return newPacedConn(c), nil
}
