package log

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/internal/planted"
)

// syncer is the one goroutine that makes what is written durable. Everything written before a sync began is durable when
// it returns, so one sync serves all that wait.
type syncer struct {
	e    *Engine
	mu   sync.Mutex
	cond sync.Cond // wakes the goroutine
	done sync.Cond // wakes those who wait for a position

	want     position // sync at least up to here
	synced   atomic.Uint64
	files    []*file // not wholly synced, in order; each with a reference
	logs     []dirtyLog
	busy     bool   // it is not waiting for work
	left     bool   // held appends have been left to it (takesHeld)
	begin    bool   // writing back is to begin
	waiting  int    // in wait: what goes on only then, as sealing does, is not to wait for appends that may come
	round    uint64 // of logs
	unsynced int64  // bytes of logs under FlushAlways
	// What gather needs to know of the last two syncs: how many such bytes each has made durable, the last one first, and how long
	// that took.
	lastBytes [2]int64
	lastTook  time.Duration
	timer     env.Timer
	due       time.Time
	closed    bool
}

// dirtyLog is a log with something to be flushed. gen is its count of truncations: what was truncated since is not to
// be reported.
type dirtyLog struct {
	log *Log
	end offset
	gen uint32
}

func (s *syncer) init() {
	s.cond.L, s.done.L = &s.mu, &s.mu
	s.round = 1
}

// position is up to where everything is durable.
func (s *syncer) position() position { return position(s.synced.Load()) }

func (s *syncer) addFile(f *file) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files = append(s.files, f)
}

// dirty notes that the log has been written up to end.
func (s *syncer) dirty(l *Log, end offset, gen uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.dirtyRound == s.round {
		d := &s.logs[l.dirtyIndex]
		d.end, d.gen = end, gen
		return
	}
	l.dirtyRound, l.dirtyIndex = s.round, int32(len(s.logs))
	s.logs = append(s.logs, dirtyLog{l, end, gen})
}

// request asks for a sync up to p. bytes are what appends wait for.
func (s *syncer) request(p position, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ask(p, bytes)
}

// ask is request with the lock held.
func (s *syncer) ask(p position, bytes int64) {
	s.unsynced += bytes
	s.e.flow.setUnsynced(s.unsynced)
	s.want = max(s.want, p)
	s.cond.Signal()
}

// writeBack asks that what is written begins to go to the disk, though nobody waits for it.
func (s *syncer) writeBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin = true
	s.cond.Signal()
}

// within asks for a sync in d at the latest.
func (s *syncer) within(d time.Duration) {
	due := s.e.env.Clock.Now().Add(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.due.IsZero() && !due.Before(s.due) {
		return
	}
	s.due = due
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = s.e.env.Clock.AfterFunc(d, func() {
		s.mu.Lock()
		s.due = time.Time{}
		s.mu.Unlock()
		s.request(position(s.e.write.at.Load()), 0)
	})
}

// wait returns when everything below p is durable, or with why it will not be.
func (s *syncer) wait(p position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting++
	defer func() { s.waiting-- }()
	s.ask(p, 0)
	for s.position() < p {
		if err := s.e.Failed(); err != nil {
			return err
		}
		if s.closed {
			return storage(ErrClosed)
		}
		s.done.Wait()
	}
	return nil
}

func (s *syncer) wakeWaiters() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done.Broadcast()
	s.cond.Signal()
}

// releaseFiles is called when the syncer has stopped.
func (s *syncer) releaseFiles() {
	for _, f := range s.files {
		s.e.files.release(f)
	}
	s.files = nil
}

func (s *syncer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	s.want = max(s.want, position(s.e.write.at.Load()))
	s.closed = true
	s.cond.Signal()
}

func (s *syncer) run() {
	for {
		s.mu.Lock()
		s.busy = false
		for s.want <= s.position() && !s.left && !s.begin && !s.closed && s.e.Failed() == nil {
			s.cond.Wait()
		}
		if s.e.Failed() != nil || s.closed && s.want <= s.position() {
			s.done.Broadcast()
			s.mu.Unlock()
			s.e.queue.wakeWriter() // it refuses what was left here
			return
		}
		s.busy, s.begin = true, false
		if s.want <= s.position() && !s.left { // there is no sync to do it
			files := slices.Clone(s.files)
			s.mu.Unlock()
			for _, f := range files {
				_ = f.handle.WriteBack() // what goes wrong shows at the file's next sync
			}
			continue
		}
		s.gather()
		if s.left {
			s.left = false
			s.mu.Unlock()
			s.e.write.help(math.MaxInt, nil)
			s.mu.Lock()
			if s.want <= s.position() {
				s.mu.Unlock()
				continue // somebody else writes it, and will ask for a sync
			}
		}
		logs, files := s.logs, slices.Clone(s.files)
		s.logs = nil
		s.round++
		bytes := s.unsynced
		target := position(s.e.write.at.Load())
		s.mu.Unlock()
		if err := s.sync(files); err != nil {
			s.e.fail(err)
			continue
		}
		s.lastBytes = [2]int64{bytes, s.lastBytes[0]}
		s.publish(logs, target, bytes)
	}
}

