package log

import (
	"encoding/binary"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	defaultMaintenance = time.Second
	defaultRetention   = 5 * time.Minute
	// checkpointLogs is how many logs' state goes into one record group, so that frames stay small.
	checkpointLogs = 256
)

// maintenance is the one goroutine that does what time brings: retention, expiry of producers and quarantines, unlinking
// of files, and the watch over the disk's room.
type maintenance struct {
	e        *Engine
	stop     chan struct{}
	done     chan struct{}
	retained time.Time

	mu        sync.Mutex
	dead      map[uint32]int64 // bytes per file that have died since the last seal, by what was deleted or advanced
	work      bool             // something may be unlinked
	uncounted bool
	disk      sync.Mutex
	one       sync.Mutex // reclaims at a time
}

func (m *maintenance) init() {
	m.stop, m.done = make(chan struct{}), make(chan struct{})
	m.dead = map[uint32]int64{}
}

func (m *maintenance) close() {
	close(m.stop)
	<-m.done
}

func (m *maintenance) run() {
	defer close(m.done)
	m.retained = m.e.env.Clock.Now()
	timer := m.e.env.Clock.NewTimer(m.e.opts.MaintenanceInterval)
	defer timer.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-timer.C():
		}
		if m.e.Failed() == nil {
			m.tick()
		}
		timer.Reset(m.e.opts.MaintenanceInterval)
	}
}

func (m *maintenance) tick() {
	m.checkDisk()
	m.e.seal.retry()
	if now := m.e.env.Clock.Now(); now.Sub(m.retained) >= m.e.opts.RetentionInterval {
		m.retained = now
		m.retain(now)
	}
	if err := m.reclaim(); err != nil && m.e.Failed() == nil {
		m.e.trouble("unlink files", err)
	}
}

// checkDisk watches the reserve. Below it appends fail, and they go on when there is room again.
func (m *maintenance) checkDisk() {
	m.disk.Lock()
	defer m.disk.Unlock()
	free, total, err := m.e.fs.Usage(m.e.dir)
	if err != nil {
		m.e.trouble("ask for the disk's room", err)
		return
	}
	reserve := m.e.opts.ReserveBytes
	if reserve == 0 {
		reserve = DefaultReserve(total)
	}
	room := max(reserve, DefaultReserve(total))
	if _, err := m.e.files.spare(free >= 2*uint64(room)); err != nil {
		m.e.trouble("remove files that were kept", err)
	}
	full := reserve > 0 && free < uint64(reserve)
	m.e.setFull(full, free)
}

func (e *Engine) setFull(full bool, free uint64) {
	if e.full.Swap(full) == full {
		return
	}
	e.flow.wakeAll() // those who wait for a seal would wait for as long as the disk is full
	if e.opts.Events.Full != nil {
		e.opts.Events.Full(full, free)
	}
}

// Retain applies retention by time and size, and expiry of producers and quarantines, now, and gives free what has become
// dead. The engine does so by itself at every RetentionInterval.
func (e *Engine) Retain() error {
	e.keep.retain(e.env.Clock.Now())
	return e.keep.reclaim()
}

func (m *maintenance) retain(now time.Time) {
	var body []byte
	var expired []tp
	for _, l := range m.e.all() {
		start, quarantineOver := l.retention(now)
		if quarantineOver {
			expired = append(expired, l.id)
			continue
		}
		if start < 0 {
			continue
		}
		m.noteRuns(l.id, 0, start)
		body = appendControlInt(body, ctlStart, l.id, int64(start))
		if m.e.opts.Events.Retained != nil {
			m.e.opts.Events.Retained(l.id, start)
		}
		if len(body) >= mergeBytes {
			m.push(body)
			body = nil
		}
	}
	m.push(body)
	if len(expired) > 0 {
		if err := m.e.DeleteLogs(expired...); err != nil {
			m.e.trouble("delete quarantined logs", err)
		}
	}
}

func (m *maintenance) push(body []byte) {
	if len(body) == 0 {
		return
	}
	if err := m.e.waitWritten(item{data: body}); err != nil {
		m.e.trouble("retention", err)
	}
}

