package log

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
)

// recover opens the index, reads what is not sealed, and begins a new file that says where the WAL ended.
func (e *Engine) recover() error {
	began := e.env.Clock.Now()
	wal := filepath.Join(e.dir, walDir)
	for _, dir := range []string{wal, filepath.Join(e.dir, indexDir)} {
		if err := e.fs.MkdirAll(dir); err != nil {
			return err
		}
	}
	if err := e.fs.SyncDir(e.dir); err != nil {
		return err
	}
	ids, err := listFiles(e.fs, wal, fileWAL)
	if err != nil {
		return err
	}
	sorted, err := listFiles(e.fs, wal, fileSorted)
	if err != nil {
		return err
	}
	state, err := e.openIndex(ids, sorted)
	if err != nil {
		return err
	}
	r := &replay{e: e, state: state, unlinked: map[uint32]bool{}, sortedIDs: sorted}
	e.seal.sealed, e.seal.named = state.sealed, state.newest
	r.lastSequence, r.maxSequence = state.sequence, state.sequence
	defer r.close()
	if err := r.run(ids); err != nil {
		return err
	}
	e.recovery.Rebuilt = e.recovery.Rebuilt || r.rebuild
	if err := r.begin(ids); err != nil {
		return err
	}
	e.recovery.Logs = len(e.logs)
	e.recovery.Took = e.env.Clock.Now().Sub(began)
	if e.opts.Events.Recovered != nil {
		e.opts.Events.Recovered(e.recovery)
	}
	return nil
}

