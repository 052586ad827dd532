package log

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

// replay reads the unsealed files and applies what counts of them.
//
// What counts: frames in order up to the first that is damaged. Let F be the largest `synced` of any intact frame. Damage
// at or above F is what a crash leaves of writes that were never made durable: the WAL ends there, and all behind is void.
// Damage below F is corruption of something durable.
type replay struct {
	e       *Engine
	state   engineState
	rebuild bool // files are missing, as they may be where the index was lost: nobody needed them

	chain []*scanner // files whose frames count, in order
	torn  []*scanner // newer than the chain, without an intact first frame
	ends  map[uint32]int64

	durable                   position // F
	end                       position // of what is applied
	lastSequence, maxSequence uint64
	damage                    []*CorruptionError
	stopped                   bool // at damage: nothing behind is applied
	listed                    []fileEnd
	highestNamed, passed      uint32
	unlinked                  map[uint32]bool // files that are about to go, as far as is known; see goes
	asked                     int             // so many of the chain, from its end, have been asked
	lives                     map[tp]uint64   // see lives.go
	inline                    bool

	// See replay_sorted.go.
	sortedIDs []uint32 // that are there
	runs      []placed // in the order in which they are to be placed
	placed    []placed // those that are
}

// maxDamage bounds how many damaged places are reported.
const maxDamage = 100

func (r *replay) close() {
	for _, s := range append(r.chain, r.torn...) {
		s.close()
	}
}

func (r *replay) run(ids []uint32) error {
	if err := r.open(ids); err != nil {
		return err
	}
	r.end = at(r.state.sealed, r.state.end)
	if err := r.leaveOut(); err != nil {
		return err
	}
	if err := r.openSorted(); err != nil {
		return err
	}
	if err := r.findLives(); err != nil {
		return err
	}
	for _, s := range r.chain {
		if err := r.noteMissing(s.id); err != nil {
			return err
		}
		if err := r.placeRuns(s.id); err != nil {
			return err
		}
		if err := r.file(s); err != nil {
			return err
		}
	}
	for _, s := range r.torn {
		if err := r.tornFile(s); err != nil {
			return err
		}
	}
	if err := r.checkMissing(ids); err != nil {
		return err
	}
	if err := r.forgetAborted(); err != nil {
		return err
	}
	rec := &r.e.recovery
	rec.Clean = len(r.chain)+len(r.torn) == 0
	rec.CutFile, rec.CutPosition = r.end.file(), r.end.off()
	return r.judge()
}

