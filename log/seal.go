package log

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"sync"
)

// sealer is the one goroutine that turns full WAL files into level 0 tables: it waits until a file is durable and then
// ingests into the index, at once, all that the file means. Between two files it tells the index of sorted ones.
type sealer struct {
	e    *Engine
	mu   sync.Mutex
	cond sync.Cond // wakes the goroutine, and those who wait for a seal

	full     []*file // wait to be sealed, in order
	touched  map[uint32][]*Log
	captures map[uint32][]capture
	deletes  map[uint32]bool // files with deletions in them
	holes    map[uint32][]lost
	sealed   uint32
	named    uint32 // engineState.newest, as the index has it at the start
	closed   bool
	stopped  chan struct{}
	failed   error // why the last attempt failed
	jobs     []func()
	owed     []*sortedFile // count, and the index doesn't know yet; of the sealer's goroutine

	// infos are the sealed files. Of the sealer's goroutine; readers take the lock.
	infos    map[uint32]*fileInfo
	unlinked []uint32 // gone, their keys not yet removed
}

// capture is what one file did to one log, as it was at the file's end.
type capture struct {
	log     *Log
	changes changes
	meta    []byte // nil if the log is gone
	state   []byte // nil if unchanged
	start   offset
	entries []entry
	aborted []AbortedTxn
}

// lost is a hole that a recovery found in a file.
type lost struct {
	log  tp
	hole hole
}

func (s *sealer) init() {
	s.cond.L = &s.mu
	s.stopped = make(chan struct{})
	s.touched, s.captures = map[uint32][]*Log{}, map[uint32][]capture{}
	s.deletes, s.infos, s.holes = map[uint32]bool{}, map[uint32]*fileInfo{}, map[uint32][]lost{}
}

func (s *sealer) touch(l *Log, id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.touched[id] = append(s.touched[id], l)
}

// newestPlace is the newest WAL file of those files, or that the records of sorted ones among them came from.
func (s *sealer) newestPlace(ids []uint32) (newest uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		newest = max(newest, s.infos[id].place)
	}
	return newest
}

func (s *sealer) noteDeletion(id uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deletes[id] = true
}

// capture keeps what the log's last touched file did to it. The log's lock is held.
func (s *sealer) capture(l *Log) {
	id := l.touched
	c := capture{log: l, changes: l.changes, start: l.start}
	if l.dead == nil {
		m := l.meta()
		c.meta = m.encode()
		c.entries = l.unsealed.upTo(id)
		if l.changes.state && l.state != nil {
			c.state = l.state.encode()
			c.aborted = l.state.producers().aborted
		}
	}
	l.touched, l.changes = 0, noChanges
	s.mu.Lock()
	defer s.mu.Unlock()
	s.captures[id] = append(s.captures[id], c)
}

func (l *Log) meta() meta {
	return meta{
		incarnation: l.incarnation, start: l.start, next: l.written, high: l.highLogged,
		checkpoint: l.checkpoint, quarantined: l.quarantined,
	}
}

// add gives the sealer a full file.
func (s *sealer) add(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = append(s.full, f)
	s.cond.Broadcast()
}

// retry makes the sealer try again what failed.
func (s *sealer) retry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = nil
	s.cond.Broadcast()
}

func (s *sealer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed, s.failed = true, nil
	s.cond.Broadcast()
}

func (s *sealer) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

func (s *sealer) stats() (unsealed int, live int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.infos {
		live += f.live
	}
	return len(s.full) + 1, live
}

// sealedFiles are the files that will not change any more, in order.
func (s *sealer) sealedFiles() []fileInfo {
	s.mu.Lock()
	defer s.mu.Unlock()
	files := make([]fileInfo, 0, len(s.infos))
	for _, f := range s.infos {
		files = append(files, *f)
	}
	slices.SortFunc(files, func(a, b fileInfo) int { return cmp.Compare(a.id, b.id) })
	return files
}

func (s *sealer) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cond.Broadcast()
}

func (s *sealer) run() {
	defer close(s.stopped)
	for {
		s.mu.Lock()
		for len(s.jobs) == 0 && (len(s.full) == 0 || s.failed != nil) && !s.closed && s.e.Failed() == nil {
			s.cond.Wait()
		}
		if len(s.jobs) > 0 && s.e.Failed() == nil {
			job := s.jobs[0]
			s.jobs = s.jobs[1:]
			s.mu.Unlock()
			job()
			continue
		}
		if s.e.Failed() != nil || len(s.full) == 0 || s.closed && s.failed != nil {
			s.mu.Unlock()
			return
		}
		f := s.full[0]
		s.mu.Unlock()
		err := s.e.sync.wait(sealable(f))
		if err == nil {
			err = s.settle()
		}
		if err == nil {
			err = s.seal(f)
		}
		if err != nil && s.e.Failed() == nil {
			s.trouble(f, err)
		}
		s.mu.Lock()
		s.failed = err
		s.cond.Broadcast()
		s.mu.Unlock()
	}
}

