package sim

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/streambus/streambus/internal/env"
)

// disk is a node's disk: an env.FS whose writes and syncs of the WAL take simulated time, and that can lose power. Pebble's
// part of it, the index, stands on a file system in memory of its own and takes no time: it is a function of the WAL's files,
// and its goroutines are not to order a run's events.
type disk struct {
	*env.MemFS // the index, and what VFS gives to Pebble
	s          *Sim
	n          *node

	mu     sync.Mutex
	files  map[string]*inode // names as the kernel has them
	synced map[string]*inode // names that survive a power cut
	locks  map[string]bool
	ops    map[*diskOp]bool // that take their time
	slow   time.Duration    // the most that an operation may take longer; 0: as usual
	full   bool
	gone   bool // the node that uses it is dead: what it still does takes no time and is seen by nobody
}

// inode is a file.
type inode struct {
	data    []byte
	durable []byte
	dirty   extent // since the last sync began
	syncing extent // what syncs that have not ended shall make durable
	syncs   int    // how many those are
}

// extent is from where to where something lies in a file.
type extent struct{ from, end int64 }

// with is the smallest extent that has all of both.
func (x extent) with(y extent) extent {
	switch {
	case x.from == x.end:
		return y
	case y.from == y.end:
		return x
	}
	return extent{min(x.from, y.from), max(x.end, y.end)}
}

const (
	diskBlock    = 4096 // survives a power cut as a whole or not at all
	diskTotal    = 100 << 30
	usualWrite   = 400 * time.Microsecond // and less, mostly
	usualSync    = 6 * time.Millisecond
	longestStall = 80 * time.Millisecond // now and then
)

func newDisk(s *Sim, n *node) *disk {
	return &disk{
		MemFS: env.NewMem(), s: s, n: n, files: map[string]*inode{}, synced: map[string]*inode{}, locks: map[string]bool{},
		ops: map[*diskOp]bool{},
	}
}

// inIndex says whether a path is Pebble's.
func inIndex(name string) bool { return strings.Contains(name, "/index") }

// inWAL says whether operations on a path take time.
func inWAL(name string) bool { return strings.Contains(name, "/wal") }

// diskOp is an operation that is under way.
type diskOp struct {
	done  chan struct{}
	apply func() // carries it out; disk.mu is held
	part  func() // what is left of it if the process dies meanwhile; nil: nothing
	event *event
}

// wait carries out an operation after the time that it takes. The caller is a goroutine of the product.
func (d *disk) wait(what string, took time.Duration, op *diskOp) {
	d.mu.Lock()
	if d.gone {
		op.apply()
		d.mu.Unlock()
		return
	}
	op.done = make(chan struct{})
	d.ops[op] = true
	d.mu.Unlock()
	op.event = d.s.after(took, &event{owner: d.n, what: what, do: func() { d.finish(op) }})
	<-op.done
}

func (d *disk) finish(op *diskOp) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ops[op] {
		delete(d.ops, op)
		op.apply()
		close(op.done)
	}
}

// takes is how long an operation takes that usually takes up to usual.
func (d *disk) takes(st stream, usual time.Duration) time.Duration {
	if d.isGone() {
		return 0
	}
	r := dice{d.s, st, d.n.id}
	t := r.latency(usual/20, usual)
	if r.percent(1) {
		t += r.latency(0, longestStall)
	}
	d.mu.Lock()
	slow := d.slow
	d.mu.Unlock()
	if slow > 0 {
		t += r.between(0, slow)
	}
	return t
}

func (d *disk) isGone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gone
}

// abandon ends the use of the disk by a process that dies. Operations under way are done in part.
func (d *disk) abandon() {
	d.mu.Lock()
	defer d.mu.Unlock()
	ops := make([]*diskOp, 0, len(d.ops))
	for op := range d.ops {
		ops = append(ops, op)
	}
	slices.SortFunc(ops, func(a, b *diskOp) int { return int(int64(a.event.seq) - int64(b.event.seq)) })
	for _, op := range ops {
		if op.part != nil {
			op.part()
		}
	}
	d.gone = true
}

