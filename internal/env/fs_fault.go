package env

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FaultFS injects faults above another file system, so that they reach the code that runs in production. Hooks may be
// set at any time; a nil hook does nothing. A hook may block, to hold an operation back.
type FaultFS struct {
	inner FS
	hooks atomic.Pointer[FaultHooks]
	mu    sync.Mutex
}

// FaultHooks are called before the operation they are named after, with the file's path. An error is returned in place
// of the operation.
type FaultHooks struct {
	// SyncData is called before File.SyncData.
	SyncData func(name string) error
	// WriteBack is called before File.WriteBack.
	WriteBack func(name string) error
	// WriteVAt is called before File.WriteVAt with the number of bytes to write. allow below that number shortens the
	// write; then err (or io.ErrShortWrite) is returned.
	WriteVAt func(name string, off int64, length int) (allow int, err error)
	// Create is called before FS.Create and before a file of Pebble is created.
	Create func(name string) error
	// Preallocate is called before File.Preallocate.
	Preallocate func(name string) error
	// ReadAt is called before File.ReadAt.
	ReadAt func(name string, off int64) error
	// VFSWrite and VFSSync are called before writes and syncs of Pebble's files, SyncDir before those of directories.
	VFSWrite func(name string) error
	VFSSync  func(name string) error
	SyncDir  func(name string) error
	// FreeBytes replaces what Usage tells.
	FreeBytes func() uint64
}

// NewFaultFS wraps inner; without hooks it changes nothing, except that files have no descriptor.
func NewFaultFS(inner FS) *FaultFS {
	f := &FaultFS{inner: inner}
	f.hooks.Store(&FaultHooks{})
	return f
}

// Set replaces all hooks.
func (f *FaultFS) Set(h FaultHooks) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hooks.Store(&h)
}

// Change alters the hooks as a whole: change gets a copy of those that are set.
func (f *FaultFS) Change(change func(*FaultHooks)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := *f.hooks.Load()
	change(&h)
	f.hooks.Store(&h)
}

func (f *FaultFS) hook(get func(*FaultHooks) func(string) error, name string) error {
	if h := get(f.hooks.Load()); h != nil {
		return h(name)
	}
	return nil
}

func hookSyncData(h *FaultHooks) func(string) error    { return h.SyncData }
func hookWriteBack(h *FaultHooks) func(string) error   { return h.WriteBack }
func hookCreate(h *FaultHooks) func(string) error      { return h.Create }
func hookPreallocate(h *FaultHooks) func(string) error { return h.Preallocate }
func hookVFSWrite(h *FaultHooks) func(string) error    { return h.VFSWrite }
func hookVFSSync(h *FaultHooks) func(string) error     { return h.VFSSync }
func hookSyncDir(h *FaultHooks) func(string) error     { return h.SyncDir }

// VFS is as FS says, with the same faults.
func (f *FaultFS) VFS() vfs.FS { return &faultVFS{FS: f.inner.VFS(), faults: f} }

// Create is as FS says.
func (f *FaultFS) Create(name string) (File, error) {
	if err := f.hook(hookCreate, name); err != nil {
		return nil, err
	}
	return f.wrap(f.inner.Create(name))
}

// OpenReadWrite is as FS says.
func (f *FaultFS) OpenReadWrite(name string) (File, error) {
	return f.wrap(f.inner.OpenReadWrite(name))
}

// Open is as FS says.
func (f *FaultFS) Open(name string) (File, error) { return f.wrap(f.inner.Open(name)) }

// OpenDisk is as FS says.
func (f *FaultFS) OpenDisk(name string) (File, error) { return f.wrap(f.inner.OpenDisk(name)) }

func (f *FaultFS) wrap(file File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return &faultFile{File: file, fs: f}, nil
}

// ReadFile is as FS says.
func (f *FaultFS) ReadFile(name string) ([]byte, error) { return f.inner.ReadFile(name) }

// WriteFileAtomic is as FS says.
func (f *FaultFS) WriteFileAtomic(name string, data []byte) error {
	if err := f.hook(hookCreate, name); err != nil {
		return err
	}
	return f.inner.WriteFileAtomic(name, data)
}

// MkdirAll is as FS says.
func (f *FaultFS) MkdirAll(dir string) error { return f.inner.MkdirAll(dir) }

// List is as FS says.
func (f *FaultFS) List(dir string) ([]string, error) { return f.inner.List(dir) }

// Size is as FS says.
func (f *FaultFS) Size(name string) (int64, error) { return f.inner.Size(name) }

// Remove is as FS says.
func (f *FaultFS) Remove(name string) error { return f.inner.Remove(name) }

