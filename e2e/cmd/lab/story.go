package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/fairlead-lb/fairlead/e2e/lab"
	"github.com/fairlead-lb/fairlead/internal/generated/clientset/versioned"
)

// story is the demo's tale. Every fact in it is read from the system when it is told.
type story struct {
	*lab.Lab
	*teller
	fairlead versioned.Interface
	client   *lab.Host // outside the cluster

	vips   []netip.Addr // of the Service: v4, v6
	owners map[netip.Addr]*lab.Node
	lost   *lab.Node // whose cable is pulled
}

// Where the story's files are, from the repository's root, and what they name.
const (
	examples       = "e2e/cmd/lab/example/"
	poolName       = "lb"
	serviceName    = "web"
	backendLabel   = "example.fairlead.dev/web=yes"
	servicePort    = 80
	probeInterval  = 10 * time.Millisecond
	answerWindow   = 150 * time.Millisecond // for everybody on the segment to answer a question
	stepLimit      = 15 * time.Second
	settlingTime   = time.Second
	observingStays = 3 * time.Second
)

func (s *story) tellAll(ctx context.Context) error {
	for i, chapter := range []struct {
		title string
		tell  func(context.Context) error
	}{
		{"A cluster", s.cluster},
		{"Addresses to give out", s.pool},
		{"A Service of type LoadBalancer", s.service},
		{"One node answers for each address", s.ownership},
		{"A client outside asks", s.ask},
		{"The owner's cable is pulled", s.pull},
		{"The cable is put back", s.putBack},
		{"The Service is deleted", s.remove},
		{"Tidying up", s.tidy},
	} {
		s.chapter(fmt.Sprintf("%d. %s", i+1, chapter.title))
		if err := chapter.tell(ctx); err != nil {
			return fmt.Errorf("%d. %s: %w", i+1, chapter.title, err)
		}
	}
	return nil
}

// kubectl runs and shows a command, as an administrator of the cluster would give it.
func (s *story) kubectl(ctx context.Context, arguments ...string) error {
	output, err := s.CP.Run(ctx, "kubectl", arguments...)
	if err != nil {
		return err
	}
	s.show("$", append([]string{"kubectl"}, arguments...), output)
	return nil
}

// apply shows and applies a file.
func (s *story) apply(ctx context.Context, file string) error {
	text, err := os.ReadFile(examples + file)
	if err != nil {
		return fmt.Errorf("reading an example: %w", err)
	}
	s.show("$", []string{"cat", examples + file}, string(text))
	return s.kubectl(ctx, "apply", "-f", examples+file)
}

// until waits for what the story says next to be so.
func until(ctx context.Context, what string, check func() error) (time.Duration, error) {
	begin := time.Now()
	for {
		err := check()
		took := time.Since(begin)
		if err == nil {
			return took, nil
		}
		if ctx.Err() != nil {
			return took, fmt.Errorf("waiting for %s: %w (%w)", what, context.Cause(ctx), err)
		}
		if took > stepLimit {
			return took, fmt.Errorf("%s did not come within %s: %w", what, stepLimit, err)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// owner is the one node that answers on the segment for an address. That nobody or several answer is an error.
func (s *story) owner(ctx context.Context, address netip.Addr) (*lab.Node, error) {
	answers, err := s.client.Answerers(ctx, address, answerWindow)
	if err != nil {
		return nil, err
	}
	if len(answers) != 1 {
		return nil, fmt.Errorf("%d hosts answer for %s: %v", len(answers), address, answers)
	}
	host := s.HostByMAC(answers[0])
	if host == nil || s.NodeNamed(host.Name) == nil {
		return nil, fmt.Errorf("%s, which is no node, answers for %s", answers[0], address)
	}
	return s.NodeNamed(host.Name), nil
}

// silent fails if anybody answers on the segment for an address.
func (s *story) silent(ctx context.Context) error {
	for _, vip := range s.vips {
		answers, err := s.client.Answerers(ctx, vip, answerWindow)
		if err != nil {
			return err
		}
		if len(answers) > 0 {
			return fmt.Errorf("%v answers for %s", answers, vip)
		}
	}
	return nil
}

// cluster says what runs.
func (s *story) cluster(ctx context.Context) error {
	var control, node []string
	for _, p := range s.Processes() {
		name := programName(s.Lab, p)
		switch p.Host {
		case s.CP:
			control = append(control, name)
		case s.Node(1).Host:
			node = append(node, name)
		}
		if !p.Running() {
			return errors.New(p.Name + " does not run")
		}
	}
	s.say("One host runs %s. Each of %d nodes runs %s. %s is outside the cluster. All of them are on one segment, as "+
		"machines on a switch are.", enumerate(control), len(s.Nodes), enumerate(node), s.client.Name)
	return s.kubectl(ctx, "get", "nodes")
}

// url is how a client asks for an address.
func url(address netip.Addr) string {
	if address.Is6() {
		return "http://[" + address.String() + "]"
	}
	return "http://" + address.String()
}

func at(address netip.Addr) netip.AddrPort { return netip.AddrPortFrom(address, servicePort) }

func milliseconds(d time.Duration) string {
	if d < 10*time.Millisecond {
		return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(d.Microseconds())/1000), ".0") + " ms"
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
