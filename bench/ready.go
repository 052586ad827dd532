package bench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ReadyOptions shape Ready.
type ReadyOptions struct {
	Bootstrap   []string      // host:port
	Topic       string        // default "bench"; it must exist
	PIDs        []int         // of the brokers, as in Target; they must run when it begins
	Connections int           // to each broker, each with one request at a time; default 4
	Batch       int           // partitions in one request; default 250
	RecordSize  int           // bytes of the value that each partition gets; default 100
	Timeout     time.Duration // until all have answered; default 1 minute
}

func (o *ReadyOptions) check() error {
	t := Target{Bootstrap: o.Bootstrap, Topic: o.Topic}
	if err := t.check(); err != nil {
		return err
	}
	o.Topic = t.Topic
	setDefault(&o.Connections, 4)
	setDefault(&o.Batch, 250)
	setDefault(&o.RecordSize, 100)
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	switch {
	case o.Connections < 0 || o.Connections > maxConnections:
		return fmt.Errorf("%d connections: allowed are 1 to %d", o.Connections, maxConnections)
	case o.Batch < 0:
		return fmt.Errorf("%d partitions in a request", o.Batch)
	case o.RecordSize < 0 || o.RecordSize > maxBatchBytes:
		return fmt.Errorf("a record of %d bytes is too large", o.RecordSize)
	}
	return nil
}

// ReadyResult is what Ready found. Seconds count from its call; 0: it has not come to that.
type ReadyResult struct {
	Topic      string   `json:"topic"`
	Partitions int      `json:"partitions"`
	Empty      int      `json:"empty"`            // partitions without a record
	Answered   float64  `json:"answeredSeconds"`  // a broker answered for the first time
	Located    float64  `json:"locatedSeconds"`   // every partition had a leader
	Listed     float64  `json:"listedSeconds"`    // the last partition had told its end (ListOffsets)
	Fetched    float64  `json:"fetchedSeconds"`   // the last one had given its last batch
	FirstAck   float64  `json:"firstAckSeconds"`  // the first one had acknowledged a record (acks=all)
	Produced   float64  `json:"producedSeconds"`  // the last one had: all are ready
	FetchBytes int64    `json:"fetchBytes"`       // of last batches
	Requests   int64    `json:"requests"`         // answered
	Retries    int64    `json:"retries"`          // answers of partitions that said to come again, requests that failed
	Broker     *Process `json:"broker,omitempty"` // with a PID; CPU a record is CPU a partition
	Driver     *Process `json:"driver,omitempty"`
}

// Ready asks every partition of a topic for its end, then for its last batch, which must end there, and then gives it a
// record with acks=all. It waits for brokers that are not there yet, and counts from the moment it is called: called just
// before a broker is started it says after what time the last of its partitions can be used again.
func Ready(ctx context.Context, o ReadyOptions) (*ReadyResult, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	batch, err := encodeBatch(1, o.RecordSize, "none", time.Now())
	if err != nil {
		return nil, err
	}
	meter, err := startMeter(o.PIDs)
	if err != nil {
		return nil, err
	}
	l := &readyLoad{o: o, batch: batch, begun: time.Now(), r: &ReadyResult{Topic: o.Topic}}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	err = l.run(ctx)
	l.forgetUnfinished()
	sum := &Result{Records: int64(len(l.partitions))}
	err = errors.Join(err, meter.read(sum, time.Since(l.begun)))
	l.r.Broker, l.r.Driver = sum.Broker, sum.Driver
	return l.r, err
}

// readyPause is how long Ready waits until it asks again.
const readyPause = 2 * time.Millisecond

// readyStage is how far a partition is.
type readyStage int8

const (
	readyAsked readyStage = iota
	readyListed
	readyFetched
	readyProduced
)

// readyPartition is what is known of a partition. In each round one lane has it.
type readyPartition struct {
	id    int32
	stage readyStage
	end   int64
}

