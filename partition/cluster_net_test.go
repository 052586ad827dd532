package partition

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// fakeNet decides what becomes of messages. Node 0 is the controller.
type fakeNet struct {
	mu   sync.Mutex
	rng  *rand.Rand
	cut  [4]bool // from everyone else
	drop int     // percent of answers that get lost
	slow time.Duration

	fetches, named int // requests, and partitions in them
}

func (f *fakeNet) isCut(a, b int32) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cut[a] || f.cut[b]
}

func (f *fakeNet) isolate(node int32, cut bool) {
	f.mu.Lock()
	f.cut[node] = cut
	f.mu.Unlock()
}

// fate is how long a message takes and whether it gets lost.
func (f *fakeNet) fate() (delay time.Duration, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.slow > 0 {
		delay = time.Duration(f.rng.Int64N(int64(f.slow)))
	}
	return delay, f.rng.IntN(100) < f.drop
}

func (f *fakeNet) count(req *kmsg.FetchRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fetches++
	for _, t := range req.Topics {
		f.named += len(t.Partitions)
	}
}

var errNet = errors.New("the network has lost it")

// link is a node's Peers. Requests and answers go through their encoding, and an answer's bytes are spoilt when it is
// released.
type link struct{ n *clusterNode }

func (l link) travel(ctx context.Context) error {
	delay, lost := l.n.c.net.fate()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
		}
	}
	if lost {
		return errNet
	}
	return ctx.Err()
}

func (l link) Fetch(ctx context.Context, node int32, _ int, req *kmsg.FetchRequest, then func(Fetched)) {
	go func() {
		resp, release, err := l.fetch(ctx, node, req)
		then(Fetched{resp, release, err})
	}()
}

func (l link) fetch(ctx context.Context, node int32, req *kmsg.FetchRequest) (*kmsg.FetchResponse, func(), error) {
	to := l.n.c.nodes[node]
	if l.n.c.net.isCut(l.n.id, node) || !to.isAlive() {
		return nil, nil, errNet
	}
	l.n.c.net.count(req)
	var asked kmsg.FetchRequest
	req.Version = 18
	asked.Version = 18
	if err := asked.ReadFrom(req.AppendTo(nil)); err != nil {
		return nil, nil, err
	}
	to.outside.RLock()
	server := to.fetches
	to.outside.RUnlock()
	given := server.serve(ctx, l.n, &asked)
	if given == nil || l.n.c.net.isCut(l.n.id, node) {
		return nil, nil, errNet
	}
	if err := l.travel(ctx); err != nil {
		return nil, nil, err
	}
	given.Version = 18
	bytes := given.AppendTo(nil)
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = 18
	if err := resp.ReadFrom(bytes); err != nil {
		return nil, nil, err
	}
	return resp, func() {
		for i := range bytes {
			bytes[i] = 0xee
		}
	}, nil
}

func (l link) Do(_ context.Context, node int32, _ int, req kmsg.Request) (kmsg.Response, error) {
	to := l.n.c.nodes[node]
	if l.n.c.net.isCut(l.n.id, node) || !to.isAlive() {
		return nil, errNet
	}
	list := req.(*kmsg.ListOffsetsRequest)
	topic, row := list.Topics[0], list.Topics[0].Partitions[0]
	out := kmsg.NewListOffsetsResponseTopicPartition()
	t, _ := l.n.c.image().Topic(topic.Topic)
	p := l.n.c.on(node, kafkaproto.TopicPartition{Topic: t.ID, Partition: kafkaproto.PartitionID(row.Partition)})
	if p == nil {
		return nil, errNet
	}
	r, err := p.ListOffset(ListRequest{Timestamp: row.Timestamp, Replica: list.ReplicaID >= 0, CurrentLeaderEpoch: kafkaproto.LeaderEpoch(row.CurrentLeaderEpoch)})
	out.Offset, out.ErrorCode = int64(r.Offset), kafkaproto.Code(err)
	resp := kmsg.NewPtrListOffsetsResponse()
	resp.Topics = []kmsg.ListOffsetsResponseTopic{{Partitions: []kmsg.ListOffsetsResponseTopicPartition{out}}}
	return resp, nil
}

// fetchServer is a leader's side of Fetch with sessions, as the broker has it.
type fetchServer struct {
	n        *clusterNode
	over     chan struct{}
	once     sync.Once
	mu       sync.Mutex
	last     int32
	sessions map[int32]*served
}

// served is a session.
type served struct {
	epoch int32
	parts map[kafkaproto.TopicPartition]*servedPart
	end   chan struct{} // of the fetch that waits
	mu    sync.Mutex    // one fetch at a time
}

type servedPart struct {
	asked kmsg.FetchRequestTopicPartition
	high  kafkaproto.Offset
}

func newFetchServer(n *clusterNode) *fetchServer {
	return &fetchServer{n: n, over: make(chan struct{}), sessions: map[int32]*served{}}
}

func (s *fetchServer) close() { s.once.Do(func() { close(s.over) }) }

