package log

import (
	"errors"
	"slices"
	"sync"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// maxSpans bounds the pieces of one read; the reader comes again.
const maxSpans = 1024

// Cursor remembers where a reader was, so that the next read of what follows starts there. The zero value is ready.
type Cursor struct {
	log         *Log // whose entry it is: a log that was moved to another directory goes on as another one
	next        offset
	entry       entry
	pos         int64
	truncations uint32
	valid       bool
	ahead       []edge // the batches that follow at pos, as far as they are known
}

// edge is where a batch ends, counted from its beginning, and its last record's offset.
type edge struct {
	last offset
	size int64
}

// maxAhead bounds what a cursor remembers of what follows. Who reads small batches one by one spares a read of the file for each.
const maxAhead = 16

// Read finds whole batches from the one that holds From, up to UpTo and MaxBytes. Nothing to read (From at the end, or
// nothing below UpTo) is an empty Read without error. Release must be called once; until then the spans stay as they are
// whatever happens to the log.
//
// Errors: OFFSET_OUT_OF_RANGE outside of start and written end; KAFKA_STORAGE_ERROR, with ErrCorrupt where what was
// written is damaged or lost.
func (l *Log) Read(r ReadRequest) (*Read, error) {
	for look := 0; ; look++ {
		out, err := l.read(&r)
		if look == maxLooks || !errors.Is(err, errUnlinked) {
			return out, err
		}
		if r.Cursor != nil {
			*r.Cursor = Cursor{}
		}
	}
}

func (l *Log) read(r *ReadRequest) (*Read, error) {
	out := &Read{Next: r.From}
	out.Spans, out.files = out.span[:0], out.file[:0]
	c := collectors.Get().(*collector)
	defer c.free()
	if err := l.beginRead(r, c); err != nil {
		return nil, err
	}
	if r.From >= c.upTo {
		return out, nil
	}
	c.out = out
	if err := c.gather(); err != nil {
		out.Release()
		if gone := l.beginRead(r, c); gone != nil {
			err = gone // it was deleted, or its start moved, while we looked
		}
		return nil, err
	}
	c.remember()
	return out, nil
}

// Append appends the bytes that were read to dst. They are not checked.
func (r *Read) Append(dst []byte) ([]byte, error) {
	dst = slices.Grow(dst, r.Bytes)
	for _, s := range r.Spans {
		from := len(dst)
		dst = dst[:from+s.Len]
		if _, err := s.File.ReadAt(dst[from:], s.Pos); err != nil {
			return dst[:from], err
		}
	}
	return dst, nil
}

// Release gives the files back that the spans are in.
func (r *Read) Release() {
	for _, f := range r.files {
		f.table.release(f)
	}
	r.files, r.Spans, r.file, r.span = nil, nil, [1]*file{}, [1]env.Span{}
}

// collector gathers the spans of one read.
type collector struct {
	l           *Log
	r           *ReadRequest
	out         *Read
	upTo        offset
	bound       offset // what memory knows begins here
	entries     []entry
	truncations uint32
	holes       []hole
	left        int
	last        entry // the entry that the last span is of
	lastEnd     int64
	full        bool
	ahead       []edge // of what follows at aheadAt
	aheadAt     place
}

// place is a position in a file.
type place struct {
	file uint32
	pos  int64
}

var collectors = sync.Pool{New: func() any { return new(collector) }}

func (c *collector) free() {
	*c = collector{}
	collectors.Put(c)
}

func (l *Log) beginRead(r *ReadRequest, c *collector) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if r.From < l.start || r.From > l.written {
		return kafkaproto.ErrOffsetOutOfRange.With("offset %d of log %s, which has %d to %d", r.From, l.id, l.start, l.written)
	}
	*c = collector{
		l: l, r: r, upTo: min(r.UpTo, l.written), bound: l.sealed, entries: l.unsealed.entries,
		truncations: l.truncations, holes: l.holes(), left: r.MaxBytes,
	}
	return nil
}

func (c *collector) gather() error {
	from := c.r.From
	if u := c.r.Cursor; u != nil && u.valid && u.log == c.l && u.next == from && u.truncations == c.truncations && from > u.entry.base && from <= u.entry.last {
		c.ahead, c.aheadAt = u.ahead, place{u.entry.file, u.pos}
		if err := c.take(&u.entry, u.pos); err != nil || c.full {
			return err
		}
		from = u.entry.last + 1
	}
	if err := c.checkHoles(from); err != nil {
		return err
	}
	if from < c.bound {
		err := c.l.e.index.entries(c.l.id, from, min(c.upTo, c.bound), func(e *entry) (bool, error) {
			e, err := c.l.e.below(e, c.bound)
			if err != nil || e == nil {
				return false, err
			}
			err = c.take(e, int64(e.pos))
			return !c.full, err
		})
		if err != nil {
			return c.l.e.indexDamage(err)
		}
	}
	for i := search(c.entries, from); i < len(c.entries) && !c.full && c.entries[i].base < c.upTo; i++ {
		if err := c.take(&c.entries[i], int64(c.entries[i].pos)); err != nil {
			return err
		}
	}
	return nil
}