// retention decides where the log should start by its limits, -1: where it does.
func (l *Log) retention(now time.Time) (start offset, quarantineOver bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead != nil || l.deleting || !l.created {
		return -1, false
	}
	if l.quarantined != 0 {
		return -1, now.UnixMilli()-l.quarantined >= QuarantineTime.Milliseconds()
	}
	if l.state != nil {
		l.state.table.expire(now.Add(-l.e.producerExpiration()).UnixMilli())
	}
	if !l.cfg.Delete || l.cfg.RetentionTime <= 0 && l.cfg.RetentionBytes <= 0 {
		return -1, false
	}
	start, err := l.retainFrom(now)
	if err != nil {
		l.e.trouble("retention of "+l.id.String(), err)
		return -1, false
	}
	if start <= l.start {
		return -1, false
	}
	return start, false
}

// retainFrom walks what is below the high watermark from the start, run by run and then frame by frame, and stops at
// the first that is to stay: it is younger than the limit, and without it the log would be smaller than the limit.
func (l *Log) retainFrom(now time.Time) (offset, error) {
	start, bound := l.start, l.sealed
	var sealed []run
	size := payloadBytes(l.unsealed.entries)
	err := l.e.index.runs(l.id, start, bound, func(r *run) (bool, error) {
		sealed = append(sealed, *r)
		size += r.bytes
		return true, nil
	})
	if err != nil {
		return -1, l.e.indexDamage(err)
	}
	oldest := int64(-1)
	if l.cfg.RetentionTime > 0 {
		oldest = now.UnixMilli() - l.cfg.RetentionTime.Milliseconds()
	}
	goes := func(last offset, bytes, maxTime int64) bool {
		if last >= l.high {
			return false
		}
		tooOld := oldest >= 0 && maxTime >= 0 && maxTime < oldest
		tooMuch := l.cfg.RetentionBytes > 0 && size-bytes >= l.cfg.RetentionBytes
		if tooOld || tooMuch {
			size -= bytes
			start = last + 1
		}
		return tooOld || tooMuch
	}
	for _, r := range sealed {
		if r.last >= bound {
			return start, nil // it holds what was cut off: see Engine.below
		}
		if !goes(r.last, r.bytes, r.maxTime) {
			return start, nil
		}
	}
	for i := range l.unsealed.entries {
		e := &l.unsealed.entries[i]
		if !goes(e.last, int64(e.length), e.maxTime) {
			break
		}
	}
	return start, nil
}

// noteRuns counts what dies in sealed files when the log loses from to to, so that it is known when a file may go.
func (m *maintenance) noteRuns(id tp, from, to offset) {
	// What is in full files that are not sealed yet can't be counted: then the active file is sealed in any case.
	if unsealed, _ := m.e.seal.stats(); unsealed > 1 {
		m.mu.Lock()
		m.work, m.uncounted = true, true
		m.mu.Unlock()
	}
	err := m.e.index.runs(id, from, to, func(r *run) (bool, error) {
		if r.last < to {
			m.mu.Lock()
			m.dead[r.file] += r.bytes
			m.work = true
			m.mu.Unlock()
		}
		return true, nil
	})
	if err != nil {
		m.e.trouble("count dead bytes", m.e.indexDamage(err))
	}
}

// reclaim unlinks the files that nobody needs. Whether one is needed is known when what killed it is sealed, so the
// active file is sealed first if that would free one.
func (m *maintenance) reclaim() error {
	m.one.Lock()
	defer m.one.Unlock()
	if m.mayFree() {
		if err := m.e.sealActive(); err != nil {
			return err
		}
	}
	return m.unlinkDead()
}

func (m *maintenance) mayFree() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.work {
		return false
	}
	m.work = false
	free := m.uncounted
	m.uncounted = false
	s := &m.e.seal
	s.mu.Lock()
	for id, dead := range m.dead {
		if info := s.infos[id]; info != nil && info.live > 0 && dead >= info.live {
			free = true
		}
	}
	s.mu.Unlock()
	if free {
		clear(m.dead)
	}
	return free
}

// sealActive seals what is written, full or not, and waits for it.
func (e *Engine) sealActive() error {
	before := position(e.write.at.Load()).file()
	e.write.rotateNow.Store(true)
	if err := e.waitWritten(item{lazy: true}); err != nil {
		return err
	}
	return e.seal.wait(before)
}

// unlinkDead removes sealed files without a live byte. First the control state that only they held goes into the active
// file, durably: what logs exist, all that is known of each, and which files are about to go.
func (m *maintenance) unlinkDead() error {
	e := m.e
	gone, deletions := e.seal.dead()
	pointed := e.referenced(gone)
	gone = slices.DeleteFunc(gone, func(id uint32) bool { return pointed[id] })
	gone = e.seal.needless(gone)
	if len(gone) == 0 {
		return nil
	}
	if err := m.checkpoint(gone, deletions); err != nil {
		return err
	}
	for _, id := range gone {
		if err := e.files.retire(id); err != nil {
			return err
		}
		e.seal.noteUnlinked(id)
		e.counts.unlinks.Add(1)
		if e.opts.Events.Unlinked != nil {
			e.opts.Events.Unlinked(id)
		}
	}
	return e.files.retired()
}

