package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// A sorted file is level 1: what compaction copied of several files, every log's records side by side, in frames as the WAL has
// them. It begins with a table of what it has. docs/format/sorted.md shows the bytes.

const (
	// sortedFrameBytes is where records of a log stop being joined into one frame, and so into one entry of the index.
	sortedFrameBytes = 64 << 10
	// sortedWriteBytes is how much is written at a time.
	sortedWriteBytes = 1 << 20
	// sortedSyncBytes is how much is written between two syncs, so that the last one isn't long, and two looks at the disk's room.
	sortedSyncBytes = 16 << 20
)

// sortedRun is a line of a sorted file's table: all that a log has at offsets from first to last is in this file, as far as it
// was written to files up to place (runOrigin). first is where what the log had before ends: offsets of no record count.
type sortedRun struct {
	log         tp
	incarnation uint64 // of the log's life that the records are of
	first, last offset
	runOrigin
}

// sortedRunLen is the length of a run's record in the table.
const sortedRunLen = 8 + 8 + 8 + 4 + 1

func (r *sortedRun) append(dst []byte) []byte {
	be := binary.BigEndian
	b := make([]byte, 0, sortedRunLen)
	b = be.AppendUint64(b, r.incarnation)
	b = be.AppendUint64(b, uint64(r.first))
	b = be.AppendUint64(b, uint64(r.last))
	b = be.AppendUint32(b, r.place)
	flags := byte(0)
	if r.cleaned {
		flags = 1
	}
	return appendControl(dst, ctlRun, r.log, append(b, flags))
}

func (r *sortedRun) String() string {
	return fmt.Sprintf("offsets %d to %d, place %d, cleaned %v, incarnation %d", r.first, r.last, r.place, r.cleaned, r.incarnation)
}

func decodeTable(payload []byte) (table []sortedRun, err error) {
	for len(payload) > 0 {
		var c control
		if c, payload, err = nextControl(payload); err != nil {
			return nil, err
		}
		if c.kind != ctlRun {
			return nil, errControl
		}
		be := binary.BigEndian
		r := sortedRun{
			log: c.log, incarnation: be.Uint64(c.body), first: offset(be.Uint64(c.body[8:])), last: offset(be.Uint64(c.body[16:])),
			runOrigin: runOrigin{be.Uint32(c.body[24:]), c.body[28]&1 != 0},
		}
		if r.first < 0 || r.last < r.first {
			return nil, errControl
		}
		table = append(table, r)
	}
	return table, nil
}

// sortedFile is a sorted file with what it has: entries[i] are the records of table[i].
type sortedFile struct {
	id      uint32
	end     int64
	table   []sortedRun
	entries [][]entry
	file    *file
	lost    []lost // what was damaged, where that is accepted
}

// place is the newest place of the file's runs.
func (f *sortedFile) place() (newest uint32) {
	for i := range f.table {
		newest = max(newest, f.table[i].place)
	}
	return newest
}

// sortedWriter writes a sorted file: add for the records of one run after the other, in the order of the table, next between them.
type sortedWriter struct {
	e      *Engine
	out    sortedFile
	handle env.File
	salt   uint64
	run    int
	head   frameHeader // of the frame that is being made; length 0: none
	raw    []byte      // it: header and batches
	buf    []byte      // whole frames that are not written
	pos    int64       // where buf begins
	loose  int64       // written since the last sync
}

