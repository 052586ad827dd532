package main

import (
	"context"
	"fmt"

	"github.com/streambus/streambus/bench"
)

// Names of figures, by which values are found again.
const (
	recordsSec  = "records/s"
	requestsSec = "requests/s"
	cpuRecord   = "CPU a record"
	cpuRequest  = "CPU a request"
	cpuGB       = "CPU a GB"
	gbSec       = "GB/s"
	p50         = "p50"
	p99         = "p99"
)

// onlySide stands for StreamBus in a row without others: a process of the round's own.
const onlySide = "streambus-never"

// allRows are the figures that StreamBus is to reach. What restarts after a crash with 10 GB take is measured elsewhere.
func allRows() []row {
	return []row{
		bulkNever, bulkAlways, smallAlways, smallNever, fetchLarge, fetchSmall, e2ePlain, e2eNever, e2eAlways,
		manyPartitions, idleRow, writeBulk, writeSmall,
	}
}

func rowNames() (names []string) {
	for _, r := range allRows() {
		names = append(names, r.name)
	}
	return names
}

var bulkNever = row{
	name: "produce-bulk-never", title: "produce `never`, acks=1, 1000 x 100 B, 6 partitions",
	sides: [columns]string{"streambus-never", "ceiling", "kafka-tidy"}, reference: "the ceiling", warmUps: 1,
	round: produceRound(bulkPartitions, bulk(1)),
	figures: []figure{
		{recordsSec, thousands, []goal{atLeast(beside, 0.7, "70% of the ceiling"), atLeast(theirs, 2, "2 x Kafka")}},
		{cpuRecord, unit("%.3f µs"), []goal{atMost(theirs, 1.0/3, "1/3 of Kafka's")}},
		{p99, unit("%.1f ms"), nil},
	},
}

var bulkAlways = row{
	name: "produce-bulk-always", title: "produce `always`, acks=all, 1000 x 100 B, 6 partitions; Kafka does not sync",
	sides: [columns]string{"streambus", "ceiling-synced", "kafka-tidy"}, reference: "the ceiling with group commit", warmUps: 1,
	round: produceRound(bulkPartitions, bulk(-1)),
	figures: []figure{
		{recordsSec, thousands, []goal{atLeast(beside, 0.9, "90% of the ceiling"), atLeast(theirs, 1, "not below Kafka")}},
		{cpuRecord, unit("%.3f µs"), nil},
		{p99, unit("%.1f ms"), nil},
	},
}

var smallAlways = row{
	name: "produce-small-always", title: "produce `always`, acks=all, 10 x 100 B, 6 partitions, 64 connections with one request each; Kafka does not sync",
	sides: [columns]string{"streambus", "ceiling-synced", "kafka-tidy"}, reference: "the ceiling with group commit", warmUps: 1,
	round: produceRound(bulkPartitions, bench.ProduceOptions{BatchRecords: 10, RecordSize: 100, Connections: 64, InFlight: 1, Acks: -1}),
	figures: []figure{
		{recordsSec, thousands, []goal{atLeast(beside, 0.7, "70% of the ceiling"), atLeast(theirs, 1, "above Kafka")}},
		{cpuRequest, unit("%.1f µs"), nil},
		{p99, unit("%.1f ms"), nil},
	},
}

var smallNever = row{
	name: "produce-small-never", title: "produce `never`, acks=1, 10 x 100 B, 100 partitions",
	sides: [columns]string{"streambus-never", "ceiling", "kafka-tidy"}, reference: "the ceiling", warmUps: 1,
	round: produceRound(100, small),
	figures: []figure{
		{recordsSec, thousands, []goal{atLeast(beside, 0.7, "70% of the ceiling"), atLeast(theirs, 2.5, "2.5 x Kafka")}},
		{cpuRequest, unit("%.1f µs"), []goal{atMost(theirs, 1.0/3, "1/3 of Kafka's")}},
		{p99, unit("%.1f ms"), nil},
	},
}

// bulkPartitions are those of the rows with large batches.
const bulkPartitions = 6

