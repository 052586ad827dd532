package log

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// WALDump is what lies in one WAL file, for people who look for a mistake. Positions are bytes from the file's start.
type WALDump struct {
	File      string      `json:"file"`
	Size      int64       `json:"size"`
	Created   int64       `json:"created,omitempty"` // ms since 1970
	Directory string      `json:"directory"`         // id of the data directory
	Header    string      `json:"headerProblem,omitempty"`
	Frames    []WALFrame  `json:"frames"`
	Damage    []WALDamage `json:"damage,omitempty"`
	End       int64       `json:"end"` // behind the last frame; the rest was never written
}

// WALFrame is an intact frame; docs/format/frame.md says what its fields mean.
type WALFrame struct {
	Position  int64        `json:"position"`
	Length    int64        `json:"length"` // with header and padding
	Sequence  uint64       `json:"sequence"`
	Synced    string       `json:"synced"` // file:position
	Partition string       `json:"partition,omitempty"`
	Epoch     int32        `json:"leaderEpoch,omitempty"`
	Gap       uint32       `json:"gap,omitempty"`
	Batches   []WALBatch   `json:"batches,omitempty"`
	Control   []WALControl `json:"control,omitempty"`
}

// WALBatch is the header of a record batch.
type WALBatch struct {
	Position      int64  `json:"position"`
	Length        int    `json:"length"`
	First         int64  `json:"firstOffset"`
	Last          int64  `json:"lastOffset"`
	Records       int32  `json:"records"`
	Codec         string `json:"codec"`
	MaxTimestamp  int64  `json:"maxTimestamp"`
	ProducerID    int64  `json:"producerId"`
	ProducerEpoch int16  `json:"producerEpoch"`
	FirstSequence int32  `json:"firstSequence"`
	Transactional bool   `json:"transactional,omitempty"`
	Control       bool   `json:"control,omitempty"`
}

// WALControl is a record of a control frame; docs/format/control.md has its kinds.
type WALControl struct {
	Kind      string `json:"kind"`
	Partition string `json:"partition,omitempty"`
	Value     string `json:"value,omitempty"`
}

// WALDamage is a stretch of bytes that are no intact frame. At the end of the newest file it is what a crash left.
type WALDamage struct {
	Position int64  `json:"position"`
	Length   int64  `json:"length"`
	Problem  string `json:"problem"`
}

// DumpWAL reads a WAL file from a position on (0: its start), at most so many frames (0: all of them), and changes nothing. A
// position within a frame counts for the next. It may be of a directory that is in use, or a copy of a file alone. Damage is
// told in the dump; an error is about what could not be looked at.
func DumpWAL(fs env.FS, path string, from int64, most int) (*WALDump, error) {
	if _, _, ok := parseFileName(filepath.Base(path)); !ok {
		return nil, fmt.Errorf("%s is no file of a log: their names are ten digits, which are also a part of what is in them, and .wal or .sorted", path)
	}
	directory, err := directoryOf(fs, path)
	if err != nil {
		return nil, err
	}
	s, err := openScanner(fs.Open, path, directory)
	if err != nil {
		return nil, err
	}
	defer s.close()
	d := &WALDump{File: path, Size: s.size, Created: s.header.created, Directory: hex.EncodeToString(directory[:]), Frames: []WALFrame{}}
	if s.firstErr != nil {
		d.Header = s.firstErr.Error()
	}
	return d, d.read(s, max(alignUp(from), fileHeaderLen), most)
}

// directoryOf finds the id that the checksums of a file's frames hang on: in the directory, or in the file itself.
func directoryOf(fs env.FS, path string) (directory [16]byte, err error) {
	if data, err := fs.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(path)), metaFile)); err == nil {
		var m metaProperties
		if m.decode(string(data)) == nil {
			return m.directory, nil
		}
	}
	s, err := openScanner(fs.Open, path, directory)
	if err != nil {
		return directory, err
	}
	defer s.close()
	return s.header.directory, nil
}

func (d *WALDump) read(s *scanner, off int64, most int) error {
	d.End = off
	for off < s.size && (most == 0 || len(d.Frames) < most) {
		h, payload, err := s.frame(off)
		if isIO(err) {
			return err
		}
		if err == nil {
			frame, err := dumpFrame(&h, payload, off)
			if err != nil {
				d.Damage = append(d.Damage, WALDamage{off, h.span(), err.Error()})
			} else {
				d.Frames = append(d.Frames, frame)
			}
			off += h.span()
			d.End = off
			continue
		}
		next, bad := s.resync(off, s.size)
		if bad != nil {
			return bad
		}
		if next >= s.size {
			var empty bool
			if empty, bad = s.empty(off); bad != nil || empty {
				return bad
			}
		}
		d.Damage = append(d.Damage, WALDamage{off, next - off, err.Error()})
		off = next
	}
	return nil
}

