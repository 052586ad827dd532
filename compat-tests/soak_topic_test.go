package compat

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// soakTopic is one life of a topic: its producers, a consumer that follows them, and what it must hold.
type soakTopic struct {
	*soakModel
	s         *soak
	producers []*kgo.Client
	tail      *kgo.Client
	stopLoad  context.CancelFunc
	stopTail  context.CancelFunc
	load      sync.WaitGroup
	reading   sync.WaitGroup

	looking sync.Mutex // one question for the starts, and one pass, at a time
	mu      sync.Mutex
	deleted bool // or about to be
}

// soakPlain is the producer that is not idempotent; the others are one for each codec.
const soakPlain = soakProducers - 1

var soakCodecs = [soakPlain]kgo.CompressionCodec{
	kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression(),
}

// startSoakTopic creates a topic and has it written and read.
func (s *soak) startTopic(spec soakSpec) *soakTopic {
	s.lives++
	life := s.lives
	configs := map[string]*string{}
	for name, value := range spec.configs {
		configs[name] = &value
	}
	if spec.limits.time > 0 {
		configs["retention.ms"] = textOf(spec.limits.time.Milliseconds())
	}
	if spec.limits.bytes > 0 {
		configs["retention.bytes"] = textOf(spec.limits.bytes)
	}
	t := &soakTopic{soakModel: newSoakModel(spec, life, &s.found), s: s}
	s.must("create "+spec.name, func() error {
		_, err := s.admin.CreateTopic(s.ctx, int32(spec.partitions), 1, configs, spec.name)
		if errors.Is(err, kerr.TopicAlreadyExists) {
			return nil // the answer to an earlier try was lost
		}
		return err
	})
	ctx, stop := context.WithCancel(s.ctx)
	t.stopLoad = stop
	for i := range int32(soakProducers) {
		if i == soakPlain && !spec.plain {
			break
		}
		client := t.producer(i)
		t.producers = append(t.producers, client)
		rng := rand.New(rand.NewPCG(s.seed, uint64(life)<<8|uint64(i)))
		t.load.Go(func() { t.produce(ctx, client, i, rng) })
	}
	tailing, stop := context.WithCancel(s.ctx)
	t.stopTail = stop
	from := map[int32]kgo.Offset{}
	for p := range spec.partitions {
		from[int32(p)] = kgo.NewOffset().AtStart()
	}
	t.tail = s.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{spec.name: from}))
	t.reading.Go(func() { t.follow(tailing) })
	t.reading.Go(func() { t.commit(tailing) })
	return t
}

func textOf[T any](v T) *string {
	s := fmt.Sprint(v)
	return &s
}

func (t *soakTopic) producer(i int32) *kgo.Client {
	opts := []kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(300), kgo.ProducerBatchMaxBytes(900_000)}
	if i == soakPlain {
		opts = append(opts, kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()))
	} else {
		opts = append(opts, kgo.StopProducerOnDataLossDetected(), kgo.ProducerBatchCompression(soakCodecs[i]))
	}
	return t.s.client(opts...)
}

// produce sends records, some at a time, until ctx ends, and waits for the acknowledgements of all of them.
func (t *soakTopic) produce(ctx context.Context, client *kgo.Client, i int32, rng *rand.Rand) {
	const every = 50 * time.Millisecond
	tick := time.NewTicker(every)
	defer tick.Stop()
	share := float64(t.perSecond) * every.Seconds() / float64(len(soakCodecs)) // of each tick
	owed := 0.0
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			continue
		case <-tick.C:
		}
		for owed += 2 * share * rng.Float64(); owed >= 1; owed-- {
			p := rng.Int32N(int32(t.partitions))
			id := t.sent(p, i)
			client.Produce(t.s.ctx, t.record(p, id), func(r *kgo.Record, err error) { t.acknowledged(r, id, err) })
		}
	}
	if err := client.Flush(t.s.ctx); err != nil && !t.isDeleted() {
		t.s.found.add("%s: flush: %v", t.life, err)
	}
}

