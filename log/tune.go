package log

import (
	"sync/atomic"
	"time"
)

// tuning holds the options that can change while the engine runs; 0 stands for what it was opened with.
type tuning struct{ producerExpiration, flushInterval, cleanInterval, cleanMap, cleanRate atomic.Int64 }

// SetCleaning changes Options.CleanInterval, Options.CleanMapBytes and how many bytes a second compaction by key may read, from the
// next pass on. 0 leaves each at what it was opened with.
func (e *Engine) SetCleaning(interval time.Duration, mapBytes, bytesPerSecond int64) {
	e.tuned.cleanInterval.Store(int64(interval))
	e.tuned.cleanMap.Store(mapBytes)
	e.tuned.cleanRate.Store(bytesPerSecond)
}

func (e *Engine) cleanInterval() time.Duration {
	if d := e.tuned.cleanInterval.Load(); d > 0 {
		return time.Duration(d)
	}
	return e.opts.CleanInterval
}

func (e *Engine) cleanMapBytes() int64 {
	if n := e.tuned.cleanMap.Load(); n > 0 {
		return n
	}
	return e.opts.CleanMapBytes
}

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
