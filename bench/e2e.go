package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// EndToEnd sends records at a fixed rate through a real client (or plainly) and measures how long each takes until another client
// holds it. A record counts from the moment it was due, not from when it could be sent: a stall of the broker shows in
// every record that should have passed meanwhile, not in one (what is called coordinated omission).
func EndToEnd(ctx context.Context, o EndToEndOptions) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	top, err := prepare(ctx, o.Target)
	if err != nil {
		return nil, err
	}
	l := &e2eLoad{o: o, top: top, stop: make(chan struct{}), ended: make(chan struct{}), histogram: newHistogram(1)}
	if err := l.connect(ctx); err != nil {
		return nil, err
	}
	defer l.client.close()
	acks := o.Acks
	r := &Result{
		Kind: "e2e", Topic: o.Topic, Partitions: top.partitions, Connections: 2 * len(top.leaders),
		RecordSize: o.RecordSize, Acks: &acks, Rate: o.Rate,
	}
	return r, l.run(ctx, r)
}

// e2eClient sends records and receives them.
type e2eClient interface {
	// send sends a record soon, in the background; done is called once, at some time, from any goroutine.
	send(value []byte, done func(error))
	// flush returns when done has been called for all that was sent.
	flush(ctx context.Context) error
	// consume gives every value to take, until ctx ends, from one goroutine. It returns then, or after it has failed for good.
	consume(ctx context.Context, take func(value []byte), failed func(error))
	close()
}

type e2eLoad struct {
	o          EndToEndOptions
	top        *topology
	client     e2eClient
	start      time.Time
	stop       chan struct{}
	stopOnce   sync.Once
	ended      chan struct{}
	cancel     context.CancelFunc // of the consumer
	measured   atomic.Int64       // when measuring began, ns since start; 0 before
	got        atomic.Int64
	owed, paid atomic.Int64 // records of the measured part: sent, received
	errors     errorLog
	histogram  *hdrhistogram.Histogram // the consumer's until ended
}

func (l *e2eLoad) connect(ctx context.Context) (err error) {
	if l.o.Plain {
		l.client, err = newPlainEndToEnd(ctx, &l.o, l.top)
	} else {
		l.client, err = newKgoEndToEnd(&l.o, l.top)
	}
	return err
}

func (l *e2eLoad) run(ctx context.Context, r *Result) error {
	m := &measurement{
		warmUp: l.o.WarmUp, duration: l.o.Duration, ended: l.ended, pids: l.o.PIDs,
		launch: l.launch, begin: l.begin, read: l.read, progress: l.o.Progress,
	}
	err := errors.Join(m.run(ctx, r), l.drain())
	// What was due in the measured part and came later than its end counts too, or the slowest would be left out.
	r.Latency = latency("time a record was due to its arrival at a consumer", l.histogram)
	r.Errors, r.FirstError = l.errors.read()
	if lost := l.owed.Load() - l.paid.Load(); lost > 0 && l.o.Acks != 0 && l.errors.fatal() == nil {
		err = errors.Join(err, fmt.Errorf("%d records did not arrive within %s", lost, drainTimeout))
	}
	return errors.Join(err, l.errors.fatal())
}

func (l *e2eLoad) launch() {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.start = time.Now()
	var both sync.WaitGroup
	both.Go(func() { l.consume(ctx) })
	both.Go(l.produce)
	go func() { both.Wait(); close(l.ended) }()
}

func (l *e2eLoad) begin() {
	if l.o.WarmUp > 0 {
		l.measured.Store(int64(time.Since(l.start)))
	}
}

func (l *e2eLoad) read() counts {
	n := l.got.Load()
	return counts{records: n, bytes: n * int64(l.o.RecordSize)}
}

// drain ends the sending and waits until what was sent has arrived.
func (l *e2eLoad) drain() error {
	if l.cancel == nil {
		return nil
	}
	l.halt()
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	err := l.client.flush(ctx)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for l.paid.Load() < l.owed.Load() && ctx.Err() == nil && l.o.Acks != 0 && l.errors.fatal() == nil {
		<-tick.C
	}
	l.cancel()
	<-l.ended
	return err
}

// note counts err; too many end the run.
func (l *e2eLoad) note(err error) {
	if !l.errors.note(err, false) {
		l.halt()
		l.cancel()
	}
}

func (l *e2eLoad) halt() { l.stopOnce.Do(func() { close(l.stop) }) }

// produce sends record i when it is due, start + i/rate, or at once if that has passed.
func (l *e2eLoad) produce() {
	filler := encodeRecords(1, l.o.RecordSize)
	interval := float64(time.Second) / l.o.Rate
	pace := newPacer(l.start, time.Duration(interval), l.stop)
	for i := int64(0); ; i++ {
		due := time.Duration(float64(i) * interval)
		if !pace.until(due) {
			return
		}
		l.send(due, filler)
	}
}

// countedMark stands in a record's time if the record belongs to the measured part: decided once, by its sender.
const countedMark = 1 << 63

func (l *e2eLoad) send(due time.Duration, filler []byte) {
	value := make([]byte, l.o.RecordSize)
	copy(value, filler[len(filler)-1-l.o.RecordSize:])
	stamp := uint64(due)
	counted := l.counts(due)
	if counted {
		stamp |= countedMark
		l.owed.Add(1)
	}
	binary.BigEndian.PutUint64(value, stamp)
	l.client.send(value, func(err error) {
		if err == nil {
			return
		}
		if counted {
			l.owed.Add(-1)
		}
		l.note(fmt.Errorf("produce: %w", err))
	})
}

// counts says whether a record that was due then belongs to the measured part.
func (l *e2eLoad) counts(due time.Duration) bool {
	if l.o.WarmUp <= 0 {
		return true
	}
	from := l.measured.Load()
	return from != 0 && int64(due) >= from
}

func (l *e2eLoad) consume(ctx context.Context) {
	l.client.consume(ctx, l.take, func(err error) { l.note(fmt.Errorf("consume: %w", err)) })
}

func (l *e2eLoad) take(value []byte) {
	now := time.Since(l.start)
	if len(value) != l.o.RecordSize {
		return // somebody else's
	}
	stamp := binary.BigEndian.Uint64(value)
	l.got.Add(1)
	if stamp&countedMark != 0 {
		record(l.histogram, now-time.Duration(stamp&^countedMark))
		l.paid.Add(1)
	}
}
