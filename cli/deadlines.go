package cli

import (
	"context"
	"sync"
	"time"
)

// deadlines hands out contexts that end a timeout after they were asked for. kgo has a delivery timeout of its own, but
// counts it from the record's timestamp, which the input may set to any day. Records of the same second share one
// context, because a timer a record would cost more than the record.
type deadlines struct {
	timeout time.Duration // 0: never

	mu   sync.Mutex // guards what stands below: after an interrupt the reader may still be there when stop comes
	made time.Time
	ctx  context.Context
	live []deadline // oldest first
}

type deadline struct {
	context.Context
	cancel context.CancelFunc
}

func newDeadlines(timeout time.Duration) *deadlines { return &deadlines{timeout: timeout} }

// next returns the context for a record that is sent now. It ends between timeout and timeout and a second from now.
func (d *deadlines) next(now time.Time) context.Context {
	if d.timeout <= 0 {
		return context.Background()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx != nil && now.Sub(d.made) < time.Second {
		return d.ctx
	}
	for len(d.live) > 0 && d.live[0].Err() != nil {
		d.live[0].cancel()
		d.live = d.live[1:]
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.timeout+time.Second)
	d.made, d.ctx = now, ctx
	d.live = append(d.live, deadline{ctx, cancel})
	return ctx
}

// stop ends all contexts, and with them the records that still wait.
func (d *deadlines) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.live {
		l.cancel()
	}
	d.live = nil
}
