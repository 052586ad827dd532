package log

import (
	"errors"
	"fmt"

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
	end := int64(of.pos) + int64(of.length)
	var buf []byte
	at := int64(0) // position of buf
	for pos < end {
		if pos < at || pos+kafkaproto.BatchHeaderLen > at+int64(len(buf)) {
			n := min(int64(walkBuffer), end-pos)
			if buf == nil {
				buf = make([]byte, n)
			}
			buf, at = buf[:min(n, int64(cap(buf)))], pos
			if err := readFull(f.handle, buf, pos); err != nil {
				return damaged(f, of, pos, err)
			}
		}
		if end-pos < kafkaproto.BatchHeaderLen || int64(len(buf))-(pos-at) < kafkaproto.BatchHeaderLen {
			return damaged(f, of, pos, errFrameShape)
		}
		b := kafkaproto.Batch(buf[pos-at:][:kafkaproto.BatchHeaderLen])
		next := pos + 12 + int64(b.Length())
		if b.Magic() != 2 || b.Length() < kafkaproto.BatchHeaderLen-12 || next > end ||
			b.BaseOffset() < of.base || b.LastOffset() > of.last && next <= end && b.LastOffsetDelta() < 0 {
			return damaged(f, of, pos, errFrameShape)
		}
		more, err := fn(b, pos)
		if err != nil || !more {
			return err
		}
		pos = next
	}
	return nil
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