// release lets a dead process's operations go, after the disk was cloned.
func (d *disk) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	ops := make([]*diskOp, 0, len(d.ops))
	for op := range d.ops {
		ops = append(ops, op)
	}
	slices.SortFunc(ops, func(a, b *diskOp) int { return int(int64(a.event.seq) - int64(b.event.seq)) })
	clear(d.ops)
	for _, op := range ops {
		op.apply()
		close(op.done)
	}
}

// clone is the disk as the next process finds it: after kill -9 all that was written is there; after a power cut what was
// synced and, of the rest, each name and each block in kept of a hundred cases.
func (d *disk) clone(power bool, kept int, r dice) *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := newDisk(d.s, d.n)
	c.slow, c.full = d.slow, d.full
	left := 100
	if power && kept < 50 {
		left = 0
	}
	c.MemFS = d.MemFS.Crash(left, newRand(r))
	names := make([]string, 0, len(d.files))
	for name := range d.files {
		names = append(names, name)
	}
	for name := range d.synced {
		if d.files[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		ino := d.files[name]
		if !power {
			c.keep(name, ino, d.synced[name])
			continue
		}
		if ino != d.synced[name] && !r.percent(kept) {
			ino = d.synced[name] // a creation, removal or renaming that is lost
		}
		if ino != nil {
			left := ino.left(power, kept, r)
			c.files[name], c.synced[name] = left, left
		}
	}
	return c
}

// keep takes over a name of a disk that goes on: what the kernel has under it, and what a power cut would leave.
func (d *disk) keep(name string, ino, synced *inode) {
	var copied *inode
	if ino != nil {
		copied = ino.left(false, 0, dice{})
		d.files[name] = copied
	}
	switch {
	case synced == nil:
	case synced == ino:
		d.synced[name] = copied
	default:
		d.synced[name] = synced.left(false, 0, dice{})
	}
}

// left is what remains of a file.
func (f *inode) left(power bool, kept int, r dice) *inode {
	n := &inode{}
	if !power {
		n.data = slices.Clone(f.data)
		n.durable = slices.Clone(f.durable)
		n.dirty = f.unsynced()
		return n
	}
	n.data = slices.Clone(f.durable)
	loose := f.unsynced()
	for at := loose.from / diskBlock * diskBlock; at < min(loose.end, int64(len(f.data))); at += diskBlock {
		if !r.percent(kept) {
			continue
		}
		block := f.data[at:min(at+diskBlock, int64(len(f.data)))]
		if grow := int(at) + len(block) - len(n.data); grow > 0 {
			n.data = append(n.data, make([]byte, grow)...)
		}
		copy(n.data[at:], block)
	}
	n.durable = slices.Clone(n.data)
	return n
}

func (f *inode) write(bufs [][]byte, off int64) (n int) {
	from := off
	for _, b := range bufs {
		if grow := int(off) + len(b) - len(f.data); grow > 0 {
			f.data = append(f.data, make([]byte, grow)...)
		}
		copy(f.data[off:], b)
		off += int64(len(b))
		n += len(b)
	}
	f.dirty = f.dirty.with(extent{from, off})
	return n
}

// unsynced is what a power cut may take.
func (f *inode) unsynced() extent { return f.dirty.with(f.syncing) }

// beginSync returns what a sync that begins now makes durable: the bytes as they are now, and where they are.
func (f *inode) beginSync() (from int64, bytes []byte) {
	f.syncing = f.unsynced()
	f.dirty = extent{}
	f.syncs++
	return f.syncing.from, slices.Clone(f.data[f.syncing.from:min(f.syncing.end, int64(len(f.data)))])
}

// endSync makes them durable. What was written over them meanwhile is not.
func (f *inode) endSync(from int64, bytes []byte) {
	end := from + int64(len(bytes))
	if grow := int(end) - len(f.durable); grow > 0 {
		f.durable = append(f.durable, make([]byte, grow)...)
	}
	copy(f.durable[from:end], bytes)
	if f.syncs--; f.syncs == 0 {
		f.syncing = extent{}
	}
}

