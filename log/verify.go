package log

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// Report is what Verify found.
type Report struct {
	Files, Frames, Batches, Entries, Logs int
	Bytes                                 int64
	Quarantined                           []kafkaproto.TopicPartition
	// Torn is where the WAL ends if a crash left something unfinished behind it: no damage, the next start cuts it off.
	Torn string
	// Digests are one for each log whose entries are all in the index, as after a clean stop. Replicas that hold the same
	// records have the same.
	Digests []Digest
	// Problems are everything that is not as it was written; CorruptionError where a place can be named.
	Problems []error
}

// Digest is a checksum (CRC-32C) of a log's batches, byte by byte from its first offset to its last.
type Digest struct {
	Log         kafkaproto.TopicPartition
	First, Last kafkaproto.Offset
	Sum         uint32
}

// Verify reads a stopped directory and changes nothing: every frame and every batch of every file, every entry of the
// index against the frame it points to, and the other way round what the index lacks. The error is about what could not
// be looked at (a directory in use wraps ErrLocked); damage is in the report.
func Verify(f env.FS, dir string) (Report, error) {
	if _, err := f.List(dir); err != nil {
		return Report{}, err
	}
	lock, err := lockDir(f, dir)
	if err != nil {
		return Report{}, err
	}
	v := &verifier{fs: f, dir: dir, frames: map[position]verified{}}
	err = v.run()
	return v.report, errors.Join(err, lock.Close())
}

type verifier struct {
	fs     env.FS
	dir    string
	report Report
	frames map[position]verified // data frames by where their payload begins
	infos  map[uint32]fileInfo
	state  engineState
	// directory is the directory's id, on which the frames' checksums hang.
	directory [16]byte
	// open is the file whose entries were read last, for the digests.
	open     env.File
	openFile uint32
}

// verified is a data frame that was read and found intact.
type verified struct {
	log         tp
	first, last offset
	length      uint32
}

func (v *verifier) problem(err error) { v.report.Problems = append(v.report.Problems, err) }

func (v *verifier) run() error {
	if data, err := v.fs.ReadFile(filepath.Join(v.dir, metaFile)); err != nil {
		v.problem(fmt.Errorf("%s: %w", metaFile, err))
	} else {
		var m metaProperties
		if err := m.decode(string(data)); err != nil {
			v.problem(fmt.Errorf("%s: %w", metaFile, err))
		}
		v.directory = m.directory
	}
	ids, err := listFiles(v.fs, filepath.Join(v.dir, walDir), fileWAL)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	x, err := v.openIndex()
	if err != nil {
		v.problem(err)
	} else {
		defer func() { _ = x.close() }()
	}
	if err := v.files(ids); err != nil {
		return err
	}
	if err := v.sorted(); err != nil {
		return err
	}
	if x == nil {
		return nil
	}
	defer v.closeFile()
	if err := v.entries(x); err != nil {
		v.problem(fmt.Errorf("%w: %w", errIndexLost, err))
	}
	return nil
}

func (v *verifier) openIndex() (*index, error) {
	if _, err := v.fs.List(filepath.Join(v.dir, indexDir)); err != nil {
		return nil, fmt.Errorf("%w: %w", errIndexLost, err)
	}
	var fatal error
	x, err := openIndex(v.fs, v.dir, true, func(err error) { fatal = err })
	if err != nil {
		return nil, errors.Join(err, fatal)
	}
	v.infos = map[uint32]fileInfo{}
	err = x.scan([]byte{keyFile}, []byte{keyFile + 1}, func(k, val []byte) (bool, error) {
		var f fileInfo
		err := f.decode(k, val)
		v.infos[f.id] = f
		return true, err
	})
	if err == nil {
		var state []byte
		if state, err = x.get([]byte{keyEngine}); err == nil && state != nil {
			err = v.state.decode(state)
		}
	}
	if err == nil {
		err = x.db.CheckLevels(&pebble.CheckLevelsStats{})
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", errIndexLost, err), x.close())
	}
	return x, nil
}

// files reads the WAL files. Sealed ones must be intact to their end; of the others, damage at or above what was known to
// be durable is what a crash leaves.
func (v *verifier) files(ids []uint32) error {
	var durable position
	var open []*CorruptionError
	newest, ends := v.listed(ids)
	for _, id := range ids {
		info, sealed := v.infos[id]
		if id <= v.state.sealed && !sealed {
			continue // dead, about to be removed
		}
		end, named := ends[id]
		if !sealed && id < newest && !named {
			continue // cut off by a recovery that was stopped before it could remove it
		}
		s, err := openScanner(v.fs.Open, v.path(id), v.directory)
		if err != nil {
			v.problem(err)
			continue
		}
		limit := s.size
		if sealed {
			limit = info.end
		} else if id < newest {
			limit = end
		}
		bad := v.file(s, min(limit, s.size), &durable)
		if s.size < limit {
			bad = append(bad, s.damage(s.size, errFileShort))
		}
		s.close()
		if !sealed {
			open = append(open, bad...)
			continue
		}
		for _, c := range bad {
			v.problem(c)
		}
	}
	for id, info := range v.infos {
		if info.kind == fileWAL && info.live > 0 && !info.among(ids, nil) {
			v.problem(&CorruptionError{File: v.path(id), Detail: errFileGone.Error()})
		}
	}
	if newest := v.state.newest; newest > 0 && !slices.Contains(ids, newest) {
		v.problem(&CorruptionError{File: v.path(newest), Detail: errFileGone.Error()})
	}
	r := replay{}
	for _, c := range open {
		if r.place(c) < durable {
			v.problem(c)
		} else if v.report.Torn == "" && !c.blank {
			v.report.Torn = fmt.Sprintf("%s at %d", c.File, c.Position)
		}
	}
	return nil
}

