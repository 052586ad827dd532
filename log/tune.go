package log

import (
	"sync/atomic"
	"time"
)

// tuning holds the options that can change while the engine runs; 0 stands for what it was opened with.
type tuning struct{ producerExpiration, flushInterval atomic.Int64 }

// SetProducerExpiration changes Options.ProducerExpiration from the next look at idle producers on.
func (e *Engine) SetProducerExpiration(d time.Duration) { e.tuned.producerExpiration.Store(int64(d)) }

// SetFlushInterval changes Options.FlushInterval from the next write on.
func (e *Engine) SetFlushInterval(d time.Duration) { e.tuned.flushInterval.Store(int64(d)) }

func (e *Engine) producerExpiration() time.Duration {
	if d := e.tuned.producerExpiration.Load(); d > 0 {
		return time.Duration(d)
	}
	return e.opts.ProducerExpiration
}

func (e *Engine) flushInterval() time.Duration {
	if d := e.tuned.flushInterval.Load(); d > 0 {
		return time.Duration(d)
	}
	return e.opts.FlushInterval
}
