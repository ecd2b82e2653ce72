package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

func statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say what is running and how to use it",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := stateFiles()
			if err != nil {
				return err
			}
			return printStatus(f)
		},
	}
}

// described is the daemon and what runs in it, once all of it does.
func (f files) described() (d daemon, s description, err error) {
	d, alive, err := f.running()
	if err != nil {
		return d, s, err
	}
	if !alive {
		return d, s, errors.New("no lab is up; start one with `make up`")
	}
	if err := readJSON(f.description, &s); errors.Is(err, os.ErrNotExist) {
		return d, s, errors.New("the lab is still starting")
	} else if err != nil {
		return d, s, err
	}
	return d, s, nil
}

func printStatus(f files) error {
	d, s, err := f.described()
	if err != nil {
		return err
	}
	fmt.Printf("\nKubernetes %s with Fairlead is running in network namespaces (pid %d):\n\n", s.Version, d.PID)
	for _, h := range s.Hosts {
		lead := fmt.Sprintf("  %-8s %-12s %-14s ", h.Name, h.V4, h.V6)
		fmt.Println(fold(strings.Join(h.Roles, ", "), columns, lead, strings.Repeat(" ", len(lead))))
	}
	first4, _, _ := strings.Cut(lab.Pool4, "-")
	fetch := "curl -s"
	if _, err := exec.LookPath("curl"); err != nil {
		if _, err := exec.LookPath("wget"); err == nil {
			fetch = "wget -qO-"
		}
	}
	fmt.Printf(`
A pool and an advertisement are applied (%spool.yaml).
Make a Service and ask it (no image is pulled: the lab's Pods answer by
themselves):

  export KUBECONFIG=%s
  export PATH=%s:$PATH
  kubectl create deployment web --image=any --port=%d --replicas=3
  kubectl apply -f %sservice.yaml
  kubectl get ipaddresspools,speakers,svc
  kubectl fairlead status
  kubectl fairlead explain service web
  lab exec client1 -- %s http://%s

Pull the cable of a node, and put it back:

  lab exec switch -- ip link set node1 nomaster
  lab exec switch -- ip link set node1 master br0

A shell on the client:  lab exec client1 -- bash
All of this again:      lab status
The end:                make down
Logs of all processes:  %s
`, examples, f.kubeconfig, f.bin, lab.BackendPort, examples, fetch, first4,
		filepath.Join("/proc", strconv.Itoa(d.Init), "root", s.Logs))
	return nil
}
