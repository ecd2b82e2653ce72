package lab

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Disk is where the lab keeps data of one kind: a file system of its own, in memory, that can be full.
type Disk struct{ name, path string }

// diskSize is far more than a lab writes.
const diskSize = 4 << 30

// newDisk mounts a disk as a directory of the lab.
func (l *Lab) newDisk(name string) (*Disk, error) {
	d := &Disk{name: name, path: l.path(name)}
	err := os.MkdirAll(d.path, 0o755)
	if err == nil {
		err = unix.Mount("tmpfs", d.path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, fmt.Sprintf("mode=700,size=%d", diskSize))
	}
	if err != nil {
		return nil, fmt.Errorf("mounting the disk for %s: %w", name, err)
	}
	return d, nil
}

// Fill takes all free space away: what is written from then on fails (ENOSPC), but for what fits into the pages that
// files have already.
func (d *Disk) Fill() error {
	// Another process may write in between: the kernel refuses a size that is too small.
	for range 100 {
		var s unix.Statfs_t
		if err := unix.Statfs(d.path, &s); err != nil {
			return fmt.Errorf("filling the disk for %s: %w", d.name, err)
		}
		err := d.resize((s.Blocks - s.Bfree) * uint64(s.Bsize))
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	return fmt.Errorf("filling the disk for %s: it is written to all the time", d.name)
}

// Free gives the space back.
func (d *Disk) Free() error { return d.resize(diskSize) }

func (d *Disk) resize(size uint64) error {
	if err := unix.Mount("", d.path, "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, "size="+strconv.FormatUint(size, 10)); err != nil {
		return fmt.Errorf("giving the disk for %s %d bytes: %w", d.name, size, err)
	}
	return nil
}

func (d *Disk) close() error {
	if d == nil {
		return nil
	}
	if err := unix.Unmount(d.path, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmounting the disk for %s: %w", d.name, err)
	}
	return nil
}
