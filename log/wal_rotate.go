package log

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"

	"github.com/streambus/streambus/internal/env"
)

var errFileNumbers = errors.New("no file numbers are left")

// rotate opens the next file. Its first frame says where the WAL ended before it, which settles what in the old file
// counts. The high watermarks that moved follow.
func (w *writer) rotate(reason endReason) error {
	prev, sequence := at(0, 0), w.sequence
	if w.active != nil {
		prev = at(w.active.id, w.pos)
	}
	if w.active != nil {
		w.active.end = w.pos
	}
	f, pos, err := w.create(&walEnd{prev: prev, sequence: sequence, reason: reason})
	if err != nil {
		return err
	}
	old, oldEnd := w.active, w.pos
	w.use(f, pos)
	if old != nil {
		old.end, old.sequence = oldEnd, sequence
		w.e.seal.add(old)
	}
	// Behind whatever this round still writes: a checkpoint among it has been made already and must stay true.
	w.e.pushHighWatermarks()
	return nil
}

func (w *writer) use(f *file, pos int64) {
	w.active, w.pos, w.broken = f, pos, false
	w.reserved, w.blank = 0, 0
	w.e.flow.addUnsealed(pos)
	w.e.sync.addFile(f)
	w.at.Store(uint64(at(f.id, pos)))
}

// number takes the next file number.
func (w *writer) number() (uint32, error) {
	id := w.lastFile.Add(1)
	if id > math.MaxUint32 {
		return 0, errFileNumbers
	}
	return uint32(id), nil
}

// create makes a file with its header and its first frame, which names those that exist, or leaves none behind.
func (w *writer) create(end *walEnd) (*file, int64, error) {
	var sorted []fileEnd
	end.files, sorted = w.e.files.ends(fileWAL), w.e.files.ends(fileSorted)
	id, err := w.number()
	if err != nil {
		return nil, 0, err
	}
	f := w.e.files.add(id, fileWAL)
	h, err := w.e.files.begin(f)
	if err != nil {
		return nil, 0, errors.Join(err, ignoreMissing(w.e.files.unlink(id)))
	}
	pos, err := w.begin(f, h, end, sorted)
	if err != nil {
		return nil, 0, errors.Join(err, h.Close(), ignoreMissing(w.e.files.unlink(id)))
	}
	w.e.files.mu.Lock()
	f.begun = true
	f.handle, f.refs = h, 2 // the writer's, until the file is sealed, and the syncer's, until it needs no sync any more
	w.e.files.open++
	w.e.files.mu.Unlock()
	if f.stale > 0 {
		w.e.counts.recycled.Add(1)
	}
	w.listed = slices.Concat(end.files, sorted)
	return f, pos, nil
}

func (w *writer) begin(f *file, h env.File, end *walEnd, sorted []fileEnd) (int64, error) {
	header := fileHeader{
		id: f.id, directory: w.e.opts.Directory.ID(), created: w.e.env.Clock.Now().UnixMilli(),
	}
	f.salt = saltOf(header.directory, f.id)
	body := appendControl(nil, ctlEnd, tp{}, end.encode())
	for _, s := range sorted {
		body = appendSorted(body, s)
	}
	frame := frameHeader{
		kind: frameControl, at: at(f.id, fileHeaderLen), sequence: w.sequence + 1, synced: w.e.sync.position(),
		epoch: -1, maxTime: -1, length: uint32(len(body)),
	}
	raw := make([]byte, frameHeaderLen)
	frame.encode(raw)
	binary.BigEndian.PutUint32(raw[crcOffset:], crc32.Update(frameSum(f.salt, raw), crcTable, body))
	pos := fileHeaderLen + frame.span()
	pad := pos - fileHeaderLen - frameHeaderLen - int64(len(body))
	if _, err := w.preallocate(h, 0, pos, max(pos, min(firstReserve, w.e.opts.FileBytes))); err != nil {
		return 0, err
	}
	if _, err := h.WriteVAt([][]byte{header.encode(), raw, body, zeros[:pad], zeros[:f.toBlock(pos)]}, 0); err != nil {
		return 0, err
	}
	w.sequence++
	return pos, w.e.applyControls(&frame, [][]byte{body}, nil)
}

// finish is called when the writer has stopped: what is in the active file goes to the sealer.
func (w *writer) finish() {
	if w.active == nil || w.e.Failed() != nil {
		return
	}
	w.active.end, w.active.sequence, w.active.last = w.pos, w.sequence, true
	w.e.seal.add(w.active)
	w.active = nil
}