const (
	// gatherBytes is what the last sync must have made durable for the next to wait for company: less is one who is alone.
	gatherBytes = 4 << 10
	// gatherMostBytes is where it waits no longer: a sync of so much takes its time for the bytes, whatever comes with it.
	gatherMostBytes = 256 << 10
	leastGather     = 100 * time.Microsecond
	mostGather      = time.Millisecond
)

// gather waits, for as long as a sync takes, until half of those that the last two syncs have answered have written again. A sync
// that begins with the first of them makes all others wait for another one, and costs as much as one for all; one that waits for
// all leaves the disk idle while they write, and the processors while they wait for it. So those who wait together part into halves,
// of which one writes while the other is synced. The lock is held.
func (s *syncer) gather() {
	wait := min(s.lastTook, mostGather)
	enough := (s.lastBytes[0] + s.lastBytes[1]) / 2
	come := func() int64 { return s.unsynced + int64(s.e.queue.heldBytes()) }
	if n := come(); n == 0 || n >= enough || enough > gatherMostBytes || s.lastBytes[0] < gatherBytes || wait < leastGather {
		return
	}
	over := false
	timer := s.e.env.Clock.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		over = true
		s.cond.Signal()
	})
	for !over && come() < enough && s.waiting == 0 && !s.closed && s.e.Failed() == nil {
		s.cond.Wait() // each append ends it: processors that stay awake for a look are worth more than the look costs
	}
	timer.Stop()
}

// takesHeld says whether held appends that are in the queue can be left there: if so the syncer sees to it that they are written
// before its next sync.
func (s *syncer) takesHeld() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.busy || s.e.queue.heldBytes() > MaxHeld {
		return false
	}
	s.left = true
	s.cond.Signal()
	return true
}

// sync makes the files durable, in the order of the WAL, their directory entries first.
func (s *syncer) sync(files []*file) error {
	began := s.e.env.Clock.Now()
	for _, f := range files {
		if !f.dirSynced {
			if err := s.e.fs.SyncDir(filepath.Dir(f.path)); err != nil {
				return fmt.Errorf("sync the WAL's directory: %w", err)
			}
			f.dirSynced = true
		}
		if err := f.handle.SyncData(); err != nil {
			return fmt.Errorf("sync the WAL: %w", err)
		}
		s.e.counts.syncs.Add(1)
	}
	s.lastTook = s.e.env.Clock.Now().Sub(began)
	if s.e.opts.Events.Synced != nil {
		s.e.opts.Events.Synced(s.lastTook)
	}
	return nil
}

// publish moves the flushed ends and tells everyone.
func (s *syncer) publish(logs []dirtyLog, target position, bytes int64) {
	s.mu.Lock()
	s.synced.Store(uint64(target))
	n := 0
	for n < len(s.files)-1 && s.files[n].id < target.file() {
		n++
	}
	done := slices.Clone(s.files[:n])
	s.files = slices.Delete(s.files, 0, n)
	s.unsynced -= bytes
	s.e.flow.setUnsynced(s.unsynced)
	s.done.Broadcast()
	s.mu.Unlock()
	for _, f := range done {
		s.e.files.release(f)
	}
	for i := range logs {
		logs[i].flush()
	}
	s.mark(target, bytes)
}

// flush notes that the log is durable up to end, unless it was truncated meanwhile: then a later sync will tell.
func (d *dirtyLog) flush() {
	l := d.log
	l.mu.Lock()
	moved := d.gen == l.truncations && d.end > l.flushed
	if moved {
		l.flushed = d.end
		if planted.Is(planted.SyncTooFar) {
			l.flushed = l.written
		}
	}
	f := l.listener
	l.mu.Unlock()
	if moved && f != nil {
		f()
	}
}

// mark queues an empty frame when nothing else would tell the WAL how far it is durable, so that damage to what was
// acknowledged last can be told from a torn tail. The frame itself needs no sync. always is how many bytes some log waited
// for under FlushAlways, which it may have for itself alone.
func (s *syncer) mark(target position, always int64) {
	wanted := always > 0 || s.e.opts.FlushPolicy != FlushNever
	if wanted && position(s.e.write.at.Load()) == target && s.e.queue.empty() {
		_ = s.e.queue.push(item{lazy: true})
	}
}
