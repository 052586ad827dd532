package log

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/streambus/streambus/internal/env"
)

// scanWindow is how much of a file is read at a time.
const scanWindow = 1 << 20

// scanner reads a WAL file or a sorted one frame by frame.
type scanner struct {
	id     uint32
	kind   fileKind
	path   string
	handle env.File
	size   int64
	header fileHeader
	salt   uint64
	// first is the file's first record, if header and first frame are intact; firstEnd is where that frame ends.
	first    *walEnd
	firstErr error
	// What a WAL file begins with: which sorted files count. What a sorted one begins with: what it has.
	sorted []fileEnd
	table  []sortedRun
	begun  int64 // where the first frame ends

	buf []byte
	at  int64 // position of buf
}

// openScanner opens a file, with env.FS.Open or OpenDisk, and reads its header and its first frame. Damage there is no error but
// noted in firstErr.
func openScanner(open func(string) (env.File, error), path string, directory [16]byte) (*scanner, error) {
	id, kind, ok := parseFileName(filepath.Base(path))
	if !ok {
		return nil, fmt.Errorf("%s is no file of a log directory", path)
	}
	s := &scanner{id: id, kind: kind, salt: saltOf(directory, id), path: path}
	h, err := open(s.path)
	if err != nil {
		return nil, err
	}
	s.handle = h
	if s.size, err = h.Size(); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	s.firstErr = s.readFirst()
	if errors.Is(s.firstErr, ErrNewerFormat) || isIO(s.firstErr) {
		return nil, errors.Join(fmt.Errorf("%s: %w", s.path, s.firstErr), h.Close())
	}
	return s, nil
}

func (s *scanner) readFirst() error {
	b, err := s.bytes(0, fileHeaderLen)
	if err != nil {
		return err
	}
	if err := s.header.decode(s.kind, b); err != nil {
		return err
	}
	if s.header.id != s.id {
		return errFramePlace
	}
	h, payload, err := s.frame(fileHeaderLen)
	if err != nil {
		return err
	}
	if h.kind != frameControl {
		return errControl
	}
	s.begun = fileHeaderLen + h.span()
	if s.kind == fileSorted {
		s.table, err = decodeTable(payload)
		return err
	}
	c, rest, err := nextControl(payload)
	if err != nil || c.kind != ctlEnd {
		return errControl
	}
	first := &walEnd{}
	if err := first.decode(c.body); err != nil {
		return err
	}
	s.first = first
	for len(rest) > 0 {
		if c, rest, err = nextControl(rest); err != nil {
			return err
		}
		if c.kind == ctlSorted {
			s.sorted = append(s.sorted, c.sorted())
		}
	}
	return nil
}

func (s *scanner) close() { _ = s.handle.Close() }

// bytes returns n bytes at off; they are good until the next call.
func (s *scanner) bytes(off int64, n int) ([]byte, error) {
	if off < s.at || off+int64(n) > s.at+int64(len(s.buf)) {
		if off+int64(n) > s.size {
			return nil, io.ErrUnexpectedEOF
		}
		want := int(min(max(int64(n), scanWindow), s.size-off))
		if cap(s.buf) < want {
			s.buf = make([]byte, want)
		}
		s.buf, s.at = s.buf[:want], off
		if err := readFull(s.handle, s.buf, off); err != nil {
			s.buf = s.buf[:0]
			return nil, err
		}
	}
	return s.buf[off-s.at:][:n], nil
}

// frame reads and checks the frame at off. header and payload are good until the next call.
func (s *scanner) frame(off int64) (frameHeader, []byte, error) {
	var h frameHeader
	raw, err := s.bytes(off, frameHeaderLen)
	if err != nil {
		return h, nil, err
	}
	if err := h.decode(raw); err != nil {
		return h, nil, err
	}
	if h.at != at(s.id, off) {
		return h, nil, errFramePlace
	}
	whole, err := s.bytes(off, frameHeaderLen+int(h.length))
	if err != nil {
		return h, nil, err
	}
	payload := whole[frameHeaderLen:]
	return h, payload, checkFrame(&h, whole[:frameHeaderLen], payload, s.salt)
}

// resync finds the next place behind off where an intact frame is, limit if there is none.
func (s *scanner) resync(off, limit int64) (int64, error) {
	magic := binary.BigEndian.AppendUint32(nil, frameMagic)
	for off = alignUp(off + 1); off+frameHeaderLen <= limit; {
		b, err := s.bytes(off, int(min(scanWindow/2, limit-off)))
		if err != nil {
			return limit, err
		}
		i := bytes.Index(b, magic)
		if i < 0 {
			off = alignUp(off + int64(len(b)) - int64(len(magic)))
			if int64(len(b)) <= frameHeaderLen {
				return limit, nil
			}
			continue
		}
		here := off + int64(i)
		if here%frameAlign == 0 {
			if _, _, err := s.frame(here); err == nil {
				return here, nil
			} else if isIO(err) {
				return limit, err
			}
		}
		off = here&^(frameAlign-1) + frameAlign
	}
	return limit, nil
}

// damage describes the frame at off, as far as its header tells, which can't be trusted but is the best there is.
func (s *scanner) damage(off int64, cause error) *CorruptionError {
	c := &CorruptionError{File: s.path, Position: off, Detail: cause.Error()}
	var h frameHeader
	raw, err := s.bytes(off, frameHeaderLen)
	if err == nil && h.decode(raw) == nil && h.at == at(s.id, off) && h.kind == frameData {
		c.Known, c.Log, c.First, c.Last = true, h.log, h.first, h.last
	}
	return c
}
