package log

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

// Keys of the index begin with what they are about, then the log, then an offset; docs/format/index.md shows them.
const (
	keyEntry   = 'e' // log, last offset -> where the frame's batches are
	keyRun     = 'r' // log, last offset -> what a log has in one file
	keyAborted = 'a' // log, offset of the marker -> aborted transaction
	keyMeta    = 'm' // log -> meta
	keyState   = 'p' // log -> epochs and producers
	keyHole    = 'h' // log, last offset -> what was lost
	keyFile    = 'f' // file -> sizes
	keyEngine  = 's' // -> how far the index goes
)

// logKeyKinds are the kinds whose keys belong to a log, in the order of their bytes.
var logKeyKinds = []byte{keyAborted, keyEntry, keyHole, keyMeta, keyState, keyRun}

const logKeyLen = 1 + 16 + 4

func logKey(dst []byte, kind byte, id tp) []byte {
	dst = append(dst, kind)
	dst = append(dst, id.Topic[:]...)
	return binary.BigEndian.AppendUint32(dst, uint32(id.Partition))
}

// offsetKey is the key of a log at an offset. Offsets are never negative, so their bytes are in order.
func offsetKey(dst []byte, kind byte, id tp, o offset) []byte {
	return binary.BigEndian.AppendUint64(logKey(dst, kind, id), uint64(o))
}

// afterLog is the first key behind all of a log's keys of that kind.
func afterLog(dst []byte, kind byte, id tp) []byte {
	return append(offsetKey(dst, kind, id, -1), 0xff)
}

func fileKey(dst []byte, id uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, keyFile), id)
}

var errIndex = errors.New("malformed index entry")

func decodeLogKey(k []byte) (id tp, err error) {
	if len(k) < logKeyLen {
		return id, errIndex
	}
	copy(id.Topic[:], k[1:17])
	id.Partition = kafkaproto.PartitionID(binary.BigEndian.Uint32(k[17:]))
	return id, nil
}

func decodeOffsetKey(k []byte) (id tp, o offset, err error) {
	if len(k) != logKeyLen+8 {
		return id, 0, errIndex
	}
	id, err = decodeLogKey(k)
	return id, offset(binary.BigEndian.Uint64(k[logKeyLen:])), err
}

// fileKind says what a file is.
type fileKind uint8

const (
	fileWAL    fileKind = 0 // also level 0, once sealed
	fileSorted fileKind = 1 // level 1
)

// entry is where the batches base to last of a log are: the payload of one frame, or what truncation left of it. Entries
// are never changed in place once they are in a slice that others may hold.
type entry struct {
	base, last offset
	maxTime    int64
	file       uint32
	pos        uint32 // of the first batch
	length     uint32
	epoch      int32
}

// maxEntryLen bounds what encode appends.
const maxEntryLen = 1 + 5*6 + 2*10

func (e *entry) encode(b []byte) []byte {
	b = append(b, byte(fileWAL))
	b = binary.AppendUvarint(b, uint64(e.file))
	b = binary.AppendUvarint(b, uint64(e.pos))
	b = binary.AppendUvarint(b, uint64(e.length))
	b = binary.AppendUvarint(b, uint64(e.last-e.base))
	b = binary.AppendVarint(b, e.maxTime)
	return binary.AppendVarint(b, int64(e.epoch))
}