// open opens what is not sealed, makes it durable and reads it past the page cache, and finds out which files count.
func (r *replay) open(ids []uint32) error {
	dir := filepath.Join(r.e.dir, walDir)
	var all []*scanner
	for _, id := range ids {
		if id <= r.state.sealed {
			r.addSealed(id)
			continue
		}
		path := filepath.Join(dir, fileName(id))
		if err := r.settle(path); err != nil {
			return err
		}
		s, err := openScanner(r.e.fs.Open, path, r.e.opts.Directory.ID())
		if err != nil {
			return err
		}
		all = append(all, s)
		if of := s.header.directory; of != [16]byte{} && of != r.e.opts.Directory.ID() {
			return fmt.Errorf("%s belongs to the data directory with directory.id %s, and this is %s: copy directories as a whole, %s with them",
				path, kafkaproto.TopicID(of), kafkaproto.TopicID(r.e.opts.Directory.ID()), metaFile)
		}
	}
	if len(all) > 0 {
		if err := r.e.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	r.link(all)
	r.inline = len(r.chain) > 4
	return nil
}

func (r *replay) addSealed(id uint32) {
	if info := r.e.seal.infos[id]; info != nil {
		r.e.files.add(id, fileWAL).end = info.end
	}
}

// settle makes durable what recovery will rely on, and has it read from the disk: what the page cache shows may be more
// than a failed sync left.
func (r *replay) settle(path string) error {
	h, err := r.e.fs.OpenReadWrite(path)
	if err != nil {
		return err
	}
	if err := h.SyncData(); err != nil {
		return errors.Join(fmt.Errorf("sync what was recovered: %w", err), h.Close())
	}
	return errors.Join(h.DropCache(), h.Close())
}

// link finds out which files count: the newest one with an intact first frame, and those that it names. Older ones that
// it does not name are void: an earlier recovery cut them off.
func (r *replay) link(all []*scanner) {
	r.ends = map[uint32]int64{}
	var newest *scanner
	for _, s := range all {
		if s.first != nil {
			newest = s
		}
	}
	if newest != nil {
		r.listed = newest.first.files
		for _, f := range r.listed {
			r.ends[f.id] = int64(f.end)
			r.highestNamed = max(r.highestNamed, f.id)
		}
	}
	for _, s := range all {
		_, named := r.ends[s.id]
		switch {
		case newest == nil || s.id > newest.id:
			r.torn = append(r.torn, s)
		case named || s == newest:
			r.chain = append(r.chain, s)
		default:
			s.close()
		}
	}
	here := func(id uint32) bool {
		return slices.ContainsFunc(r.chain, func(s *scanner) bool { return s.id == id })
	}
	for _, f := range r.listed {
		r.rebuild = r.rebuild || f.id > r.state.sealed && !here(f.id)
	}
	for _, s := range r.chain {
		if s.first != nil && s.first.prev != 0 {
			prev := s.first.prev.file()
			r.rebuild = r.rebuild || prev > r.state.sealed && !here(prev)
		}
	}
}

// limit is up to where a file of the chain counts. What is behind that was cut off by an earlier recovery.
func (r *replay) limit(s *scanner) int64 {
	if end, declared := r.ends[s.id]; declared && s != r.chain[len(r.chain)-1] {
		return end
	}
	return s.size
}

// leaveOut takes the files out of the chain that were about to go when the power failed, where the index is made anew: nothing in them
// was needed, and what held their place may have gone already, so what compaction has left out would be there again. They are
// removed in the end (removeVoid). Where the index is there, such files are sealed.
func (r *replay) leaveOut() error {
	if r.state.sealed > 0 || r.onlyWAL() {
		return nil
	}
	gone := map[uint32]bool{}
	if err := r.ahead(func(_ *frameHeader, c *control) error { noteUnlink(c, gone); return nil }); err != nil {
		return err
	}
	r.chain = slices.DeleteFunc(r.chain, func(s *scanner) bool {
		if gone[s.id] {
			s.close()
			r.rebuild = true
		}
		return gone[s.id]
	})
	r.asked = 0 // of the chain that was
	return nil
}

// noteUnlink notes the file that a record says is about to go.
func noteUnlink(c *control, into map[uint32]bool) {
	if c.kind == ctlUnlink {
		into[binary.BigEndian.Uint32(c.body)] = true
	}
}

// goes tells whether one of the files that are read says that a file is about to go. That is mostly one of the newest, but those
// that were begun before the file went name it still, however many they are.
func (r *replay) goes(id uint32) (bool, error) {
	for !r.unlinked[id] && r.asked < len(r.chain) {
		r.asked++
		s := r.chain[len(r.chain)-r.asked]
		if _, err := s.controls(min(r.limit(s), s.size), func(_ *frameHeader, c *control) error { noteUnlink(c, r.unlinked); return nil }); err != nil {
			return false, err
		}
	}
	return r.unlinked[id], nil
}

// noteMissing stops the replay before a file if one is missing that should stand between it and the one before: either
// its directory entry was never made durable, or it was lost.
func (r *replay) noteMissing(before uint32) error {
	for _, f := range r.listed {
		if f.id <= r.state.sealed || f.id >= before || f.id <= r.passed {
			continue
		}
		if slices.ContainsFunc(r.chain, func(s *scanner) bool { return s.id == f.id }) {
			continue
		}
		if gone, err := r.goes(f.id); gone || err != nil {
			if err != nil {
				return err
			}
			continue
		}
		if len(r.damage) < maxDamage {
			r.damage = append(r.damage, &CorruptionError{
				File: r.e.filePath(fileWAL, f.id), Detail: errFileGone.Error(),
			})
		}
		r.stopped = r.stopped || !r.e.opts.AcceptCorruption
	}
	r.passed = before
	return nil
}

// file applies one file of the chain.
func (r *replay) file(s *scanner) error {
	limit := r.limit(s)
	short := s.size < limit
	limit = min(limit, s.size)
	if s.first != nil {
		r.continues(s)
	}
	r.e.recovery.Files++
	r.e.recovery.Bytes += limit
	r.e.files.add(s.id, fileWAL) // a truncation in it may have to read it
	end, err := r.frames(s, limit)
	if err != nil {
		return err
	}
	if r.applies(s.id) {
		err = r.keep(s, end)
	} else {
		r.e.files.forget(s.id)
	}
	if short {
		r.noteDamage(s, s.size, errFileShort)
	}
	return err
}

var (
	errFileShort = errors.New("the file is shorter than what was written")
	errSequence  = errors.New("the sequence of frames is broken")
	errGap       = errors.New("offsets are missing before this frame")
)

// continues checks that the file continues where the one before ended.
func (r *replay) continues(s *scanner) {
	if !r.stopped && s.first.prev.file() == r.end.file() && s.first.sequence != r.lastSequence && s.first.prev != 0 {
		r.noteDamage(s, fileHeaderLen, errSequence)
	}
}

// applies tells whether the file, or a part of it, is within what counts.
func (r *replay) applies(id uint32) bool { return r.end.file() == id }

// frames applies the frames of a file, and goes on behind damage to see what else is intact.
func (r *replay) frames(s *scanner, limit int64) (end int64, err error) {
	end = fileHeaderLen
	var before uint64
	for off := int64(fileHeaderLen); off < limit; {
		h, payload, err := s.frame(off)
		if err == nil && before != 0 && h.sequence != before+1 && !r.stopped && len(r.damage) == 0 {
			err = errSequence
		}
		if err != nil {
			if isIO(err) {
				return end, fmt.Errorf("read %s at %d: %w", s.path, off, err)
			}
			r.noteDamage(s, off, err)
			if off, err = s.resync(off, limit); err != nil {
				return end, err
			}
			before = 0
			continue
		}
		before = h.sequence
		r.durable = max(r.durable, h.synced)
		r.maxSequence = max(r.maxSequence, h.sequence)
		if !r.stopped {
			if err := r.apply(s, &h, payload); err != nil {
				return end, err
			}
		}
		off += h.span()
		if !r.stopped {
			end = min(off, s.size)
			r.end = at(s.id, off)
			r.lastSequence = h.sequence
		}
	}
	return end, nil
}

// noteDamage stops the replay at the first damage, unless damage is accepted and lies below what is known to be durable.
func (r *replay) noteDamage(s *scanner, off int64, cause error) {
	if len(r.damage) < maxDamage {
		r.damage = append(r.damage, s.damage(off, cause))
	}
	if r.e.opts.AcceptCorruption && at(s.id, off) < r.durableAhead(s, off) {
		return
	}
	r.stopped = true
}

// durableAhead is F as far as the files from here on tell. It is asked only when damage is accepted, so it may read.
func (r *replay) durableAhead(s *scanner, off int64) position {
	f := r.durable
	for _, t := range append(slices.Clone(r.chain), r.torn...) {
		if t.id < s.id {
			continue
		}
		from := int64(0)
		if t.id == s.id {
			from = off
		}
		look := scanner{id: t.id, path: t.path, handle: t.handle, size: t.size, salt: t.salt}
		for {
			next, err := look.resync(from, t.size)
			if err != nil || next >= t.size {
				break
			}
			h, _, err := look.frame(next)
			if err == nil {
				f = max(f, h.synced)
			}
			from = next
		}
	}
	return f
}

func (r *replay) apply(s *scanner, h *frameHeader, payload []byte) error {
	r.e.recovery.Frames++
	if h.kind == frameControl {
		return r.e.applyControls(h, [][]byte{payload}, r)
	}
	if r.before(h, h.log) {
		return nil
	}
	l := r.e.lookup(h.log)
	if l == nil {
		l = r.e.addLog(h.log)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.load(); err != nil {
		return err
	}
	l.touch(h.at.file())
	if claim := h.first - offset(h.gap); claim < l.written {
		// The truncation in between was in a file that is gone: the later claim wins, that to a gap too.
		if err := l.applyTruncate(claim); err != nil {
			return err
		}
		// Nothing is ever appended below the start: it was that of an earlier log of the same name.
		l.start = min(l.start, claim)
	}
	if h.first > l.written && h.gap == 0 && l.written > 0 {
		r.noteGap(s, l, h)
		if r.stopped {
			return nil
		}
	}
	if err := l.publish(h, [][]byte{payload}); err != nil {
		return err
	}
	l.next = l.written
	return nil
}

// noteGap is about frames that must have been there. In a rebuild they may have been in files that nobody needed.
func (r *replay) noteGap(s *scanner, l *Log, h *frameHeader) {
	if r.rebuild {
		return
	}
	lost := hole{first: l.written, last: h.first - 1, file: s.id, pos: h.at.off()}
	if len(r.damage) < maxDamage {
		r.damage = append(r.damage, &CorruptionError{
			File: s.path, Position: h.at.off(), Known: true, Log: l.id, First: lost.first, Last: lost.last, Detail: errGap.Error(),
		})
	}
	if !r.e.opts.AcceptCorruption {
		return
	}
	l.addHole(lost)
	r.e.seal.noteHole(s.id, l.id, lost)
}

func (s *sealer) noteHole(file uint32, id tp, h hole) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holes[file] = append(s.holes[file], lost{id, h})
}

// applyEngine takes in the control records that are about no log.
func (r *replay) applyEngine(c *control) error {
	switch c.kind {
	case ctlUnlink:
		noteUnlink(c, r.unlinked)
	case ctlRoster:
		ids, err := decodeRoster(c.body)
		if err != nil {
			return err
		}
		for _, l := range r.e.all() {
			if !ids[l.id] {
				l.mu.Lock()
				l.touch(r.end.file())
				l.applyDelete()
				l.mu.Unlock()
				r.e.removeLog(l)
			}
		}
	}
	return nil
}

// keep makes the file known to the engine: full, and soon sealed. In a long recovery it is sealed at once, so that
// memory holds the entries of a few files at most.
func (r *replay) keep(s *scanner, end int64) error {
	e := r.e
	f, err := e.files.acquire(s.id)
	if err != nil {
		return err
	}
	f.salt, f.dirSynced, f.end, f.sequence = s.salt, true, end, r.lastSequence
	e.flow.addUnsealed(alignUp(end))
	e.seal.add(f)
	if r.inline && !r.stopped {
		return e.seal.seal(f)
	}
	return nil
}

// tornFile looks for intact frames in a file whose beginning is damaged.
func (r *replay) tornFile(s *scanner) error {
	r.e.recovery.Files++
	cause := s.firstErr
	if cause == nil {
		cause = errFileHeader
	}
	before := len(r.damage)
	r.stopped = true
	off := int64(0)
	for off < s.size {
		next, err := s.resync(off, s.size)
		if err != nil {
			return err
		}
		if next >= s.size {
			break
		}
		h, _, err := s.frame(next)
		if err == nil {
			r.durable = max(r.durable, h.synced)
			r.maxSequence = max(r.maxSequence, h.sequence)
		}
		off = next
	}
	if len(r.damage) == before && len(r.damage) < maxDamage {
		r.damage = append(r.damage, s.damage(0, cause))
	}
	return nil
}

// judge decides whether the damage is what a crash leaves or what must not be.
func (r *replay) judge() error {
	var errs []error
	for _, d := range r.damage {
		if _, kind, _ := parseFileName(filepath.Base(d.File)); kind == fileWAL && r.place(d) >= r.durable {
			continue // a sorted file is durable before it counts
		}
		if r.e.opts.Events.Corruption != nil {
			r.e.opts.Events.Corruption(d)
		}
		errs = append(errs, d)
	}
	if len(errs) == 0 || r.e.opts.AcceptCorruption {
		return nil
	}
	return errors.Join(errs...)
}

func (r *replay) place(d *CorruptionError) position {
	id, _, _ := parseFileName(filepath.Base(d.File))
	return at(id, d.Position)
}

var errFileGone = errors.New("the file is missing")

// checkMissing finds files that are gone and were needed: sealed ones, and the newest.
func (r *replay) checkMissing(ids []uint32) error {
	var errs []error
	missing := func(info *fileInfo) {
		c := &CorruptionError{File: r.e.filePath(info.kind, info.id), Detail: errFileGone.Error()}
		if r.e.opts.Events.Corruption != nil {
			r.e.opts.Events.Corruption(c)
		}
		errs = append(errs, c)
	}
	for _, info := range r.e.seal.infos {
		if info.live > 0 && !info.among(ids, r.sortedIDs) {
			missing(info)
		}
	}
	if newest := r.state.newest; newest > 0 && !slices.Contains(ids, newest) {
		missing(&fileInfo{id: newest})
	}
	if r.e.opts.AcceptCorruption {
		return nil
	}
	return errors.Join(errs...)
}