// readyLoad goes in rounds: find the leaders, have each asked for those of its partitions that are not ready yet.
type readyLoad struct {
	o          ReadyOptions
	batch      []byte
	begun      time.Time
	partitions []*readyPartition // nil until the topic was found

	mu   sync.Mutex // guards what stands below
	r    *ReadyResult
	last error // why the last round did not end it
	bad  error // what no other round can mend
}

func (l *readyLoad) run(ctx context.Context) error {
	for {
		again, err := l.round(ctx)
		if err != nil || !again {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: of %d partitions %d are ready; the last trouble: %w", ctx.Err(), len(l.partitions), l.ready(), l.last)
		case <-time.After(readyPause):
		}
	}
}

func (l *readyLoad) ready() (n int) {
	for _, p := range l.partitions {
		if p.stage == readyProduced {
			n++
		}
	}
	return n
}

// forgetUnfinished leaves times out that not all partitions have come to.
func (l *readyLoad) forgetUnfinished() {
	least := readyAsked
	if len(l.partitions) > 0 {
		least = slices.MinFunc(l.partitions, func(a, b *readyPartition) int { return int(a.stage - b.stage) }).stage
	}
	for stage, seconds := range map[readyStage]*float64{readyListed: &l.r.Listed, readyFetched: &l.r.Fetched, readyProduced: &l.r.Produced} {
		if least < stage {
			*seconds = 0
		}
	}
}

// round says whether another one is needed.
func (l *readyLoad) round(ctx context.Context) (again bool, err error) {
	leaders, err := l.locate(ctx)
	if err != nil {
		l.again(err)
		return l.bad == nil, l.bad
	}
	var lanes sync.WaitGroup
	for addr, partitions := range leaders {
		work := make(chan []*readyPartition, len(partitions)/l.o.Batch+1)
		for part := range slices.Chunk(partitions, l.o.Batch) {
			work <- part
		}
		close(work)
		for range min(l.o.Connections, len(work)) {
			lanes.Go(func() { l.lane(ctx, addr, work) })
		}
	}
	lanes.Wait()
	return l.bad == nil && l.ready() < len(l.partitions), l.bad
}

// again notes an error, and whether it ends all.
func (l *readyLoad) again(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.r.Retries++
	l.last = err
	var code *kerr.Error
	if errors.Is(err, errReady) || errors.As(err, &code) && !code.Retriable {
		l.bad = errors.Join(l.bad, err)
	}
}

// errReady is an answer that no broker may give.
var errReady = errors.New("wrong answer")

// metadataVersion is the newest version that names topics by name alone.
const metadataVersion = 9

// locate asks whichever broker answers for the leaders of the partitions that are not ready.
func (l *readyLoad) locate(ctx context.Context) (map[string][]*readyPartition, error) {
	c, err := l.dial(ctx, l.o.Bootstrap)
	if err != nil {
		return nil, err
	}
	defer c.nc.Close()
	l.reached(&l.r.Answered)
	req, resp := kmsg.NewPtrMetadataRequest(), kmsg.NewPtrMetadataResponse()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = kmsg.StringPtr(l.o.Topic)
	req.Topics = append(req.Topics, t)
	if err := l.call(ctx, c, metadataVersion, req, resp); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 {
		return nil, fmt.Errorf("%w: metadata of %d topics", errReady, len(resp.Topics))
	}
	if err := kerr.ErrorForCode(resp.Topics[0].ErrorCode); err != nil {
		return nil, fmt.Errorf("topic %s: %w", l.o.Topic, err)
	}
	l.know(resp.Topics[0].Partitions)
	return l.led(resp)
}

func (l *readyLoad) know(partitions []kmsg.MetadataResponseTopicPartition) {
	if l.partitions != nil {
		return
	}
	l.r.Partitions = len(partitions)
	for _, p := range partitions {
		l.partitions = append(l.partitions, &readyPartition{id: p.Partition})
	}
	slices.SortFunc(l.partitions, func(a, b *readyPartition) int { return int(a.id - b.id) })
}