func notThere(op, name string) error { return &os.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

var errFull = &os.PathError{Op: "write", Path: "disk", Err: syscall.ENOSPC}

// Create is as env.FS says.
func (d *disk) Create(name string) (env.File, error) {
	if inIndex(name) {
		return d.MemFS.Create(name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] != nil {
		return nil, &os.PathError{Op: "create", Path: name, Err: os.ErrExist}
	}
	if d.full {
		return nil, errFull
	}
	f := &inode{}
	d.files[name] = f
	return &diskFile{d, f, name}, nil
}

// OpenReadWrite is as env.FS says.
func (d *disk) OpenReadWrite(name string) (env.File, error) {
	if inIndex(name) {
		return d.MemFS.OpenReadWrite(name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		return nil, notThere("open", name)
	}
	return &diskFile{d, f, name}, nil
}

// Open is as env.FS says.
func (d *disk) Open(name string) (env.File, error) { return d.OpenReadWrite(name) }

// OpenDisk is as env.FS says.
func (d *disk) OpenDisk(name string) (env.File, error) { return d.Open(name) }

// ReadFile is as env.FS says.
func (d *disk) ReadFile(name string) ([]byte, error) {
	if inIndex(name) {
		return d.MemFS.ReadFile(name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		return nil, notThere("open", name)
	}
	return slices.Clone(f.data), nil
}

// WriteFileAtomic is as env.FS says. It takes no time.
func (d *disk) WriteFileAtomic(name string, data []byte) error {
	if inIndex(name) {
		return d.MemFS.WriteFileAtomic(name, data)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &inode{data: slices.Clone(data), durable: slices.Clone(data)}
	d.files[name], d.synced[name] = f, f
	return nil
}

// MkdirAll is as env.FS says; directories are durable at once.
func (d *disk) MkdirAll(dir string) error { return d.MemFS.MkdirAll(dir) }

// List is as env.FS says.
func (d *disk) List(dir string) ([]string, error) {
	if inIndex(dir) {
		return d.MemFS.List(dir)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var names []string
	for name := range d.files {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// Size is as env.FS says.
func (d *disk) Size(name string) (int64, error) {
	if inIndex(name) {
		return d.MemFS.Size(name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[name]
	if f == nil {
		return 0, notThere("stat", name)
	}
	return int64(len(f.data)), nil
}

// Remove is as env.FS says.
func (d *disk) Remove(name string) error {
	if inIndex(name) {
		return d.MemFS.Remove(name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.files[name] == nil {
		return notThere("remove", name)
	}
	delete(d.files, name)
	return nil
}

// RemoveAll is as env.FS says; only the index is ever removed as a whole.
func (d *disk) RemoveAll(name string) error {
	if inIndex(name) {
		return d.MemFS.RemoveAll(name)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for f := range d.files {
		if f == name || strings.HasPrefix(f, name+"/") {
			delete(d.files, f)
		}
	}
	return nil
}

// Rename is as env.FS says.
func (d *disk) Rename(oldName, newName string) error {
	if inIndex(oldName) != inIndex(newName) {
		return errors.ErrUnsupported
	}
	if inIndex(oldName) {
		return d.MemFS.Rename(oldName, newName)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[oldName]
	if f == nil {
		return notThere("rename", oldName)
	}
	delete(d.files, oldName)
	d.files[newName] = f
	return nil
}

// SyncDir is as env.FS says.
func (d *disk) SyncDir(dir string) error {
	apply := func() {
		for name := range d.files {
			if filepath.Dir(name) == filepath.Clean(dir) {
				d.synced[name] = d.files[name]
			}
		}
		for name := range d.synced {
			if filepath.Dir(name) == filepath.Clean(dir) && d.files[name] == nil {
				delete(d.synced, name)
			}
		}
	}
	if inWAL(dir) {
		d.wait("sync dir", d.takes(streamSync, usualSync), &diskOp{apply: apply})
		return nil
	}
	d.mu.Lock()
	apply()
	d.mu.Unlock()
	return d.MemFS.SyncDir(dir)
}

// Lock is as env.FS says.
func (d *disk) Lock(name string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locks[name] {
		return nil, syscall.EAGAIN
	}
	d.locks[name] = true
	return diskLock{d, name}, nil
}

type diskLock struct {
	d    *disk
	name string
}

func (l diskLock) Close() error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	delete(l.d.locks, l.name)
	return nil
}

// Usage is as env.FS says.
func (d *disk) Usage(string) (free, total uint64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full {
		return 0, diskTotal, nil
	}
	return diskTotal / 2, diskTotal, nil
}