// RemoveAll is as FS says.
func (f *FaultFS) RemoveAll(name string) error { return f.inner.RemoveAll(name) }

// Rename is as FS says.
func (f *FaultFS) Rename(oldName, newName string) error { return f.inner.Rename(oldName, newName) }

// SyncDir is as FS says.
func (f *FaultFS) SyncDir(dir string) error {
	if err := f.hook(hookSyncDir, dir); err != nil {
		return err
	}
	return f.inner.SyncDir(dir)
}

// Lock is as FS says.
func (f *FaultFS) Lock(name string) (io.Closer, error) { return f.inner.Lock(name) }

// Usage is as FS says.
func (f *FaultFS) Usage(dir string) (free, total uint64, err error) {
	free, total, err = f.inner.Usage(dir)
	if h := f.hooks.Load().FreeBytes; h != nil {
		free = h()
	}
	return free, total, err
}

type faultFile struct {
	File
	fs *FaultFS
}

func (f *faultFile) WriteVAt(bufs [][]byte, off int64) (int, error) {
	h := f.fs.hooks.Load().WriteVAt
	if h == nil {
		return f.File.WriteVAt(bufs, off)
	}
	length := 0
	for _, b := range bufs {
		length += len(b)
	}
	allow, err := h(f.Name(), off, length)
	if allow >= length && err == nil {
		return f.File.WriteVAt(bufs, off)
	}
	n, werr := f.File.WriteVAt(firstBytes(bufs, min(allow, length)), off)
	if werr != nil {
		return n, werr
	}
	if err == nil {
		err = io.ErrShortWrite
	}
	return n, err
}

func firstBytes(bufs [][]byte, n int) [][]byte {
	var out [][]byte
	for _, b := range bufs {
		if n <= 0 {
			break
		}
		b = b[:min(n, len(b))]
		out = append(out, b)
		n -= len(b)
	}
	return out
}

func (f *faultFile) ReadAt(p []byte, off int64) (int, error) {
	if h := f.fs.hooks.Load().ReadAt; h != nil {
		if err := h(f.Name(), off); err != nil {
			return 0, err
		}
	}
	return f.File.ReadAt(p, off)
}

func (f *faultFile) SyncData() error {
	if err := f.fs.hook(hookSyncData, f.Name()); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f *faultFile) WriteBack() error {
	if err := f.fs.hook(hookWriteBack, f.Name()); err != nil {
		return err
	}
	return f.File.WriteBack()
}

func (f *faultFile) Preallocate(off, length int64) error {
	if err := f.fs.hook(hookPreallocate, f.Name()); err != nil {
		return err
	}
	return f.File.Preallocate(off, length)
}

// Fd hides the descriptor: reads are to pass the hooks.
func (f *faultFile) Fd() (uintptr, bool) { return 0, false }

// faultVFS is the inner file system as Pebble sees it, with the hooks in the way of creations, writes and syncs.
type faultVFS struct {
	vfs.FS
	faults *FaultFS
}

func (v *faultVFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := v.faults.hook(hookCreate, name); err != nil {
		return nil, err
	}
	return v.wrap(name)(v.FS.Create(name, category))
}

func (v *faultVFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return v.wrap(name)(v.FS.OpenReadWrite(name, category, opts...))
}

func (v *faultVFS) OpenDir(name string) (vfs.File, error) {
	return v.wrap(name)(v.FS.OpenDir(name))
}

func (v *faultVFS) ReuseForWrite(oldName, newName string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return v.wrap(newName)(v.FS.ReuseForWrite(oldName, newName, category))
}

func (v *faultVFS) Unwrap() vfs.FS { return v.FS }

func (v *faultVFS) wrap(name string) func(vfs.File, error) (vfs.File, error) {
	return func(f vfs.File, err error) (vfs.File, error) {
		if err != nil {
			return nil, err
		}
		return &faultVFSFile{File: f, name: name, faults: v.faults}, nil
	}
}

type faultVFSFile struct {
	vfs.File
	name   string
	faults *FaultFS
}

func (f *faultVFSFile) Write(p []byte) (int, error) {
	if err := f.faults.hook(hookVFSWrite, f.name); err != nil {
		return 0, err
	}
	return f.File.Write(p)
}

func (f *faultVFSFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.faults.hook(hookVFSWrite, f.name); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *faultVFSFile) Sync() error {
	if err := f.faults.hook(hookVFSSync, f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultVFSFile) SyncData() error {
	if err := f.faults.hook(hookVFSSync, f.name); err != nil {
		return err
	}
	return f.File.SyncData()
}

func (f *faultVFSFile) SyncTo(length int64) (bool, error) {
	if err := f.faults.hook(hookVFSSync, f.name); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}