// led are the partitions that are not ready, by the address of their leader.
func (l *readyLoad) led(resp *kmsg.MetadataResponse) (map[string][]*readyPartition, error) {
	addresses := map[int32]string{}
	for _, b := range resp.Brokers {
		addresses[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
	}
	leaders := map[int32]int32{}
	for _, p := range resp.Topics[0].Partitions {
		leaders[p.Partition] = p.Leader
	}
	led := map[string][]*readyPartition{}
	for _, p := range l.partitions {
		addr := addresses[leaders[p.id]]
		if addr == "" {
			return nil, kerr.LeaderNotAvailable
		}
		if p.stage != readyProduced {
			led[addr] = append(led[addr], p)
		}
	}
	l.reached(&l.r.Located)
	return led, nil
}

// dial connects to the first of some addresses that answers.
func (l *readyLoad) dial(ctx context.Context, addrs []string) (c *conn, err error) {
	for _, addr := range addrs {
		if c, err = dial(ctx, addr); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// reached notes the first time that something happened.
func (l *readyLoad) reached(seconds *float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if *seconds == 0 {
		*seconds = time.Since(l.begun).Seconds()
	}
}

func (l *readyLoad) call(ctx context.Context, c *conn, limit int16, req kmsg.Request, resp kmsg.Response) error {
	if err := c.callUpTo(ctx, callTimeout, limit, req, resp); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.r.Requests++
	return nil
}

// readyLane is one connection in one round.
type readyLane struct {
	load *readyLoad
	ctx  context.Context
	c    *conn
}

func (l *readyLoad) lane(ctx context.Context, addr string, work <-chan []*readyPartition) {
	c, err := l.dial(ctx, []string{addr})
	if err != nil {
		l.again(err)
		return
	}
	defer c.nc.Close()
	lane := &readyLane{l, ctx, c}
	for part := range work {
		if err := lane.serve(part); err != nil {
			l.again(err)
			return
		}
	}
}

func (r *readyLane) call(limit int16, req kmsg.Request, resp kmsg.Response) error {
	return r.load.call(r.ctx, r.c, limit, req, resp)
}

// serve brings partitions as far as the broker lets it.
func (r *readyLane) serve(part []*readyPartition) error {
	for _, stage := range []struct {
		from, to readyStage
		ask      func([]*readyPartition) error
		reached  *float64
	}{
		{readyAsked, readyListed, r.list, &r.load.r.Listed},
		{readyListed, readyFetched, r.fetch, &r.load.r.Fetched},
		{readyFetched, readyProduced, r.produce, &r.load.r.Produced},
	} {
		there := slices.DeleteFunc(slices.Clone(part), func(p *readyPartition) bool { return p.stage != stage.from })
		if len(there) == 0 {
			continue
		}
		if err := stage.ask(there); err != nil {
			return err
		}
		r.load.passed(there, stage.to, stage.reached)
	}
	return nil
}

// passed notes when the last partition so far has reached a stage.
func (l *readyLoad) passed(part []*readyPartition, stage readyStage, seconds *float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(part, func(p *readyPartition) bool { return p.stage == stage }) {
		*seconds = max(*seconds, time.Since(l.begun).Seconds())
	}
}

// asked are the partitions of a request, by their ids.
type asked map[int32]*readyPartition

func askedOf(part []*readyPartition) asked {
	all := asked{}
	for _, p := range part {
		all[p.id] = p
	}
	return all
}

// take finds a partition of an answer. It is nil if the answer says to come again.
func (r *readyLane) take(a asked, id int32, code int16, what string) (*readyPartition, error) {
	p := a[id]
	if p == nil {
		return nil, fmt.Errorf("%w: %s of partition %d, which was not asked for", errReady, what, id)
	}
	if err := kerr.ErrorForCode(code); err != nil {
		// The rest of the answer counts all the same.
		r.load.again(fmt.Errorf("%s of partition %d: %w", what, id, err))
		return nil, nil
	}
	return p, nil
}

// listVersion is the newest version of ListOffsets the driver speaks.
const listVersion = 6

// latestOffset asks ListOffsets for a partition's end.
const latestOffset = -1

func (r *readyLane) list(part []*readyPartition) error {
	req, resp := kmsg.NewPtrListOffsetsRequest(), kmsg.NewPtrListOffsetsResponse()
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = r.load.o.Topic
	for _, p := range part {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = p.id, latestOffset
		t.Partitions = append(t.Partitions, rp)
	}
	req.ReplicaID, req.Topics = -1, append(req.Topics, t)
	if err := r.call(listVersion, req, resp); err != nil {
		return err
	}
	a := askedOf(part)
	for i := range resp.Topics {
		for _, rp := range resp.Topics[i].Partitions {
			p, err := r.take(a, rp.Partition, rp.ErrorCode, "end")
			if err != nil {
				return err
			}
			if p != nil {
				p.stage, p.end = readyListed, rp.Offset
			}
		}
	}
	return nil
}

// fetch asks for the last batches until it has them all: an answer holds as many as go into it.
func (r *readyLane) fetch(part []*readyPartition) error {
	for part = slices.Clone(part); len(part) > 0; {
		n, err := r.fetchSome(part)
		if err != nil || n == 0 {
			return err
		}
		part = slices.DeleteFunc(part, func(p *readyPartition) bool { return p.stage == readyFetched })
	}
	return nil
}

const (
	readyFetchBytes     = 16 << 20 // of one answer
	readyPartitionBytes = 1 << 20  // of one partition in it
)

// fetchSome returns how many of the partitions have given their last batch.
func (r *readyLane) fetchSome(part []*readyPartition) (done int, err error) {
	req, resp := kmsg.NewPtrFetchRequest(), kmsg.NewPtrFetchResponse()
	t := kmsg.NewFetchRequestTopic()
	t.Topic = r.load.o.Topic
	for _, p := range part {
		rp := kmsg.NewFetchRequestTopicPartition()
		rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = p.id, max(p.end-1, 0), readyPartitionBytes
		t.Partitions = append(t.Partitions, rp)
	}
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 0, 0, readyFetchBytes
	req.Topics = append(req.Topics, t)
	if err := r.call(fetchVersion, req, resp); err != nil {
		return 0, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return 0, err
	}
	a := askedOf(part)
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			rp := &resp.Topics[i].Partitions[j]
			p, err := r.take(a, rp.Partition, rp.ErrorCode, "last batch")
			if err != nil {
				return done, err
			}
			if p == nil || len(rp.RecordBatches) == 0 && p.end > 0 {
				continue // the answer was full before
			}
			if _, next := countRecords(rp.RecordBatches); p.end > 0 && next != p.end {
				return done, fmt.Errorf("%w: partition %d ends at %d, and its last batch at %d", errReady, p.id, p.end, next)
			}
			p.stage = readyFetched
			done++
			r.load.got(p, len(rp.RecordBatches))
		}
	}
	return done, nil
}

func (l *readyLoad) got(p *readyPartition, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.r.FetchBytes += int64(bytes)
	if p.end == 0 {
		l.r.Empty++
	}
}

func (r *readyLane) produce(part []*readyPartition) error {
	req, resp := kmsg.NewPtrProduceRequest(), kmsg.NewPtrProduceResponse()
	t := kmsg.NewProduceRequestTopic()
	t.Topic = r.load.o.Topic
	for _, p := range part {
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition, rp.Records = p.id, r.load.batch
		t.Partitions = append(t.Partitions, rp)
	}
	req.Acks, req.TimeoutMillis = -1, int32(callTimeout.Milliseconds())
	req.Topics = append(req.Topics, t)
	if err := r.call(produceVersion, req, resp); err != nil {
		return err
	}
	a := askedOf(part)
	for i := range resp.Topics {
		for _, rp := range resp.Topics[i].Partitions {
			p, err := r.take(a, rp.Partition, rp.ErrorCode, "acknowledgement")
			if err != nil {
				return err
			}
			if p == nil {
				continue
			}
			if rp.BaseOffset < p.end {
				return fmt.Errorf("%w: partition %d ended at %d, and the next record is at %d", errReady, p.id, p.end, rp.BaseOffset)
			}
			p.stage = readyProduced
			r.load.reached(&r.load.r.FirstAck)
		}
	}
	return nil
}
