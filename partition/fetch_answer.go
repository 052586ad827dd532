package partition

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/internal/planted"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/replication"
)

func be64(v int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(v)) }

// taken is a partition whose records are on their way into the log.
type taken struct {
	f       *following
	written chan error // has room for one
}

// cutting is a partition whose log has to be cut, or begun anew.
type cutting struct {
	f      *following
	action replication.Action
}

// answered takes the answer to a request. When it returns, what came is in the logs, flushed where that counts, and the
// next request will say so.
func (r *round) answered(a fetchAnswer) {
	if a.Release != nil {
		defer a.Release() // nothing points into the answer any more then: all appends have been waited for
	}
	if a.life != r.life {
		r.stale--
		return
	}
	r.inFlight--
	if a.Err != nil {
		r.failed()
		return
	}
	if a.Response.ErrorCode != 0 {
		r.failed() // the session is gone, or two requests have overtaken each other
		return
	}
	if !a.full || a.Response.SessionID == 0 {
		r.failures = 0 // not before a session has held: a leader without room for it may end each at once
	}
	if a.full {
		r.session, r.epoch, r.alone = a.Response.SessionID, 1, a.Response.SessionID == 0
	}
	var appends []taken
	var cuts []cutting
	alone := withRecords(a.Response.Topics) == 1
	for i := range a.Response.Topics {
		t := &a.Response.Topics[i]
		for j := range t.Partitions {
			f := r.all[kafkaproto.TopicPartition{Topic: t.TopicID, Partition: kafkaproto.PartitionID(t.Partitions[j].Partition)}]
			if f == nil {
				continue
			}
			if f.sentIn > a.request {
				continue // it has been asked for anew since
			}
			r.partition(f, &t.Partitions[j], alone, &appends, &cuts)
		}
	}
	r.finishAppends(appends)
	r.finishCuts(cuts)
}

// withRecords counts the partitions of an answer that have records in it.
func withRecords(topics []kmsg.FetchResponseTopic) (n int) {
	for i := range topics {
		for j := range topics[i].Partitions {
			if len(topics[i].Partitions[j].RecordBatches) > 0 {
				n++
			}
		}
	}
	return n
}

// partition begins to do what the answer for a partition asks for. alone: no other has records in it.
func (r *round) partition(f *following, p *kmsg.FetchResponseTopicPartition, alone bool, appends *[]taken, cuts *[]cutting) {
	now := r.m.now()
	answer, records := f.answer(p)
	if errors.Is(answer.Err, kafkaproto.ErrCorruptMessage) && p.ErrorCode == 0 {
		f.suspect = f.sent.Offset
	}
	var do replication.Action
	failed := false
	f.update(func(rf *replication.Follower) {
		do = rf.Answered(now, f.sent, answer)
		failed = do.Do == replication.DoStop || rf.RetryAt().After(now)
	})
	switch do.Do {
	case replication.DoAppend:
		if f.throttled() {
			r.m.incoming.took(len(records), now)
		}
		t := taken{f, make(chan error, 1)}
		held, err := f.append(records, alone, func(err error) { t.written <- err })
		if err != nil {
			f.failed(now)
			r.delay(f, now)
			return
		}
		if held != nil {
			held.WriteHeld(nil)
		}
		*appends = append(*appends, t)
	case replication.DoTruncate, replication.DoReset, replication.DoAskOffsets:
		*cuts = append(*cuts, cutting{f, do})
	default:
		if failed {
			r.delay(f, now)
			return
		}
		f.advanceStart()
		if r.stands(f) {
			return
		}
		r.touch(f)
	}
}

// stands says whether the leader was asked last for what would be asked now.
func (r *round) stands(f *following) bool {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	next, ok := f.f.Next(r.m.now())
	return !ok || next == f.sent
}

// answer reads what a leader says of a partition.
func (f *following) answer(p *kmsg.FetchResponseTopicPartition) (replication.FetchAnswer, []byte) {
	a := replication.FetchAnswer{HighWatermark: kafkaproto.Offset(p.HighWatermark), LogStart: kafkaproto.Offset(p.LogStartOffset)}
	if p.ErrorCode != 0 {
		a.Err = kafkaproto.ErrorForCode(p.ErrorCode)
		return a, nil
	}
	if d := p.DivergingEpoch; d.Epoch >= 0 && d.EndOffset >= 0 {
		a.Diverging = &replication.EpochEnd{Epoch: kafkaproto.LeaderEpoch(d.Epoch), End: kafkaproto.Offset(d.EndOffset)}
		a.Mine.Epoch, a.Mine.End = f.p.log().EndOfEpoch(a.Diverging.Epoch)
		return a, nil
	}
	records, err := usable(p.RecordBatches, f.sent)
	a.Err, a.Records = err, len(records) > 0
	return a, records
}

