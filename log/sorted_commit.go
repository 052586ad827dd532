package log

import (
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

// A sorted file counts from the moment on at which the WAL says so, durably. Then, and before the WAL file that says so is
// sealed, the index is told: where the records lie now, in one change. A crash in between is made good by the replay of that
// record (replay_sorted.go). Nothing that was true of the logs changes, so nobody but those who look for records notices.

// adopt makes sorted files count that are written and durable. It is of the sealer's goroutine. counts says whether they do, which
// they may although there is an error.
func (s *sealer) adopt(files []*sortedFile) (counts bool, err error) {
	var body []byte
	for _, f := range files {
		body = appendSorted(body, fileEnd{f.id, uint32(f.end)})
	}
	if err := s.e.waitWritten(item{data: body}); err != nil {
		return false, err
	}
	s.owed = append(s.owed, files...)
	if err := s.e.sync.wait(position(s.e.write.at.Load())); err != nil {
		return true, err
	}
	return true, s.settle()
}

// settle tells the index of the sorted files that count already. Nothing may be sealed before.
func (s *sealer) settle() error {
	for len(s.owed) > 0 {
		f := s.owed[0]
		if err := s.commit(f, nil, false); err != nil {
			return err
		}
		s.owed = s.owed[1:]
	}
	return nil
}

// commit puts the runs of a sorted file into the index, those of the table that only names, or all, in place of what was copied.
//
// What was cut off, deleted or moved to other files since the file was written is left out: the index says what is still there
// of what the runs were copied from. Only when the index is made anew (rebuilding) that may be gone, and the file says it all.
func (s *sealer) commit(f *sortedFile, only []int, rebuilding bool) error {
	b := s.begin()
	if b.infos[f.id] == nil {
		b.infos[f.id] = &fileInfo{id: f.id, kind: fileSorted, end: f.end, place: f.place(), total: f.bytes()}
	}
	if only == nil {
		for i := range f.table {
			only = append(only, i)
		}
	}
	for len(only) > 0 {
		n := 1
		for n < len(only) && f.table[only[n]].log == f.table[only[0]].log {
			n++
		}
		if err := b.replace(f, only[:n], rebuilding); err != nil {
			return err
		}
		only = only[n:]
	}
	b.files(nil)
	if err := s.e.index.ingest(b.write()); err != nil {
		return err
	}
	s.mu.Lock()
	s.infos = b.infos
	s.mu.Unlock()
	s.checkLive(nil)
	return nil
}

// replacement is the change of one log's part of the index by some runs of a sorted file.
type replacement struct {
	b    *sealing
	f    *sortedFile
	id   tp
	runs []int // of the file's table, all of the log, in order
	old  []run // that they were copied from
	// end is behind the last entry that is replaced, -1: there is none any more.
	end offset
	// rebuilding: of what was void already when the runs were copied, there may be something.
	rebuilding bool
}

func (b *sealing) replace(f *sortedFile, runs []int, rebuilding bool) error {
	p := replacement{b: b, f: f, id: f.table[runs[0]].log, runs: runs, end: -1, rebuilding: rebuilding}
	if err := p.find(); err != nil {
		return err
	}
	if err := p.drop(); err != nil {
		return err
	}
	start, err := b.s.e.index.start(p.id)
	if err != nil {
		return err
	}
	for _, i := range runs {
		end := p.end
		if rebuilding {
			end = f.table[i].last + 1
		}
		if err := p.put(i, start, end); err != nil {
			return err
		}
		if err := b.forgetAborted(f, i, end); err != nil {
			return err
		}
	}
	return nil
}

// forgetAborted forgets the aborted transactions whose markers compaction by key has left out: of those no record is left, and
// without the marker a reader would take all that the producer wrote later for aborted.
func (b *sealing) forgetAborted(f *sortedFile, i int, end offset) error {
	r := &f.table[i]
	if !r.cleaned {
		return nil
	}
	return b.dropAborted(r.log, r.first, min(r.last+1, end), f.entries[i])
}

// dropAborted drops the aborted transactions that end between from and to, if their markers are not among the entries.
func (b *sealing) dropAborted(id tp, from, to offset, entries []entry) error {
	if from >= to {
		return nil
	}
	return b.s.e.index.scan(offsetKey(nil, keyAborted, id, from), offsetKey(nil, keyAborted, id, to), func(k, _ []byte) (bool, error) {
		_, marker, err := decodeOffsetKey(k)
		if err != nil {
			return false, err
		}
		there, err := b.s.e.hasBatch(entries, marker)
		if err == nil && !there {
			b.set(slices.Clone(k), nil)
		}
		return true, err
	})
}

// hasBatch tells whether a batch begins at an offset.
func (e *Engine) hasBatch(entries []entry, at offset) (found bool, err error) {
	i := search(entries, at)
	if i == len(entries) || entries[i].base > at {
		return false, nil
	}
	err = e.walk(&entries[i], func(b kafkaproto.Batch, _ int64) (bool, error) {
		found = b.BaseOffset() == at
		return !found && b.BaseOffset() < at, nil
	})
	return found, err
}

// find looks for the runs that are replaced: older ones, at the same offsets.
func (p *replacement) find() error {
	for _, i := range p.runs {
		r := &p.f.table[i]
		upTo := r.last + 1
		if p.rebuilding {
			upTo = 1 << 62
		}
		err := p.b.s.e.index.runs(p.id, r.first, upTo, func(o *run) (bool, error) {
			if o.file != p.f.id && o.place <= r.place && !slices.Contains(p.old, *o) {
				p.old = append(p.old, *o)
			}
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// replaces tells whether an entry of an old run is replaced. What is older than a run and lies at higher offsets was cut off before
// the run was written, though what told so may be gone.
func (p *replacement) replaces(o *run, e *entry) bool {
	return slices.ContainsFunc(p.runs, func(i int) bool {
		r := &p.f.table[i]
		return e.base >= r.first && (e.base <= r.last && o.place <= r.place || p.rebuilding && o.place < r.place)
	})
}

// cutsAt is where one of the runs begins inside of an entry of an old run, which was cut there; -1: none does.
func (p *replacement) cutsAt(o *run, e *entry) offset {
	for _, i := range p.runs {
		if r := &p.f.table[i]; p.rebuilding && e.base < r.first && e.last >= r.first && o.place <= r.place {
			return r.first
		}
	}
	return -1
}

// drop takes out what is replaced. Of an old run something may be left on both sides.
func (p *replacement) drop() error {
	b := p.b
	for i := range p.old {
		o := &p.old[i]
		b.dropRun(o)
		b.set(offsetKey(nil, keyRun, p.id, o.last), nil)
		var left run
		first := offset(-1) // key of the first entry of a stretch that goes
		flush := func() {
			left.runOrigin = o.runOrigin
			b.addRun(p.id, &left)
			left = run{}
		}
		last := offset(-1)
		err := b.s.e.index.entries(p.id, o.base, o.last+1, func(e *entry) (bool, error) {
			switch {
			case e.file != o.file:
			case p.replaces(o, e):
				flush()
				if first < 0 {
					first = e.last
				}
				last = e.last
				p.end = max(p.end, e.last+1)
			default:
				p.remove(first, last)
				first = -1
				if to := p.cutsAt(o, e); to >= 0 {
					p.remove(e.last, e.last)
					k, err := b.s.e.part(e, to)
					if err != nil || k.length == 0 {
						return err == nil, err
					}
					e = &k.entry
					b.setEntry(p.id, e)
				}
				left.add(e)
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		p.remove(first, last)
		flush()
	}
	return nil
}

func (p *replacement) remove(first, last offset) {
	if first >= 0 {
		p.b.del(offsetKey(nil, keyEntry, p.id, first), offsetKey(nil, keyEntry, p.id, last+1))
	}
}

// put adds a run of the file, as far as it is neither below the log's start nor cut off.
func (p *replacement) put(i int, start, end offset) error {
	var r run
	for k := range p.f.entries[i] {
		e := p.f.entries[i][k]
		if e.last < start {
			continue
		}
		if e.base >= end {
			break
		}
		if e.last >= end {
			left, err := p.b.s.e.part(&e, end)
			if err != nil {
				return err
			}
			if left.length == 0 || left.last < start {
				break
			}
			e = left.entry
		}
		p.b.setEntry(p.id, &e)
		r.add(&e)
	}
	r.runOrigin = p.f.table[i].runOrigin
	p.b.addRun(p.id, &r)
	return nil
}

// start is where a log starts as far as the index knows.
func (x *index) start(id tp) (offset, error) {
	v, err := x.get(logKey(nil, keyMeta, id))
	if err != nil || v == nil {
		return 0, err
	}
	var m meta
	err = m.decode(v)
	return m.start, err
}

// bytes are those of all records that the file was written with.
func (f *sortedFile) bytes() (n int64) {
	for _, entries := range f.entries {
		n += payloadBytes(entries)
	}
	return n
}
