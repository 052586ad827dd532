package log

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/streambus/streambus/internal/env"
)

// maxIdleFiles is how many files may stay open without anyone reading them.
const maxIdleFiles = 32

// file is a WAL file or a sorted one. Its descriptor is open while someone holds a reference, and for a while after.
type file struct {
	id    uint32
	kind  fileKind
	path  string
	salt  uint64
	table *fileTable

	// Guarded by fileTable.mu.
	handle   env.File
	refs     int
	lastUsed uint64
	unlinked bool
	begun    bool // by this process
	// listed: the next WAL file names it. A sorted file is listed once the WAL says that it counts.
	listed bool

	end int64 // where the last frame ends; set when the file is full, by the writer or a recovery
	// Who may still read its bytes though they hold no reference: loans that will be returned, and whether there was another one.
	lent  atomic.Int32
	given atomic.Bool
	// Of the writer and the syncer.
	dirSynced bool
	stale     int64 // up to here it has what it had as another file, where nothing has been written yet
	sequence  uint64
	// last: the engine stops, there is no file behind it.
	last bool
}

// fileTable are the files that exist, WAL files and sorted ones. Their numbers are of one row.
type fileTable struct {
	fs  env.FS
	dir string
	// directory is the data directory's id, on which checksums of frames hang.
	directory [16]byte
	mu        sync.Mutex
	byID      map[uint32]*file
	open      int
	tick      uint64
	spares    spares
}

// errUnlinked: the file is gone, because what it held lies elsewhere by now or is dead. Who looked before looks again.
var errUnlinked = errors.New("the file was removed")

// maxLooks is how often one looks again for what was moved to another file meanwhile.
const maxLooks = 10

func fileName(id uint32) string { return fileWAL.name(id) }

func (k fileKind) suffix() string {
	if k == fileSorted {
		return ".sorted"
	}
	return ".wal"
}

func (k fileKind) name(id uint32) string { return fmt.Sprintf("%010d%s", id, k.suffix()) }

func parseFileName(name string) (id uint32, kind fileKind, ok bool) {
	for _, kind = range []fileKind{fileWAL, fileSorted} {
		if base, is := strings.CutSuffix(name, kind.suffix()); is && len(base) == 10 {
			n, err := strconv.ParseUint(base, 10, 32)
			return uint32(n), kind, err == nil
		}
	}
	return 0, fileWAL, false
}

func newFileTable(f env.FS, dir string, directory [16]byte) *fileTable {
	return &fileTable{fs: f, dir: dir, directory: directory, byID: map[uint32]*file{}}
}

// add makes a file known.
func (t *fileTable) add(id uint32, kind fileKind) *file {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := &file{table: t, id: id, kind: kind, path: filepath.Join(t.dir, kind.name(id)), listed: kind == fileWAL}
	t.byID[id] = f
	return f
}

// list has the next WAL file name a sorted file.
func (t *fileTable) list(id, end uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.byID[id]; f != nil {
		f.listed, f.end = true, int64(end)
	}
}

// unlist has no further WAL file name sorted files that are about to go.
func (t *fileTable) unlist(ids []uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range ids {
		if f := t.byID[id]; f != nil && f.kind == fileSorted {
			f.listed = false
		}
	}
}

// acquire opens the file, if need be, and takes a reference.
func (t *fileTable) acquire(id uint32) (*file, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.byID[id]
	if f == nil {
		return nil, fmt.Errorf("%w: file %d: %w", ErrCorrupt, id, errUnlinked)
	}
	if f.handle == nil {
		h, err := t.fs.Open(f.path)
		if err != nil {
			return nil, err
		}
		f.handle = h
		t.open++
	}
	f.refs++
	t.tick++
	f.lastUsed = t.tick
	return f, nil
}

// release gives a reference back. A file that was unlinked meanwhile is closed with its last reference, so that no
// send ever loses it.
func (t *fileTable) release(f *file) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.refs--
	if f.refs > 0 {
		return
	}
	if f.unlinked {
		t.close(f)
	} else if t.open > maxIdleFiles {
		t.closeIdlest()
	}
}

func (t *fileTable) close(f *file) {
	if f.handle != nil {
		_ = f.handle.Close()
		f.handle = nil
		t.open--
	}
}

func (t *fileTable) closeIdlest() {
	var oldest *file
	for _, f := range t.byID {
		if f.handle != nil && f.refs == 0 && (oldest == nil || f.lastUsed < oldest.lastUsed) {
			oldest = f
		}
	}
	if oldest != nil {
		t.close(oldest)
	}
}

// unlink removes the file's name. Its bytes stay until the last reader has gone.
func (t *fileTable) unlink(id uint32) error {
	t.mu.Lock()
	f := t.byID[id]
	if f == nil {
		t.mu.Unlock()
		return nil
	}
	delete(t.byID, id)
	f.unlinked = true
	if f.refs == 0 {
		t.close(f)
	}
	t.mu.Unlock()
	return t.fs.Remove(f.path)
}

// forget takes a file out of the table that is not part of the WAL.
func (t *fileTable) forget(id uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f := t.byID[id]; f != nil {
		t.close(f)
		delete(t.byID, id)
	}
}

func (t *fileTable) ids() []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	ids := make([]uint32, 0, len(t.byID))
	for id := range t.byID {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// ends are the files of a kind that a new WAL file has to name, with where each ends.
func (t *fileTable) ends(kind fileKind) []fileEnd {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]fileEnd, 0, len(t.byID))
	for id, f := range t.byID {
		if f.kind == kind && f.listed {
			out = append(out, fileEnd{id, uint32(f.end)})
		}
	}
	slices.SortFunc(out, func(a, b fileEnd) int { return cmp.Compare(a.id, b.id) })
	return out
}

func (t *fileTable) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.byID {
		if f.refs == 0 {
			t.close(f)
		}
		f.unlinked = true // closed by its last reader
	}
}

func (t *fileTable) counts() (open, files int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open, len(t.byID)
}

func (t *fileTable) sorted() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range t.byID {
		if f.kind == fileSorted {
			n++
		}
	}
	return n
}

// filePath is where a file lies.
func (e *Engine) filePath(kind fileKind, id uint32) string {
	return filepath.Join(e.files.dir, kind.name(id))
}

// listFiles are the ids of the files of a kind in dir, ascending.
func listFiles(f env.FS, dir string, kind fileKind) ([]uint32, error) {
	names, err := f.List(dir)
	if err != nil {
		return nil, err
	}
	var ids []uint32
	for _, name := range names {
		if id, k, ok := parseFileName(name); ok && k == kind {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, cmp.Compare[uint32])
	return ids, nil
}

// readFull reads len(p) bytes at off.
func readFull(f env.File, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