func (t *soakTopic) acknowledged(r *kgo.Record, id soakID, err error) {
	if err == nil {
		t.hold(r, id, true)
		t.s.count("records acknowledged")
	} else if !t.isDeleted() && t.s.ctx.Err() == nil {
		t.s.found.add("%s-%d: %d of producer %d failed: %v", t.life, r.Partition, id.n, id.producer, err)
	}
	t.landed(r.Partition, id)
}

func (t *soakTopic) isDeleted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deleted
}

// must is soak's, and gives up when the topic goes.
func (t *soakTopic) must(what string, try func() error) bool {
	return t.s.must(what, func() error {
		if err := try(); err != nil && !t.isDeleted() {
			return err
		}
		return nil
	}) && !t.isDeleted()
}

// follow reads what is written as a consumer does that never stops.
func (t *soakTopic) follow(ctx context.Context) {
	next := make([]int64, t.partitions)
	for ctx.Err() == nil {
		fetches := t.tail.PollFetches(ctx)
		fetches.EachError(func(_ string, p int32, err error) {
			if ctx.Err() == nil && !t.isDeleted() {
				t.s.found.add("%s-%d: a consumer gets %v", t.life, p, err)
			}
		})
		fetches.EachRecord(func(r *kgo.Record) {
			if t.isDeleted() {
				return // what is read may be the next life's
			}
			id, err := t.identify(r)
			if err != nil {
				t.s.found.add("%s-%d offset %d, for a consumer that follows: %v", t.life, r.Partition, r.Offset, err)
				return
			}
			if r.Offset < next[r.Partition] {
				t.s.found.add("%s-%d offset %d follows %d for a consumer that follows", t.life, r.Partition, r.Offset, next[r.Partition]-1)
			}
			next[r.Partition] = r.Offset + 1
			t.hold(r, id, false)
			t.committing(r.Partition, r.Offset+1)
			t.s.count("records read by consumers that follow")
		})
	}
}

func (t *soakTopic) group() string { return "group of " + t.life }

// commit commits how far the consumer is, again and again.
func (t *soakTopic) commit(ctx context.Context) {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var offsets kadm.Offsets
		for p := range int32(t.partitions) {
			if to, _ := t.commits(p); to > 0 {
				offsets.AddOffset(t.name, p, to, -1)
			}
		}
		answers, err := t.s.admin.CommitOffsets(ctx, t.group(), offsets)
		if err != nil || answers.Error() != nil {
			t.s.count("commits refused")
			continue
		}
		for p, o := range offsets[t.name] {
			t.committed(p, o.At)
		}
		t.s.count("commits acknowledged")
	}
}

// checkCommits asks for what the group has committed.
func (t *soakTopic) checkCommits() {
	acked := make([]int64, t.partitions)
	for p := range acked {
		_, acked[p] = t.commits(int32(p))
	}
	var answers kadm.OffsetResponses
	ok := t.must("fetch offsets of "+t.group(), func() (err error) {
		if answers, err = t.s.admin.FetchOffsets(t.s.ctx, t.group()); err == nil {
			err = answers.Error()
		}
		return err
	})
	for p, least := range acked {
		most, _ := t.commits(int32(p))
		o, known := answers.Lookup(t.name, int32(p))
		if ok && least > 0 && (!known || o.At < least || o.At > most) {
			t.s.found.add("%s: committed for partition %d is %d, and %d was acknowledged of up to %d", t.group(), p, o.At, least, most)
		}
	}
}

// look asks where the partitions start, and judges what has gone since.
func (t *soakTopic) look() error {
	t.looking.Lock()
	defer t.looking.Unlock()
	_, err := t.lookLocked()
	return err
}

func (t *soakTopic) lookLocked() (kadm.ListedOffsets, error) {
	asked := time.Now()
	starts, err := t.s.admin.ListStartOffsets(t.s.ctx, t.name)
	if err == nil {
		err = starts.Error()
	}
	if err == nil && !t.isDeleted() {
		starts.Each(func(o kadm.ListedOffset) { t.startsAt(o.Partition, o.Offset, asked) })
	}
	return starts, err
}

