package k8s

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// trickle is a connection on which one byte comes every millisecond from a moment on.
type trickle struct {
	net.Conn
	from  time.Time
	read  int
	reads int
}

func (c *trickle) Read(p []byte) (int, error) {
	c.reads++
	if wait := time.Until(c.from.Add(time.Duration(c.read) * time.Millisecond)); wait > 0 {
		time.Sleep(wait)
	}
	n := min(len(p), int(time.Since(c.from)/time.Millisecond)+1-c.read)
	c.read += n
	return n, nil
}

func TestPacedConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &trickle{from: time.Now().Add(time.Second)}
		c := newPacedConn(slow)
		take := func(n int) time.Duration {
			for part := make([]byte, 3); n > 0; {
				got, err := c.Read(part[:min(n, len(part))])
				if err != nil {
					t.Fatal(err)
				}
				n -= got
			}
			return time.Since(slow.from)
		}
		if at := take(1); at != 0 || slow.reads != 1 {
			t.Errorf("what comes after a silence is read after %s in %d reads", at, slow.reads)
		}
		if at := take(10); at != pause || slow.reads != 2 {
			t.Errorf("what comes within a pause is read after %s in %d reads", at, slow.reads)
		}
		if at := take(100); at != 11*pause || slow.reads != 12 {
			t.Errorf("a hundred bytes more are read after %s in %d reads", at, slow.reads)
		}
		time.Sleep(time.Minute)
		before := time.Now()
		take(50_000)
		if took := time.Since(before); took != 0 {
			t.Errorf("a list takes %s", took)
		}
	})
}
