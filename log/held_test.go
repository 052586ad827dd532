package log

import (
	"sync"
	"sync/atomic"
	"testing"
)

// appendHeld appends as one who writes himself, and gives what Done will be called with.
func appendHeld(t *testing.T, l *Log, s spec) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	if _, err := l.Append(Append{Data: s.batch(t), Hold: true, Done: func(err error) { done <- err }}); err != nil {
		t.Error(err)
		close(done)
		return done
	}
	l.WriteHeld(nil)
	return done
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
				if err := <-appendHeld(t, l, spec{size: 10 * n}); err != nil {
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
