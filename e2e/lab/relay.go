package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// relay joins the listener that was opened on the host's 127.0.0.1, before the lab left the host's network,
// to the API server.
type relay struct {
	listener net.Listener
	dial     func(context.Context) (net.Conn, error)
}

// newRelay takes the listener that Isolate handed in. There is none, and no error, in a process that Isolate
// did not start.
func newRelay(dial func(context.Context) (net.Conn, error)) (*relay, error) {
	fd, err := unix.FcntlInt(listenerFD, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("taking the listener for the kubeconfig: %w", err)
	}
	// FileListener makes a duplicate: the descriptor stays for the next lab of this process.
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("taking the listener for the kubeconfig: %w", err)
	}
	return &relay{listener: listener, dial: dial}, nil
}

func (r *relay) address() string { return r.listener.Addr().String() }

// run relays until ctx is done.
func (r *relay) run(ctx context.Context) error {
	defer r.listener.Close()
	defer context.AfterFunc(ctx, func() { r.listener.Close() })()
	var connections sync.WaitGroup
	defer connections.Wait()
	for {
		outside, err := r.listener.Accept()
		if ctx.Err() != nil {
			if err == nil {
				outside.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accepting for the API server: %w", err)
		}
		connections.Go(func() {
			defer outside.Close()
			inside, err := r.dial(ctx)
			if err != nil {
				return // the caller outside sees the connection close, as with any API server that is down
			}
			defer inside.Close()
			_ = pipe(ctx, outside, inside)
		})
	}
}

// pipe copies both ways until either side ends or ctx is done.
func pipe(ctx context.Context, a, b net.Conn) error {
	defer context.AfterFunc(ctx, func() { a.Close(); b.Close() })()
	var g errgroup.Group
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		g.Go(func() error {
			_, err := io.Copy(way[0], way[1])
			if w, ok := way[0].(*net.TCPConn); ok {
				err = errors.Join(err, w.CloseWrite())
			}
			return err
		})
	}
	return g.Wait()
}