func (s *fetchServer) open(req *kmsg.FetchRequest) (session *served, id int32, code int16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.SessionEpoch == 0 {
		s.last++
		session = &served{epoch: 1, parts: map[kafkaproto.TopicPartition]*servedPart{}, end: make(chan struct{})}
		s.sessions[s.last] = session
		return session, s.last, 0
	}
	session = s.sessions[req.SessionID]
	if session == nil {
		return nil, 0, kafkaproto.ErrFetchSessionIDNotFound.Num
	}
	if session.epoch != req.SessionEpoch {
		return nil, 0, kafkaproto.ErrInvalidFetchSessionEpoch.Num
	}
	session.epoch++
	close(session.end)
	session.end = make(chan struct{})
	return session, req.SessionID, 0
}

// serve answers; nil if the node is down.
func (s *fetchServer) serve(ctx context.Context, from *clusterNode, req *kmsg.FetchRequest) *kmsg.FetchResponse {
	resp := kmsg.NewPtrFetchResponse()
	session, id, code := s.open(req)
	if resp.ErrorCode = code; code != 0 {
		return resp
	}
	session.mu.Lock()
	defer session.mu.Unlock()
	s.mu.Lock()
	end := session.end
	s.mu.Unlock()
	resp.SessionID = id
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			key := kafkaproto.TopicPartition{Topic: t.TopicID, Partition: kafkaproto.PartitionID(p.Partition)}
			session.parts[key] = &servedPart{asked: p, high: -1}
		}
	}
	for _, t := range req.ForgottenTopics {
		for _, p := range t.Partitions {
			delete(session.parts, kafkaproto.TopicPartition{Topic: t.TopicID, Partition: kafkaproto.PartitionID(p)})
		}
	}
	fired := make(chan struct{}, 1)
	w := NewReplicaWaiter(func() { signal(fired) })
	for key := range session.parts {
		if p := s.n.c.on(s.n.id, key); p != nil {
			p.Wait(w)
			defer p.Unwait(w)
		}
	}
	timer := time.NewTimer(time.Duration(req.MaxWaitMillis) * time.Millisecond)
	defer timer.Stop()
	for last := req.MaxWaitMillis == 0; ; {
		enough, ok := s.look(from, session, req, resp, last)
		if !ok {
			return nil
		}
		if enough || last {
			return resp
		}
		select {
		case <-fired:
			w.Arm()
		case <-timer.C:
			last = true
		case <-end:
			last = true
		case <-s.over:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// look reads all partitions, and says whether there is enough to answer. Neither node may be down.
func (s *fetchServer) look(from *clusterNode, session *served, req *kmsg.FetchRequest, resp *kmsg.FetchResponse, last bool) (enough, ok bool) {
	from.outside.RLock()
	defer from.outside.RUnlock()
	s.n.outside.RLock()
	defer s.n.outside.RUnlock()
	if !from.alive || !s.n.alive || s.n.c.net.isCut(from.id, s.n.id) {
		return false, false
	}
	resp.Topics = nil
	for key, part := range session.parts {
		out, told := s.read(key, part, req)
		enough = enough || told
		if told || last && out.HighWatermark != int64(part.high) {
			part.high = kafkaproto.Offset(out.HighWatermark)
			if out.ErrorCode != 0 {
				part.high = -1
			}
			resp.Topics = append(resp.Topics, kmsg.FetchResponseTopic{TopicID: key.Topic, Partitions: []kmsg.FetchResponseTopicPartition{out}})
		}
	}
	return enough, true
}

func (s *fetchServer) read(key kafkaproto.TopicPartition, part *servedPart, req *kmsg.FetchRequest) (out kmsg.FetchResponseTopicPartition, told bool) {
	out = kmsg.NewFetchResponseTopicPartition()
	out.Partition = int32(key.Partition)
	out.HighWatermark = -1
	p := s.n.c.on(s.n.id, key)
	if p == nil {
		out.ErrorCode = kafkaproto.ErrUnknownTopicID.Num
		return out, true
	}
	r := ReadRequest{
		Offset: kafkaproto.Offset(part.asked.FetchOffset), MaxBytes: int(part.asked.PartitionMaxBytes), MinOneBatch: true,
		CurrentLeaderEpoch: kafkaproto.LeaderEpoch(part.asked.CurrentLeaderEpoch), LastFetchedEpoch: kafkaproto.LeaderEpoch(part.asked.LastFetchedEpoch),
		ReplicaID: req.ReplicaState.ID, BrokerEpoch: req.ReplicaState.Epoch, FlushedEnd: -1,
	}
	part.asked.UnknownTags.Each(func(tag uint32, v []byte) {
		if tag == tagFlushedEnd {
			var end int64
			for _, b := range v {
				end = end<<8 | int64(b)
			}
			r.FlushedEnd = kafkaproto.Offset(end)
		}
	})
	res := p.Read(r)
	out.HighWatermark, out.LogStartOffset = int64(res.HighWatermark), int64(res.LogStart)
	switch {
	case res.Err != nil:
		out.ErrorCode, out.HighWatermark = kafkaproto.Code(res.Err), -1
		return out, true
	case res.Diverging != nil:
		out.DivergingEpoch.Epoch, out.DivergingEpoch.EndOffset = int32(res.Diverging.Epoch), int64(res.Diverging.End)
		return out, true
	}
	told = res.Read.Bytes > 0
	out.RecordBatches = bytesOf(s.n.c.t, res)
	return out, told
}