// checkpoint writes what the files held, and waits until it is durable.
func (m *maintenance) checkpoint(gone []uint32, deletions bool) error {
	e := m.e
	newest := e.seal.newestPlace(gone)
	var logs []*Log
	for _, l := range e.all() {
		l.mu.Lock()
		if l.dead == nil && l.created && l.checkpoint <= newest {
			logs = append(logs, l)
		}
		l.mu.Unlock()
	}
	for part := range slices.Chunk(logs, checkpointLogs) {
		if err := e.waitWritten(item{build: func() []byte { return checkpointAll(part) }}); err != nil {
			return err
		}
	}
	err := e.waitWritten(item{build: func() []byte {
		var body []byte
		if deletions {
			body = appendControl(body, ctlRoster, tp{}, e.roster())
		}
		for _, id := range e.write.missing(gone) {
			body = appendControl(body, ctlUnlink, tp{}, binary.BigEndian.AppendUint32(nil, id))
		}
		e.files.unlist(gone) // or a file that is begun before they are gone would name them again
		return body
	}})
	if err != nil {
		return err
	}
	return e.sync.wait(position(e.write.at.Load()))
}

// missing are the files that the active file's list names and that are gone or about to go.
func (w *writer) missing(gone []uint32) []uint32 {
	there := w.e.files.ids()
	out := slices.Clone(gone)
	for _, f := range w.listed {
		id := f.id
		if _, ok := slices.BinarySearch(there, id); !ok && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

func (e *Engine) roster() []byte {
	var body []byte
	for _, l := range e.all() {
		l.mu.Lock()
		if l.dead == nil && l.created {
			body = appendRoster(body, l.id)
		}
		l.mu.Unlock()
	}
	return body
}

// checkpointAll is called by the writer when all before is published, so that it says what is true at that place.
func checkpointAll(logs []*Log) []byte {
	var body []byte
	for _, l := range logs {
		cp, ok := l.checkpointNow()
		if ok {
			body = appendControl(body, ctlCheckpoint, l.id, cp.encode())
		}
	}
	return body
}

func (l *Log) checkpointNow() (checkpoint, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead != nil || !l.created {
		return checkpoint{}, false
	}
	if err := l.load(); err != nil {
		l.e.fail(err) // without its checkpoint the log would be forgotten with the files
		return checkpoint{}, false
	}
	bound := l.sealed
	cp := checkpoint{meta: l.meta(), state: l.state.encode()}
	err := l.e.index.scan(offsetKey(nil, keyAborted, l.id, l.start), offsetKey(nil, keyAborted, l.id, bound), func(k, v []byte) (bool, error) {
		_, last, err := decodeOffsetKey(k)
		if err != nil {
			return false, err
		}
		a, err := decodeAborted(last, v)
		cp.aborted = append(cp.aborted, a)
		return true, err
	})
	if err != nil {
		l.e.fail(l.e.indexDamage(err))
		return cp, false
	}
	for _, a := range l.state.producers().aborted {
		if a.Last >= bound {
			cp.aborted = append(cp.aborted, a)
		}
	}
	return cp, true
}

// dead are the sealed files without a live byte, and whether deletions are recorded in any.
func (s *sealer) dead() (ids []uint32, deletions bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, info := range s.infos {
		if info.live == 0 && !slices.Contains(s.unlinked, id) {
			ids = append(ids, id)
			deletions = deletions || info.deletions
		}
	}
	slices.Sort(ids)
	return ids, deletions
}

// needless leaves out of files without a live byte those that say of records in older ones that they are void: sorted files in which
// compaction by key has left nothing. Nobody else would say so where the index is made anew. They have but a table.
func (s *sealer) needless(gone []uint32) []uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	oldest := uint32(math.MaxUint32) // of those that stay
	for id := range s.infos {
		if !slices.Contains(gone, id) && !slices.Contains(s.unlinked, id) {
			oldest = min(oldest, id)
		}
	}
	return slices.DeleteFunc(gone, func(id uint32) bool {
		info := s.infos[id]
		return info.kind == fileSorted && info.total == 0 && id > oldest
	})
}

func (s *sealer) noteUnlinked(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlinked = append(s.unlinked, id)
}
