package log

import (
	"errors"
	"slices"

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
}

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
	c, err := l.beginRead(r)
	if err != nil {
		return nil, err
	}
	if r.From >= c.upTo {
		return out, nil
	}
	c.out = out
	if err := c.gather(); err != nil {
		out.Release()
		if _, gone := l.beginRead(r); gone != nil {
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
	r.files, r.Spans = nil, nil
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
}

func (l *Log) beginRead(r *ReadRequest) (*collector, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return nil, err
	}
	if r.From < l.start || r.From > l.written {
		return nil, kafkaproto.ErrOffsetOutOfRange.With("offset %d of log %s, which has %d to %d", r.From, l.id, l.start, l.written)
	}
	return &collector{
		l: l, r: r, upTo: min(r.UpTo, l.written), bound: l.sealed, entries: l.entries,
		truncations: l.truncations, holes: l.holes(), left: r.MaxBytes,
	}, nil
}

func (c *collector) gather() error {
	from := c.r.From
	if u := c.r.Cursor; u != nil && u.valid && u.log == c.l && u.next == from && u.truncations == c.truncations && from > u.entry.base && from <= u.entry.last {
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
			err := c.take(e, int64(e.pos))
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

// takePart walks the batches of an entry of which not all are wanted.
func (c *collector) takePart(e *entry, pos int64, begun bool) error {
	f, err := c.l.e.files.acquire(e.file)
	if err != nil {
		return storage(err)
	}
	defer c.l.e.files.release(f)
	begin, end, next := pos, pos, offset(-1)
	err = walkFile(f, e, pos, func(b kafkaproto.Batch, at int64) (bool, error) {
		size := 12 + int64(b.Length())
		if !begun && b.LastOffset() < c.r.From {
			begin, end = at+size, at+size
			return true, nil
		}
		begun = true
		if b.LastOffset() >= c.upTo {
			c.full = true
			return false, nil
		}
		if end+size-begin > int64(c.left) && !(c.r.MinOneBatch && c.out.Bytes == 0 && end == begin) {
			c.full = true
			return false, nil
		}
		end, next = at+size, b.NextOffset()
		return end-begin < int64(c.left), nil
	})
	if err != nil {
		if ce, ok := err.(*CorruptionError); ok {
			ce.Known, ce.Log = true, c.l.id
		}
		return err
	}
	if end == begin {
		return nil
	}
	return c.add(e, begin, end, next)
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
	*u = Cursor{log: c.l, next: c.out.Next, entry: c.last, pos: c.lastEnd, truncations: c.truncations, valid: true}
}
