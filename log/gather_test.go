package log

import (
	"testing"
	"time"

	"github.com/streambus/streambus/internal/env"
)

// A sync waits a moment for company, but not while something else than an append waits for it: that may be what would bring it.
func TestASyncDoesNotWaitForCompanyWhenASealWaitsForIt(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FlushPolicy = FlushAlways })
	l := mustLog(t, e, topic(1, 0))
	w.fault.Set(env.FaultHooks{SyncData: func(string) error { w.clock.Advance(3 * time.Millisecond); return nil }})
	flushedTo := func(end offset) func() bool { return func() bool { return l.Ends().Flushed >= end } }
	first := mustAppend(t, l, spec{size: 2 * gatherBytes})
	eventually(t, "the first is flushed", flushedTo(first.Last+1))
	timers := w.clock.Pending()
	second := mustAppend(t, l, spec{size: 10}) // less than the last sync made durable: others are waited for
	eventually(t, "the sync waits for company", func() bool { return w.clock.Pending() > timers })
	if l.Ends().Flushed > second.First {
		t.Fatal("the sync has not waited for company: nothing is tried here")
	}
	sealed := make(chan error, 1)
	go func() { sealed <- e.sealActive() }()
	select {
	case err := <-sealed:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("a seal waits for time to pass")
	}
}