// bulk is the load of large batches: the fewest connections with which the ceiling is at its best.
func bulk(acks int16) bench.ProduceOptions {
	return bench.ProduceOptions{BatchRecords: 1000, RecordSize: 100, Connections: 4, InFlight: 5, Acks: acks}
}

// small is the load of small batches.
var small = bench.ProduceOptions{BatchRecords: 10, RecordSize: 100, Connections: 8, InFlight: 5, Acks: 1}

// produceRound writes into a new topic.
func produceRound(partitions int32, o bench.ProduceOptions) func(context.Context, *suite, string) (values, error) {
	return func(ctx context.Context, u *suite, side string) (values, error) {
		r, err := u.onTopic(ctx, side, partitions, u.produce(o))
		if err != nil {
			return nil, err
		}
		return loadValues(r), nil
	}
}

// produce is the load that ends with the plan's size or duration. The first batch of a partition, for which a broker may have
// files to make, is not part of it.
func (u *suite) produce(o bench.ProduceOptions) loadFunc {
	return func(ctx context.Context, t bench.Target) (*bench.Result, error) {
		first := bench.ProduceOptions{ // one connection writes to all partitions in turn
			Target: t, RecordSize: o.RecordSize, BatchRecords: o.BatchRecords, Acks: o.Acks, Records: int64(t.Partitions) * int64(o.BatchRecords),
		}
		if r, err := bench.Produce(ctx, first); err != nil || r.Errors > 0 || ctx.Err() != nil {
			return r, err
		}
		o.Target, o.Bytes, o.Duration = t, u.plan.size, u.duration
		return bench.Produce(ctx, o)
	}
}

// write is the load of so many bytes of values, however long it takes.
func write(o bench.ProduceOptions, bytes int64) loadFunc {
	return func(ctx context.Context, t bench.Target) (*bench.Result, error) {
		o.Target, o.Bytes = t, bytes
		return bench.Produce(ctx, o)
	}
}

// loadValues are what figures may want of a load.
func loadValues(r *bench.Result) values {
	v := values{recordsSec: r.RecordsSec, requestsSec: r.RequestsSec, gbSec: r.BytesSec / 1e9}
	if r.Broker != nil {
		v[cpuRecord] = r.Broker.MicrosPerRecord
		if r.Requests > 0 {
			v[cpuRequest] = r.Broker.CPUSeconds * 1e6 / float64(r.Requests)
		}
		if r.Bytes > 0 {
			v[cpuGB] = r.Broker.CPUSeconds / (float64(r.Bytes) / 1e9)
		}
	}
	if r.Latency != nil {
		v[p50], v[p99] = float64(r.Latency.P50)/1e3, float64(r.Latency.P99)/1e3
	}
	return v
}

var fetchLarge = row{
	name: "fetch-large", title: "fetch, responses of 1 to 4 MB from the page cache",
	sides: [columns]string{"streambus-never", "ceiling-apart", "kafka-tidy"}, reference: "a process that answers by sendfile", warmUps: 1,
	begin: fill(bulkPartitions, bulk(1), 1), round: fetchRound(bench.ConsumeOptions{Connections: 2, MaxBytes: 4 << 20, PartitionMax: 1 << 20}),
	figures: []figure{
		{gbSec, unit("%.2f"), []goal{atLeast(beside, 0.9, "90% of it")}},
		{cpuGB, unit("%.3f s"), []goal{atMost(beside, 1.1, "within 10% of it")}},
		{requestsSec, thousands, nil},
	},
}

const fetchSmallConnections = 4

var fetchSmall = row{
	name: "fetch-small", title: "fetch, one batch of 1 KB a response, 4 connections",
	sides: [columns]string{ours: "streambus-never", theirs: "kafka-tidy"}, warmUps: 1,
	begin: fill(fetchSmallConnections, small, 20), round: fetchRound(bench.ConsumeOptions{Connections: fetchSmallConnections, MaxBytes: 1, PartitionMax: 1}),
	figures: []figure{
		{requestsSec, thousands, []goal{atLeast(theirs, 3, "3 x Kafka")}},
		{cpuRequest, unit("%.1f µs"), []goal{atMost(theirs, 0.25, "1/4 of Kafka's")}},
		{p99, unit("%.2f ms"), nil},
	},
}