// createSorted makes the file and writes its table.
func createSorted(e *Engine, table []sortedRun) (*sortedWriter, error) {
	id, err := e.write.number()
	if err != nil {
		return nil, err
	}
	directory := e.opts.Directory.ID()
	w := &sortedWriter{
		e:    e,
		out:  sortedFile{id: id, table: table, entries: make([][]entry, len(table)), file: e.files.add(id, fileSorted)},
		salt: saltOf(directory, id),
	}
	if w.handle, err = e.fs.Create(w.out.file.path); err != nil {
		e.files.forget(id)
		return nil, err
	}
	header := fileHeader{kind: fileSorted, id: id, directory: directory, created: e.env.Clock.Now().UnixMilli()}
	w.buf = append(w.buf, header.encode()...)
	var body []byte
	for i := range table {
		body = table[i].append(body)
	}
	w.head = frameHeader{kind: frameControl, epoch: -1, maxTime: -1}
	w.raw = append(make([]byte, frameHeaderLen), body...)
	w.head.length = uint32(len(body))
	return w, w.closeFrame()
}

// abandon removes what was written of the file.
func (w *sortedWriter) abandon() error {
	return errors.Join(w.handle.Close(), ignoreMissing(w.e.files.unlink(w.out.id)))
}

// add takes in a batch of the run that came with a frame of that sequence. The bytes are copied.
func (w *sortedWriter) add(b kafkaproto.Batch, sequence uint64) error {
	if w.head.length > 0 && int(w.head.length)+len(b) > sortedFrameBytes {
		if err := w.closeFrame(); err != nil {
			return err
		}
	}
	h := &w.head
	if h.length == 0 {
		*h = frameHeader{kind: frameData, log: w.out.table[w.run].log, first: b.BaseOffset(), maxTime: -1}
		w.raw = append(w.raw[:0], make([]byte, frameHeaderLen)...)
	}
	w.raw = append(w.raw, b...)
	h.length += uint32(len(b))
	h.batches++
	h.last, h.epoch = b.LastOffset(), int32(b.PartitionLeaderEpoch())
	h.maxTime = max(h.maxTime, int64(b.MaxTimestamp()))
	h.sequence = max(h.sequence, sequence)
	return nil
}

// next ends the run.
func (w *sortedWriter) next() error {
	err := w.closeFrame()
	w.run++
	return err
}

// size is how long the file is with what was added.
func (w *sortedWriter) size() int64 { return w.pos + int64(len(w.buf)) + int64(len(w.raw)) }

// closeFrame seals the frame that is being made, and writes if enough has come together.
func (w *sortedWriter) closeFrame() error {
	h := &w.head
	if h.length == 0 && h.kind == frameData || len(w.raw) == 0 {
		return nil
	}
	off := w.pos + int64(len(w.buf))
	h.at = at(w.out.id, off)
	h.encode(w.raw)
	sum := frameSum(w.salt, w.raw)
	if h.kind == frameControl {
		sum = crc32.Update(sum, crcTable, w.raw[frameHeaderLen:])
	} else {
		for rest := w.raw[frameHeaderLen:]; len(rest) > 0; {
			b, tail, err := kafkaproto.NextBatch(rest)
			if err != nil {
				return err
			}
			sum = crc32.Update(sum, crcTable, b[:kafkaproto.PrefixLen])
			rest = tail
		}
		w.out.entries[w.run] = append(w.out.entries[w.run], entryOf(h))
	}
	binary.BigEndian.PutUint32(w.raw[crcOffset:], sum)
	w.buf = append(w.buf, w.raw...)
	w.buf = append(w.buf, zeros[:alignUp(int64(len(w.buf)))-int64(len(w.buf))]...)
	*h, w.raw = frameHeader{}, w.raw[:0]
	if len(w.buf) < sortedWriteBytes {
		return nil
	}
	return w.flush()
}

// entryOf is the entry of the index for a data frame.
func entryOf(h *frameHeader) entry {
	return entry{
		base: h.first, last: h.last, maxTime: h.maxTime, file: h.at.file(),
		pos: uint32(h.at.off() + frameHeaderLen), length: h.length, epoch: h.epoch,
	}
}

