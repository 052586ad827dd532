package broker

import (
	"slices"
	"sync"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/partition"
)

// findPartition finds what a client names by topic id, or by name if its request's version has no ids.
func (s *Server) findPartition(image *controller.Image, key sessionKey) (*partition.Partition, error) {
	topic, err := findTopic(image, key)
	if err != nil {
		return nil, err
	}
	if key.partition < 0 || int(key.partition) >= len(topic.Partitions) {
		return nil, kafkaproto.ErrUnknownTopicOrPartition
	}
	return s.partitions.Partition(kafkaproto.TopicPartition{Topic: topic.ID, Partition: kafkaproto.PartitionID(key.partition)})
}

func findTopic(image *controller.Image, key sessionKey) (*controller.Topic, error) {
	if key.byID {
		if topic, ok := image.TopicByID(key.id); ok {
			return topic, nil
		}
		return nil, kafkaproto.ErrUnknownTopicID
	}
	if topic, ok := image.Topic(key.name); ok {
		return topic, nil
	}
	return nil, kafkaproto.ErrUnknownTopicOrPartition
}

// answerError answers the request as a whole, which versions before 7 can't.
func (f *fetch) answerError(err error) {
	resp := kafkaproto.FetchResponse{ErrorCode: kafkaproto.Code(err)}
	chunks, size := kafkaproto.EncodeFetch(f.version, f.r.header.CorrelationID, &resp)
	f.r.replyChunks(chunks, size, nil)
}

// answer builds the response out of what was read. The reads stay with the answer until it has been sent; the session
// is free for the client's next fetch from here on.
func (f *fetch) answer(own bool) {
	b := newFetchBuilder(f)
	for p := f.session.first; p != nil; {
		next := p.next
		b.add(p)
		p = next
	}
	for _, p := range b.gave {
		f.session.moveToEnd(p)
	}
	if f.keep {
		f.s.sessions.add(f.session, f.s.env.Clock.Now())
	}
	b.resp.SessionID = f.session.id
	if f.session.id == noSession {
		f.r.conn.leaveSpare(f.session)
	} else {
		f.s.sessions.end(f.session, f)
	}
	if event := f.s.events.Fetched; event != nil {
		event(b.bytes)
	}
	chunks, size := b.encoder.Encode(f.version, f.r.header.CorrelationID, &b.resp)
	if own {
		f.r.replyChunksHere(chunks, size, b.sent)
	} else {
		f.r.replyChunks(chunks, size, b.sent)
	}
}

// fetchBuilder gathers a response and the reads that it holds. It is pooled, with the memory of its slices.
type fetchBuilder struct {
	f       *fetch
	resp    kafkaproto.FetchResponse
	encoder kafkaproto.FetchEncoder // the chunks' memory
	reads   []*log.Read
	gave    []*sessionPartition // partitions that gave data, in order
	bytes   int
	key     sessionKey // of the topic that the last partition belongs to
	sent    func()     // release
}

var fetchBuilders sync.Pool

func newFetchBuilder(f *fetch) *fetchBuilder {
	b, _ := fetchBuilders.Get().(*fetchBuilder)
	if b == nil {
		b = new(fetchBuilder)
		b.sent = b.release
	}
	b.f = f
	return b
}

// release is called when the answer has been sent, or never will be.
func (b *fetchBuilder) release() {
	for _, r := range b.reads {
		r.Release()
	}
	for i := range b.resp.Topics {
		clear(b.resp.Topics[i].Partitions)
	}
	clear(b.reads)
	clear(b.gave)
	*b = fetchBuilder{
		resp: kafkaproto.FetchResponse{Topics: b.resp.Topics[:0]}, encoder: b.encoder,
		reads: b.reads[:0], gave: b.gave[:0], sent: b.sent,
	}
	fetchBuilders.Put(b)
}

// add appends p's result to the response, unless the session's client knows all of it already.
func (b *fetchBuilder) add(p *sessionPartition) {
	result := p.result
	p.result = partition.ReadResult{}
	if result.Read != nil {
		b.reads = append(b.reads, result.Read)
		b.f.lend(result.Read)
	}
	out := kafkaproto.NewFetchResponsePartition()
	out.Partition = p.key.partition
	out.HighWatermark, out.LastStableOffset, out.LogStartOffset = result.HighWatermark, result.LastStable, result.LogStart
	err := result.Err
	if err == nil && result.Diverging != nil {
		out.DivergingEpoch = kafkaproto.EpochEndOffset{Epoch: result.Diverging.Epoch, EndOffset: result.Diverging.End}
	}
	n := 0
	if err == nil && result.Read != nil {
		n, err = b.addRecords(&out, &result)
	}
	if err == nil && b.f.committed {
		out.AbortedTransactions = abortedTransactions(result.Aborted)
	}
	if n > 0 {
		b.gave = append(b.gave, p)
		b.bytes += n
	}
	if b.mustTell(p, &out, n, err) {
		out.ErrorCode = b.f.errorCode(err)
		b.addLeader(&out, p, &result, err)
		b.append(p.key, out)
	}
}