// empty says whether what there is from off on, where no frame follows, is what an end looks like: zeros, if only up to a block's end
// where the file has been another one before.
func (s *scanner) empty(off int64) (bool, error) {
	b, err := s.bytes(off, int(min(spareBlock-off%spareBlock, s.size-off)))
	return err == nil && bytes.Equal(b, zeros[:len(b)]), err
}

func dumpFrame(h *frameHeader, payload []byte, off int64) (WALFrame, error) {
	f := WALFrame{Position: off, Length: h.span(), Sequence: h.sequence, Synced: h.synced.String()}
	if h.kind == frameControl {
		for len(payload) > 0 {
			c, rest, err := nextControl(payload)
			if err != nil {
				return f, err
			}
			f.Control = append(f.Control, dumpControl(&c))
			payload = rest
		}
		return f, nil
	}
	f.Partition, f.Epoch, f.Gap = h.log.String(), h.epoch, h.gap
	for at := off + frameHeaderLen; len(payload) > 0; {
		b, rest, err := kafkaproto.NextBatch(payload)
		if err != nil {
			return f, err
		}
		f.Batches = append(f.Batches, WALBatch{
			Position: at, Length: len(b), First: int64(b.BaseOffset()), Last: int64(b.LastOffset()), Records: b.NumRecords(),
			Codec: b.Codec().String(), MaxTimestamp: int64(b.MaxTimestamp()), ProducerID: int64(b.ProducerID()),
			ProducerEpoch: int16(b.ProducerEpoch()), FirstSequence: b.BaseSequence(), Transactional: b.IsTransactional(), Control: b.IsControl(),
		})
		at += int64(len(b))
		payload = rest
	}
	return f, nil
}

var controlNames = map[controlType]string{
	ctlCreate: "create", ctlDelete: "delete", ctlTruncate: "truncate", ctlStart: "start", ctlEpoch: "epoch", ctlCheckpoint: "checkpoint",
	ctlEnd: "end", ctlHigh: "high watermark", ctlQuarantine: "quarantine", ctlRoster: "roster", ctlUnlink: "unlink",
	ctlRun: "run", ctlSorted: "sorted file",
}

func dumpControl(c *control) WALControl {
	out := WALControl{Kind: controlNames[c.kind], Partition: c.log.String()}
	if out.Kind == "" {
		out.Kind = "kind " + strconv.Itoa(int(c.kind))
	}
	switch c.kind {
	case ctlEnd, ctlRoster, ctlUnlink, ctlSorted:
		out.Partition = ""
	}
	switch c.kind {
	case ctlTruncate, ctlStart, ctlHigh, ctlQuarantine:
		out.Value = strconv.FormatInt(c.int(), 10)
	case ctlEpoch:
		out.Value = fmt.Sprintf("%d from %d", int32(binary.BigEndian.Uint32(c.body)), int64(binary.BigEndian.Uint64(c.body[4:])))
	case ctlUnlink:
		out.Value = fmt.Sprintf("file %d", binary.BigEndian.Uint32(c.body))
	case ctlSorted:
		out.Value = fmt.Sprintf("%s ends at %d", fileSorted.name(c.sorted().id), c.sorted().end)
	case ctlRun:
		table, err := decodeTable(appendControl(nil, ctlRun, c.log, c.body))
		out.Value = orError("", err)
		if err == nil {
			out.Value = table[0].String()
		}
	case ctlEnd:
		out.Value = dumpEnd(c.body)
	case ctlRoster:
		ids, err := decodeRoster(c.body)
		out.Value = orError(fmt.Sprintf("%d logs", len(ids)), err)
	case ctlCheckpoint:
		out.Value = dumpCheckpoint(c.body)
	}
	return out
}

var endReasons = map[endReason]string{
	endFull: "full", endRecovered: "found by a recovery", endWrite: "a write failed for want of space", endFirst: "the first file",
}

func dumpEnd(body []byte) string {
	var w walEnd
	if err := w.decode(body); err != nil {
		return err.Error()
	}
	names := make([]string, len(w.files))
	for i, f := range w.files {
		names[i] = at(f.id, int64(f.end)).String()
	}
	return fmt.Sprintf("the WAL ended at %s (%s), sequence %d, files %s", w.prev, endReasons[w.reason], w.sequence, strings.Join(names, " "))
}

