package log

import (
	"errors"
	"path/filepath"
	"slices"

	"github.com/streambus/streambus/internal/env"
)

// A WAL file without a live byte may be written again as another one: its blocks on the disk are there, and often its pages in
// memory, where both cost as much in a new file as the bytes themselves. What it had counts no more: a frame says in which file and
// where it stands, and its checksum hangs on that.
//
// Bytes that could be read once must not change for whoever still reads them. So a file is only written again if this process began
// it, nobody holds a reference, and none of its pages may still lie in a socket (Lend); else it is removed.

const (
	spareSuffix = ".spare"
	// mostSpares bounds the spares whatever the size of a file.
	mostSpares = 16
	// spareBlock is what a file system writes at once. Where less of a block is written, that is not in memory, it reads the rest.
	spareBlock = 4 << 10
)

// spares are the files to be written again. Guarded by fileTable.mu.
type spares struct {
	most  int
	size  int64    // of a file; larger ones are not kept
	ready []string // their paths; the last one died last
	fresh []string // are to be, once their names are durable
	low   bool     // the disk has no room for any
}

// retire is unlink for a WAL file that was part of the log: it is kept to be written again, if that may be.
func (t *fileTable) retire(id uint32) error {
	t.mu.Lock()
	f := t.byID[id]
	keep := f != nil && f.kind == fileWAL && f.begun && f.refs == 0 && f.lent.Load() == 0 && !f.given.Load() &&
		f.end <= t.spares.size && !t.spares.low && len(t.spares.ready)+len(t.spares.fresh) < t.spares.most
	if !keep {
		t.mu.Unlock()
		return t.unlink(id)
	}
	delete(t.byID, id)
	f.unlinked = true
	t.close(f)
	t.mu.Unlock()
	name := f.path + spareSuffix
	if err := t.fs.Rename(f.path, name); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spares.fresh = append(t.spares.fresh, name)
	return nil
}

// retired makes what has been kept ready to be written: not before it is durable that the old names are gone, or a power cut would
// leave other bytes under them.
func (t *fileTable) retired() error {
	t.mu.Lock()
	n := len(t.spares.fresh)
	t.mu.Unlock()
	if n == 0 {
		return nil
	}
	if err := t.fs.SyncDir(t.dir); err != nil {
		return err
	}
	t.mu.Lock()
	t.spares.ready = append(t.spares.ready, t.spares.fresh[:n]...)
	t.spares.fresh = slices.Delete(t.spares.fresh, 0, n)
	low := t.spares.low
	t.mu.Unlock()
	if low {
		_, err := t.spare(false)
		return err
	}
	return nil
}

// begin makes a WAL file: a spare under a new name, or a new one.
func (t *fileTable) begin(f *file) (env.File, error) {
	t.mu.Lock()
	spare := ""
	if n := len(t.spares.ready); n > 0 {
		spare = t.spares.ready[n-1]
		t.spares.ready = t.spares.ready[:n-1]
	}
	t.mu.Unlock()
	if spare == "" || t.fs.Rename(spare, f.path) != nil { // somebody has taken it away
		return t.fs.Create(f.path)
	}
	h, err := t.fs.OpenReadWrite(f.path)
	if err != nil {
		return nil, err
	}
	if f.stale, err = h.Size(); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// findSpares takes over what an earlier process has left.
func (t *fileTable) findSpares() error {
	names, err := t.fs.List(t.dir)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range names {
		if filepath.Ext(name) != spareSuffix {
			continue
		}
		path := filepath.Join(t.dir, name)
		if len(t.spares.ready) < t.spares.most {
			t.spares.ready = append(t.spares.ready, path)
		} else if err := t.fs.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// spare says whether the disk has room for spares. If not, those there are go, and it tells how many.
func (t *fileTable) spare(room bool) (gone int, err error) {
	t.mu.Lock()
	t.spares.low = !room
	var paths []string
	if !room {
		paths, t.spares.ready = t.spares.ready, nil
	}
	t.mu.Unlock()
	for _, path := range paths {
		err = errors.Join(err, ignoreMissing(t.fs.Remove(path)))
	}
	return len(paths), err
}

func (t *fileTable) spareCount() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.spares.ready) + len(t.spares.fresh)
}

// Loan is what somebody may still be reading of reads that were released: pages that sendfile has lent to a socket are sent, and
// received, whenever that is. It belongs to one goroutine at a time. The zero value is empty.
type Loan struct{ files []*file }

// mostLent bounds a loan: what comes beyond is never returned.
const mostLent = 64

// Lend notes that the read's bytes may be read after its Release, until Return. It comes before Release.
func (n *Loan) Lend(r *Read) {
	for _, f := range r.files {
		switch {
		case slices.Contains(n.files, f):
		case len(n.files) < mostLent:
			f.lent.Add(1)
			n.files = append(n.files, f)
		default:
			f.given.Store(true)
		}
	}
}

// Return says that nobody reads what was lent any more.
func (n *Loan) Return() {
	for _, f := range n.files {
		f.lent.Add(-1)
	}
	clear(n.files)
	n.files = n.files[:0]
}

// Lend is Loan.Lend for a reader who will never say that he is done.
func (r *Read) Lend() {
	for _, f := range r.files {
		f.given.Store(true)
	}
}

// toBlock is how many zeros follow a frame that ends at pos: up to a block's end, where the file has old bytes, so that the end shows.
func (f *file) toBlock(pos int64) int64 {
	if pos >= f.stale {
		return 0
	}
	return spareBlock - pos%spareBlock
}