// check reads the whole topic. What is missing is looked for a second time: a later record of its key may not be known yet.
func (t *soakTopic) check() {
	t.looking.Lock()
	defer t.looking.Unlock()
	var lost map[int32][]string
	for range 2 {
		lost = map[int32][]string{}
		reads := t.readAll()
		if t.isDeleted() || t.s.ctx.Err() != nil {
			return
		}
		for p, read := range reads {
			if missing := t.missing(p, read); len(missing) > 0 {
				lost[p] = missing
			}
		}
		if len(lost) == 0 {
			break
		}
	}
	for p, missing := range lost {
		for _, text := range missing {
			t.s.found.add("%s-%d: %s", t.life, p, text)
		}
	}
	t.s.count("topics read whole")
}

// readAll reads every partition from its start to its end of now, and asks for the starts again.
func (t *soakTopic) readAll() map[int32]*soakRead {
	var starts, ends kadm.ListedOffsets
	ok := t.must("offsets of "+t.name, func() (err error) {
		if starts, err = t.lookLocked(); err != nil {
			return err
		}
		if ends, err = t.s.admin.ListEndOffsets(t.s.ctx, t.name); err == nil {
			err = ends.Error()
		}
		return err
	})
	reads := map[int32]*soakRead{}
	if !ok {
		return reads
	}
	reader := &soakReader{t: t}
	defer reader.close()
	starts.Each(func(o kadm.ListedOffset) {
		end, _ := ends.Lookup(t.name, o.Partition)
		reads[o.Partition] = newSoakRead(o.Offset, end.Offset, t.startOf(o.Partition))
		t.readPartition(reader, o.Partition, reads[o.Partition])
	})
	t.must("starts of "+t.name, func() error { _, err := t.lookLocked(); return err })
	return reads
}

// readPartition reads up to the end of the pass.
func (t *soakTopic) readPartition(reader *soakReader, p int32, read *soakRead) {
	for offset := read.from; offset < read.end; {
		answer, ok := reader.fetch(p, offset)
		if !ok {
			return
		}
		if answer.ErrorCode == kerr.OffsetOutOfRange.Code && t.must("starts of "+t.name, func() error { _, err := t.lookLocked(); return err }) {
			if start := t.startOf(p); start > offset {
				offset = start // retention was faster
				continue
			}
		}
		if answer.ErrorCode == kerr.NotLeaderForPartition.Code || answer.ErrorCode == kerr.UnknownTopicOrPartition.Code {
			time.Sleep(soakRetry) // just started
			continue
		}
		if answer.ErrorCode != 0 {
			t.s.found.add("%s-%d: fetch at %d of %d: %v", t.life, p, offset, read.end, kerr.ErrorForCode(answer.ErrorCode))
			return
		}
		found, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: offset, Topic: t.name, Partition: p}, &answer, kgo.DefaultDecompressor(), nil)
		if found.Err != nil {
			t.s.found.add("%s-%d: what is at %d: %v", t.life, p, offset, found.Err)
			return
		}
		for _, r := range found.Records {
			if r.Offset >= read.end {
				return
			}
			t.take(read, r)
			t.s.count("records read again")
		}
		if next <= offset {
			return // nothing is left up to the end
		}
		offset = next
	}
}

// soakReader fetches over one connection, and over a new one when that breaks.
type soakReader struct {
	t *soakTopic
	w *wire
}

func (r *soakReader) close() {
	if r.w != nil {
		r.w.close()
	}
}

// fetch asks until there is an answer, or the topic goes.
func (r *soakReader) fetch(p int32, offset int64) (answer kmsg.FetchResponseTopicPartition, ok bool) {
	ok = r.t.must(fmt.Sprintf("fetch %s-%d at %d", r.t.life, p, offset), func() (err error) {
		if r.w == nil {
			if r.w, err = dialWire(r.t.s.b.addr); err != nil {
				return err
			}
		}
		if answer, err = r.w.fetch(r.t.name, p, offset); err != nil {
			r.w.close()
			r.w = nil
		}
		return err
	})
	return answer, ok
}

// quiet ends the load when all of it is acknowledged.
func (t *soakTopic) quiet() {
	t.stopLoad()
	t.load.Wait()
}

// end gives the topic up.
func (t *soakTopic) end() {
	t.stopTail()
	t.reading.Wait()
	t.tail.Close()
	t.stopLoad()
	for _, client := range t.producers {
		client.Close()
	}
	t.load.Wait()
}
