package log

import (
	"cmp"
	"errors"
	"slices"
)

// Where the index is there, it knows the sorted files, but for those that the unsealed files say count: they are told to it when
// the replay comes by that record. Where it is made anew, the files that the newest WAL file says count are put in where they
// belong: behind the WAL file that each run was copied from last, in place of what the log had there.

// placed are runs of a sorted file that belong behind one WAL file.
type placed struct {
	place uint32
	file  *sortedFile
	runs  []int
}

// openSorted makes known which sorted files count, and loads them if the index is to be made anew.
func (r *replay) openSorted() error {
	r.e.fresh = r.state.sealed == 0
	if !r.e.fresh {
		for _, id := range r.sortedIDs {
			if info := r.e.seal.infos[id]; info != nil {
				r.e.files.add(id, fileSorted)
				r.e.files.list(id, uint32(info.end))
			}
		}
		return nil
	}
	counting, err := r.counting()
	if err != nil {
		return err
	}
	for _, c := range counting {
		if !slices.Contains(r.sortedIDs, c.id) {
			if gone, err := r.goes(c.id); gone || err != nil {
				if err != nil {
					return err
				}
				continue
			}
		}
		f, err := r.loadSorted(c)
		if err != nil {
			return err
		}
		if f != nil {
			r.toPlace(f)
		}
	}
	slices.SortStableFunc(r.runs, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.place, b.place), cmp.Compare(a.file.id, b.file.id))
	})
	if len(r.runs) > 0 {
		r.rebuild, r.inline = true, true
	}
	return nil
}

// counting are the sorted files that the newest WAL file says count, but for those that are about to go.
func (r *replay) counting() (files []fileEnd, err error) {
	if r.onlyWAL() {
		return nil, nil
	}
	for _, s := range r.chain[max(0, len(r.chain)-2):] {
		_, err := s.controls(min(r.limit(s), s.size), func(h *frameHeader, c *control) error {
			noteUnlink(c, r.unlinked)
			switch c.kind {
			case ctlEnd:
				files = nil // what counts is named behind it
			case ctlSorted:
				files = append(files, c.sorted())
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(files, func(f fileEnd) bool { return r.unlinked[f.id] }), nil
}

// onlyWAL says that there has never been a sorted file: both kinds draw their numbers from one sequence, and WAL files have all of
// them. So it is where nothing was ever sealed, and nothing has to be looked up ahead there.
func (r *replay) onlyWAL() bool {
	for i, s := range r.chain {
		if s.id != uint32(i+1) {
			return false
		}
	}
	return len(r.sortedIDs) == 0
}

// loadSorted reads a sorted file that counts. nil: there is damage, which was noted.
func (r *replay) loadSorted(c fileEnd) (*sortedFile, error) {
	var accept func(*CorruptionError)
	if r.e.opts.AcceptCorruption {
		accept = func(c *CorruptionError) { r.damage = append(r.damage, c) }
	}
	f, err := loadSorted(r.e, c, accept)
	var damage *CorruptionError
	if errors.As(err, &damage) {
		r.damage = append(r.damage, damage)
		r.stopped = r.stopped || !r.e.opts.AcceptCorruption
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r.e.files.add(c.id, fileSorted)
	r.e.files.list(c.id, c.end)
	return f, nil
}

func (r *replay) toPlace(f *sortedFile) {
	byPlace := map[uint32][]int{}
	for i := range f.table {
		p := f.table[i].place
		byPlace[p] = append(byPlace[p], i)
	}
	for place, runs := range byPlace {
		r.runs = append(r.runs, placed{place, f, runs})
	}
}

// applySorted is about the record that a sorted file counts.
func (r *replay) applySorted(c fileEnd) error {
	if r.e.fresh || r.e.seal.infos[c.id] != nil {
		return nil
	}
	// The index may have forgotten it already, if it went while files from before were not sealed.
	if gone, err := r.goes(c.id); gone || err != nil {
		return err
	}
	f, err := r.loadSorted(c)
	if err != nil || f == nil {
		return err
	}
	return r.e.seal.commit(f, nil, false)
}

// placeRuns puts the runs into the index that belong before a WAL file. All files before are sealed.
func (r *replay) placeRuns(before uint32) error {
	for len(r.runs) > 0 && r.runs[0].place < before && !r.stopped {
		p := r.runs[0]
		r.runs = r.runs[1:]
		runs := slices.DeleteFunc(p.runs, func(i int) bool {
			t := &p.file.table[i]
			return t.incarnation < r.lives[t.log]
		})
		for _, i := range runs {
			r.reach(p.file, &p.file.table[i], before)
		}
		if err := r.e.seal.commit(p.file, runs, true); err != nil {
			return err
		}
		r.placed = append(r.placed, placed{p.place, p.file, runs})
	}
	return nil
}

// forgetAborted forgets, when all else is in the index that is made anew, the aborted transactions that checkpoints told of which
// are older than the compaction that left them out.
func (r *replay) forgetAborted() error {
	if len(r.placed) == 0 || r.stopped {
		return nil
	}
	b := r.e.seal.begin()
	for _, p := range r.placed {
		for _, i := range p.runs {
			t := &p.file.table[i]
			if !t.cleaned {
				continue
			}
			var entries []entry
			err := r.e.index.entries(t.log, t.first, t.last+1, func(e *entry) (bool, error) {
				entries = append(entries, *e)
				return true, nil
			})
			if err == nil {
				err = b.dropAborted(t.log, t.first, t.last+1, entries)
			}
			if err != nil {
				return err
			}
		}
	}
	if len(b.sets) == 0 {
		return nil
	}
	return r.e.index.ingest(b.write())
}

// reach has a log go at least as far as a run of it does. What it knows beside of the records is told by the files that they
// were copied from, or if one of those is gone by the log's checkpoint, which came before that.
func (r *replay) reach(f *sortedFile, t *sortedRun, before uint32) {
	l := r.e.lookup(t.log)
	if l == nil {
		l = r.e.addLog(t.log)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == nil && l.load() != nil {
		return
	}
	l.touch(before)
	l.written = max(l.written, t.last+1)
	l.next, l.sealed = l.written, l.written
	for _, gone := range f.lost {
		if gone.log == t.log && gone.hole.first >= t.first && gone.hole.last <= t.last {
			l.addHole(gone.hole)
			r.e.seal.noteHole(before, l.id, gone.hole)
		}
	}
}