// sorted reads the sorted files that the index knows: intact to their end, all of them. Others may be there that a compaction
// left which was stopped.
func (v *verifier) sorted() error {
	for id, info := range v.infos {
		if info.kind != fileSorted {
			continue
		}
		s, err := openScanner(v.fs.Open, v.path(id), v.directory)
		if errors.Is(err, fs.ErrNotExist) {
			if info.live > 0 {
				v.problem(&CorruptionError{File: v.path(id), Detail: errFileGone.Error()})
			}
			continue
		}
		if err != nil {
			v.problem(err)
			continue
		}
		bad := v.file(s, min(info.end, s.size), new(position))
		if s.size < info.end {
			bad = append(bad, s.damage(s.size, errFileShort))
		}
		s.close()
		for _, c := range bad {
			v.problem(c)
		}
	}
	return nil
}

func (v *verifier) path(id uint32) string {
	info := v.infos[id] // a WAL file if nothing is known of it
	return filepath.Join(v.dir, walDir, info.kind.name(id))
}

// listed is what the newest file that begins intact says of those before it: where each ends. Behind its end a file may
// have what a write left for which there was no room.
func (v *verifier) listed(ids []uint32) (newest uint32, ends map[uint32]int64) {
	for _, id := range slices.Backward(ids) {
		s, err := openScanner(v.fs.Open, v.path(id), v.directory)
		if err != nil {
			continue // reported by whoever reads the file
		}
		first := s.first
		s.close()
		if first == nil {
			continue
		}
		ends = make(map[uint32]int64, len(first.files))
		for _, f := range first.files {
			ends[f.id] = int64(f.end)
		}
		return id, ends
	}
	return 0, nil
}

func (v *verifier) file(s *scanner, limit int64, durable *position) (bad []*CorruptionError) {
	v.report.Files++
	v.report.Bytes += limit
	if s.firstErr != nil {
		bad = append(bad, s.damage(0, s.firstErr))
	}
	for off := int64(fileHeaderLen); off < limit; {
		h, _, err := s.frame(off)
		if err != nil {
			next, failed := s.resync(off, limit)
			if len(bad) < maxDamage {
				c := s.damage(off, err)
				if next >= limit {
					c.blank, _ = s.empty(off)
				}
				bad = append(bad, c)
			}
			if off = next; failed != nil {
				return append(bad, s.damage(off, failed))
			}
			continue
		}
		*durable = max(*durable, h.synced)
		v.report.Frames++
		v.report.Batches += int(h.batches)
		if h.kind == frameData {
			v.frames[at(s.id, off+frameHeaderLen)] = verified{h.log, h.first, h.last, h.length}
		}
		off += h.span()
	}
	return bad
}

// entries checks every key of the index.
func (v *verifier) entries(x *index) error {
	return x.scan([]byte{0}, []byte{0xff}, func(k, val []byte) (bool, error) {
		switch k[0] {
		case keyEntry:
			return true, v.entry(k, val)
		case keyMeta:
			return true, v.meta(k, val)
		case keyRun:
			_, last, err := decodeOffsetKey(k)
			if err == nil {
				err = new(run).decode(last, val)
			}
			return true, err
		case keyAborted:
			_, last, err := decodeOffsetKey(k)
			if err == nil {
				_, err = decodeAborted(last, val)
			}
			return true, err
		case keyState:
			return true, new(logState).decode(val)
		}
		return true, nil
	})
}

func (v *verifier) entry(k, val []byte) error {
	id, last, err := decodeOffsetKey(k)
	if err != nil {
		return err
	}
	var e entry
	if err := e.decode(last, val); err != nil {
		return err
	}
	v.report.Entries++
	f, ok := v.frames[at(e.file, int64(e.pos))]
	if !ok || f.log != id || e.base < f.first || e.last > f.last || e.length > f.length {
		v.problem(&CorruptionError{
			File: v.path(e.file), Position: int64(e.pos), Known: true, Log: id, First: e.base, Last: e.last,
			Detail: "the index points here, and the frame is not what it says",
		})
		return nil
	}
	return v.digest(id, e)
}

// digest adds an entry's batches to its log's. Entries come in order of logs and offsets.
func (v *verifier) digest(id tp, e entry) error {
	if v.open == nil || v.openFile != e.file {
		v.closeFile()
		f, err := v.fs.Open(v.path(e.file))
		if err != nil {
			return err
		}
		v.open, v.openFile = f, e.file
	}
	batches := make([]byte, e.length)
	if _, err := v.open.ReadAt(batches, int64(e.pos)); err != nil {
		return err
	}
	n := len(v.report.Digests)
	if n == 0 || v.report.Digests[n-1].Log != id {
		v.report.Digests = append(v.report.Digests, Digest{Log: id, First: e.base})
		n++
	}
	d := &v.report.Digests[n-1]
	d.Last, d.Sum = e.last, crc32.Update(d.Sum, crc32.MakeTable(crc32.Castagnoli), batches)
	return nil
}

func (v *verifier) closeFile() {
	if v.open != nil {
		_ = v.open.Close()
		v.open = nil
	}
}

func (v *verifier) meta(k, val []byte) error {
	id, err := decodeLogKey(k)
	if err != nil {
		return err
	}
	var m meta
	if err := m.decode(val); err != nil {
		return err
	}
	v.report.Logs++
	if m.quarantined != 0 {
		v.report.Quarantined = append(v.report.Quarantined, id)
	}
	return nil
}