// openIndex opens the index and reads what it says of logs and files, or makes it anew if it is damaged.
func (e *Engine) openIndex(ids, sorted []uint32) (engineState, error) {
	marker := filepath.Join(e.dir, rebuildMarker)
	reason, err := e.fs.ReadFile(marker)
	switch {
	case err == nil:
		if err := e.rebuildIndex(fmt.Errorf("%w: %s", errIndexLost, reason)); err != nil {
			return engineState{}, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return engineState{}, err
	}
	state, err := e.tryIndex(ids, sorted)
	if !errors.Is(err, errIndexLost) {
		return state, err
	}
	if e.index != nil {
		_ = e.index.close()
		e.index = nil
	}
	if err := e.rebuildIndex(err); err != nil {
		return engineState{}, err
	}
	return e.tryIndex(ids, sorted)
}

func (e *Engine) rebuildIndex(reason error) error {
	e.recovery.Rebuilt = true
	clear(e.logs)
	clear(e.seal.infos)
	if err := e.dropIndex(reason); err != nil {
		return err
	}
	return e.fs.MkdirAll(filepath.Join(e.dir, indexDir))
}

func (e *Engine) tryIndex(ids, sorted []uint32) (engineState, error) {
	x, err := openIndex(e.fs, e.dir, false, e.fail)
	if err != nil {
		return engineState{}, err
	}
	e.index = x
	state, err := e.loadIndex(ids, sorted)
	if err != nil && !isDisk(err) && !errors.Is(err, ErrNewerFormat) {
		err = fmt.Errorf("%w: %w", errIndexLost, err)
	}
	return state, err
}

var errOtherDirectory = errors.New("the index is of another directory")

// loadIndex is the light scan of a start: a few dozen bytes per file and per log.
func (e *Engine) loadIndex(ids, sorted []uint32) (engineState, error) {
	var state engineState
	v, err := e.index.get([]byte{keyEngine})
	if err != nil || v == nil {
		return state, err
	}
	if err := state.decode(v); err != nil {
		return state, err
	}
	if state.version > indexVersion {
		return state, fmt.Errorf("%w: index version %d", ErrNewerFormat, state.version)
	}
	if state.version < indexVersion {
		return state, fmt.Errorf("%w: it has the older version %d", errIndexLost, state.version)
	}
	if state.directory != e.opts.Directory.ID() {
		return state, errOtherDirectory
	}
	if err := e.loadFiles(ids, sorted); err != nil {
		return state, err
	}
	err = e.index.scan([]byte{keyMeta}, []byte{keyMeta + 1}, func(k, v []byte) (bool, error) {
		id, err := decodeLogKey(k)
		if err != nil {
			return false, err
		}
		var m meta
		if err := m.decode(v); err != nil {
			return false, err
		}
		e.logs[id] = e.logOf(id, &m)
		return true, nil
	})
	if err != nil {
		return state, err
	}
	return state, e.loadHoles()
}

func (e *Engine) logOf(id tp, m *meta) *Log {
	l := e.newLog(id)
	l.start, l.next, l.written, l.flushed = m.start, m.next, m.next, m.next
	l.sealed, l.high, l.highLogged = m.next, m.high, m.high
	l.incarnation, l.checkpoint, l.quarantined = m.incarnation, m.checkpoint, m.quarantined
	l.created = m.incarnation > 0
	return l
}

func (e *Engine) loadFiles(ids, sorted []uint32) error {
	return e.index.scan([]byte{keyFile}, []byte{keyFile + 1}, func(k, v []byte) (bool, error) {
		var f fileInfo
		if err := f.decode(k, v); err != nil {
			return false, err
		}
		e.seal.infos[f.id] = &f
		if !f.among(ids, sorted) {
			e.seal.unlinked = append(e.seal.unlinked, f.id)
		}
		return true, nil
	})
}

func (e *Engine) loadHoles() error {
	return e.index.scan([]byte{keyHole}, []byte{keyHole + 1}, func(k, v []byte) (bool, error) {
		id, last, err := decodeOffsetKey(k)
		if err != nil {
			return false, err
		}
		var h hole
		if err := h.decode(last, v); err != nil {
			return false, err
		}
		if l := e.logs[id]; l != nil {
			l.addHole(h)
		}
		return true, nil
	})
}

// begin opens the new active file, makes its word about the WAL's end durable, and removes what is void by it.
func (r *replay) begin(ids []uint32) error {
	e, w := r.e, &r.e.write
	w.stopped = make(chan struct{})
	last := max(r.state.sealed, r.highestNamed)
	for _, all := range [][]uint32{ids, r.sortedIDs} {
		if n := len(all); n > 0 {
			last = max(last, all[n-1])
		}
	}
	w.lastFile.Store(uint64(last))
	w.sequence = max(r.maxSequence, r.lastSequence)
	reason := endRecovered
	if len(ids) == 0 && r.state.sealed == 0 {
		reason = endFirst
	}
	f, pos, err := w.create(&walEnd{prev: r.end, sequence: r.lastSequence, reason: reason})
	if err != nil {
		return err
	}
	w.use(f, pos)
	if err := e.sync.sync([]*file{f}); err != nil {
		return err
	}
	e.sync.synced.Store(w.at.Load())
	for _, l := range e.logs {
		l.flushed = l.written
	}
	if err := r.nameNewest(f.id); err != nil {
		return err
	}
	return r.removeVoid(ids)
}

// nameNewest comes before the old newest file may be removed as void. A long recovery has sealed files meanwhile.
func (r *replay) nameNewest(id uint32) error {
	var state engineState
	v, err := r.e.index.get([]byte{keyEngine})
	if err != nil {
		return err
	}
	if v != nil {
		if err := state.decode(v); err != nil {
			return err
		}
	}
	return r.e.seal.name(state, id)
}

// removeVoid removes the files that are not part of the WAL: cut off, or sealed and dead and known to be so.
func (r *replay) removeVoid(ids []uint32) error {
	known := r.e.files.ids()
	for kind, there := range [...][]uint32{fileWAL: ids, fileSorted: r.sortedIDs} {
		for _, id := range there {
			if _, ok := slices.BinarySearch(known, id); ok {
				continue
			}
			if err := r.e.fs.Remove(r.e.filePath(fileKind(kind), id)); err != nil {
				return err
			}
		}
	}
	return r.discardImplicit()
}

// discardImplicit removes logs of which only batches were found, but neither creation nor checkpoint: they were deleted,
// and the file that said so is gone.
func (r *replay) discardImplicit() error {
	var body []byte
	for id, l := range r.e.logs {
		if !l.created {
			body = appendControl(body, ctlDelete, id, nil)
		}
	}
	if body == nil {
		return nil
	}
	return r.e.queue.push(item{data: body})
}
