package log

import (
	"testing"
	"time"
)

func TestIdleProducersAreForgottenByTheExpirationSetLast(t *testing.T) {
	w := newWorld(t)
	e := w.open(nil)
	l := mustLog(t, e, topic(1, 0))
	mustAppend(t, l, spec{pid: 5, time: testTime.UnixMilli()})
	known := func() bool {
		if err := e.Retain(); err != nil {
			t.Fatal(err)
		}
		return len(l.Producers()) == 1
	}
	w.clock.Advance(2 * time.Hour)
	if !known() {
		t.Fatal("forgotten before the expiration of the start")
	}
	e.SetProducerExpiration(3 * time.Hour)
	if !known() {
		t.Error("forgotten too early")
	}
	e.SetProducerExpiration(time.Hour)
	if known() {
		t.Error("not forgotten")
	}
}

func TestFlushIntervalSetLastCounts(t *testing.T) {
	w := newWorld(t)
	e := w.open(func(o *Options) { o.FlushPolicy, o.FlushInterval = FlushInterval, time.Hour })
	l := mustLog(t, e, topic(1, 0))
	e.SetFlushInterval(time.Second)
	end := mustAppend(t, l, spec{}).Last + 1
	eventually(t, "flushed", func() bool {
		w.clock.Advance(time.Second)
		return l.Ends().Flushed >= end
	})
	if passed := w.clock.Now().Sub(testTime); passed >= time.Hour {
		t.Errorf("flushed after %v", passed)
	}
}
