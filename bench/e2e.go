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
	"github.com/twmb/franz-go/pkg/kgo"
)

// EndToEnd sends records at a fixed rate through a real client and measures how long each takes until another client
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
	if err := l.connect(); err != nil {
		return nil, err
	}
	defer l.close()
	acks := o.Acks
	r := &Result{
		Kind: "e2e", Topic: o.Topic, Partitions: top.partitions, Connections: 2 * len(top.leaders),
		RecordSize: o.RecordSize, Acks: &acks, Rate: o.Rate,
	}
	return r, l.run(ctx, r)
}

type e2eLoad struct {
	o                  EndToEndOptions
	top                *topology
	producer, consumer *kgo.Client
	start              time.Time
	stop               chan struct{}
	stopOnce           sync.Once
	ended              chan struct{}
	cancel             context.CancelFunc // of the consumer
	measured           atomic.Int64       // when measuring began, ns since start; 0 before
	got                atomic.Int64
	owed, paid         atomic.Int64 // records of the measured part: sent, received
	errors             errorLog
	histogram          *hdrhistogram.Histogram // the consumer's until ended
}

func (l *e2eLoad) connect() error {
	base := []kgo.Opt{kgo.SeedBrokers(l.o.Bootstrap...), kgo.ClientID(clientID)}
	acks := map[int16][]kgo.Opt{
		-1: {kgo.RequiredAcks(kgo.AllISRAcks())},
		1:  {kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()},
		0:  {kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()},
	}[l.o.Acks]
	var err error
	l.producer, err = kgo.NewClient(append(append(acks, base...),
		kgo.DefaultProduceTopic(l.o.Topic), kgo.ProducerLinger(l.o.Linger),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.MaxBufferedRecords(1<<20), kgo.RecordDeliveryTimeout(drainTimeout))...)
	if err != nil {
		return err
	}
	offsets := map[int32]kgo.Offset{}
	for p, end := range l.top.ends {
		offsets[p] = kgo.NewOffset().At(end)
	}
	l.consumer, err = kgo.NewClient(append(base,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{l.o.Topic: offsets}))...)
	return err
}

func (l *e2eLoad) close() {
	if l.producer != nil {
		l.producer.Close()
	}
	if l.consumer != nil {
		l.consumer.Close()
	}
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
	err := l.producer.Flush(ctx)
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
	for i := int64(0); ; i++ {
		due := time.Duration(float64(i) * float64(time.Second) / l.o.Rate)
		if !pauseUntil(l.start, due, l.stop) {
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
	l.producer.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) {
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
	for {
		fetches := l.consumer.PollFetches(ctx)
		now := time.Since(l.start)
		if ctx.Err() != nil {
			return
		}
		for _, e := range fetches.Errors() {
			l.note(fmt.Errorf("consume: %w", e.Err))
		}
		for it := fetches.RecordIter(); !it.Done(); {
			l.take(it.Next(), now)
		}
	}
}

func (l *e2eLoad) take(r *kgo.Record, now time.Duration) {
	if len(r.Value) != l.o.RecordSize {
		return // somebody else's
	}
	stamp := binary.BigEndian.Uint64(r.Value)
	l.got.Add(1)
	if stamp&countedMark != 0 {
		record(l.histogram, now-time.Duration(stamp&^countedMark))
		l.paid.Add(1)
	}
}
