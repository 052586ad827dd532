package sim

import (
	"io"
	"math/rand/v2"
)

func newRand(d dice) *rand.Rand { return rand.New(d) }

// diskFile is an open file.
type diskFile struct {
	d    *disk
	f    *inode
	name string
}

func (f *diskFile) Name() string { return f.name }

// WriteVAt is as env.File says. A process that dies meanwhile has written a part from the front; so has one that finds the
// disk full.
func (f *diskFile) WriteVAt(bufs [][]byte, off int64) (n int, err error) {
	d := f.d
	total := 0
	for _, b := range bufs {
		total += len(b)
	}
	part := func(share int) int { return f.f.write(front(bufs, share), off) }
	share := 0
	if !d.isGone() {
		share = dice{d.s, streamDisk, d.n.id}.below(total + 1)
	}
	op := &diskOp{
		apply: func() {
			if d.full && !d.gone {
				n, err = part(share/diskBlock*diskBlock), errFull
				return
			}
			n = f.f.write(bufs, off)
		},
		part: func() { part(share) },
	}
	if !inWAL(f.name) {
		d.mu.Lock()
		defer d.mu.Unlock()
		op.apply()
		return n, err
	}
	d.wait("write", d.takes(streamDisk, usualWrite), op)
	return n, err
}

// front is the first n bytes of bufs.
func front(bufs [][]byte, n int) (out [][]byte) {
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

func (f *diskFile) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if off >= int64(len(f.f.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.f.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// SyncData is as env.File says: what was written before it began is durable when it ends, what is written meanwhile may be.
func (f *diskFile) SyncData() error {
	d := f.d
	d.mu.Lock()
	from, bytes := f.f.beginSync()
	d.mu.Unlock()
	op := &diskOp{apply: func() { f.f.endSync(from, bytes) }}
	if inWAL(f.name) {
		d.wait("sync", d.takes(streamSync, usualSync), op)
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	op.apply()
	return nil
}

// Preallocate is as env.File says.
func (f *diskFile) Preallocate(int64, int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.full && !f.d.gone {
		return errFull
	}
	return nil
}

func (f *diskFile) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.f.data)), nil
}

func (f *diskFile) Fd() (uintptr, bool) { return 0, false }
func (f *diskFile) DropCache() error    { return nil }
func (f *diskFile) WriteBack() error    { return nil }
func (f *diskFile) Close() error        { return nil }
