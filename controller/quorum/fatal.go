package quorum

import (
	"fmt"
	"log/slog"
	"sync"
)

// fatal is the end: what is on disk can't be trusted, or this program can't read it. It tells OnFatal once.
type fatal struct {
	once sync.Once
	tell func(error)
	log  *slog.Logger
	done chan struct{} // closed by the first
}

func newFatal(tell func(error), log *slog.Logger) *fatal {
	return &fatal{tell: tell, log: log, done: make(chan struct{})}
}

// report tells of the failure and returns.
func (f *fatal) report(err error) {
	f.once.Do(func() {
		f.log.Error("the raft directory has failed", "error", err)
		close(f.done)
		if f.tell != nil {
			f.tell(err)
		}
	})
}

// never reports and does not return: the caller would go on as if its write had succeeded. The process is about to end.
func (f *fatal) never(err error) {
	f.report(err)
	select {}
}

// failed says whether it has happened.
func (f *fatal) failed() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// pebbleLogger takes Pebble's log. Pebble calls Fatalf when its own log can't be written; were that to return, Apply would
// report success for what was not written, so it does not.
type pebbleLogger struct {
	log   *slog.Logger
	fatal *fatal
}

func (l pebbleLogger) Infof(format string, args ...any) {
	l.log.Debug(fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Warn(fmt.Sprintf(format, args...))
}

func (l pebbleLogger) Fatalf(format string, args ...any) {
	l.fatal.never(fmt.Errorf("raft store: "+format, args...))
}
