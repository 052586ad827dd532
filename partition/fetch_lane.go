package partition

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/replication"
)

// round is what a lane keeps from one fetch to the next. Its goroutine has the lock, but while it waits; then whoever brings a
// small answer may do with it what is to be done, and send the next request: three changes of goroutine less for each.
type round struct {
	*lane
	mu      sync.Mutex // before every other lock of a lane or a partition
	all     map[kafkaproto.TopicPartition]*following
	dirty   []*following // whose place has changed since the leader was told
	delayed []*following // with an error, until their time
	forget  []kafkaproto.TopicPartition

	session  int32 // 0: none
	epoch    int32 // of the session's next request
	alone    bool  // the leader gives no session
	inside   int   // partitions in the session
	life     int   // counts sessions
	requests int64
	inFlight int // of this session
	stale    int // in flight of earlier ones
	answers  chan fetchAnswer
	left     atomic.Int32 // in answers, or taken from it and not done with
	retryAt  time.Time    // after a failure of the whole lane
	failures int
}

// fetchAnswer is the answer to one request.
type fetchAnswer struct {
	Fetched
	request int64
	life    int
	full    bool
}

// mostInFlight: the second fetch ends the first, which waits at the leader, when there is news for it. mostUnanswered counts
// those of earlier sessions too.
const (
	mostInFlight   = 2
	mostUnanswered = 4
)

func (l *lane) run() {
	r := &round{lane: l, all: make(map[kafkaproto.TopicPartition]*following), answers: make(chan fetchAnswer, mostUnanswered)}
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() {
		l.cancel()
		for range r.inFlight + r.stale {
			if a := <-r.answers; a.Release != nil {
				a.Release()
			}
		}
	}()
	for l.ctx.Err() == nil {
		r.collect()
		if len(r.all) == 0 && l.m.fetchers.leave(l) {
			return
		}
		now := l.m.now()
		if !now.Before(r.retryAt) {
			r.send(now)
		}
		r.wait(now)
	}
}

// wait waits for anything to do, without the lock.
func (r *round) wait(now time.Time) {
	var timer env.Timer
	var due <-chan time.Time
	if at := r.nextRetry(now); !at.IsZero() {
		timer = r.m.env.Clock.NewTimer(max(at.Sub(now), 0))
		defer timer.Stop()
		due = timer.C()
	}
	select {
	case a := <-r.answers: // before anything else that there may be, so that the order of things does not depend on chance
		r.takeIn(a)
		return
	default:
	}
	var a fetchAnswer
	came := false
	r.mu.Unlock()
	select {
	case <-r.wake:
	case a = <-r.answers:
		came = true
	case <-due:
	case <-r.ctx.Done():
	}
	r.mu.Lock()
	if came {
		r.takeIn(a)
	}
}

func (r *round) takeIn(a fetchAnswer) {
	r.left.Add(-1)
	r.answered(a)
}

// arrived takes an answer in at once if that is soon done and the lane's goroutine waits, and leaves it to that goroutine if not.
func (r *round) arrived(a fetchAnswer) {
	if r.left.Load() == 0 && r.mu.TryLock() {
		quick := r.left.Load() == 0 && r.quick(&a)
		if quick {
			r.answered(a)
			now := r.m.now()
			if !now.Before(r.retryAt) {
				r.send(now)
			}
			if !r.nextRetry(now).IsZero() {
				signalOne(r.wake) // to set its timer
			}
		}
		r.mu.Unlock()
		if quick {
			return
		}
	}
	r.left.Add(1)
	r.answers <- a // there is room
}

// quick tells whether what an answer asks for waits for nothing but a write: it has few records, of logs that need no cut and which
// may be unflushed. Beside them there often is another partition's high watermark.
func (r *round) quick(a *fetchAnswer) bool {
	if r.ctx.Err() != nil || a.life != r.life || a.full || a.Err != nil || a.Response.ErrorCode != 0 {
		return false
	}
	bytes := 0
	for i := range a.Response.Topics {
		t := &a.Response.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			f := r.all[kafkaproto.TopicPartition{Topic: t.TopicID, Partition: kafkaproto.PartitionID(p.Partition)}]
			if f == nil || p.ErrorCode != 0 || p.DivergingEpoch.Epoch >= 0 || len(p.RecordBatches) > 0 && f.p.topic.Load().rules.Durable {
				return false
			}
			bytes += len(p.RecordBatches)
		}
	}
	return bytes <= log.MaxHeld
}