func dumpCheckpoint(body []byte) string {
	var c checkpoint
	if err := c.decode(body); err != nil {
		return err.Error()
	}
	var s logState
	err := s.decode(c.state)
	return orError(fmt.Sprintf("start %d, end %d, high watermark %d, %d epochs, %d producers, %d aborted transactions",
		c.meta.start, c.meta.next, c.meta.high, len(s.epochs), len(s.producers().byID), len(c.aborted)), err)
}

func orError(text string, err error) string {
	if err != nil {
		return err.Error()
	}
	return text
}

// IndexKey is one key of the index with what it holds; docs/format/index.md says what the kinds mean.
type IndexKey struct {
	Kind      string `json:"kind"`
	Partition string `json:"partition,omitempty"`
	Last      *int64 `json:"lastOffset,omitempty"`
	Value     string `json:"value"`
}

var indexKinds = map[byte]string{
	keyEntry: "entry", keyRun: "run", keyAborted: "aborted", keyMeta: "meta", keyState: "state", keyHole: "hole", keyFile: "file", keyEngine: "engine",
}

// DumpIndex reads the index of a data directory that no broker has open, at most so many keys (0: all), and changes nothing.
func DumpIndex(fs env.FS, dir string, most int) ([]IndexKey, error) {
	if _, err := fs.List(filepath.Join(dir, indexDir)); err != nil {
		return nil, err
	}
	lock, err := lockDir(fs, dir)
	if err != nil {
		return nil, err
	}
	var fatal error
	x, err := openIndex(fs, dir, true, func(err error) { fatal = err })
	if err != nil {
		return nil, errors.Join(err, fatal, lock.Close())
	}
	keys := []IndexKey{}
	err = x.scan([]byte{0}, []byte{0xff}, func(k, val []byte) (bool, error) {
		keys = append(keys, dumpKey(k, val))
		return most == 0 || len(keys) < most, nil
	})
	return keys, errors.Join(err, x.close(), lock.Close())
}

func dumpKey(k, val []byte) IndexKey {
	out := IndexKey{Kind: indexKinds[k[0]]}
	if out.Kind == "" {
		return IndexKey{Kind: "unknown", Value: hex.EncodeToString(k) + " " + hex.EncodeToString(val)}
	}
	var last offset
	switch k[0] {
	case keyFile, keyEngine:
	case keyMeta, keyState:
		id, err := decodeLogKey(k)
		out.Partition = orError(id.String(), err)
	default:
		id, o, err := decodeOffsetKey(k)
		last, out.Partition = o, orError(id.String(), err)
		n := int64(o)
		out.Last = &n
	}
	text, err := dumpValue(k, val, last)
	out.Value = orError(text, err)
	return out
}

func dumpValue(k, val []byte, last offset) (string, error) {
	switch k[0] {
	case keyEntry:
		var e entry
		err := e.decode(last, val)
		return fmt.Sprintf("from %d, %d bytes at %s, epoch %d, max timestamp %d", e.base, e.length, at(e.file, int64(e.pos)), e.epoch, e.maxTime), err
	case keyRun:
		var r run
		err := r.decode(last, val)
		return fmt.Sprintf("from %d, %d bytes in file %d, place %d, cleaned %v, max timestamp %d", r.base, r.bytes, r.file, r.place, r.cleaned, r.maxTime), err
	case keyAborted:
		a, err := decodeAborted(last, val)
		return fmt.Sprintf("producer %d from %d, last stable offset %d", a.Producer, a.First, a.LastStable), err
	case keyMeta:
		var m meta
		err := m.decode(val)
		return fmt.Sprintf("start %d, end %d, high watermark %d, incarnation %d, checkpoint in %s, quarantined %d",
			m.start, m.next, m.high, m.incarnation, fileName(m.checkpoint), m.quarantined), err
	case keyState:
		var s logState
		err := s.decode(val)
		return fmt.Sprintf("%d epochs, %d producers", len(s.epochs), len(s.producers().byID)), err
	case keyHole:
		var h hole
		err := h.decode(last, val)
		return fmt.Sprintf("from %d, lost at %s", h.first, at(h.file, h.pos)), err
	case keyFile:
		var f fileInfo
		err := f.decode(k, val)
		return fmt.Sprintf("%s ends at %d, sequence %d, %d bytes live in %d runs, place %d, deletions %v", f.name(), f.end, f.sequence, f.live, f.runs, f.place, f.deletions), err
	default:
		var s engineState
		err := s.decode(val)
		return fmt.Sprintf("format %d, directory %x, sealed up to %s at %d, sequence %d, behind it %s", s.version, s.directory, fileName(s.sealed), s.end, s.sequence, fileName(s.newest)), err
	}
}
