package env

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxVectors is IOV_MAX of Linux.
const maxVectors = 1024

func writeVAt(f *os.File, bufs [][]byte, off int64) (n int, err error) {
	fd := int(f.Fd())
	for len(bufs) > 0 {
		part := bufs[:min(len(bufs), maxVectors)]
		want := 0
		for _, b := range part {
			want += len(b)
		}
		m, err := pwritev(fd, part, off+int64(n))
		n += m
		if err != nil {
			return n, &os.PathError{Op: "pwritev", Path: f.Name(), Err: err}
		}
		if m == want {
			bufs = bufs[len(part):]
			continue
		}
		if m == 0 && want > 0 {
			return n, &os.PathError{Op: "pwritev", Path: f.Name(), Err: io.ErrShortWrite}
		}
		// The kernel took less than it was given (a nearly full disk, a signal): go on behind it and see what it says.
		bufs = skip(bufs, m)
	}
	return n, nil
}

func pwritev(fd int, bufs [][]byte, off int64) (int, error) {
	for {
		n, err := unix.Pwritev(fd, bufs, off)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// skip returns bufs without their first n bytes, leaving the caller's slice as it is.
func skip(bufs [][]byte, n int) [][]byte {
	for len(bufs) > 0 && n >= len(bufs[0]) {
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	if n == 0 {
		return bufs
	}
	rest := append([][]byte(nil), bufs...)
	rest[0] = rest[0][n:]
	return rest
}

func syncData(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

// preallocate keeps the size: recovery tells the written part from the reserved one by it. A file system that cannot
// reserve is no error.
func preallocate(f *os.File, off, length int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, off, length)
		if err == nil || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
			return nil
		}
		if err != unix.EINTR {
			return &os.PathError{Op: "fallocate", Path: f.Name(), Err: err}
		}
	}
}

func dropCache(f *os.File) error {
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

func diskUsage(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return st.Bavail * uint64(st.Frsize), st.Blocks * uint64(st.Frsize), nil
}

// lockFile uses flock: unlike fcntl's locks it also holds between two opens in one process, and closing another
// descriptor of the file does not release it.
func lockFile(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s is locked by another process: %w", name, err)
		}
		return nil, &os.PathError{Op: "flock", Path: name, Err: err}
	}
	return f, nil
}