// nextRetry is when something that failed is tried again; zero if nothing is.
func (r *round) nextRetry(now time.Time) (at time.Time) {
	if r.retryAt.After(now) {
		return r.retryAt // until then nothing is sent at all
	}
	for _, f := range r.delayed {
		if t := f.retryAt(); at.IsZero() || t.Before(at) {
			at = t
		}
	}
	return at
}

func (f *following) retryAt() time.Time {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	if at := f.f.RetryAt(); at.After(f.heldUntil) {
		return at
	}
	return f.heldUntil
}

// collect takes in what others have left: partitions that came, went, or have news.
func (r *round) collect() {
	todo, gone, fresh := r.take()
	for _, f := range todo {
		if !f.still() || !f.begun && !f.begin() {
			continue // it is over, or its log is not at rest
		}
		r.all[f.key()] = f
		r.touch(f)
	}
	for _, f := range gone {
		r.drop(f)
		if r.all[f.key()] == f {
			delete(r.all, f.key())
		}
	}
	if fresh {
		r.retryAt = time.Time{} // the leader may be new, too
	}
	now := r.m.now()
	still := r.delayed[:0]
	for _, f := range r.delayed {
		if f.retryAt().After(now) {
			still = append(still, f)
		} else {
			r.touch(f)
		}
	}
	clear(r.delayed[len(still):])
	r.delayed = still
}

// touch has the next request name a partition.
func (r *round) touch(f *following) {
	if !f.dirty {
		f.dirty = true
		r.dirty = append(r.dirty, f)
	}
}

// drop takes a partition out of the session.
func (r *round) drop(f *following) {
	if f.inSession {
		f.inSession = false
		r.inside--
		r.forget = append(r.forget, f.key())
	}
}

// delay leaves a partition out until its time to try again; one that was fenced for good.
func (r *round) delay(f *following, now time.Time) {
	r.drop(f)
	if f.retryAt().After(now) {
		r.delayed = append(r.delayed, f)
	}
}

// endSession begins anew: the next request names every partition.
func (r *round) endSession() {
	r.session, r.epoch, r.alone, r.inside = 0, 0, false, 0
	r.life++
	r.forget = nil
	r.stale, r.inFlight = r.stale+r.inFlight, 0
	for _, f := range r.all {
		f.inSession = false
	}
}

// failed pauses the whole lane after a failure that is not one partition's.
func (r *round) failed() {
	r.endSession()
	most := r.m.replica.backoff
	pause := min(leastBackoff<<min(r.failures, 10), most)
	r.failures++
	r.retryAt = r.m.now().Add(pause)
}

// send asks for what there is to ask for.
func (r *round) send(now time.Time) {
	news := len(r.dirty)+len(r.forget) > 0
	if r.inFlight >= mostInFlight || r.inFlight+r.stale >= mostUnanswered || r.inFlight > 0 && (r.session == 0 || !news) {
		return
	}
	req := r.request(now)
	if req == nil {
		return
	}
	a := fetchAnswer{request: r.requests, life: r.life, full: r.session == 0}
	if !a.full {
		if r.epoch++; r.epoch <= 0 {
			r.epoch = 1
		}
	}
	r.inFlight++
	r.m.peers.Fetch(r.ctx, r.id.node, FetchLane+r.id.number, req, func(got Fetched) {
		a.Fetched = got
		r.arrived(a)
	})
}

