package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"golang.org/x/sync/errgroup"
)

// serve answers over HTTP and UDP until ctx ends.
func serve(ctx context.Context) error {
	name, err := os.Hostname() // the Pod's name
	if err != nil {
		return err
	}
	address := fmt.Sprintf(":%d", port)
	server := &http.Server{
		Addr: address,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s\n", name, r.RemoteAddr)
		}),
	}
	datagrams, err := new(net.ListenConfig).ListenPacket(ctx, "udp", address)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	context.AfterFunc(ctx, func() {
		server.Close()
		datagrams.Close()
	})
	group.Go(func() error {
		if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	group.Go(func() error {
		buffer := make([]byte, 1500)
		for {
			_, from, err := datagrams.ReadFrom(buffer)
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			if err != nil {
				return err
			}
			// An answer that cannot be sent is a lost datagram.
			_, _ = datagrams.WriteTo(fmt.Appendf(nil, "%s %s\n", name, from), from)
		}
	})
	return group.Wait()
}
