package compat

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel end a child when the test process dies, however it dies.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

func mountTmpfs(dir, options string) error {
	return syscall.Mount("tmpfs", dir, "tmpfs", 0, options)
}

// mountExt4 makes a file system of so many bytes in a file, none of them kept for root, and mounts it.
func mountExt4(dir, image string, bytes int64) error {
	file, err := os.Create(image)
	if err == nil {
		err = errors.Join(file.Truncate(bytes), file.Close())
	}
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", args[0], err, out)
		}
	}
	return nil
}

func unmount(dir string) error { return syscall.Unmount(dir, syscall.MNT_FORCE) }

// fallocate takes room on a disk without writing to it.
func fallocate(f *os.File, size int64) error { return syscall.Fallocate(int(f.Fd()), 0, 0, size) }

// freeBytes is the room on the disk of a directory.
func freeBytes(dir string) (int64, error) {
	var st syscall.Statfs_t
	err := syscall.Statfs(dir, &st)
	return int64(st.Bavail) * st.Bsize, err
}