// request makes the next Fetch; nil if there is nothing to fetch.
func (r *round) request(now time.Time) *kmsg.FetchRequest {
	r.requests++
	full := r.session == 0
	var topics fetchTopics
	if full {
		for _, id := range slices.SortedFunc(maps.Keys(r.all), compareIDs) {
			r.name(&topics, r.all[id], now)
		}
	} else {
		for _, f := range r.dirty {
			if r.all[f.key()] == f {
				r.name(&topics, f, now)
			}
		}
	}
	for _, f := range r.dirty {
		f.dirty = false
	}
	clear(r.dirty)
	r.dirty = r.dirty[:0]
	if r.inside == 0 {
		if !full {
			r.endSession()
		}
		return nil
	}
	s := &r.m.replica
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID = r.m.nodeID
	self, _ := r.m.broker(r.m.nodeID)
	req.ReplicaState.ID, req.ReplicaState.Epoch = r.m.nodeID, self.Epoch
	req.MinBytes, req.MaxBytes = s.minBytes, s.responseSize
	if !full || r.alone {
		req.MaxWaitMillis = int32(s.wait.Milliseconds())
	} // a session's first answer comes at once: until then nothing can be added to it
	req.SessionID, req.SessionEpoch = r.session, r.epoch
	if r.inFlight+r.stale == 0 {
		req.UnknownTags.Set(tagReceived, nil)
	}
	req.Topics = topics.list
	if !full {
		r.forget = slices.DeleteFunc(r.forget, func(id kafkaproto.TopicPartition) bool {
			f := r.all[id]
			return f != nil && f.inSession // it has come back
		})
		req.ForgottenTopics = forgotten(r.forget)
	}
	r.forget = nil
	return req
}

// name puts a partition into a request, if it may be fetched now.
func (r *round) name(topics *fetchTopics, f *following, now time.Time) {
	f.p.mu.Lock()
	next, ok := f.f.Next(now)
	f.p.mu.Unlock()
	if !ok {
		return
	}
	if wait := f.held(now); wait > 0 {
		f.heldUntil = now.Add(wait)
		r.delay(f, now)
		return
	}
	f.sent, f.sentIn = next, r.requests
	if !f.inSession {
		f.inSession = true
		r.inside++
	}
	topics.add(f, next, r.m.replica.partitionSize)
}

// fetchTopics gathers partitions by topic.
type fetchTopics struct {
	list []kmsg.FetchRequestTopic
	at   map[kafkaproto.TopicID]int
}

// StreamBus's own tagged fields of a partition in a follower's Fetch, both int64.
const (
	tagFlushedEnd = 10000 // how far it is flushed
	tagSuspect    = 10001 // the offset at which it has received something whose CRC is wrong
)

// tagReceived is one of a follower's Fetch as a whole, without a value: no answer is on its way to it.
const tagReceived = 10002

func (t *fetchTopics) add(f *following, next replication.Fetch, maxBytes int32) {
	id := f.key()
	i, ok := t.at[id.Topic]
	if !ok {
		if t.at == nil {
			t.at = make(map[kafkaproto.TopicID]int)
		}
		i = len(t.list)
		t.at[id.Topic] = i
		topic := kmsg.NewFetchRequestTopic()
		topic.Topic, topic.TopicID = f.p.TopicName(), id.Topic
		t.list = append(t.list, topic)
	}
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition = int32(id.Partition)
	p.CurrentLeaderEpoch, p.LastFetchedEpoch = int32(next.CurrentEpoch), int32(next.LastEpoch)
	p.FetchOffset, p.LogStartOffset, p.PartitionMaxBytes = int64(next.Offset), int64(next.LogStart), maxBytes
	p.UnknownTags.Set(tagFlushedEnd, be64(int64(next.FlushedEnd)))
	if f.suspect >= 0 {
		p.UnknownTags.Set(tagSuspect, be64(int64(f.suspect)))
		f.suspect = kafkaproto.NoOffset
	}
	t.list[i].Partitions = append(t.list[i].Partitions, p)
}

func forgotten(ids []kafkaproto.TopicPartition) []kmsg.FetchRequestForgottenTopic {
	at := make(map[kafkaproto.TopicID]int)
	var list []kmsg.FetchRequestForgottenTopic
	for _, id := range ids {
		i, ok := at[id.Topic]
		if !ok {
			i = len(list)
			at[id.Topic] = i
			topic := kmsg.NewFetchRequestForgottenTopic()
			topic.TopicID = id.Topic
			list = append(list, topic)
		}
		list[i].Partitions = append(list[i].Partitions, int32(id.Partition))
	}
	return list
}
