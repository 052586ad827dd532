package sim

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/partition"
)

// fetchServer is a leader's side of the followers' fetches: sessions as package broker has them, without connections. It runs
// on Run's goroutine, but for the waiters' calls.
type fetchServer struct {
	l        *life
	last     int32
	sessions map[int32]*session
}

type session struct {
	epoch   int32
	order   []kafkaproto.TopicPartition
	parts   map[kafkaproto.TopicPartition]*sessionPart
	waiting *pendingFetch
}

type sessionPart struct {
	asked  kmsg.FetchRequestTopicPartition
	high   int64
	start  int64
	cursor log.Cursor
}

// pendingFetch is a fetch that waits for news.
type pendingFetch struct {
	f       *fetchServer
	session *session
	id      int32
	req     *kmsg.FetchRequest
	reply   func(any)
	waiter  *partition.Waiter
	on      []*partition.Partition
	timer   *event
	over    bool
}

// tagFlushedEnd is the tag under which followers say how far they are flushed.
const tagFlushedEnd = 10000

func newFetchServer(l *life) *fetchServer {
	return &fetchServer{l: l, sessions: map[int32]*session{}}
}

// serve answers a fetch, perhaps later.
func (f *fetchServer) serve(req *kmsg.FetchRequest, reply func(any)) {
	p := &pendingFetch{f: f, req: req, reply: reply}
	if code := p.open(); code != 0 {
		resp := kmsg.NewPtrFetchResponse()
		resp.ErrorCode = code
		reply(resp)
		return
	}
	p.session.update(req)
	p.waiter = partition.NewReplicaWaiter(func() {
		f.l.s.after(0, &event{owner: f.l.n, life: f.l, what: "news", do: func() { p.news() }})
	})
	for _, id := range p.session.order {
		if part, err := f.l.manager.Partition(id); err == nil {
			part.Wait(p.waiter)
			p.on = append(p.on, part)
		}
	}
	p.session.waiting = p
	if p.look(req.MaxWaitMillis == 0) {
		return
	}
	wait := time.Duration(req.MaxWaitMillis) * time.Millisecond
	p.timer = f.l.s.after(wait, &event{owner: f.l.n, life: f.l, what: "fetch waited", do: func() { p.look(true) }})
}

// open finds the session, or makes one; an error code if that can't be.
func (p *pendingFetch) open() int16 {
	f := p.f
	if p.req.SessionEpoch == 0 {
		f.last++
		p.id, p.session = f.last, &session{epoch: 1, parts: map[kafkaproto.TopicPartition]*sessionPart{}}
		f.sessions[p.id] = p.session
		return 0
	}
	p.id, p.session = p.req.SessionID, f.sessions[p.req.SessionID]
	switch {
	case p.session == nil:
		return kafkaproto.ErrFetchSessionIDNotFound.Num
	case p.session.epoch != p.req.SessionEpoch:
		return kafkaproto.ErrInvalidFetchSessionEpoch.Num
	}
	p.session.epoch++
	if before := p.session.waiting; before != nil {
		before.look(true)
	}
	return 0
}

func (s *session) update(req *kmsg.FetchRequest) {
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			id := kafkaproto.TopicPartition{Topic: t.TopicID, Partition: kafkaproto.PartitionID(p.Partition)}
			if s.parts[id] == nil {
				s.order = append(s.order, id)
				s.parts[id] = &sessionPart{high: -1}
			}
			s.parts[id].asked, s.parts[id].high = p, -1 // as the broker's sessions do for followers
		}
	}
	for _, t := range req.ForgottenTopics {
		for _, p := range t.Partitions {
			id := kafkaproto.TopicPartition{Topic: t.TopicID, Partition: kafkaproto.PartitionID(p)}
			delete(s.parts, id)
			s.order = slices.DeleteFunc(s.order, func(o kafkaproto.TopicPartition) bool { return o == id })
		}
	}
}

func (p *pendingFetch) news() {
	if p.over {
		return
	}
	p.waiter.Arm()
	p.look(false)
}

