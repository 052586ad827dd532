package kafkaproto

import (
	"errors"
	"io"
	"sync"
)

// windowLen is how much of a batch's unpacked records is in memory at a time.
const windowLen = 64 << 10

var (
	errBomb    = errors.New("more than the limit when unpacked")
	errUnpack  = errors.New("records can't be decompressed")
	errTooLong = errors.New("record runs past the end of its batch")
)

// unpacker streams the records out of a compressed batch through a window, so that what a batch unpacks to costs time
// but no memory. Take one with openUnpacker and close it.
type unpacker struct {
	src  io.ReadCloser
	win  []byte // win[pos:end] is unpacked and not yet consumed
	pos  int
	end  int
	left int   // bytes that may still be unpacked
	err  error // why fill can give no more; io.EOF at the end
}

var unpackers = sync.Pool{New: func() any { return &unpacker{win: make([]byte, windowLen)} }}

// openUnpacker starts on src. max bounds the unpacked bytes.
func openUnpacker(codec Codec, src []byte, max int) (*unpacker, error) {
	r, err := newDecompressor(codec, src, max)
	if err != nil {
		return nil, ErrInvalidRecord.With("%w: %w", errUnpack, err)
	}
	u := unpackers.Get().(*unpacker)
	u.src, u.pos, u.end, u.left, u.err = r, 0, 0, max, nil
	return u, nil
}

func (u *unpacker) close() {
	u.src.Close()
	u.src = nil
	if len(u.win) > windowLen {
		u.win = make([]byte, windowLen)
	}
	unpackers.Put(u)
}

// fill makes at least n bytes available in the window, n at most its length. It is false if there are no more; err says why.
func (u *unpacker) fill(n int) bool {
	if u.end-u.pos >= n {
		return true
	}
	u.end = copy(u.win, u.win[u.pos:u.end])
	u.pos = 0
	for idle := 0; u.end < n && u.err == nil; {
		m, err := u.src.Read(u.win[u.end:])
		u.end += m
		u.left -= m
		if idle++; m > 0 {
			idle = 0
		}
		switch {
		case idle > maxIdleReads:
			u.err = io.ErrNoProgress
		case u.left < 0:
			u.err = errBomb
		case err != nil:
			u.err = err
		}
	}
	return u.end >= n && u.err != errBomb
}

// next parses the next record whole and consumes it: its bytes stay good until the next call. The window grows with a
// large record, as its bytes really come.
func (u *unpacker) next(r *rawRecord) error {
	length, n, err := u.length()
	if err != nil {
		return err
	}
	size := n + int(length)
	for len(u.win) < size && u.fill(len(u.win)) {
		grown := make([]byte, min(size, 2*len(u.win)))
		u.end = copy(grown, u.win[u.pos:u.end])
		u.win, u.pos = grown, 0
	}
	if len(u.win) < size || !u.fill(size) {
		return u.failure()
	}
	if !parseRecord(u.win[u.pos:u.pos+size], r) {
		return errMalformedRecord
	}
	u.pos += size
	return nil
}

// length peeks at the length in front of the next record; n is how many bytes it takes.
func (u *unpacker) length() (length int64, n int, err error) {
	u.fill(5) // fewer may be left
	have := u.win[u.pos:u.end]
	length, n = varintAt(have, 0)
	switch {
	case n > len(have) && u.err != nil:
		return 0, 0, u.failure()
	case n > len(have) || length < minRecordLen-1:
		return 0, 0, errMalformedRecord
	}
	return length, n, nil
}

// check parses the next record like next, but without its key, value and headers, and in constant memory. r.key is
// non-nil if the record has a key.
func (u *unpacker) check(r *rawRecord) error {
	length, n, err := u.length()
	if err != nil {
		return err
	}
	if size := n + int(length); size <= windowLen {
		return u.next(r)
	}
	u.pos += n
	r.size = n + int(length)
	return u.checkLarge(int(length), r)
}

// checkLarge walks over a record that is larger than the window.
func (u *unpacker) checkLarge(left int, r *rawRecord) error {
	u.skip(&left, 1)
	r.tsDelta = u.varlong(&left)
	r.offsetDelta = u.varint(&left)
	r.key = nil
	if key := u.varint(&left); key >= 0 {
		r.key = u.win[:0]
		u.skip(&left, key)
	} else if key < -1 {
		return errMalformedRecord
	}
	if !u.skipNullable(&left) {
		return errMalformedRecord
	}
	headers := u.varint(&left)
	if headers < 0 || headers > int64(left/2) {
		return errMalformedRecord
	}
	for ; headers > 0 && left > 0; headers-- {
		key := u.varint(&left)
		if key < 0 {
			return errMalformedRecord
		}
		if u.skip(&left, key); !u.skipNullable(&left) {
			return errMalformedRecord
		}
	}
	switch {
	case u.err != nil && u.err != io.EOF:
		return u.failure()
	case left != 0 || headers != 0:
		return errMalformedRecord
	}
	return nil
}

// skipNullable passes over nullable bytes of the record that has *left bytes to go.
func (u *unpacker) skipNullable(left *int) bool {
	n := u.varint(left)
	if n > 0 {
		u.skip(left, n)
	}
	return n >= -1
}

// skip passes over n bytes. If there are not as many, *left becomes negative and stays so.
func (u *unpacker) skip(left *int, n int64) {
	if n > int64(*left) {
		*left = -1
		return
	}
	*left -= int(n)
	for n > 0 {
		if !u.fill(1) {
			*left = -1
			return
		}
		step := int(min(n, int64(u.end-u.pos)))
		u.pos += step
		n -= int64(step)
	}
}

func (u *unpacker) varint(left *int) int64 {
	u.fill(5)
	v, n := varintAt(u.win[u.pos:u.end], 0)
	return u.took(left, v, n)
}

func (u *unpacker) varlong(left *int) int64 {
	u.fill(10)
	v, n := varlongAt(u.win[u.pos:u.end], 0)
	return u.took(left, v, n)
}

func (u *unpacker) took(left *int, v int64, n int) int64 {
	if n > *left {
		*left = -1
		return 0
	}
	*left -= n
	u.pos += n
	return v
}

// finish checks that nothing is left behind the last record.
func (u *unpacker) finish() error {
	if u.fill(1) {
		return errTrailingRecords
	}
	if u.err != io.EOF {
		return u.failure()
	}
	return nil
}

// failure says why fill gave no more.
func (u *unpacker) failure() error {
	switch u.err {
	case io.EOF, nil:
		return ErrInvalidRecord.With("%w", errTooLong)
	case errBomb:
		return ErrInvalidRecord.With("%w", errBomb)
	}
	return ErrInvalidRecord.With("%w: %w", errUnpack, u.err)
}
