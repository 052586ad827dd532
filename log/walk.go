package log

import (
	"errors"
	"fmt"
	"sync"

	"github.com/streambus/streambus/kafkaproto"
)

// walkBuffer is how much of a frame is read at a time in search of batch headers.
const walkBuffer = 16 << 10

// walk calls fn with the header of each batch of an entry (only kafkaproto.BatchHeaderLen bytes of it) and its position
// in the file, until fn returns false. The header is good until fn returns.
func (e *Engine) walk(of *entry, fn func(b kafkaproto.Batch, pos int64) (bool, error)) error {
	f, err := e.files.acquire(of.file)
	if err != nil {
		return storage(err)
	}
	defer e.files.release(f)
	return walkFile(f, of, int64(of.pos), fn)
}

// walkFile walks from a batch's start at pos to the end of the entry.
func walkFile(f *file, of *entry, pos int64, fn func(b kafkaproto.Batch, pos int64) (bool, error)) error {
	w := newWalker(f, of)
	defer w.free()
	for pos < w.end {
		b, err := w.header(pos)
		if err != nil {
			return err
		}
		next := pos + batchSize(b)
		more, err := fn(b, pos)
		if err != nil || !more {
			return err
		}
		pos = next
	}
	return nil
}

// batchSize is how many bytes a batch takes, of which b may be the header only.
func batchSize(b kafkaproto.Batch) int64 { return 12 + int64(b.Length()) }

// walker reads headers of an entry's batches, through a buffer that is pooled.
type walker struct {
	f   *file
	of  *entry
	end int64 // of the entry
	buf *[walkBuffer]byte
	at  int64 // position in the file of the n bytes that buf holds
	n   int64
}

var walkBuffers = sync.Pool{New: func() any { return new([walkBuffer]byte) }}

func newWalker(f *file, of *entry) walker {
	return walker{f: f, of: of, end: int64(of.pos) + int64(of.length), buf: walkBuffers.Get().(*[walkBuffer]byte)}
}

func (w *walker) free() { walkBuffers.Put(w.buf) }

// holds says whether the header at pos has been read already.
func (w *walker) holds(pos int64) bool {
	return pos >= w.at && pos+kafkaproto.BatchHeaderLen <= w.at+w.n
}

// header is the header of the batch at pos, which is before the entry's end. It is good until the next call.
func (w *walker) header(pos int64) (kafkaproto.Batch, error) {
	if !w.holds(pos) {
		w.at, w.n = pos, min(walkBuffer, w.end-pos)
		if err := readFull(w.f.handle, w.buf[:w.n], pos); err != nil {
			w.n = 0
			return nil, damaged(w.f, w.of, pos, err)
		}
		if w.n < kafkaproto.BatchHeaderLen {
			return nil, damaged(w.f, w.of, pos, errFrameShape)
		}
	}
	b := kafkaproto.Batch(w.buf[pos-w.at:][:kafkaproto.BatchHeaderLen])
	next := pos + batchSize(b)
	if b.Magic() != 2 || b.Length() < kafkaproto.BatchHeaderLen-12 || next > w.end ||
		b.BaseOffset() < w.of.base || b.LastOffset() > w.of.last && b.LastOffsetDelta() < 0 {
		return nil, damaged(w.f, w.of, pos, errFrameShape)
	}
	return b, nil
}

// damaged is a place in a file where something else was written.
func damaged(f *file, of *entry, pos int64, cause error) error {
	if isIO(cause) {
		return storage(fmt.Errorf("read %s at %d: %w", f.path, pos, cause))
	}
	return &CorruptionError{File: f.path, Position: pos, First: of.base, Last: of.last, Detail: cause.Error()}
}

// readBatch reads the whole batch at pos and checks its CRC.
func (e *Engine) readBatch(of *entry, pos int64, size int) (kafkaproto.Batch, error) {
	f, err := e.files.acquire(of.file)
	if err != nil {
		return nil, storage(err)
	}
	defer e.files.release(f)
	buf := make([]byte, size)
	if err := readFull(f.handle, buf, pos); err != nil {
		return nil, damaged(f, of, pos, err)
	}
	b, _, err := kafkaproto.NextBatch(buf)
	if err == nil {
		err = b.CheckCRC()
	}
	if err != nil {
		return nil, damaged(f, of, pos, err)
	}
	return b, nil
}

var errStop = errors.New("stop")
