package bench

import (
	"context"
	"time"
)

// counts are what a load has done so far.
type counts struct{ records, bytes, requests int64 }

func (c counts) minus(o counts) counts {
	return counts{c.records - o.records, c.bytes - o.bytes, c.requests - o.requests}
}

// measurement watches a load from beside it: it lets the warm-up pass, takes the first reading, waits until the time is
// over or the load has ended, and takes the second one at once, before anything is wound up.
type measurement struct {
	warmUp   time.Duration
	duration time.Duration   // 0: until ended
	ended    <-chan struct{} // closed when the load ends by itself
	launch   func()          // starts the load
	begin    func()          // called once, when measuring starts
	read     func() counts
	progress func(Progress) // may be nil
	pids     []int

	start time.Time // of the load
	last  counts    // at the last progress
	at    time.Time // of the last progress
}

// run fills in the counts, rates and processes of r. It returns early, without an error, when ctx ends: what was
// measured until then is still true.
func (m *measurement) run(ctx context.Context, r *Result) error {
	m.start = time.Now()
	m.at = m.start
	if m.warmUp > 0 {
		m.launch()
		m.wait(ctx, m.warmUp, true)
	}
	meter, err := startMeter(m.pids)
	if err != nil {
		return err
	}
	m.begin()
	first, from := m.read(), time.Now()
	if m.warmUp <= 0 { // not before the first reading: every record counts
		m.launch()
	}
	m.wait(ctx, m.duration, false)
	last, took := m.read(), time.Since(from)
	done := last.minus(first)
	r.Records, r.Bytes, r.Requests = done.records, done.bytes, done.requests
	r.rates(took)
	return meter.read(r, took)
}

// wait lets d pass (for ever if this is the measured part and d is 0) and reports once a second.
func (m *measurement) wait(ctx context.Context, d time.Duration, warmUp bool) {
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.ended:
			return
		case <-over:
			return
		case <-tick.C:
			m.tell(warmUp)
		}
	}
}

func (m *measurement) tell(warmUp bool) {
	if m.progress == nil {
		return
	}
	now, c := time.Now(), m.read()
	since := now.Sub(m.at).Seconds()
	d := c.minus(m.last)
	m.progress(Progress{
		Elapsed: now.Sub(m.start), WarmUp: warmUp, Part: m.part(now), Records: c.records,
		PerSec: float64(d.records) / since, BytesSec: float64(d.bytes) / since,
	})
	m.last, m.at = c, now
}

func (m *measurement) part(now time.Time) float64 {
	if m.duration <= 0 {
		return 0
	}
	return min(1, float64(now.Sub(m.start))/float64(m.warmUp+m.duration))
}
