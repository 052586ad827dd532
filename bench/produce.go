package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Produce writes the same batch again and again over raw connections and measures. If the load broke off, the result
// says what was reached and the error why.
func Produce(ctx context.Context, o ProduceOptions) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	top, err := prepare(ctx, o.Target)
	if err != nil {
		return nil, err
	}
	batch, err := encodeBatch(o.BatchRecords, o.RecordSize, o.Compression, time.Now())
	if err != nil {
		return nil, err
	}
	load := newProduceLoad(o, top)
	defer load.close()
	if err := load.connect(ctx, batch); err != nil {
		return nil, err
	}
	acks := o.Acks
	r := &Result{
		Kind: "produce", Topic: o.Topic, Partitions: top.partitions, Connections: len(load.lanes),
		RecordSize: o.RecordSize, BatchRecords: o.BatchRecords, BatchBytes: len(batch), InFlight: o.InFlight,
		Acks: &acks, Compression: o.Compression, Rate: o.Rate,
	}
	err = load.run(ctx, r)
	return r, err
}

// produceLoad is what the connections of one run share.
type produceLoad struct {
	o     ProduceOptions
	top   *topology
	lanes []*produceLane

	budget   atomic.Int64 // requests that may still be sent
	measured atomic.Int64 // when measuring began, ns since start; MaxInt64 before
	start    time.Time
	stop     chan struct{} // closed when no more requests may be sent
	stopOnce sync.Once
	ended    chan struct{} // closed when all lanes have ended
	launched bool
	errors   errorLog
}

func newProduceLoad(o ProduceOptions, top *topology) *produceLoad {
	l := &produceLoad{o: o, top: top, stop: make(chan struct{}), ended: make(chan struct{}), start: time.Now()}
	l.budget.Store(math.MaxInt64 / 2)
	l.measured.Store(math.MaxInt64)
	return l
}

// requests is how many requests the measured part has; without a limit more than any run will see.
func (l *produceLoad) requests() int64 {
	n := int64(math.MaxInt64 / 2)
	perBatch := int64(l.o.BatchRecords)
	if l.o.Records > 0 {
		n = min(n, (l.o.Records+perBatch-1)/perBatch)
	}
	if bytes := perBatch * int64(l.o.RecordSize); l.o.Bytes > 0 && bytes > 0 {
		n = min(n, (l.o.Bytes+bytes-1)/bytes)
	}
	return n
}

func (l *produceLoad) connect(ctx context.Context, batch []byte) error {
	lanes := l.top.lanes(l.o.Connections, false)
	for i, share := range lanes {
		c, err := dial(ctx, share.addr)
		if err != nil {
			return err
		}
		lane := &produceLane{load: l, conn: c, wake: make(chan struct{}, 1), histogram: newHistogram(len(lanes))}
		l.lanes = append(l.lanes, lane)
		if lane.version, err = c.version(int16(kmsg.Produce), produceVersion); err != nil {
			return err
		}
		if lane.version < 3 {
			return fmt.Errorf("the broker serves Produce only up to version %d, which knows no record batches", lane.version)
		}
		for _, p := range share.partitions {
			lane.frames = append(lane.frames, newProduceFrame(lane.version, l.top.topic, p, l.o.Acks, batch))
		}
		lane.errorAt = produceErrorAt(lane.version, l.top.topic)
		lane.due = make([]atomic.Int64, l.o.InFlight)
		lane.pace(l.o, i, len(lanes))
	}
	return nil
}

// drainTimeout is how long the last answers may take after the load has ended.
const drainTimeout = 30 * time.Second

func (l *produceLoad) run(ctx context.Context, r *Result) error {
	m := &measurement{
		warmUp: l.o.WarmUp, duration: l.o.Duration, ended: l.ended, pids: l.o.PIDs,
		launch: l.launch, begin: l.begin, read: l.read, progress: l.o.Progress,
	}
	err := errors.Join(m.run(ctx, r), l.drain())
	total := newHistogram(1)
	for _, lane := range l.lanes {
		total.Merge(lane.histogram)
	}
	r.Latency = latency(l.latencyOf(), total)
	r.Errors, r.FirstError = l.errors.read()
	return errors.Join(err, l.errors.fatal())
}

func (l *produceLoad) launch() {
	var lanes sync.WaitGroup
	for _, lane := range l.lanes {
		lanes.Go(lane.run)
	}
	l.launched = true
	go func() { lanes.Wait(); close(l.ended) }()
}

// drain stops the writers and lets the last answers come in.
func (l *produceLoad) drain() error {
	l.halt()
	if !l.launched {
		return nil
	}
	select {
	case <-l.ended:
		return nil
	case <-time.After(drainTimeout):
		l.close()
		<-l.ended
		return fmt.Errorf("the last requests had no answer within %s", drainTimeout)
	}
}

func (l *produceLoad) latencyOf() string {
	if l.o.Rate > 0 {
		return "time a request was due to its acknowledgement"
	}
	return "request to acknowledgement"
}

func (l *produceLoad) begin() {
	l.budget.Store(l.requests())
	l.measured.Store(int64(time.Since(l.start)))
}

func (l *produceLoad) halt() { l.stopOnce.Do(func() { close(l.stop) }) }

func (l *produceLoad) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

func (l *produceLoad) close() {
	for _, lane := range l.lanes {
		_ = lane.conn.nc.Close()
	}
}

func (l *produceLoad) read() counts {
	var n int64
	for _, lane := range l.lanes {
		n += lane.good.Load()
	}
	perBatch := int64(l.o.BatchRecords)
	return counts{records: n * perBatch, bytes: n * perBatch * int64(l.o.RecordSize), requests: n}
}

// claim takes up to n requests out of the budget.
func (l *produceLoad) claim(n int) int {
	if left := l.budget.Add(-int64(n)); left < 0 {
		return int(max(0, int64(n)+left))
	}
	return n
}

// errorLog keeps the count and the first error of all connections; enough of them end the run.
type errorLog struct {
	mu    sync.Mutex
	count int64
	first error
	end   error
}

// maxErrors is how many refused requests a run bears: a few while a leader moves are part of the picture, more are not.
const maxErrors = 100

// note counts err and says whether the run is to go on.
func (e *errorLog) note(err error, fatal bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count++
	if e.first == nil {
		e.first = err
	}
	if e.end == nil && (fatal || e.count >= maxErrors) {
		e.end = err
	}
	return e.end == nil
}

func (e *errorLog) read() (int64, string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.first == nil {
		return 0, ""
	}
	return e.count, e.first.Error()
}

func (e *errorLog) fatal() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.end
}
