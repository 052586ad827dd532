package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// SyncLoopOptions shape SyncLoop.
type SyncLoopOptions struct {
	Dir         string        // where the file is made; it is removed at the end
	Size        int           // bytes of each write; default 200, about one committed offset as a batch of its own
	Duration    time.Duration // default 5 s
	Count       int64         // stop after so many; 0: no such limit
	Rate        float64       // writes a second; latency then counts from when a write was due; 0: one after the other
	Preallocate bool          // give the file its blocks first, so that a sync has no metadata to write
}

// SyncLoopResult is what a disk can do with nothing around it: the measure for what a broker makes of it.
type SyncLoopResult struct {
	Kind        string   `json:"kind"` // sync-loop
	Dir         string   `json:"dir"`
	Size        int      `json:"size"`
	Preallocate bool     `json:"preallocated"`
	Seconds     float64  `json:"seconds"`
	Writes      int64    `json:"writes"`
	WritesSec   float64  `json:"writesPerSecond"`
	Latency     *Latency `json:"latency,omitempty"`
}

// maxSyncFile bounds the file: a loop that comes to its end goes on at its start.
const maxSyncFile = 64 << 20

// SyncLoop writes, waits until the disk has it (fdatasync where there is one), and begins again.
func SyncLoop(ctx context.Context, o SyncLoopOptions) (r *SyncLoopResult, err error) {
	setDefault(&o.Size, 200)
	if o.Duration <= 0 {
		o.Duration = 5 * time.Second
	}
	if o.Rate < 0 {
		return nil, fmt.Errorf("rate %g is negative", o.Rate)
	}
	if o.Size < 0 || o.Size > maxSyncFile {
		return nil, fmt.Errorf("%d bytes a write: allowed are 1 to %d", o.Size, maxSyncFile)
	}
	f, err := os.CreateTemp(o.Dir, ".streambus-sync-loop-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if o.Preallocate {
		if err := preallocate(f, maxSyncFile); err != nil {
			return nil, fmt.Errorf("preallocate %s: %w", f.Name(), err)
		}
	}
	r = &SyncLoopResult{Kind: "sync-loop", Dir: filepath.Dir(f.Name()), Size: o.Size, Preallocate: o.Preallocate}
	h := newHistogram(1)
	buf, at, begun := make([]byte, o.Size), int64(0), time.Now()
	pace := newPacer(begun, o.interval(), ctx.Done())
	for ctx.Err() == nil && time.Since(begun) < o.Duration && (o.Count <= 0 || r.Writes < o.Count) {
		if at+int64(o.Size) > maxSyncFile {
			at = 0
		}
		buf[0]++
		from := o.due(pace, r.Writes)
		if _, err := f.WriteAt(buf, at); err != nil {
			return nil, err
		}
		if err := datasync(f); err != nil {
			return nil, err
		}
		record(h, time.Since(from))
		at += int64(o.Size)
		r.Writes++
	}
	r.Seconds = time.Since(begun).Seconds()
	r.WritesSec = float64(r.Writes) / r.Seconds
	r.Latency = latency("write to the end of its sync", h)
	return r, nil
}

// interval is the time between two writes that are due; 0: one after the other.
func (o *SyncLoopOptions) interval() time.Duration {
	if o.Rate <= 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / o.Rate)
}

// due waits until write i may begin and returns since when it counts.
func (o *SyncLoopOptions) due(pace pacer, i int64) time.Time {
	if o.Rate <= 0 {
		return time.Now()
	}
	due := time.Duration(float64(i) * float64(time.Second) / o.Rate)
	pace.until(due)
	return pace.start.Add(due)
}
