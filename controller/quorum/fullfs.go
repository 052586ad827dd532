package quorum

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fullFS is the file system under raft's store. Pebble can't live through a write that fails, so a write for which there is
// no room waits here until there is some. Commands are turned away before (Quorum.room), so only the last few bytes of a
// full disk ever come this far. A sync is not tried again, whatever its error: the kernel has marked the pages clean.
type fullFS struct {
	vfs.FS
	state *fullState
}

// fullState is what all files of a fullFS share.
type fullState struct {
	waiting atomic.Int32
	changed func(full bool)
	stop    chan struct{}
	once    sync.Once
}

const fullRetry = 100 * time.Millisecond

func newFullFS(fs vfs.FS, changed func(bool)) *fullFS {
	return &fullFS{FS: fs, state: &fullState{changed: changed, stop: make(chan struct{})}}
}

// close lets go of those who wait: they fail.
func (f *fullFS) close() { f.state.once.Do(func() { close(f.state.stop) }) }

// full says whether somebody waits for room.
func (f *fullFS) full() bool { return f.state.waiting.Load() > 0 }

// retry calls op until its error is something else than a full disk.
func (s *fullState) retry(op func() error) error {
	err := op()
	if !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	if s.waiting.Add(1) == 1 {
		s.changed(true)
	}
	defer func() {
		if s.waiting.Add(-1) == 0 {
			s.changed(false)
		}
	}()
	t := time.NewTicker(fullRetry)
	defer t.Stop()
	for errors.Is(err, syscall.ENOSPC) {
		select {
		case <-t.C:
			err = op()
		case <-s.stop:
			return err
		}
	}
	return err
}

func (f *fullFS) open(op func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	err := f.state.retry(func() (err error) {
		file, err = op()
		return err
	})
	if err != nil {
		return nil, err
	}
	return &fullFile{File: file, state: f.state}, nil
}

// Create makes the entry of a manifest durable at once. Pebble syncs the directory only after it has made the marker that
// points to the manifest, and of two unsynced entries a crash may keep either.
func (f *fullFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.open(func() (vfs.File, error) { return f.FS.Create(name, c) })
	if err == nil && strings.HasPrefix(f.PathBase(name), "MANIFEST-") {
		if err := syncDir(f.FS, f.PathDir(name)); err != nil {
			return nil, errors.Join(err, file.Close())
		}
	}
	return file, err
}

func (f *fullFS) ReuseForWrite(oldName, newName string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.open(func() (vfs.File, error) { return f.FS.ReuseForWrite(oldName, newName, c) })
}

func (f *fullFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	return f.open(func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, o...) })
}

func (f *fullFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.state.retry(func() error { return f.FS.MkdirAll(dir, perm) })
}

func (f *fullFS) Rename(oldName, newName string) error {
	return f.state.retry(func() error { return f.FS.Rename(oldName, newName) })
}

func (f *fullFS) Link(oldName, newName string) error {
	return f.state.retry(func() error { return f.FS.Link(oldName, newName) })
}

func (f *fullFS) Unwrap() vfs.FS { return f.FS }

type fullFile struct {
	vfs.File
	state *fullState
}

func (f *fullFile) Write(p []byte) (int, error) {
	done := 0
	err := f.state.retry(func() error {
		n, err := f.File.Write(p[done:])
		done += n
		if err == nil && done < len(p) {
			err = io.ErrShortWrite
		}
		return err
	})
	return done, err
}

func (f *fullFile) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	err := f.state.retry(func() error {
		n, err := f.File.WriteAt(p[done:], off+int64(done))
		done += n
		return err
	})
	return done, err
}

// Preallocate is a wish: without it, writes find out that there is no room.
func (f *fullFile) Preallocate(off, length int64) error {
	if err := f.File.Preallocate(off, length); !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return nil
}