func (e *entry) decode(last offset, v []byte) error {
	r := reader{b: v}
	if fileKind(r.byte()) != fileWAL {
		return errIndex
	}
	e.file, e.pos, e.length = uint32(r.uint()), uint32(r.uint()), uint32(r.uint())
	e.last = last
	e.base = last - offset(r.uint())
	e.maxTime, e.epoch = r.int(), int32(r.int())
	if r.bad || len(r.b) > 0 || e.base < 0 || e.base > e.last {
		return errIndex
	}
	return nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// run is what a log has in one file side by side: the unit of retention, of compaction and of a file's liveness, and a step of
// searches by time. It is always the sum of its entries in the index.
type run struct {
	base, last offset
	file       uint32
	bytes      int64
	maxTime    int64
	runOrigin
}

// runOrigin is where a run comes from: the WAL file, for a sorted run the last one of those that it was copied from, so that it is
// newer than all that the log had up to the end of that file.
type runOrigin struct {
	place   uint32
	cleaned bool // of keys with several records only the last is there, as far as they are in cleaned runs
}

const (
	runWAL     = 0 // place is the file
	runSorted  = 1
	runCleaned = 2
)

func (r *run) encode(b []byte) []byte {
	kind := byte(runWAL)
	if r.cleaned {
		kind = runCleaned
	} else if r.place != r.file {
		kind = runSorted
	}
	b = append(b, kind)
	b = binary.AppendUvarint(b, uint64(r.file))
	b = binary.AppendUvarint(b, uint64(r.last-r.base))
	b = binary.AppendUvarint(b, uint64(r.bytes))
	b = binary.AppendVarint(b, r.maxTime)
	if kind != runWAL {
		b = binary.AppendUvarint(b, uint64(r.place))
	}
	return b
}

func (r *run) decode(last offset, v []byte) error {
	d := reader{b: v}
	kind := d.byte()
	r.file, r.last = uint32(d.uint()), last
	r.base = last - offset(d.uint())
	r.bytes, r.maxTime = int64(d.uint()), d.int()
	r.runOrigin = runOrigin{r.file, kind == runCleaned}
	if kind != runWAL {
		r.place = uint32(d.uint())
	}
	if kind > runCleaned || d.bad || len(d.b) > 0 || r.base < 0 || r.base > r.last {
		return errIndex
	}
	return nil
}

// add takes an entry that follows into the run.
func (r *run) add(e *entry) {
	if r.bytes == 0 {
		*r = run{base: e.base, file: e.file, maxTime: e.maxTime, runOrigin: runOrigin{place: e.file}}
	}
	r.last = e.last
	r.bytes += int64(e.length)
	r.maxTime = max(r.maxTime, e.maxTime)
}

func encodeAborted(b []byte, a *AbortedTxn) []byte {
	b = binary.AppendVarint(b, int64(a.Producer))
	b = binary.AppendVarint(b, int64(a.First))
	return binary.AppendVarint(b, int64(a.LastStable))
}

func decodeAborted(last offset, v []byte) (AbortedTxn, error) {
	r := reader{b: v}
	a := AbortedTxn{Producer: kafkaproto.ProducerID(r.int()), First: offset(r.int()), Last: last, LastStable: offset(r.int())}
	if r.bad || len(r.b) > 0 {
		return a, errIndex
	}
	return a, nil
}

// fileInfo is a sealed or a sorted file in the index.
type fileInfo struct {
	id        uint32
	kind      fileKind
	end       int64  // where the last frame ends
	sequence  uint64 // of its last frame, 0 in a sorted file
	live      int64  // bytes of batches that some log still has
	runs      int    // that those are in
	deletions bool   // holds records of logs that were deleted
	place     uint32 // the file itself, of a sorted file the newest place of its runs when it was written
	total     int64  // bytes of batches that a sorted file was written with
}

func (f *fileInfo) encode(b []byte) []byte {
	b = append(b, byte(f.kind))
	b = binary.AppendUvarint(b, uint64(f.end))
	b = binary.AppendUvarint(b, f.sequence)
	b = binary.AppendUvarint(b, uint64(f.live))
	b = binary.AppendUvarint(b, uint64(f.runs))
	deletions := byte(0)
	if f.deletions {
		deletions = 1
	}
	b = binary.AppendUvarint(append(b, deletions), uint64(f.place))
	return binary.AppendUvarint(b, uint64(f.total))
}

// among tells whether the file is one of those that are there.
func (f *fileInfo) among(wal, sorted []uint32) bool {
	ids := wal
	if f.kind == fileSorted {
		ids = sorted
	}
	_, there := slices.BinarySearch(ids, f.id)
	return there
}

func (f *fileInfo) name() string { return f.kind.name(f.id) }

func (f *fileInfo) decode(key, v []byte) error {
	if len(key) != 5 {
		return errIndex
	}
	f.id = binary.BigEndian.Uint32(key[1:])
	r := reader{b: v}
	f.kind = fileKind(r.byte())
	f.end, f.sequence, f.live, f.runs = int64(r.uint()), r.uint(), int64(r.uint()), int(r.uint())
	f.deletions, f.place = r.byte() == 1, uint32(r.uint())
	f.total = int64(r.uint())
	if f.kind > fileSorted || r.bad || len(r.b) > 0 {
		return errIndex
	}
	return nil
}

// engineState says how far the index goes: everything up to and including file sealed is in it.
type engineState struct {
	version   uint64
	directory [16]byte
	sealed    uint32
	end       int64
	sequence  uint64
	// newest is a WAL file behind the sealed ones that is there for certain, 0 after a clean stop: no other file names the
	// newest one, so a start would not miss it.
	newest uint32
}

func (s *engineState) encode() []byte {
	b := binary.AppendUvarint(nil, s.version)
	b = append(b, s.directory[:]...)
	b = binary.AppendUvarint(b, uint64(s.sealed))
	b = binary.AppendUvarint(b, uint64(s.end))
	b = binary.AppendUvarint(b, s.sequence)
	return binary.AppendUvarint(b, uint64(s.newest))
}

func (s *engineState) decode(v []byte) error {
	r := reader{b: v}
	s.version = r.uint()
	if len(r.b) < 16 {
		return errIndex
	}
	copy(s.directory[:], r.b)
	r.b = r.b[16:]
	s.sealed, s.end, s.sequence, s.newest = uint32(r.uint()), int64(r.uint()), r.uint(), uint32(r.uint())
	if r.bad || len(r.b) > 0 {
		return errIndex
	}
	return nil
}
