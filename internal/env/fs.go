package env

import (
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FS is a file system: the operating system's, one in memory that can be crashed, or either with faults injected above.
// Paths are as in package path/filepath. Errors are those of package os and syscall (errors.Is with fs.ErrNotExist,
// syscall.ENOSPC and syscall.EIO works).
type FS interface {
	// VFS is the same file system as Pebble wants it. Faults injected above this FS show there too.
	VFS() vfs.FS

	// Create makes a file that must not exist, for reading and writing.
	Create(name string) (File, error)
	// OpenReadWrite opens a file that exists, for reading and writing.
	OpenReadWrite(name string) (File, error)
	// Open opens a file for reading.
	Open(name string) (File, error)
	// OpenDisk opens a file for reading what is on the disk and not in the page cache, which it leaves alone (O_DIRECT). Where the
	// system or the file system has no such reads, it is Open.
	OpenDisk(name string) (File, error)

	ReadFile(name string) ([]byte, error)
	// WriteFileAtomic replaces a file as a whole: written aside, synced, renamed, directory synced.
	WriteFileAtomic(name string, data []byte) error

	MkdirAll(dir string) error
	// List names the entries of dir, sorted.
	List(dir string) ([]string, error)
	// Size is a file's length in bytes.
	Size(name string) (int64, error)
	Remove(name string) error
	RemoveAll(name string) error
	Rename(oldName, newName string) error
	// SyncDir makes creations, renames and removals in dir durable.
	SyncDir(dir string) error
	// Lock takes the file name as a lock for this process, or fails at once if another holds it.
	Lock(name string) (io.Closer, error)
	// Usage tells how many bytes are free for this process in the file system that holds dir, and its size.
	Usage(dir string) (free, total uint64, err error)
}

// File is an open file. All methods may be called from several goroutines.
type File interface {
	Name() string
	// WriteVAt writes bufs one after the other at off, with as few system calls as there can be, and does not change
	// bufs. n is what was written, also when err is set (a short write always sets err).
	WriteVAt(bufs [][]byte, off int64) (n int, err error)
	ReadAt(p []byte, off int64) (n int, err error)
	// SyncData makes the bytes written before it began durable, and the length if it changed. It must not be called
	// again on a file for which it failed: the kernel has marked the pages clean.
	SyncData() error
	// WriteBack has the system begin to write what it has not: it waits for none of it and makes nothing durable. Best effort, as
	// far as the system can; a no-op in memory.
	WriteBack() error
	// Preallocate reserves disk space without changing what reads see up to the old length.
	Preallocate(off, length int64) error
	Size() (int64, error)
	// Fd is the descriptor for sendfile, and false where there is none (file systems in memory, faults injected).
	Fd() (uintptr, bool)
	// DropCache asks that later reads come from the disk and not from the page cache. Best effort, a no-op in memory.
	DropCache() error
	Close() error
}

// Span is a piece of a file: what a fetch answers with instead of bytes. The file stays open while whoever handed the
// span out holds its reference.
type Span struct {
	File File
	Pos  int64
	Len  int
}
