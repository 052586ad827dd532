package log

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

// ScrubOptions say how a directory's records are read again while they lie there.
type ScrubOptions struct {
	BytesPerSecond int64         // must be above 0
	Interval       time.Duration // from the beginning of one pass to that of the next, at least
	// Damaged is told of records that a log has and that can't be read any more, from an offset on. It may not block.
	Damaged func(id tp, from offset)
	// Passed is told of the end of each pass; nil: nobody. It may not block.
	Passed func(files int, bytes int64)
}

// scrubChunk is how much is read before the pace is kept.
const scrubChunk = 256 << 10

// scrubber reads sealed files from the disk again and again, past the page cache, and checks every frame: a bit that flips in a
// file that nobody reads would else be found when it is too late to have the record from another replica.
type scrubber struct {
	e *Engine
	o ScrubOptions

	files int
	bytes int64
	owed  int64 // read since the pace was kept last
}

// Scrub begins to do so, until the engine is closed. It may be called once.
func (e *Engine) Scrub(o ScrubOptions) {
	s := &scrubber{e: e, o: o}
	e.wg.Add(1)
	go func() {
		defer e.wg.Done()
		s.run()
	}()
}

func (s *scrubber) run() {
	for {
		began := s.e.env.Clock.Now()
		s.files, s.bytes = 0, 0
		if !s.pass() {
			return
		}
		if s.o.Passed != nil {
			s.o.Passed(s.files, s.bytes)
		}
		if !s.wait(max(s.o.Interval-s.e.env.Clock.Now().Sub(began), time.Second)) {
			return
		}
	}
}

// wait is false if the engine ends meanwhile.
func (s *scrubber) wait(d time.Duration) bool {
	t := s.e.env.Clock.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
		return s.e.Failed() == nil
	case <-s.e.keep.stop:
		return false
	}
}

// pass reads every sealed file once, from anywhere on: a process that never lives for a whole pass still comes by all of them.
func (s *scrubber) pass() bool {
	infos := s.e.seal.sealedFiles()
	if n := len(infos); n > 1 {
		first := int(s.e.env.Rand.Uint64() % uint64(n))
		infos = append(slices.Clone(infos[first:]), infos[:first]...)
	}
	for _, info := range infos {
		more, err := s.file(info)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // one that was unlinked meanwhile holds nothing any more
			s.e.trouble("read "+info.name()+" again", err)
		}
		if !more {
			return false
		}
	}
	return true
}

// file reads one file. more is false if the engine ends meanwhile.
func (s *scrubber) file(info fileInfo) (more bool, err error) {
	f, err := s.e.files.acquire(info.id) // or it might be another file's bytes before we are through
	if errors.Is(err, errUnlinked) {
		return true, nil
	}
	if err != nil {
		return true, err
	}
	defer s.e.files.release(f)
	r, err := openScanner(s.e.fs.OpenDisk, s.e.filePath(info.kind, info.id), s.e.opts.Directory.ID())
	if err != nil {
		return true, err
	}
	defer r.close()
	s.files++
	if r.firstErr != nil {
		s.found(r.damage(0, r.firstErr), 0)
	}
	for off := int64(fileHeaderLen); off < info.end; {
		h, _, err := r.frame(off)
		next := off + h.span()
		if err != nil && isIO(err) {
			return true, err
		}
		if err != nil {
			damage := r.damage(off, err)
			if next, err = r.resync(off, min(info.end, r.size)); err != nil {
				return true, err
			}
			if next >= r.size {
				next = info.end
			}
			s.found(damage, next)
		}
		if !s.keepPace(next - off) {
			return false, nil
		}
		off = next
	}
	return true, nil
}

func (s *scrubber) keepPace(read int64) bool {
	s.bytes += read
	s.e.counts.scrubbed.Add(read)
	if s.owed += read; s.owed < scrubChunk {
		return true
	}
	d := time.Duration(float64(s.owed) / float64(s.o.BytesPerSecond) * float64(time.Second))
	s.owed = 0
	return s.wait(d)
}

// found tells of a damaged stretch of a file up to end, if it holds something that is still wanted. What the frame's header says
// is a hint of where to look: the log itself is asked what it can read there, from the disk.
func (s *scrubber) found(c *CorruptionError, end int64) {
	if !c.Known {
		s.report(c)
		return
	}
	l := s.e.lookup(c.Log)
	if l == nil {
		return // deleted since
	}
	id, _, _ := parseFileName(filepath.Base(c.File))
	live := false
	for next := c.First; next <= c.Last; {
		e, ok := l.entryAt(next)
		if !ok || e.base > c.Last {
			break
		}
		next = e.last + 1
		if e.file != id || int64(e.pos) < c.Position || int64(e.pos) >= end {
			continue // written again since, elsewhere
		}
		live = true
		s.dropCache(id)
		err := l.CheckAt(e.base, 1)
		if damage := (*CorruptionError)(nil); errors.As(err, &damage) {
			s.o.Damaged(damage.Log, damage.First)
			return // CheckAt has told of it
		}
	}
	if live {
		s.report(c) // its header alone: the records can be read, until the index has to be made anew
	}
}

func (s *scrubber) dropCache(id uint32) {
	f, err := s.e.files.acquire(id)
	if err != nil {
		return
	}
	defer s.e.files.release(f)
	_ = f.handle.DropCache()
}

func (s *scrubber) report(c *CorruptionError) {
	if f := s.e.opts.Events.Corruption; f != nil {
		f(c)
	}
}

// entryAt is the entry that holds an offset, or the next one that there is.
func (l *Log) entryAt(o offset) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.usable() != nil {
		return entry{}, false
	}
	e, ok, err := l.find(max(o, l.start))
	return e, ok && err == nil
}
