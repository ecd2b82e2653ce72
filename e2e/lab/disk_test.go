package lab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestDiskFull(t *testing.T) {
	_, l := sharedLab(t)
	path := filepath.Join(l.EtcdDisk.path, "more")
	write := func() error {
		return errors.Join(os.WriteFile(path, make([]byte, 1<<20), 0o600), os.Remove(path))
	}
	if err := write(); err != nil {
		t.Fatal(err)
	}
	if err := l.EtcdDisk.Fill(); err != nil {
		t.Fatal(err)
	}
	if err := write(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("writing to a full disk: %v", err)
	}
	if err := l.EtcdDisk.Free(); err != nil {
		t.Fatal(err)
	}
	if err := write(); err != nil {
		t.Errorf("writing to a disk that is free again: %v", err)
	}
}

func TestSpareDescriptors(t *testing.T) {
	ctx, l := sharedLab(t)
	// The shell has descriptors with gaps between their numbers, opens one more each 5 ms, and goes on when it cannot.
	p := l.Program("opening", l.CP, "/bin/bash", "bash", "-c",
		"exec 7<&0 9<&0 {x}<&0 {x}<&0; echo ready; for i in {1..500}; do exec {x}</dev/null || echo full; sleep 0.005; done")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	if err := wait(ctx, "the shell to begin", func(context.Context) (bool, error) {
		log, err := p.Log()
		return strings.Contains(log, "ready"), err
	}); err != nil {
		t.Fatal(err)
	}
	end, err := p.SpareDescriptors(5)
	if err != nil {
		t.Fatal(err)
	}
	if err := wait(ctx, "a descriptor to be refused", func(context.Context) (bool, error) {
		log, err := p.Log()
		return strings.Contains(log, "Too many open files"), err
	}); err != nil {
		t.Error(err)
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	log, _ := p.Log()
	if err := wait(ctx, "descriptors to be had again", func(context.Context) (bool, error) {
		now, err := p.Log()
		quiet := now == log && p.Running()
		log = now
		return quiet, err
	}); err != nil {
		t.Error(err)
	}
}
