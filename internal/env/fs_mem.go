package env

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// MemFS is a file system in memory that can crash: CrashClone gives what a power cut might have left of it. What was
// synced is there, of the rest any subset of 4 KiB blocks and directory entries.
type MemFS struct {
	mem         *vfs.MemFS
	linking     sync.Mutex // see memVFS
	mu          sync.Mutex
	free, total uint64
}

// NewMem makes an empty file system with a lot of room.
func NewMem() *MemFS { return wrapMem(vfs.NewCrashableMem()) }

func wrapMem(m *vfs.MemFS) *MemFS { return &MemFS{mem: m, free: 1 << 40, total: 1 << 40} }

// CrashClone is a copy as a crash at this moment may leave it. The original goes on undisturbed.
func (m *MemFS) CrashClone(cfg vfs.CrashCloneCfg) *MemFS {
	m.linking.Lock()
	defer m.linking.Unlock()
	return wrapMem(m.mem.CrashClone(cfg))
}

// Crash is CrashClone in which each block and each directory entry that was not synced survives in kept of a hundred cases.
func (m *MemFS) Crash(kept int, rng *rand.Rand) *MemFS {
	return m.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: kept, RNG: rng})
}

// SetUsage sets what Usage answers.
func (m *MemFS) SetUsage(free, total uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free, m.total = free, total
}

// VFS is as FS says.
func (m *MemFS) VFS() vfs.FS { return memVFS{m.mem, m} }

// Create is as FS says.
func (m *MemFS) Create(name string) (File, error) {
	if _, err := m.mem.Stat(name); err == nil {
		return nil, &os.PathError{Op: "create", Path: name, Err: os.ErrExist}
	}
	f, err := m.mem.Create(name, vfs.WriteCategoryUnspecified)
	return m.wrap(name, f, err)
}

// OpenReadWrite is as FS says.
func (m *MemFS) OpenReadWrite(name string) (File, error) {
	if _, err := m.mem.Stat(name); err != nil {
		return nil, err
	}
	f, err := m.mem.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	return m.wrap(name, f, err)
}

// Open is as FS says.
func (m *MemFS) Open(name string) (File, error) {
	f, err := m.mem.Open(name)
	return m.wrap(name, f, err)
}

// OpenDisk is as FS says.
func (m *MemFS) OpenDisk(name string) (File, error) { return m.Open(name) }

func (m *MemFS) wrap(name string, f vfs.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return &memFile{name: name, f: f}, nil
}

// ReadFile is as FS says.
func (m *MemFS) ReadFile(name string) ([]byte, error) {
	f, err := m.mem.Open(name)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(f)
	return data, errors.Join(err, f.Close())
}

// WriteFileAtomic is as FS says.
func (m *MemFS) WriteFileAtomic(name string, data []byte) error {
	tmp := name + ".tmp"
	f, err := m.mem.Create(tmp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(slices.Clone(data))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := m.mem.Rename(tmp, name); err != nil {
		return err
	}
	return m.SyncDir(filepath.Dir(name))
}

// MkdirAll is as FS says.
func (m *MemFS) MkdirAll(dir string) error { return m.mem.MkdirAll(dir, 0o755) }

// List is as FS says.
func (m *MemFS) List(dir string) ([]string, error) {
	names, err := m.mem.List(dir)
	slices.Sort(names)
	return names, err
}

// Size is as FS says.
func (m *MemFS) Size(name string) (int64, error) {
	info, err := m.mem.Stat(name)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Remove is as FS says.
func (m *MemFS) Remove(name string) error { return m.mem.Remove(name) }

// RemoveAll is as FS says.
func (m *MemFS) RemoveAll(name string) error { return m.mem.RemoveAll(name) }

// Rename is as FS says.
func (m *MemFS) Rename(oldName, newName string) error { return m.mem.Rename(oldName, newName) }

// SyncDir is as FS says.
func (m *MemFS) SyncDir(dir string) error {
	d, err := m.mem.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Lock is as FS says.
func (m *MemFS) Lock(name string) (io.Closer, error) { return m.mem.Lock(name) }

// Usage is as FS says.
func (m *MemFS) Usage(string) (free, total uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.free, m.total, nil
}

// memFile serialises writes: the file underneath is for one writer.
type memFile struct {
	name string
	mu   sync.Mutex
	f    vfs.File
}

func (f *memFile) Name() string { return f.name }

func (f *memFile) WriteVAt(bufs [][]byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return writeEach(f.f, bufs, off)
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) { return f.f.ReadAt(p, off) }

func (f *memFile) SyncData() error { return f.f.SyncData() }

func (f *memFile) Preallocate(int64, int64) error { return nil }

func (f *memFile) Size() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f *memFile) Fd() (uintptr, bool) { return 0, false }

func (f *memFile) DropCache() error { return nil }

func (f *memFile) WriteBack() error { return nil }

func (f *memFile) Close() error { return f.f.Close() }
