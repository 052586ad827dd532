package log

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/streambus/streambus/internal/env"
)

// hold appends, and gives what Done will be called with. then is what the appender does when it has let go of its locks.
func hold(t *testing.T, l *Log, s spec, then func(*Log, Publisher)) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	if _, err := l.Append(Append{Data: s.batch(t), Hold: true, Done: func(err error) { done <- err }}); err != nil {
		t.Error(err)
		close(done)
		return done
	}
	then(l, nil)
	return done
}

// appendHeld appends as one who writes himself.
func appendHeld(t *testing.T, l *Log, s spec) <-chan error {
	t.Helper()
	return hold(t, l, s, (*Log).WriteHeld)
}

// leave appends what is left to the syncer if that is busy.
func leave(t *testing.T, l *Log, s spec) <-chan error {
	t.Helper()
	return hold(t, l, s, (*Log).LeaveHeld)
}

func TestWhatIsHeldIsWrittenByWhoAppendedIt(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FlushPolicy = FlushNever })
	l := mustLog(t, e, topic(1, 0))
	eventually(t, "rest", func() bool {
		e.queue.mu.Lock()
		defer e.queue.mu.Unlock()
		return len(e.queue.items) == 0 && !e.queue.busy
	})
	select {
	case err := <-appendHeld(t, l, spec{}):
		if err != nil || l.Ends().Written != 1 {
			t.Fatalf("%v, written up to %d", err, l.Ends().Written)
		}
	default:
		t.Fatal("WriteHeld has returned, and nothing is written")
	}
	if err := <-appendHeld(t, l, spec{size: 2 * MaxHeld}); err != nil { // the writer's goroutine does that
		t.Fatal(err)
	}
	readAll(t, l, 0, 1<<20)
}

func TestWhatIsHeldWhileSomebodyWritesIsWrittenNext(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l, other := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
	flush(t, e)
	g := w.gate()
	push1(t, other, spec{})
	<-g.at
	done := appendHeld(t, l, spec{})
	if l.Ends().Written != 0 {
		t.Fatal("written while another write was under way")
	}
	close(g.pass)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// writeOrLeave does either with what an append has held.
func writeOrLeave(l *Log, rng *rand.Rand) {
	if rng.IntN(2) == 0 {
		l.WriteHeld(nil)
	} else {
		l.LeaveHeld(nil)
	}
}

// syncGate holds syncs back.
func (w *world) syncGate(err error) *gate {
	g := &gate{make(chan struct{}, 1000), make(chan struct{})}
	w.fault.Change(func(h *env.FaultHooks) {
		h.SyncData = func(string) error {
			g.at <- struct{}{}
			<-g.pass
			return err
		}
	})
	return g
}

// inASync gives an engine of two logs, and the first of them, with a sync under way, which ends in err when the gate is opened.
func inASync(t *testing.T, err error) (*Engine, *Log, *gate) {
	t.Helper()
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FlushPolicy = FlushAlways })
	l, _ := mustLog(t, e, topic(1, 0)), mustLog(t, e, topic(2, 0))
	flush(t, e)
	eventually(t, "rest", func() bool { return !e.syncs() })
	g := w.syncGate(err)
	if err := <-leave(t, l, spec{}); err != nil || l.Ends().Written != 1 { // nobody syncs yet: it is written here
		t.Fatalf("%v, written up to %d", err, l.Ends().Written)
	}
	<-g.at
	return e, l, g
}

func TestWhatIsLeftDuringASyncIsWrittenAtOnceBeforeTheNext(t *testing.T) {
	e, l, g := inASync(t, nil)
	other, _ := e.Log(topic(2, 0))
	var left []<-chan error
	for i := range 10 {
		left = append(left, leave(t, []*Log{l, other}[i%2], spec{}))
	}
	writes := e.Stats().Writes
	if n := l.Ends().Written + other.Ends().Written; n != 1 {
		t.Fatalf("%d batches are written while a sync is under way", n)
	}
	close(g.pass)
	for _, done := range left {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if n := e.Stats().Writes - writes; n > 2 { // one, and the mark behind a sync
		t.Errorf("%d writes for what was left", n)
	}
	eventually(t, "flush", func() bool { return l.Ends().Flushed == 6 && other.Ends().Flushed == 5 })
}

func TestMoreThanALittleIsNotLeft(t *testing.T) {
	_, l, g := inASync(t, nil)
	var left []<-chan error
	for range 3 {
		left = append(left, leave(t, l, spec{size: MaxHeld / 3}))
	}
	for _, done := range left {
		if err := <-done; err != nil { // the sync still goes on
			t.Fatal(err)
		}
	}
	close(g.pass)
}

func TestWhatIsLeftIsRefusedWhenTheSyncFails(t *testing.T) {
	_, l, g := inASync(t, syscall.EIO)
	done := leave(t, l, spec{})
	close(g.pass)
	if err := <-done; !errors.Is(err, ErrFailed) {
		t.Fatal(err)
	}
}

func TestWhatIsLeftIsWrittenByAnEngineThatCloses(t *testing.T) {
	e, l, g := inASync(t, nil)
	done := leave(t, l, spec{})
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	if err := <-done; err != nil { // the writer does it
		t.Fatal(err)
	}
	close(g.pass)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
}

// syncs says whether the syncer has something to do.
func (e *Engine) syncs() bool {
	e.sync.mu.Lock()
	defer e.sync.mu.Unlock()
	return e.sync.busy || e.sync.want > e.sync.position()
}

func TestHeldAndOtherAppendsMix(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FileBytes = 64 << 10 })
	const appenders, each = 8, 200
	var written atomic.Int64
	var all sync.WaitGroup
	for i := range appenders {
		l := mustLog(t, e, topic(1+i/2, 0)) // two share a log
		all.Go(func() {
			for n := range each {
				if (n+i)%3 == 0 {
					mustAppend(t, l, spec{size: 10 * n})
					written.Add(1)
					continue
				}
				how := appendHeld
				if n%2 == 0 {
					how = leave
				}
				if err := <-how(t, l, spec{size: 10 * n}); err != nil {
					t.Error(err)
				}
				written.Add(1)
			}
		})
	}
	all.Wait()
	total := 0
	for i := range appenders / 2 {
		total += len(readAll(t, mustLog(t, e, topic(1+i, 0)), 0, 1<<20))
	}
	if total != int(written.Load()) || total != appenders*each {
		t.Errorf("%d batches are there, %d were acknowledged", total, written.Load())
	}
}
