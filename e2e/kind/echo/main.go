// Command echo is the backend and the client of the kind tests, in one static program so that it makes an
// image without a base image.
//
//	echo serve                                  answers HTTP and UDP on port 8080: its hostname, who asked
//	echo ask tcp|udp ADDRESS:PORT               asks once and prints the answer
//	echo load HELD PERSECOND ADDRESS:PORT...    holds connections and opens new ones until standard input ends
//	echo whohas ADDRESS...                      asks the segment; a line per address and who answers for it
//	echo neighbor ADDRESS                       prints the hardware address in the kernel's own cache
package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	port       = 8080
	askTimeout = time.Second
	// window is how long answers of several hosts are waited for: a host answers within a millisecond, and
	// one that answers late is found as well.
	window = 500 * time.Millisecond
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
	case len(args) > 3 && args[0] == "load":
		held, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		perSecond, err := strconv.Atoi(args[2])
		if err != nil {
			return err
		}
		return load(ctx, held, perSecond, args[3:])
	case len(args) > 1 && args[0] == "whohas":
		addresses, err := parse(args[1:])
		if err != nil {
			return err
		}
		return printWhoHas(ctx, addresses)
	case len(args) == 2 && args[0] == "neighbor":
		addresses, err := parse(args[1:])
		if err != nil {
			return err
		}
		mac, err := neighbor(addresses[0])
		if mac != nil {
			fmt.Println(mac)
		}
		return err
	}
	return fmt.Errorf("%q is not understood", args)
}

func parse(args []string) (addresses []netip.Addr, err error) {
	for _, arg := range args {
		a, err := netip.ParseAddr(arg)
		if err != nil {
			return nil, err
		}
		addresses = append(addresses, a)
	}
	return addresses, nil
}

// printWhoHas asks for all addresses at the same time.
func printWhoHas(ctx context.Context, addresses []netip.Addr) error {
	macs := make([][]string, len(addresses))
	var group errgroup.Group
	for i, a := range addresses {
		group.Go(func() (err error) {
			macs[i], err = whoHas(ctx, a)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, a := range addresses {
		fmt.Println(a, strings.Join(macs[i], " "))
	}
	return nil
}