// fill writes what the rounds of a side read: the plan's size, divided.
func fill(partitions int32, o bench.ProduceOptions, divided int64) func(context.Context, *suite, string) error {
	return func(ctx context.Context, u *suite, side string) error {
		topic, _, err := u.onNewTopic(ctx, side, partitions, write(o, max(1, u.plan.size/divided)))
		if err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		u.filled[side] = topic
		return nil
	}
}

// fetchRound reads what there is again and again.
func fetchRound(o bench.ConsumeOptions) func(context.Context, *suite, string) (values, error) {
	return func(ctx context.Context, u *suite, side string) (values, error) {
		r, err := u.load(ctx, side, u.filled[side], 0, func(ctx context.Context, t bench.Target) (*bench.Result, error) {
			o.Target, o.Duration = t, u.duration
			return bench.Consume(ctx, o)
		})
		if err != nil {
			return nil, err
		}
		if r.Records == 0 {
			return nil, fmt.Errorf("nothing was read of topic %s", u.filled[side])
		}
		return loadValues(r), nil
	}
}

// perSecond is the rate of the end to end rows.
const perSecond = 1000

var e2ePlain = row{
	name: "e2e-plain", title: "end to end at 1,000 messages/s of 100 B, `never`, acks=all, on plain connections",
	sides: [columns]string{ours: "streambus-never", theirs: "kafka-tidy"}, warmUps: 1,
	round: endToEnd(100, true), figures: e2eFigures,
}

var e2eNever = row{
	name: "e2e-never", title: "the same through franz-go's clients",
	sides: [columns]string{ours: "streambus-never", theirs: "kafka-tidy"}, warmUps: 1,
	round: endToEnd(100, false), figures: e2eFigures,
}

var e2eFigures = []figure{
	{p50, unit("%.2f ms"), []goal{atMost(theirs, 0.5, "half of Kafka's")}},
	{p99, unit("%.2f ms"), []goal{atMost(theirs, 0.6, "60% of Kafka's"), below(5, "5 ms")}},
	{cpuRecord, unit("%.0f µs"), nil},
}

var e2eAlways = row{
	name: "e2e-always", title: "end to end at 1,000 messages/s of 1 KB, `always`, acks=all",
	sides: [columns]string{ours: "streambus", beside: syncLoop}, reference: "append 1 KB and fdatasync, 1,000/s", warmUps: 1,
	round: func(ctx context.Context, u *suite, side string) (values, error) {
		if side != syncLoop {
			return endToEnd(1000, false)(ctx, u, side)
		}
		r, err := bench.SyncLoop(ctx, bench.SyncLoopOptions{Dir: u.dir, Size: 1000, Duration: u.duration, Rate: perSecond})
		if err != nil {
			return nil, err
		}
		return values{p50: float64(r.Latency.P50) / 1e3, p99: float64(r.Latency.P99) / 1e3}, nil
	},
	figures: []figure{
		{p50, unit("%.2f ms"), []goal{within(1.5, 1, "1.5 x + 1 ms")}},
		{p99, unit("%.2f ms"), []goal{within(2, 3, "2 x + 3 ms")}},
		{cpuRecord, unit("%.0f µs"), nil},
	},
}

// syncLoop is a side without a broker.
const syncLoop = "sync-loop"

func endToEnd(size int, plain bool) func(context.Context, *suite, string) (values, error) {
	return func(ctx context.Context, u *suite, side string) (values, error) {
		r, err := u.onTopic(ctx, side, 1, func(ctx context.Context, t bench.Target) (*bench.Result, error) {
			return bench.EndToEnd(ctx, bench.EndToEndOptions{
				Target: t, Rate: perSecond, RecordSize: size, Acks: -1, Plain: plain, Duration: u.duration, WarmUp: u.plan.warmUp,
			})
		})
		if err != nil {
			return nil, err
		}
		return loadValues(r), nil
	}
}