// take adds what the read wants of an entry. pos is a batch's edge at or before which everything is below From, or the
// entry's beginning.
func (c *collector) take(e *entry, pos int64) error {
	end := int64(e.pos) + int64(e.length)
	whole := e.base >= c.r.From || pos > int64(e.pos)
	if whole && e.last < c.upTo && end-pos <= int64(c.left) {
		return c.add(e, pos, end, e.last+1)
	}
	return c.takePart(e, pos, whole)
}

// takePart takes the batches of an entry of which not all are wanted.
func (c *collector) takePart(e *entry, pos int64, begun bool) error {
	p := part{c: c, begin: pos, end: pos, next: -1, begun: begun}
	if at := (place{e.file, pos}); at != c.aheadAt || !p.takeKnown() {
		if err := p.walk(e); err != nil {
			return err
		}
	}
	if p.end == p.begin {
		return nil
	}
	return c.add(e, p.begin, p.end, p.next)
}

// part is what is taken of an entry: the bytes from begin to end.
type part struct {
	c          *collector
	begin, end int64
	next       offset
	begun      bool // what comes is not below what is asked for
}

// want looks at the batch at end, and says whether the one after it is to be looked at.
func (p *part) want(last offset, size int64) bool {
	c := p.c
	if !p.begun && last < c.r.From {
		p.begin += size
		p.end = p.begin
		return true
	}
	p.begun = true
	if last >= c.upTo || p.end+size-p.begin > int64(c.left) && !(c.r.MinOneBatch && c.out.Bytes == 0 && p.end == p.begin) {
		c.full = true
		return false
	}
	p.end, p.next = p.end+size, last+1
	return p.end-p.begin < int64(c.left)
}

// takeKnown takes from the batches that the cursor knows, and says whether that was enough.
func (p *part) takeKnown() bool {
	for i, known := range p.c.ahead {
		before := p.end
		if !p.want(known.last, known.size) {
			if p.end > before {
				i++
			}
			p.c.ahead, p.c.aheadAt.pos = p.c.ahead[i:], p.end
			return true
		}
	}
	return false
}

// walk takes from the batches as they lie in the file, and notes for the cursor what it has read of the next ones.
func (p *part) walk(e *entry) error {
	c := p.c
	f, err := c.l.e.files.acquire(e.file)
	if err != nil {
		return storage(err)
	}
	defer c.l.e.files.release(f)
	w := newWalker(f, e)
	defer w.free()
	for more := true; more && p.end < w.end; {
		b, err := w.header(p.end)
		if err != nil {
			if ce, ok := err.(*CorruptionError); ok {
				ce.Known, ce.Log = true, c.l.id
			}
			return err
		}
		more = p.want(b.LastOffset(), batchSize(b))
	}
	c.lookAhead(&w, p.end)
	return nil
}

// lookAhead notes which batches follow at pos, of those that have been read. A damaged one is left to whoever wants it.
func (c *collector) lookAhead(w *walker, pos int64) {
	if c.r.Cursor == nil {
		return
	}
	c.ahead, c.aheadAt = c.r.Cursor.ahead[:0], place{w.of.file, pos}
	c.r.Cursor.ahead = nil // its memory is c's from here on, also if nothing comes of this read
	for len(c.ahead) < maxAhead && pos < w.end && w.holds(pos) {
		b, err := w.header(pos)
		if err != nil {
			return
		}
		c.ahead = append(c.ahead, edge{b.LastOffset(), batchSize(b)})
		pos += batchSize(b)
	}
}

func (c *collector) add(e *entry, begin, end int64, next offset) error {
	if reached, err := c.reach(e); !reached {
		return err
	}
	f, err := c.l.e.files.acquire(e.file)
	if err != nil {
		return storage(err)
	}
	if n := len(c.out.files); n > 0 && c.out.files[n-1] == f {
		f.table.release(f)
	} else {
		c.out.files = append(c.out.files, f)
	}
	n := int(end - begin)
	c.out.Spans = append(c.out.Spans, env.Span{File: f.handle, Pos: begin, Len: n})
	c.out.Bytes += n
	c.out.Next = next
	c.left -= n
	c.last, c.lastEnd = *e, end
	c.full = c.full || c.left <= 0 || len(c.out.Spans) >= maxSpans
	return nil
}

// reach makes sure that no hole lies between what was found so far and an entry.
func (c *collector) reach(e *entry) (bool, error) {
	for _, h := range c.holes {
		if h.first >= c.out.Next && h.first < e.base {
			if len(c.out.Spans) > 0 {
				c.full = true
				return false, nil
			}
			return false, h.err(c.l.id)
		}
	}
	return true, nil
}

// checkHoles fails if what is asked for first was lost.
func (c *collector) checkHoles(from offset) error {
	for _, h := range c.holes {
		if from >= h.first && from <= h.last && len(c.out.Spans) == 0 {
			return h.err(c.l.id)
		}
	}
	return nil
}

// remember notes in the cursor where the read stopped inside an entry.
func (c *collector) remember() {
	u := c.r.Cursor
	if u == nil || len(c.out.Spans) == 0 {
		return
	}
	if (c.aheadAt != place{c.last.file, c.lastEnd}) {
		c.ahead = c.ahead[:0]
	}
	*u = Cursor{log: c.l, next: c.out.Next, entry: c.last, pos: c.lastEnd, truncations: c.truncations, valid: true, ahead: c.ahead}
}