// sealable is up to where the WAL must be durable before a file is sealed: with the beginning of the next file, where there is
// one, since from then on only the index names that.
func sealable(f *file) position {
	if f.last {
		return at(f.id, f.end)
	}
	return at(f.id+1, 0)
}

// trouble is a seal that failed. It is tried again, except where the index is damaged: no file could ever be sealed again,
// and appends would wait for that in the end. A start makes the index anew.
func (s *sealer) trouble(f *file, err error) {
	if damage := s.e.indexDamage(err); damage != err {
		s.e.fail(damage)
		return
	}
	s.e.trouble("seal "+f.path, err)
}

// do has a job done by the sealer's goroutine, between two seals, and waits for it.
func (s *sealer) do(job func() error) error {
	done := make(chan error, 1)
	s.mu.Lock()
	s.jobs = append(s.jobs, func() { done <- job() })
	s.cond.Broadcast()
	s.mu.Unlock()
	select {
	case err := <-done:
		return err
	case <-s.e.failedNow:
		return s.e.Failed()
	}
}

// wait returns when the file is sealed.
func (s *sealer) wait(id uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.sealed < id {
		if err := s.e.Failed(); err != nil {
			return err
		}
		if s.closed {
			return storage(ErrClosed)
		}
		if s.failed != nil {
			return s.failed
		}
		s.cond.Wait()
	}
	return nil
}

// seal ingests what the file means, and lets memory forget it. The file is durable.
func (s *sealer) seal(f *file) error {
	captures := s.take(f.id)
	b, err := s.plan(f, captures)
	if err == nil {
		err = s.e.index.ingest(b.write())
	}
	if err != nil {
		s.mu.Lock()
		s.captures[f.id] = captures
		s.mu.Unlock()
		return err
	}
	entries := 0
	for i := range captures {
		entries += len(captures[i].entries)
		captures[i].log.forget(f.id)
	}
	s.finish(f, b.infos, b.unlinked) // last: who waits for the file may rely on what its logs know
	s.checkLive(captures)
	s.e.files.release(f) // the writer's reference
	s.e.flow.sealed(alignUp(f.end))
	s.e.counts.seals.Add(1)
	if s.e.opts.Events.Sealed != nil {
		s.e.opts.Events.Sealed(f.id, f.end, entries)
	}
	return nil
}

// take are the captures of a file, with those made that are still to be made.
func (s *sealer) take(id uint32) []capture {
	s.mu.Lock()
	logs := s.touched[id]
	s.mu.Unlock()
	for _, l := range logs {
		l.mu.Lock()
		if l.touched == id {
			s.capture(l)
		}
		l.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.touched, id)
	captures := s.captures[id]
	delete(s.captures, id)
	slices.SortStableFunc(captures, func(a, b capture) int {
		if less(a.log.id, b.log.id) {
			return -1
		}
		if less(b.log.id, a.log.id) {
			return 1
		}
		// A log that was deleted and made anew in one file has two captures, and the later one may be made first.
		switch {
		case a.changes.deleted && !b.changes.deleted:
			return -1
		case b.changes.deleted && !a.changes.deleted:
			return 1
		}
		return 0
	})
	return captures
}

func (s *sealer) finish(f *file, infos map[uint32]*fileInfo, unlinked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.infos = infos
	s.sealed = f.id
	s.full = s.full[1:]
	s.unlinked = s.unlinked[unlinked:]
	delete(s.deletes, f.id)
	delete(s.holes, f.id)
	s.cond.Broadcast()
}

// forget drops what the index knows now.
func (l *Log) forget(sealed uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known := l.unsealed.upTo(sealed); len(known) > 0 && l.cutIn <= sealed {
		l.sealed = known[len(known)-1].last + 1
		l.unsealed.dropFirst(len(known))
	}
	if l.state != nil {
		l.state.table.forgetAborted(l.sealed)
	}
}

// sealing builds the change of the index for one file.
type sealing struct {
	s     *sealer
	f     *file
	sets  map[byte][]keyValue // by the key's first byte
	dels  []keyRange
	arena arena
	infos map[uint32]*fileInfo
	// unlinked is how many of the sealer's unlinked files this forgets.
	unlinked int
	gone     map[tp]bool
}

