package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// program is what the lab needs besides Go, and the Debian package it is in.
type program struct{ name, Package, purpose string }

// programs are what every lab needs.
var programs = []program{
	{"nft", "nftables", "kube-proxy writes its rules with it"},
	{"ip", "iproute2", "commands are run on a host with it"},
	{"nsenter", "util-linux", "a shell enters a host with it"},
}

// routerPrograms are what routers need.
var routerPrograms = []program{
	{"vtysh", "frr", "a router runs FRR"},
	{"bird", "bird2", "a router runs BIRD"},
}

// Preflight checks that this machine can run the lab: root, the programs, the kernel's features. Missing
// programs are installed where that is possible (Debian and Ubuntu). The error names everything missing.
func Preflight(ctx context.Context, progress func(string)) error {
	// A plain user's PATH, kept by su and sudo in some setups, lacks the sbin directories.
	for _, directory := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if !strings.Contains(":"+os.Getenv("PATH")+":", ":"+directory+":") {
			_ = os.Setenv("PATH", os.Getenv("PATH")+":"+directory)
		}
	}
	if os.Geteuid() != 0 {
		root := errors.New("the lab makes network namespaces: run it as root")
		return errors.Join(append([]error{root}, missingPrograms(programs)...)...)
	}
	return errors.Join(need(ctx, programs, progress), checkKernel())
}

// need installs programs that are missing, and fails naming those that it could not.
func need(ctx context.Context, programs []program, progress func(string)) error {
	if packages := missingPackages(programs); len(packages) > 0 {
		if err := install(ctx, packages, progress); err != nil {
			return err
		}
	}
	return errors.Join(missingPrograms(programs)...)
}

func missingPrograms(programs []program) []error {
	var missing []error
	for _, p := range programs {
		if _, err := exec.LookPath(p.name); err != nil {
			missing = append(missing, fmt.Errorf("the program %s is missing (Debian package %s): %s", p.name, p.Package, p.purpose))
		}
	}
	return missing
}

func missingPackages(programs []program) []string {
	var packages []string
	for _, p := range programs {
		if _, err := exec.LookPath(p.name); err != nil {
			packages = append(packages, p.Package)
		}
	}
	return packages
}

func install(ctx context.Context, packages []string, progress func(string)) error {
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return nil // the caller says what is missing
	}
	progress("installing " + strings.Join(packages, ", ") + " with apt-get")
	allow, err := denyServices()
	if err != nil {
		return err
	}
	defer allow()
	// Another apt may be at work, on a fresh machine above all.
	lock := []string{"-qq", "-o", "DPkg::Lock::Timeout=120"}
	for _, arguments := range [][]string{
		append(lock, "update"),
		append(append(lock, "install", "-y", "--no-install-recommends"), packages...),
	} {
		command := exec.CommandContext(ctx, apt, arguments...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("installing %s: apt-get %s: %w\n%s", strings.Join(packages, ", "), strings.Join(arguments, " "), err, lastLines(output, 10))
		}
	}
	return nil
}

// servicePolicy is what Debian's packages ask before they start a service.
const servicePolicy = "/usr/sbin/policy-rc.d"

// denyServices keeps packages from starting their daemons: a router on the machine itself would be nobody's. Where
// somebody has a policy already, it stays. The function it returns takes ours away.
func denyServices() (allow func(), err error) {
	file, err := os.OpenFile(servicePolicy, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if errors.Is(err, os.ErrExist) {
		return func() {}, nil
	}
	if err == nil {
		_, err = file.WriteString("#!/bin/sh\nexit 101\n")
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return nil, fmt.Errorf("keeping packages from starting services: %w", err)
	}
	return func() { _ = os.Remove(servicePolicy) }, nil
}

// checkKernel tries what the lab does to a kernel, in a network namespace that is gone afterwards.
func checkKernel() error {
	home, err := netns.GetFromPath("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("looking at the network namespaces: %w", err)
	}
	defer home.Close()
	return inNewNetwork(home, tryKernel)
}

func tryKernel() error {
	var missing []error
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "try-br"}}
	if err := netlink.LinkAdd(bridge); err != nil {
		missing = append(missing, fmt.Errorf("the kernel makes no bridge (module bridge): %w", err))
	}
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "try-a"}, PeerName: "try-b"}
	if err := netlink.LinkAdd(veth); err != nil {
		missing = append(missing, fmt.Errorf("the kernel makes no veth pair (module veth): %w", err))
	}
	if _, err := os.Stat("/proc/sys/net/ipv6"); err != nil {
		missing = append(missing, errors.New("the kernel has no IPv6, or it is switched off (ipv6.disable=1)"))
	}
	if nft, err := exec.LookPath("nft"); err == nil {
		command := exec.Command(nft, "-f", "-")
		command.Stdin = strings.NewReader("table inet try { chain c { type nat hook prerouting priority 0; ip daddr 192.0.2.1 dnat to 192.0.2.2; }; }")
		if output, err := command.CombinedOutput(); err != nil {
			missing = append(missing, fmt.Errorf("the kernel takes no nftables NAT rule (modules nf_tables, nft_nat): %w: %s", err, bytes.TrimSpace(output)))
		}
	}
	return errors.Join(missing...)
}

// lastLines is the end of a log.
func lastLines(text []byte, n int) []byte {
	text = bytes.TrimRight(text, "\n")
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == '\n' {
			if n--; n == 0 {
				return text[i+1:]
			}
		}
	}
	return text
}
