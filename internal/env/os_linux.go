package env

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// maxVectors is IOV_MAX of Linux.
	maxVectors = 1024
	// maxPiece is how much goes with one system call where it can be parted: the page cache takes memory in blocks as large as
	// the write, and large ones are often such that a virtual machine's host must find anew, which costs three times the write.
	// What the file had when it was opened to be written over mostly has its blocks already.
	maxPiece = 64 << 10
)

func writeVAt(f *os.File, bufs [][]byte, off, had int64) (n int, err error) {
	most := maxPiece
	if off+lengths(bufs) <= had {
		most = math.MaxInt
	}
	fd := int(f.Fd())
	for len(bufs) > 0 {
		part, want := piece(bufs, most)
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

func lengths(bufs [][]byte) (n int64) {
	for _, b := range bufs {
		n += int64(len(b))
	}
	return n
}

// piece is what of bufs is written first, whole buffers, and how many bytes it has: not above most, unless one alone has more.
func piece(bufs [][]byte, most int) (part [][]byte, bytes int) {
	part = bufs[:min(len(bufs), maxVectors)]
	for i, b := range part {
		if i > 0 && bytes+len(b) > most {
			return part[:i], bytes
		}
		bytes += len(b)
	}
	return part, bytes
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

// diskBlock is what direct reads are aligned to: at least the block of any disk.
const diskBlock = 4096

// diskFile is a file that is read past the page cache.
type diskFile struct {
	*osFile
	mu  sync.Mutex
	buf []byte // aligned
}

func openDisk(name string) (File, error) {
	f, err := openOS(name, os.O_RDONLY|unix.O_DIRECT)
	if errors.Is(err, unix.EINVAL) { // a file system without
		return openOS(name, os.O_RDONLY)
	}
	if err != nil {
		return nil, err
	}
	return &diskFile{osFile: f.(*osFile)}, nil
}

// ReadAt reads the blocks that hold what is asked for.
func (f *diskFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := off &^ (diskBlock - 1)
	blocks := f.aligned(int((off+int64(len(p))+diskBlock-1)&^(diskBlock-1) - first))
	got := 0
	for got < len(blocks) {
		n, err := unix.Pread(int(f.f.Fd()), blocks[got:], first+int64(got))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, &os.PathError{Op: "read", Path: f.Name(), Err: err}
		}
		got += n
		if n == 0 || n%diskBlock != 0 {
			break // the file's end
		}
	}
	n := copy(p, blocks[min(int(off-first), got):got])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Fd hides the descriptor, from which nothing can be sent.
func (f *diskFile) Fd() (uintptr, bool) { return 0, false }

// aligned is memory for n bytes that direct reads can go into.
func (f *diskFile) aligned(n int) []byte {
	if len(f.buf) < n {
		raw := make([]byte, n+diskBlock)
		skip := -int(uintptr(unsafe.Pointer(&raw[0]))) & (diskBlock - 1)
		f.buf = raw[skip : skip+n]
	}
	return f.buf[:n]
}

// writeBack is cheaper than a sync that nobody waits for: neither the file system's journal nor the disk's cache is flushed.
func writeBack(f *os.File) error {
	return unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
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