// begin is a change of the index that changes nothing yet.
func (s *sealer) begin() *sealing {
	b := &sealing{s: s, infos: map[uint32]*fileInfo{}, sets: map[byte][]keyValue{}, gone: map[tp]bool{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, info := range s.infos {
		c := *info
		b.infos[id] = &c
	}
	return b
}

func (s *sealer) plan(f *file, captures []capture) (*sealing, error) {
	b := s.begin()
	b.f = f
	s.mu.Lock()
	unlinked, deletions, holes := s.unlinked, s.deletes[f.id], s.holes[f.id]
	b.unlinked = len(unlinked)
	s.mu.Unlock()
	b.infos[f.id] = &fileInfo{id: f.id, end: f.end, sequence: f.sequence, deletions: deletions, place: f.id}
	entries := 0
	for i := range captures {
		entries += len(captures[i].entries)
	}
	b.sets[keyEntry] = make([]keyValue, 0, entries) // there may be a million
	for i := range captures {
		if err := b.log(&captures[i]); err != nil {
			return nil, err
		}
	}
	for _, h := range holes {
		b.set(offsetKey(nil, keyHole, h.log, h.hole.last), h.hole.encode())
	}
	b.files(unlinked)
	state := engineState{sealed: f.id, end: f.end, sequence: f.sequence}
	if newest := max(s.e.sync.position().file(), s.named); newest > f.id {
		state.newest = newest
	}
	kv := s.engineKey(state)
	b.set(kv.key, kv.value)
	return b, nil
}

// name has the index name the newest file.
func (s *sealer) name(state engineState, newest uint32) error {
	state.newest, s.named = newest, newest
	return s.e.index.ingest(&indexWrite{sets: []keyValue{s.engineKey(state)}})
}

func (s *sealer) engineKey(state engineState) keyValue {
	state.version, state.directory = indexVersion, s.e.opts.Directory.ID()
	return keyValue{[]byte{keyEngine}, state.encode()}
}

func (b *sealing) set(k, v []byte) { b.sets[k[0]] = append(b.sets[k[0]], keyValue{k, v}) }

func (b *sealing) del(start, end []byte) {
	if string(start) < string(end) {
		b.dels = append(b.dels, keyRange{start, end})
	}
}

// files writes what is known of each file that changed, and forgets those that are gone.
func (b *sealing) files(unlinked []uint32) {
	for _, id := range unlinked {
		delete(b.infos, id)
		b.set(fileKey(nil, id), nil)
	}
	for id, info := range b.infos {
		if old := b.s.infos[id]; old == nil || *old != *info {
			b.set(fileKey(nil, id), info.encode(nil))
		}
	}
}

// log turns what the file did to a log into keys.
func (b *sealing) log(c *capture) error {
	id := c.log.id
	if err := b.undo(c); err != nil {
		return err
	}
	if c.meta == nil {
		return nil
	}
	b.set(logKey(nil, keyMeta, id), c.meta)
	if c.state != nil {
		b.set(logKey(nil, keyState, id), c.state)
	}
	for i := range c.aborted {
		a := &c.aborted[i]
		b.set(offsetKey(nil, keyAborted, id, a.Last), encodeAborted(nil, a))
	}
	var r run
	for i := range c.entries {
		// What older files have is in the index already, and what a cut left of it is found there (trimRun): it may have been
		// copied to another file since.
		// What a cut left below the start is dead: were it in the index, a later cut would drop its run and leave it there.
		if e := &c.entries[i]; e.file == b.f.id && e.last >= c.start {
			b.setEntry(id, e)
			r.add(e)
		}
	}
	b.addRun(id, &r)
	return nil
}

func (b *sealing) setEntry(id tp, e *entry) {
	key := b.arena.keep(offsetKey(b.arena.room(logKeyLen+8), keyEntry, id, e.last))
	b.set(key, b.arena.keep(e.encode(b.arena.room(maxEntryLen))))
}

func (b *sealing) addRun(id tp, r *run) {
	if r.bytes == 0 {
		return
	}
	b.set(offsetKey(nil, keyRun, id, r.last), r.encode(nil))
	if info := b.infos[r.file]; info != nil {
		info.live += r.bytes
		info.runs++
	}
}

// dropRun takes a run of the index out of its file's count. Its key is removed by whoever calls.
func (b *sealing) dropRun(r *run) {
	if info := b.infos[r.file]; info != nil {
		info.live -= r.bytes
		info.runs--
	}
}

// undo removes what the file made void: everything of a deleted log, what is below a start, what was truncated.
func (b *sealing) undo(c *capture) error {
	ch, id := &c.changes, c.log.id
	if !ch.deleted && !ch.started && ch.truncated < 0 || b.gone[id] {
		return nil // nothing, or all that the index has of it is gone by an earlier capture: it was deleted and made anew
	}
	err := b.s.e.index.runs(id, 0, 1<<62, func(r *run) (bool, error) {
		cutOff := ch.truncated >= 0 && r.last >= ch.truncated
		below := ch.started && r.base < c.start
		if !ch.deleted && !below && !cutOff {
			return true, nil
		}
		b.dropRun(r)
		if ch.deleted || cutOff && r.base >= ch.truncated || below && r.last < c.start {
			return true, nil
		}
		return true, b.trimRun(c, r)
	})
	if err != nil {
		return err
	}
	switch {
	case ch.deleted:
		b.gone[id] = true
		for _, kind := range logKeyKinds {
			b.del(logKey(nil, kind, id), afterLog(nil, kind, id))
		}
		return nil
	case ch.started:
		for _, kind := range []byte{keyAborted, keyEntry, keyHole, keyRun} {
			b.del(logKey(nil, kind, id), offsetKey(nil, kind, id, c.start))
		}
	}
	if ch.truncated >= 0 {
		for _, kind := range []byte{keyAborted, keyEntry, keyHole, keyRun} {
			b.del(offsetKey(nil, kind, id, ch.truncated), afterLog(nil, kind, id))
		}
	}
	return nil
}

// trimRun writes what a cut or a new start left of an older file's run.
func (b *sealing) trimRun(c *capture, r *run) error {
	upTo := r.last + 1
	if c.changes.truncated >= 0 {
		upTo = min(upTo, c.changes.truncated)
	}
	from := max(r.base, c.start)
	var left run
	err := b.s.e.index.entries(c.log.id, from, upTo, func(e *entry) (bool, error) {
		if e.file != r.file {
			return true, nil
		}
		if e.last >= upTo {
			k, err := b.cutEntry(c, e, upTo)
			if err != nil || k.length == 0 || k.last < from {
				return false, err
			}
			b.setEntry(c.log.id, k)
			e = k
		}
		left.add(e)
		return true, nil
	})
	left.runOrigin = r.runOrigin
	b.addRun(c.log.id, &left)
	return err
}

// cutEntry is what is left of an entry below to: as the log has found already, unless it was copied to another file since.
func (b *sealing) cutEntry(c *capture, e *entry, to offset) (*entry, error) {
	for i := range c.entries {
		if k := &c.entries[i]; k.file == e.file && k.pos == e.pos && k.last < to {
			return k, nil
		}
	}
	k, err := b.s.e.part(e, to)
	return &k.entry, err
}

// write puts the keys in order and joins ranges that overlap, as an sstable wants them. Of two values of a key the later
// one counts.
func (b *sealing) write() *indexWrite {
	n := 0
	for _, sets := range b.sets {
		n += len(sets)
	}
	w := &indexWrite{sets: make([]keyValue, 0, n)}
	byKey := func(a, c keyValue) int { return bytes.Compare(a.key, c.key) }
	for _, kind := range slices.Sorted(maps.Keys(b.sets)) {
		sets := b.sets[kind]
		if !slices.IsSortedFunc(sets, byKey) {
			slices.SortStableFunc(sets, byKey)
		}
		for _, kv := range sets {
			if n := len(w.sets); n > 0 && bytes.Equal(w.sets[n-1].key, kv.key) {
				w.sets[n-1] = kv
				continue
			}
			w.sets = append(w.sets, kv)
		}
	}
	slices.SortFunc(b.dels, func(a, c keyRange) int { return bytes.Compare(a.start, c.start) })
	for _, d := range b.dels {
		if n := len(w.dels); n > 0 && bytes.Compare(d.start, w.dels[n-1].end) <= 0 {
			if bytes.Compare(d.end, w.dels[n-1].end) > 0 {
				w.dels[n-1].end = d.end
			}
			continue
		}
		w.dels = append(w.dels, d)
	}
	return w
}

// arena holds small byte slices side by side, without an allocation for each.
type arena struct{ free []byte }

// room is an empty slice with room for n bytes.
func (a *arena) room(n int) []byte {
	if cap(a.free) < n {
		a.free = make([]byte, 0, max(64<<10, n))
	}
	return a.free[:0:n]
}

// keep holds what was appended to the last room.
func (a *arena) keep(b []byte) []byte {
	a.free = a.free[len(b):cap(a.free)][:0]
	return b[:len(b):len(b)]
}
