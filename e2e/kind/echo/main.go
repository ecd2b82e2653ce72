// Command echo is the backend and the client of the kind tests, in one static program so that it makes an
// image without a base image.
//
//	echo serve                                  answers HTTP and UDP on port 8080: its hostname, who asked
//	echo ask tcp|udp ADDRESS:PORT               asks once and prints the answer
//	echo watch INTERVAL TIMEOUT ADDRESS:PORT... asks again and again until standard input ends
//	echo whohas ADDRESS                         prints the hardware addresses that answer on the segment
//	echo neighbor ADDRESS                       prints the hardware address in the kernel's own cache
package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	port       = 8080
	askTimeout = time.Second
	// window is how long answers of several hosts are waited for: a host answers within a millisecond, and
	// one that answers late is found as well.
	window = time.Second
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 1 && args[0] == "serve":
		return serve(ctx)
	case len(args) == 3 && args[0] == "ask":
		answer, err := ask(ctx, args[1], args[2], askTimeout)
		if err != nil {
			return err
		}
		fmt.Println(answer)
		return nil
	case len(args) > 3 && args[0] == "watch":
		interval, err := time.ParseDuration(args[1])
		if err != nil {
			return err
		}
		timeout, err := time.ParseDuration(args[2])
		if err != nil {
			return err
		}
		return watch(ctx, interval, timeout, args[3:])
	case len(args) == 2 && (args[0] == "whohas" || args[0] == "neighbor"):
		address, err := netip.ParseAddr(args[1])
		if err != nil {
			return err
		}
		find := whoHas
		if args[0] == "neighbor" {
			find = neighbor
		}
		macs, err := find(ctx, address)
		for _, mac := range macs {
			fmt.Println(mac)
		}
		return err
	}
	return fmt.Errorf("%q is not understood", args)
}