func (w *sortedWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	n, err := w.handle.WriteVAt([][]byte{w.buf}, w.pos)
	w.pos += int64(n)
	if err != nil {
		return w.failed("write", err)
	}
	w.loose += int64(n)
	w.buf = w.buf[:0]
	if w.loose < sortedSyncBytes {
		return nil
	}
	// The disk's reserve is not for compaction: others need it when the disk is full.
	if w.e.keep.checkDisk(); w.e.full.Load() {
		return storage(ErrFull)
	}
	return w.sync()
}

func (w *sortedWriter) sync() error {
	w.loose = 0
	if err := w.handle.SyncData(); err != nil {
		return w.failed("sync", err)
	}
	return nil
}

// failed tells what kept the file from being written. A disk that is not full but takes nothing is not trusted with the rest either.
func (w *sortedWriter) failed(what string, err error) error {
	err = fmt.Errorf("%s %s: %w", what, w.out.file.path, err)
	if !isNoSpace(err) {
		w.e.fail(err)
	}
	return err
}

// finish makes the file durable, its directory entry too.
func (w *sortedWriter) finish() (*sortedFile, error) {
	err := w.flush()
	if err == nil {
		err = w.sync()
	}
	if err == nil {
		if err = w.e.fs.SyncDir(filepath.Dir(w.out.file.path)); err != nil {
			err = w.failed("sync the directory of", err)
		}
	}
	if err != nil {
		return nil, err
	}
	w.out.end = w.pos
	return &w.out, w.handle.Close()
}

// loadSorted reads a sorted file's table and where everything is. Damage is a *CorruptionError; where accept is given, damaged frames
// are told to it instead, and what they may have held is lost.
func loadSorted(e *Engine, of fileEnd, accept func(*CorruptionError)) (*sortedFile, error) {
	path := e.filePath(fileSorted, of.id)
	s, err := openScanner(e.fs.Open, path, e.opts.Directory.ID())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &CorruptionError{File: path, Detail: errFileGone.Error()}
	}
	if err != nil {
		return nil, err
	}
	defer s.close()
	if s.firstErr != nil {
		return nil, s.damage(0, s.firstErr)
	}
	if s.size < int64(of.end) {
		return nil, s.damage(s.size, errFileShort)
	}
	f := &sortedFile{id: of.id, end: int64(of.end), table: s.table, entries: make([][]entry, len(s.table))}
	at, damaged := 0, int64(-1) // the run that the last frame is of, and where damage behind it begins
	for off := s.begun; off < f.end; {
		h, _, err := s.frame(off)
		i := at
		if err == nil {
			for i < len(f.table) && (f.table[i].log != h.log || f.table[i].last < h.first) {
				i++
			}
			if i == len(f.table) || h.first < f.table[i].first || h.last > f.table[i].last {
				err = errTable
			}
		}
		switch {
		case isIO(err):
			return nil, err
		case err != nil && accept == nil:
			return nil, s.damage(off, err)
		case err != nil:
			accept(s.damage(off, err))
			if damaged < 0 {
				damaged = off
			}
			if off, err = s.resync(off, f.end); err != nil {
				return nil, err
			}
			continue
		}
		if damaged >= 0 {
			f.lose(at, i, h.first, damaged)
			damaged = -1
		}
		at = i
		f.entries[i] = append(f.entries[i], entryOf(&h))
		off += h.span()
	}
	if damaged >= 0 {
		f.lose(at, len(f.table), 0, damaged)
	}
	return f, nil
}

// lose notes as lost what the file has between the last frame of the run from and the one that begins at next in the run to.
func (f *sortedFile) lose(from, to int, next offset, pos int64) {
	for i := from; i <= to && i < len(f.table); i++ {
		r := &f.table[i]
		h := hole{first: r.first, last: r.last, file: f.id, pos: pos}
		if n := len(f.entries[i]); n > 0 {
			h.first = f.entries[i][n-1].last + 1
		}
		if i == to {
			h.last = next - 1
		}
		if h.first <= h.last {
			f.lost = append(f.lost, lost{r.log, h})
		}
	}
}

var errTable = errors.New("a frame that is not in the file's table")
