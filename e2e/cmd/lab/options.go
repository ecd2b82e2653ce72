package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/fairlead-lb/fairlead/e2e/lab"
)

// labOptions are the flags of `lab up`, handed on to `lab daemon`, and of `lab demo`.
type labOptions struct {
	nodes, clients      int
	controller, speaker string
}

func (o *labOptions) sizeFlags(c *cobra.Command) {
	c.Flags().IntVar(&o.nodes, "nodes", 3, "how many nodes")
	c.Flags().IntVar(&o.clients, "clients", 1, "how many clients outside the cluster")
}

func (o *labOptions) productFlags(c *cobra.Command) {
	c.Flags().StringVar(&o.controller, "controller", "", "Fairlead's controller (default build/controller)")
	c.Flags().StringVar(&o.speaker, "speaker", "", "Fairlead's speaker (default build/speaker)")
}

func (o *labOptions) arguments() []string {
	return []string{
		"--nodes", strconv.Itoa(o.nodes), "--clients", strconv.Itoa(o.clients),
		"--controller", o.controller, "--speaker", o.speaker,
	}
}

// check refuses what cannot be started.
func (o *labOptions) check() error {
	if o.nodes < 1 || o.clients < 1 {
		return fmt.Errorf("a lab has at least one node and one client, not %d and %d", o.nodes, o.clients)
	}
	return o.findProduct()
}

// findProduct finds what `make build` has built, or what the flags name.
func (o *labOptions) findProduct() error {
	root, err := lab.Root()
	if err != nil {
		return err
	}
	for _, p := range []struct {
		name string
		path *string
	}{{"controller", &o.controller}, {"speaker", &o.speaker}} {
		named := *p.path != ""
		if !named {
			*p.path = filepath.Join(root, "build", p.name)
		}
		if *p.path, err = filepath.Abs(*p.path); err != nil {
			return fmt.Errorf("finding Fairlead's %s: %w", p.name, err)
		}
		switch info, err := os.Stat(*p.path); {
		case errors.Is(err, os.ErrNotExist) && !named:
			return fmt.Errorf("Fairlead's %s is not built: build/%s is missing; run `make build`", p.name, p.name)
		case err != nil:
			return fmt.Errorf("finding Fairlead's %s: %w", p.name, err)
		case info.IsDir() || info.Mode()&0o111 == 0:
			return fmt.Errorf("finding Fairlead's %s: %s is no program", p.name, *p.path)
		}
	}
	return nil
}
