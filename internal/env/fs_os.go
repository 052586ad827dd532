package env

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// NewOSFS is the operating system's file system.
func NewOSFS() FS { return osFS{} }

type osFS struct{}

func (osFS) VFS() vfs.FS { return vfs.Default }

func (osFS) Create(name string) (File, error) {
	return openOS(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (osFS) OpenReadWrite(name string) (File, error) {
	f, err := openOS(name, os.O_RDWR)
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	f.(*osFile).had = size
	return f, nil
}

func (osFS) Open(name string) (File, error)     { return openOS(name, os.O_RDONLY) }
func (osFS) OpenDisk(name string) (File, error) { return openDisk(name) }

func (osFS) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

func (fs osFS) WriteFileAtomic(name string, data []byte) error {
	tmp := name + ".tmp"
	if err := writeSynced(tmp, data); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	if err := os.Rename(tmp, name); err != nil {
		return err
	}
	return fs.SyncDir(filepath.Dir(name))
}

func writeSynced(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (osFS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o755) }

func (osFS) List(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

func (osFS) Size(name string) (int64, error) {
	info, err := os.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (osFS) Remove(name string) error             { return os.Remove(name) }
func (osFS) RemoveAll(name string) error          { return os.RemoveAll(name) }
func (osFS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }

func (osFS) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (osFS) Lock(name string) (io.Closer, error)              { return lockFile(name) }
func (osFS) Usage(dir string) (free, total uint64, err error) { return diskUsage(dir) }

// osFile is an *os.File that knows whether it was closed, so that no one sends from a descriptor that is another's by now.
type osFile struct {
	f      *os.File
	had    int64 // its size when it was opened to be written
	closed atomic.Bool
}

func openOS(name string, flags int) (File, error) {
	f, err := os.OpenFile(name, flags, 0o644)
	if err != nil {
		return nil, err
	}
	return &osFile{f: f}, nil
}

func (f *osFile) Name() string { return f.f.Name() }

func (f *osFile) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

func (f *osFile) WriteVAt(bufs [][]byte, off int64) (int, error) {
	return writeVAt(f.f, bufs, off, f.had)
}

func (f *osFile) SyncData() error { return syncData(f.f) }

func (f *osFile) Preallocate(off, length int64) error { return preallocate(f.f, off, length) }

func (f *osFile) DropCache() error { return dropCache(f.f) }

func (f *osFile) WriteBack() error { return writeBack(f.f) }

func (f *osFile) Size() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *osFile) Fd() (uintptr, bool) {
	if f.closed.Load() {
		return 0, false
	}
	return f.f.Fd(), true
}

func (f *osFile) Close() error {
	f.closed.Store(true)
	return f.f.Close()
}

// writeEach is the vectored write of systems that have none.
func writeEach(w io.WriterAt, bufs [][]byte, off int64) (n int, err error) {
	for _, b := range bufs {
		m, err := w.WriteAt(b, off+int64(n))
		n += m
		if err != nil {
			return n, err
		}
		if m < len(b) {
			return n, io.ErrShortWrite
		}
	}
	return n, nil
}
