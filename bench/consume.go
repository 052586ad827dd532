package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchVersion is the newest version the driver speaks: the last that names topics by name.
const fetchVersion = 12

// Consume reads the topic with plain fetches, without sessions, and counts records by the headers of their batches.
func Consume(ctx context.Context, o ConsumeOptions) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	top, err := prepare(ctx, o.Target)
	if err != nil {
		return nil, err
	}
	if err := top.keep(o.Only); err != nil {
		return nil, err
	}
	load := &consumeLoad{o: o, top: top, stop: make(chan struct{}), ended: make(chan struct{})}
	defer load.close()
	if err := load.connect(ctx); err != nil {
		return nil, err
	}
	r := &Result{Kind: "consume", Topic: o.Topic, Partitions: top.partitions, Connections: len(load.lanes)}
	return r, load.run(ctx, r)
}

// consumeLoad is what the connections of one run share.
type consumeLoad struct {
	o        ConsumeOptions
	top      *topology
	lanes    []*consumeLane
	stop     chan struct{}
	stopOnce sync.Once
	ended    chan struct{}
	launched bool
	total    atomic.Int64 // records
	errors   errorLog
}

// consumeLane is one connection and the partitions it reads.
type consumeLane struct {
	load                     *consumeLoad
	conn                     *conn
	version                  int16
	offsets                  map[int32]int64 // where each partition stands; without those at their end
	all                      []int32
	req                      *kmsg.FetchRequest // the last one, and its answer: their memory is used again
	resp                     *kmsg.FetchResponse
	records, bytes, requests atomic.Int64
	histogram                *hdrhistogram.Histogram
}

func (l *consumeLoad) connect(ctx context.Context) error {
	lanes := l.top.lanes(l.o.Connections, true)
	for _, share := range lanes {
		c, err := dial(ctx, share.addr)
		if err != nil {
			return err
		}
		lane := &consumeLane{load: l, conn: c, all: share.partitions, histogram: newHistogram(len(lanes))}
		l.lanes = append(l.lanes, lane)
		if lane.version, err = c.version(int16(kmsg.Fetch), fetchVersion); err != nil {
			return err
		}
		if lane.version < 4 {
			return fmt.Errorf("the broker serves Fetch only up to version %d, which knows no record batches", lane.version)
		}
		lane.rewind()
	}
	return nil
}

func (l *consumeLoad) run(ctx context.Context, r *Result) error {
	m := &measurement{
		duration: l.o.Duration, ended: l.ended, pids: l.o.PIDs,
		launch: l.launch, begin: func() {}, read: l.read, progress: l.o.Progress,
	}
	err := m.run(ctx, r)
	l.halt()
	if l.launched {
		<-l.ended
	}
	total := newHistogram(1)
	for _, lane := range l.lanes {
		total.Merge(lane.histogram)
	}
	r.Latency = latency("fetch to its whole answer", total)
	r.Errors, r.FirstError = l.errors.read()
	return errors.Join(err, l.errors.fatal())
}

func (l *consumeLoad) launch() {
	var lanes sync.WaitGroup
	for _, lane := range l.lanes {
		lanes.Go(lane.run)
	}
	l.launched = true
	go func() { lanes.Wait(); close(l.ended) }()
}

// halt stops the lanes, also those that wait for an answer.
func (l *consumeLoad) halt() {
	l.stopOnce.Do(func() { close(l.stop) })
	l.close()
}

func (l *consumeLoad) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

func (l *consumeLoad) close() {
	for _, lane := range l.lanes {
		_ = lane.conn.nc.Close()
	}
}

func (l *consumeLoad) read() counts {
	var c counts
	for _, lane := range l.lanes {
		c.records += lane.records.Load()
		c.bytes += lane.bytes.Load()
		c.requests += lane.requests.Load()
	}
	return c
}

func (l *consumeLane) run() {
	for !l.load.stopped() {
		if len(l.offsets) == 0 {
			if l.load.o.Duration <= 0 || !l.rewind() {
				return
			}
		}
		if err := l.fetch(); err != nil {
			if !l.load.stopped() {
				l.load.errors.note(fmt.Errorf("fetch: %w", err), true)
				l.load.halt()
			}
			return
		}
	}
}

// rewind goes back to the start of each partition and says whether there is anything to read.
func (l *consumeLane) rewind() bool {
	l.offsets = map[int32]int64{}
	for _, p := range l.all {
		if start := l.load.top.starts[p]; start < l.load.top.ends[p] {
			l.offsets[p] = start
		}
	}
	return len(l.offsets) > 0
}

func (l *consumeLane) fetch() error {
	from := time.Now()
	resp, err := l.ask()
	if err != nil {
		return err
	}
	record(l.histogram, time.Since(from))
	l.requests.Add(1)
	return eachFetched(resp, l.take)
}

// ask sends one request and returns the answer, which is good until the next one.
func (l *consumeLane) ask() (*kmsg.FetchResponse, error) {
	if l.req == nil {
		l.req, l.resp = kmsg.NewPtrFetchRequest(), kmsg.NewPtrFetchResponse()
	}
	l.request()
	return l.resp, l.conn.call(l.req, l.resp)
}

// eachFetched calls take with each partition of an answer that has batches, unless it tells of an error.
func eachFetched(resp *kmsg.FetchResponse, take func(p *kmsg.FetchResponseTopicPartition) error) error {
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("partition %d: %w", p.Partition, err)
			}
			if len(p.RecordBatches) == 0 {
				continue
			}
			if err := take(p); err != nil {
				return err
			}
		}
	}
	return nil
}

// request makes req ask for what follows.
func (l *consumeLane) request() {
	o, req := &l.load.o, l.req
	if len(req.Topics) == 0 {
		t := kmsg.NewFetchRequestTopic()
		t.Topic = l.load.top.topic
		req.Topics = append(req.Topics, t)
		req.Version = l.version
		req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(o.MaxWait.Milliseconds()), o.MinBytes, o.MaxBytes
	}
	t := &req.Topics[0]
	t.Partitions = t.Partitions[:0]
	for _, p := range l.all {
		at, ok := l.offsets[p]
		if !ok {
			continue
		}
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p, at, o.PartitionMax
		t.Partitions = append(t.Partitions, rp)
	}
}

func (l *consumeLane) take(p *kmsg.FetchResponseTopicPartition) error {
	n, next := countRecords(p.RecordBatches)
	if next < 0 {
		return fmt.Errorf("partition %d: an answer of %d bytes holds no whole batch", p.Partition, len(p.RecordBatches))
	}
	l.records.Add(n)
	l.bytes.Add(int64(len(p.RecordBatches)))
	l.offsets[p.Partition] = next
	if next >= l.load.top.ends[p.Partition] {
		delete(l.offsets, p.Partition)
	}
	if total, limit := l.load.total.Add(n), l.load.o.Records; limit > 0 && total >= limit {
		l.load.stopOnce.Do(func() { close(l.load.stop) })
	}
	return nil
}
