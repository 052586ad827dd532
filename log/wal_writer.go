package log

import (
	"encoding/binary"
	"hash/crc32"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

const (
	// maxWrite is about how much one vectored write takes, so that what waits behind it isn't late by more.
	maxWrite = 16 << 20
	// The active file's room on the disk is reserved in steps that double from the one to the other.
	firstReserve = 1 << 20
	maxReserve   = 32 << 20
	// diskCheckBytes is how much is written between two looks at the disk's room.
	diskCheckBytes = 16 << 20
	// writeBackBytes is how much may be written without a sync that anyone asked for until the system is told to begin writing
	// it: pages that nobody starts to write become so many that the kernel makes the writer wait for them.
	writeBackBytes = 16 << 20
)

// writer writes the WAL: it takes all that waits, makes frames of it, writes them with one vectored write from the request
// buffers, and publishes them. It has a goroutine, but where little waits and nobody writes, an appender does it itself
// (Log.WriteHeld), or the syncer (Log.LeaveHeld), which saves two changes of goroutine. Whoever has the queue's items is the only
// one to touch the fields.
type writer struct {
	e        *Engine
	active   *file
	pos      int64
	reserved int64
	blank    int64 // up to where the active file has been written, with zeros from pos on; below pos if there are none
	sequence uint64
	lastFile atomic.Uint64 // highest file number ever used
	// broken: a write failed for want of space, so what is behind pos in the active file is unknown, and the next frame
	// goes to a new one.
	broken bool
	// rotateNow asks for the active file to be sealed though it is not full.
	rotateNow atomic.Bool
	listed    []fileEnd // the files, sorted ones too, that the active one's first frame names
	toCheck   int64
	synced    position // what the last header said
	stopped   chan struct{}
	at        atomic.Uint64 // position of the end of what is published
	round     uint64
	publisher Publisher // of the round; may be nil
	plans     []plan
	headers   []byte
	vectors   [][]byte
	pieces    [][]byte
	notify    []func()
	// What the round has written asks for: a sync, of how many bytes, and a sync that may wait a little (0: none).
	wantSync   bool
	small      bool // the last records that somebody awaits a sync of were few, and none came since that nobody does
	loosened   bool // the round has some of the latter
	unsynced   int64
	syncWithin time.Duration
	loose      int64 // bytes since the last sync, or writing back, was asked for
}

// plan is a frame to be: a chain of items.
type plan struct {
	header     frameHeader
	log        *Log
	head, tail int32
}

const noItem = -1

func (w *writer) run() {
	for {
		items, ok := w.e.queue.take()
		if !ok {
			close(w.stopped)
			return
		}
		w.writeRound(items)
		w.e.queue.written(items)
	}
}

// MaxHeld bounds what an appender writes itself: above it, the write takes longer than waking the writer's goroutine.
const MaxHeld = 32 << 10

// Publisher is told by WriteHeld that what it has written is about to be published: callbacks and listeners follow, and WriteHeld
// returns without having waited for anything else.
type Publisher interface{ Publishing() }

// WriteHeld writes what appends with Hold have left, on the caller's goroutine, unless somebody writes already, who then
// sees to it. Callbacks and listeners are called from here, so no lock may be held that they take.
func (l *Log) WriteHeld(p Publisher) { l.e.write.help(MaxHeld, p) }

// LeaveHeld is WriteHeld for a log whose records nobody is shown, or told of, before they are flushed. While a sync, or writing
// back, is under way they are left to be written before the next sync, with all that comes until then: a write for many of them in
// place of one each.
func (l *Log) LeaveHeld(p Publisher) {
	if !l.e.sync.takesHeld() {
		l.WriteHeld(p)
	}
}

// help writes what waits, on the caller's goroutine. If it is more than most bytes the writer's does it, and if somebody writes
// already, he does.
func (w *writer) help(most int, p Publisher) {
	if items := w.e.queue.tryTake(most); items != nil {
		w.publisher = p
		w.writeRound(items)
		w.publisher = nil
		w.e.queue.written(items)
	}
}

func (w *writer) writeRound(items []item) {
	if err := w.e.Failed(); err != nil {
		w.refuse(nil, nil, items, err)
		return
	}
	for rest := items; len(rest) > 0; {
		if build := rest[0].build; build != nil {
			rest[0].data = build()
		}
		n := 1
		for n < len(rest) && rest[n].build == nil {
			n++
		}
		if err := w.writeItems(rest[:n], rest[n:]); err != nil {
			break // what was written before is there, and is waited for
		}
		rest = rest[n:]
	}
	w.afterRound()
}

// writeItems writes items; if that fails, those and the ones behind are undone.
func (w *writer) writeItems(items, behind []item) error {
	w.plan(items)
	for plans := w.plans; len(plans) > 0; {
		n, err := w.fit(plans)
		if err == nil {
			err = w.writeFrames(items, plans[:n])
		}
		if err != nil {
			w.failed(items, plans, behind, err)
			return err
		}
		w.publish(items, plans[:n])
		plans = plans[n:]
	}
	return nil
}

// plan makes frames of items: what follows in the same log goes into the same frame, up to mergeBytes. Control records
// keep their place among all frames.
func (w *writer) plan(items []item) {
	w.plans = w.plans[:0]
	w.round++
	for i := range items {
		it := &items[i]
		it.next = noItem
		if p := w.mergeable(it); p != nil {
			items[p.tail].next = int32(i)
			p.tail = int32(i)
			p.header.take(it)
			continue
		}
		p := plan{log: it.log, head: int32(i), tail: int32(i)}
		p.header = frameHeader{kind: frameControl, epoch: -1, maxTime: -1}
		if it.log != nil {
			p.header = frameHeader{kind: frameData, log: it.log.id, first: it.first, maxTime: it.maxTime, gap: it.gap}
			it.log.planRound, it.log.planIndex = w.round, int32(len(w.plans))
		} else {
			w.round++ // no frame may be merged across
		}
		p.header.take(it)
		w.plans = append(w.plans, p)
	}
}

func (w *writer) mergeable(it *item) *plan {
	if it.log == nil {
		if n := len(w.plans); n > 0 && w.plans[n-1].log == nil && int(w.plans[n-1].header.length)+len(it.data) <= mergeBytes {
			return &w.plans[n-1]
		}
		return nil
	}
	if it.log.planRound != w.round || it.gap > 0 {
		return nil
	}
	p := &w.plans[it.log.planIndex]
	if int(p.header.length)+len(it.data) > mergeBytes {
		return nil
	}
	return p
}

func (h *frameHeader) take(it *item) {
	h.length += uint32(len(it.data))
	if h.kind == frameData {
		h.last, h.epoch = it.last, int32(it.epoch)
		h.maxTime = max(h.maxTime, it.maxTime)
		h.batches += it.batches
	}
}

// fit tells how many frames go into the active file with one write. If none does it opens the next file.
func (w *writer) fit(plans []plan) (int, error) {
	if w.broken {
		if err := w.rotate(endWrite); err != nil {
			return 0, err
		}
	}
	if w.rotateNow.Swap(false) {
		if err := w.rotate(endFull); err != nil {
			return 0, err
		}
	}
	for fresh := w.pos <= w.firstFrame(); ; fresh = true {
		n, bytes := 0, int64(0)
		for n < len(plans) && bytes < maxWrite {
			span := plans[n].header.span()
			if w.pos+bytes+span > w.e.opts.FileBytes && (n > 0 || !fresh) {
				break
			}
			bytes += span
			n++
		}
		if n > 0 {
			return n, w.reserve(w.pos + bytes)
		}
		if err := w.rotate(endFull); err != nil {
			return 0, err
		}
	}
}

// firstFrame is where a file may be at most for a frame larger than a file to go in whole.
func (w *writer) firstFrame() int64 { return max(w.e.opts.FileBytes/4, fileHeaderLen+frameHeaderLen) }

// reserve takes room on the disk ahead of the writes, so that a full disk shows here, before anything is half written.
func (w *writer) reserve(upTo int64) error {
	for w.reserved < upTo {
		step, err := w.preallocate(w.active.handle, w.reserved, upTo-w.reserved, min(max(w.reserved, firstReserve), maxReserve))
		if err != nil {
			return err
		}
		w.reserved += step
	}
	return nil
}

// preallocate takes step bytes or as many as there are, at least need. Where there is no room for those, the spares give theirs.
func (w *writer) preallocate(f env.File, off, need, step int64) (int64, error) {
	for {
		n, err := preallocate(f, off, need, step)
		if !isNoSpace(err) {
			return n, err
		}
		if gone, _ := w.e.files.spare(false); gone == 0 {
			return n, err
		}
	}
}

// preallocate takes step bytes or, when the disk has no room for that, as few as are needed: what is left of the disk is
// for control records, which stop nothing.
func preallocate(f env.File, off, need, step int64) (int64, error) {
	for {
		err := f.Preallocate(off, step)
		if !isNoSpace(err) || step <= need {
			return step, err
		}
		step = max(step/2, need)
	}
}

// writeFrames lays headers and payloads side by side and writes them.
func (w *writer) writeFrames(items []item, plans []plan) error {
	need := len(plans) * (frameHeaderLen + frameAlign)
	if cap(w.headers) < need {
		w.headers = make([]byte, need+need/2)
	}
	w.vectors = w.vectors[:0]
	headers, pos, pad := w.headers[:0], w.pos, 0
	w.synced = w.e.sync.position()
	for i := range plans {
		p := &plans[i]
		h := &p.header
		w.sequence++
		h.at, h.sequence, h.synced = at(w.active.id, pos), w.sequence, w.synced
		from := len(headers)
		headers = headers[:from+pad+frameHeaderLen]
		clear(headers[from : from+pad])
		raw := headers[from+pad:]
		h.encode(raw)
		h.crc = w.sum(items, p, raw)
		binary.BigEndian.PutUint32(raw[crcOffset:], h.crc)
		w.vectors = append(w.vectors, headers[from:])
		for j := p.head; j != noItem; j = items[j].next {
			if len(items[j].data) > 0 {
				w.vectors = append(w.vectors, items[j].data)
			}
		}
		end := pos + frameHeaderLen + int64(h.length)
		pad = int(alignUp(end) - end)
		pos = end + int64(pad)
	}
	if pad > 0 {
		w.vectors = append(w.vectors, zeros[:pad])
	}
	blank := w.writeAhead(pos)
	n, err := w.active.handle.WriteVAt(w.vectors, w.pos)
	clear(w.vectors)
	w.e.counts.writes.Add(1)
	w.e.counts.writtenBytes.Add(int64(n))
	if err != nil {
		w.sequence -= uint64(len(plans)) // none of them counts
		return err
	}
	w.e.flow.addUnsealed(pos - w.pos)
	w.toCheck += pos - w.pos
	w.loose += pos - w.pos
	w.pos, w.blank = pos, blank
	return nil
}

const (
	// aheadBytes is how much is written ahead at once: of many small writes one pays for it.
	aheadBytes = 512 << 10
	// aheadMost is the largest write that has it. In larger ones the bytes count, not the sync.
	aheadMost = 256 << 10
)

// zeros are what is written ahead, and between frames.
var zeros [64 << 10]byte

// writeAhead lets zeros follow what is about to be written up to end, where somebody waits for the sync of each small write. The next
// writes then go into blocks that are there: a sync that has new blocks, or a new size, to note waits for the file system's journal
// too, and takes twice as long. In what the file had as another one the blocks are there: zeros fill the last of them. It returns up
// to where the file is written then. Recovery finds no frame in zeros, as behind any end.
func (w *writer) writeAhead(end int64) int64 {
	if end < w.active.stale {
		if end > w.blank {
			rest := w.active.toBlock(end)
			w.vectors = append(w.vectors, zeros[:rest])
			return end + rest
		}
		return w.blank
	}
	upTo := min(end+aheadBytes, w.reserved, w.e.opts.FileBytes)
	if !w.small || end <= w.blank || end-w.pos > aheadMost || upTo <= end {
		return w.blank
	}
	for at := end; at < upTo; {
		n := min(upTo-at, int64(len(zeros)))
		w.vectors = append(w.vectors, zeros[:n])
		at += n
	}
	return upTo
}

func (w *writer) sum(items []item, p *plan, raw []byte) uint32 {
	sum := frameSum(w.active.salt, raw)
	for j := p.head; j != noItem; j = items[j].next {
		rest := items[j].data
		if p.header.kind == frameControl {
			sum = crc32.Update(sum, crcTable, rest)
			continue
		}
		for len(rest) > 0 {
			b, tail, err := kafkaproto.NextBatch(rest)
			if err != nil {
				break // Append has walked the same bytes
			}
			sum = crc32.Update(sum, crcTable, b[:kafkaproto.PrefixLen])
			rest = tail
		}
	}
	return sum
}

// publish makes written frames visible and gives the buffers back.
func (w *writer) publish(items []item, plans []plan) {
	e := w.e
	if w.publisher != nil {
		w.publisher.Publishing()
		w.publisher = nil
	}
	e.counts.frames.Add(int64(len(plans)))
	for i := range plans {
		p := &plans[i]
		w.pieces = w.pieces[:0]
		for j := p.head; j != noItem; j = items[j].next {
			w.pieces = append(w.pieces, items[j].data)
			if p.log == nil && !items[j].lazy {
				w.wantSync = w.wantSync || e.opts.FlushPolicy == FlushAlways
			}
		}
		if p.log != nil {
			w.publishData(p)
		} else if err := e.applyControls(&p.header, w.pieces, nil); err != nil {
			e.fail(err)
		}
	}
	// Only now: a sync that sees this end takes all logs with it that the syncer was told of.
	w.at.Store(uint64(at(w.active.id, w.pos)))
	released := int64(0)
	for i := range plans {
		for j := plans[i].head; j != noItem; j = items[j].next {
			if plans[i].log != nil {
				released += int64(len(items[j].data))
			}
			if done := items[j].done; done != nil {
				done(nil)
			}
		}
	}
	e.flow.written(released)
	clear(w.pieces)
	for i, f := range w.notify {
		f()
		w.notify[i] = nil
	}
	w.notify = w.notify[:0]
}

func (w *writer) publishData(p *plan) {
	l := p.log
	l.mu.Lock()
	err := l.publish(&p.header, w.pieces)
	policy, end, gen := l.policy, l.written, l.truncations
	listener := l.listener
	interval := l.cfg.FlushInterval
	l.wakeDrained()
	l.mu.Unlock()
	if err != nil {
		w.e.fail(err)
		return
	}
	w.e.sync.dirty(l, end, gen)
	switch policy {
	case FlushAlways:
		w.wantSync = true
		w.unsynced += int64(p.header.length)
	case FlushInterval:
		w.wantWithin(interval)
	}
	w.loosened = w.loosened || policy != FlushAlways
	if listener != nil && l.notifyRound != w.round {
		l.notifyRound = w.round
		w.notify = append(w.notify, listener)
	}
}

// wantWithin asks for a sync in d at the latest; 0 stands for the engine's interval.
func (w *writer) wantWithin(d time.Duration) {
	if d <= 0 {
		d = w.e.flushInterval()
	}
	if w.syncWithin == 0 || d < w.syncWithin {
		w.syncWithin = d
	}
}

// publishControl tells those who wait that a log has changed by a control record.
func (w *writer) publishControl(l *Log) {
	l.mu.Lock()
	end, gen, dead := l.written, l.truncations, l.dead != nil
	w.wantSync = w.wantSync || l.policy == FlushAlways
	listener := l.listener
	l.mu.Unlock()
	if !dead {
		w.e.sync.dirty(l, end, gen)
	}
	if listener != nil {
		w.notify = append(w.notify, listener)
	}
}

// afterRound asks for the sync that the round's logs need, and looks at the disk now and then.
func (w *writer) afterRound() {
	if w.unsynced > 0 {
		w.small = w.unsynced <= aheadMost
	} else if w.loosened {
		w.small = false
	}
	w.loosened = false
	switch {
	case w.wantSync:
		w.wantSync, w.loose = false, 0
		w.e.sync.request(position(w.at.Load()), w.unsynced)
		w.unsynced = 0
	case w.loose >= writeBackBytes:
		w.loose = 0
		w.e.sync.writeBack()
	}
	if w.syncWithin > 0 {
		w.e.sync.within(w.syncWithin)
		w.syncWithin = 0
	}
	if w.pos > w.e.opts.FileBytes && !w.broken && w.e.Failed() == nil {
		// A frame larger than a file: appends may wait for it to be sealed, so none of them would open the next.
		if err := w.rotate(endFull); err != nil {
			w.e.trouble("open the next file", err)
		}
	}
	if w.toCheck >= diskCheckBytes {
		w.toCheck = 0
		w.e.keep.checkDisk()
	}
	w.plans, w.vectors, w.pieces, w.notify = trim(w.plans), trim(w.vectors), trim(w.pieces), trim(w.notify)
	if cap(w.headers) > keptItems*frameHeaderLen {
		w.headers = nil
	}
}

// keptItems is for how many items the writer keeps room between two rounds. A burst, as when 100,000 logs begin an epoch, needs
// more for once.
const keptItems = 4096

// trim empties a slice, and lets go of its room if that is large.
func trim[T any](s []T) []T {
	if cap(s) > keptItems {
		return nil
	}
	return s[:0]
}