// lend notes that what goes by sendfile may be read when the answer has long been sent. A follower says when it has come; what a
// client's next request says of that can't be relied on, and what came under those bytes later might be what it must not see.
func (f *fetch) lend(read *log.Read) {
	for i := range read.Spans {
		switch {
		case !f.r.conn.sendsFile(read.Spans[i]):
		case f.session.follower:
			f.session.lent.Lend(read)
			return
		default:
			read.Lend()
			return
		}
	}
}

// mustTell decides whether an incremental answer names the partition, and notes what the client knows then.
func (b *fetchBuilder) mustTell(p *sessionPartition, out *kafkaproto.FetchResponsePartition, n int, err error) bool {
	tell := b.f.full || n > 0 || err != nil || out.DivergingEpoch.Epoch >= 0 ||
		p.highWatermark != out.HighWatermark || p.logStart != out.LogStartOffset
	p.highWatermark, p.logStart = out.HighWatermark, out.LogStartOffset
	if err != nil {
		p.highWatermark = kafkaproto.NoOffset // so that the end of the error is told as well
	}
	return tell
}

func (b *fetchBuilder) append(key sessionKey, out kafkaproto.FetchResponsePartition) {
	key.partition = 0
	n := len(b.resp.Topics)
	if n == 0 || b.key != key {
		b.resp.Topics = slices.Grow(b.resp.Topics, 1)[:n+1]
		t := &b.resp.Topics[n]
		t.Topic, t.TopicID, t.Partitions = key.name, key.id, t.Partitions[:0]
		b.key = key
		n++
	}
	t := &b.resp.Topics[n-1]
	t.Partitions = append(t.Partitions, out)
	if event := b.f.s.events.PartitionError; event != nil && out.ErrorCode != 0 {
		event(1, out.ErrorCode)
	}
}

// addRecords puts the records into out, as the fetcher's version can read them.
func (b *fetchBuilder) addRecords(out *kafkaproto.FetchResponsePartition, result *partition.ReadResult) (int, error) {
	if b.f.version >= 10 || result.Read.Bytes == 0 {
		out.Records = result.Read.Spans
		return result.Read.Bytes, nil
	}
	spans, n, err := withoutZstd(result.Read.Spans)
	if err != nil {
		return 0, err
	}
	if b.f.version >= 4 {
		out.Records = spans
		return n, nil
	}
	out.RecordBytes, err = downConvert(spans, n, b.f.version)
	return len(out.RecordBytes), err
}

// errorCode is err's code as the fetcher's version knows it.
func (f *fetch) errorCode(err error) int16 {
	code := kafkaproto.Code(err)
	if f.version < 6 && code == kafkaproto.ErrKafkaStorageError.Num {
		return kafkaproto.ErrNotLeaderOrFollower.Num // what makes an old client look for another leader
	}
	return code
}

// addLeader says where to go instead (KIP-951).
func (b *fetchBuilder) addLeader(out *kafkaproto.FetchResponsePartition, p *sessionPartition, result *partition.ReadResult, err error) {
	if b.f.version < 16 || !elsewhere(err) {
		return
	}
	id, epoch := b.f.s.leaderFor(b.f.session.image, p.key, result.LeaderID, result.LeaderEpoch)
	if id < 0 {
		return
	}
	out.CurrentLeader = kafkaproto.LeaderIDAndEpoch{LeaderID: id, LeaderEpoch: epoch}
	for _, known := range b.resp.Brokers {
		if known.NodeID == id {
			return
		}
	}
	if l, rack, ok := b.f.s.endpoint(b.f.session.image, id, b.f.r.conn.listener); ok {
		b.resp.Brokers = append(b.resp.Brokers, kafkaproto.ResponseBroker{NodeID: id, Host: l.Host, Port: l.Port, Rack: rack})
	}
}

func abortedTransactions(aborted []log.AbortedTxn) []kafkaproto.AbortedTransaction {
	out := make([]kafkaproto.AbortedTransaction, len(aborted))
	for i, a := range aborted {
		out[i] = kafkaproto.AbortedTransaction{ProducerID: a.Producer, FirstOffset: a.First}
	}
	return out
}