// usable are the whole batches of an answer that follow what was asked from, checked. The last one may have been cut off;
// those of an epoch above the one that was asked in are left for when that is known here.
func usable(records []byte, asked replication.Fetch) ([]byte, error) {
	from, to := 0, 0
	for rest := records; len(rest) > 0; {
		if len(rest) < kafkaproto.PrefixLen {
			break
		}
		if size := 12 + int64(int32(binary.BigEndian.Uint32(rest[8:]))); size > int64(len(rest)) {
			break
		}
		b, tail, err := kafkaproto.NextBatch(rest)
		if err == nil {
			err = b.CheckCRC()
		}
		if err != nil {
			if to > from {
				break // what came before is good, and the next fetch begins here
			}
			return nil, kafkaproto.ErrCorruptMessage.With("%w", err)
		}
		if b.PartitionLeaderEpoch() > asked.CurrentEpoch {
			break
		}
		if rest = tail; b.LastOffset() < asked.Offset {
			from = len(records) - len(tail)
		}
		to = len(records) - len(tail)
	}
	return records[from:to], nil
}

// finishAppends waits until the logs have what they were given, and where durability counts until it is flushed: the
// next fetch tells both, and what comes meanwhile would wait for the same sync anyway.
func (r *round) finishAppends(appends []taken) {
	now := r.m.now()
	errs := make([]error, len(appends))
	if !planted.Is(planted.FollowerTellsEarly) {
		for i, t := range appends {
			errs[i] = <-t.written
		}
		r.awaitFlushed(appends, errs)
	}
	for i, t := range appends {
		if errs[i] != nil {
			t.f.failed(now)
			r.delay(t.f, now)
			continue
		}
		local := t.f.p.localLog()
		t.f.update(func(rf *replication.Follower) { rf.Appended(local) })
		t.f.advanceStart()
		r.touch(t.f)
	}
}

// awaitFlushed waits until what was appended to durable topics is flushed, for a bounded time.
func (r *round) awaitFlushed(appends []taken, errs []error) {
	var timer env.Timer
	for i, t := range appends {
		p := t.f.p
		if errs[i] != nil || !p.topic.Load().rules.Durable {
			continue
		}
		if timer == nil {
			timer = r.m.env.Clock.NewTimer(max(r.m.replica.wait, time.Millisecond))
			defer timer.Stop()
		}
		for to := p.log().Ends().Written; p.log().Ends().Flushed < to && t.f.still() && p.Dir().Failed() == nil; {
			select {
			case <-r.moved:
			case <-timer.C():
				return
			case <-r.ctx.Done():
				return
			}
		}
	}
}

// mostCuts are the logs that are cut at once, so that they share their syncs.
const mostCuts = 16

// finishCuts cuts logs.
func (r *round) finishCuts(cuts []cutting) {
	now := r.m.now()
	room := make(chan struct{}, mostCuts)
	var all sync.WaitGroup
	for _, c := range cuts {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			r.cut(now, c)
		})
	}
	all.Wait()
	for _, c := range cuts {
		if c.f.retryAt().After(now) {
			r.delay(c.f, now)
		} else {
			r.touch(c.f)
		}
	}
}

func (r *round) cut(now time.Time, c cutting) {
	do := c.action
	if do.Do == replication.DoAskOffsets {
		start, end, err := r.askOffsets(c.f)
		if err != nil {
			c.f.failed(now)
			return
		}
		c.f.update(func(rf *replication.Follower) { do = rf.LeaderOffsets(now, c.f.holder.epoch, start, end) })
		if do.Do == replication.DoNothing {
			return
		}
	}
	c.f.cut(now, do)
}

// askOffsets asks the leader for its log's start and end.
func (r *round) askOffsets(f *following) (start, end kafkaproto.Offset, err error) {
	if start, err = r.askOffset(f, EarliestTimestamp); err == nil {
		end, err = r.askOffset(f, LatestTimestamp)
	}
	return start, end, err
}

func (r *round) askOffset(f *following, at int64) (kafkaproto.Offset, error) {
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.Timestamp = int32(f.key().Partition), int32(f.holder.epoch), at
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic, t.Partitions = f.p.TopicName(), []kmsg.ListOffsetsRequestTopicPartition{p}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.Topics = r.m.nodeID, []kmsg.ListOffsetsRequestTopic{t}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	resp, err := r.m.peers.Do(ctx, r.id.node, OffsetsLane, req)
	if err != nil {
		return 0, err
	}
	list, ok := resp.(*kmsg.ListOffsetsResponse)
	if !ok || len(list.Topics) != 1 || len(list.Topics[0].Partitions) != 1 {
		return 0, kafkaproto.ErrUnknownServerError.With("no answer to ListOffsets")
	}
	row := &list.Topics[0].Partitions[0]
	if row.ErrorCode != 0 {
		return 0, kafkaproto.ErrorForCode(row.ErrorCode)
	}
	return kafkaproto.Offset(row.Offset), nil
}