// look reads all partitions and answers if there is enough, or if it is the last time.
func (p *pendingFetch) look(last bool) bool {
	if p.over {
		return true
	}
	resp := kmsg.NewPtrFetchResponse()
	resp.SessionID = p.id
	enough := false
	var cur *kmsg.FetchResponseTopic
	for _, id := range p.session.order {
		part := p.session.parts[id]
		out, told := p.read(id, part)
		enough = enough || told
		if !told && (out.HighWatermark == part.high && out.LogStartOffset == part.start) {
			continue
		}
		if cur == nil || cur.TopicID != id.Topic {
			resp.Topics = append(resp.Topics, kmsg.FetchResponseTopic{TopicID: id.Topic})
			cur = &resp.Topics[len(resp.Topics)-1]
		}
		cur.Partitions = append(cur.Partitions, out)
	}
	if !enough && !last {
		return false
	}
	p.answer(resp)
	return true
}

func (p *pendingFetch) answer(resp *kmsg.FetchResponse) {
	p.over = true
	if p.timer != nil {
		p.f.l.s.cancel(p.timer)
	}
	for _, part := range p.on {
		part.Unwait(p.waiter)
	}
	if p.session.waiting == p {
		p.session.waiting = nil
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			out := &t.Partitions[j]
			part := p.session.parts[kafkaproto.TopicPartition{Topic: t.TopicID, Partition: kafkaproto.PartitionID(out.Partition)}]
			if part.high, part.start = out.HighWatermark, out.LogStartOffset; out.ErrorCode != 0 {
				part.high = -1
			}
		}
	}
	p.reply(resp)
}

// read looks at one partition, and says whether that alone is worth an answer.
func (p *pendingFetch) read(id kafkaproto.TopicPartition, part *sessionPart) (out kmsg.FetchResponseTopicPartition, told bool) {
	out = kmsg.NewFetchResponseTopicPartition()
	out.Partition, out.HighWatermark, out.LogStartOffset = int32(id.Partition), -1, -1
	on, err := p.f.l.manager.Partition(id)
	if err != nil {
		out.ErrorCode = kafkaproto.Code(err)
		return out, true
	}
	r := partition.ReadRequest{
		Offset: kafkaproto.Offset(part.asked.FetchOffset), MaxBytes: int(part.asked.PartitionMaxBytes), MinOneBatch: true,
		CurrentLeaderEpoch: kafkaproto.LeaderEpoch(part.asked.CurrentLeaderEpoch), LastFetchedEpoch: kafkaproto.LeaderEpoch(part.asked.LastFetchedEpoch),
		ReplicaID: p.req.ReplicaState.ID, BrokerEpoch: p.req.ReplicaState.Epoch, FlushedEnd: -1, Cursor: &part.cursor,
	}
	part.asked.UnknownTags.Each(func(tag uint32, v []byte) {
		if tag == tagFlushedEnd && len(v) == 8 {
			r.FlushedEnd = kafkaproto.Offset(binary.BigEndian.Uint64(v))
		}
	})
	res := on.Read(r)
	switch {
	case res.Err != nil:
		out.ErrorCode = kafkaproto.Code(res.Err)
		return out, true
	case res.Diverging != nil:
		out.HighWatermark, out.LogStartOffset = int64(res.HighWatermark), int64(res.LogStart)
		out.DivergingEpoch.Epoch, out.DivergingEpoch.EndOffset = int32(res.Diverging.Epoch), int64(res.Diverging.End)
		return out, true
	}
	out.HighWatermark, out.LogStartOffset = int64(res.HighWatermark), int64(res.LogStart)
	if out.RecordBatches, err = readSpans(res.Read); err != nil {
		out.ErrorCode = kafkaproto.ErrKafkaStorageError.Num
		return out, true
	}
	return out, len(out.RecordBatches) > 0
}

// readSpans copies what was read and lets go of it.
func readSpans(r *log.Read) ([]byte, error) {
	defer r.Release()
	return r.Append([]byte{})
}
