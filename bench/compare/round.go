package main

import (
	"context"
	"fmt"
	"time"

	"github.com/streambus/streambus/bench"
)

// round is what one run of one broker gave.
type round struct {
	firstAck     time.Duration // from exec to the first acknowledged record, on an empty directory
	idle, loaded *bench.Process
	large, small *bench.Result
	consume      *bench.Result
	e2e          *bench.Result
}

// The load. Four partitions and a few connections are what a small application has; the driver needs no more to fill
// a broker.
const (
	partitions       = 4
	largeConnections = 2
	smallConnections = 8
	inFlight         = 5
	e2eRate          = 1000
)

// settle is how long a broker is left alone before its idle memory is read.
const settle = 3 * time.Second

func (s settings) round(ctx context.Context, name string) (r round, err error) {
	b, err := s.start(ctx, name)
	if err != nil {
		return r, err
	}
	defer func() {
		if e := b.stop(err != nil); e != nil && err == nil {
			err = e
		} else if e != nil {
			err = fmt.Errorf("%w; %w", err, e)
		}
	}()
	target := bench.Target{Bootstrap: []string{b.place.address(0)}, Topic: "first", ReplicationFactor: 1}
	if _, err := bench.Produce(ctx, bench.ProduceOptions{Target: target, BatchRecords: 1, Acks: -1, Records: 1}); err != nil {
		return r, fmt.Errorf("first record: %w", err)
	}
	r.firstAck = time.Since(b.started)
	if r.idle, err = s.idle(ctx, b); err != nil {
		return r, err
	}
	target.PIDs, target.Partitions = []int{b.pid()}, partitions
	if err := s.load(ctx, &r, target); err != nil {
		return r, err
	}
	r.loaded, err = bench.Memory(b.pid())
	return r, err
}

func (s settings) idle(ctx context.Context, b *running) (*bench.Process, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(settle):
		return bench.Memory(b.pid())
	}
}

// load runs the parts one after the other. The end to end part is last: its broker has the others' past.
func (s settings) load(ctx context.Context, r *round, t bench.Target) (err error) {
	large := bench.ProduceOptions{
		Target: t, BatchRecords: 1000, RecordSize: 100, Connections: largeConnections, InFlight: inFlight, Acks: -1,
		Duration: s.duration, WarmUp: s.warmUp, Bytes: s.maxBytes,
	}
	large.Topic = "large"
	if r.large, err = bench.Produce(ctx, large); err != nil {
		return fmt.Errorf("produce 1000 x 100 B: %w", err)
	}
	s.tell("1000 x 100 B", r.large)
	consume := bench.ConsumeOptions{Target: t, Connections: largeConnections, Duration: s.duration}
	consume.Topic = "large"
	if r.consume, err = bench.Consume(ctx, consume); err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	s.tell("consume", r.consume)
	small := large
	small.Topic, small.BatchRecords, small.Connections = "small", 10, smallConnections
	if r.small, err = bench.Produce(ctx, small); err != nil {
		return fmt.Errorf("produce 10 x 100 B: %w", err)
	}
	s.tell("10 x 100 B", r.small)
	e2e := bench.EndToEndOptions{Target: t, Rate: e2eRate, RecordSize: 100, Acks: -1, Duration: s.duration, WarmUp: s.warmUp}
	e2e.Topic = "e2e"
	if r.e2e, err = bench.EndToEnd(ctx, e2e); err != nil {
		return fmt.Errorf("end to end: %w", err)
	}
	s.tell("end to end", r.e2e)
	return ctx.Err()
}

func (s settings) tell(what string, r *bench.Result) {
	fmt.Fprintf(s.log, "  %-13s %12.0f records/s", what, r.RecordsSec)
	if r.Latency != nil {
		fmt.Fprintf(s.log, "  p50 %.2f ms  p99 %.2f ms", float64(r.Latency.P50)/1000, float64(r.Latency.P99)/1000)
	}
	if r.Broker != nil {
		fmt.Fprintf(s.log, "  %.3f us CPU a record", r.Broker.MicrosPerRecord)
	}
	fmt.Fprintln(s.log)
}
