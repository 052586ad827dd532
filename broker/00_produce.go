package broker

// Produce (key 0, versions 0-13): record batches from the socket to the log, in the frame they came in.
//
// The request's frame is shared by its partitions: each holds a reference until the log has written its batches, and
// the last one gives the buffer back. Answers come from any goroutine; the one that completes the last partition answers
// the request. Order is that of the connection, for Append is called on its goroutine.
//
// acks=0 gets no answer at all; if a partition refuses, the connection is closed, which is all that can be told to such
// a client (as Kafka does). Versions 0-2 carry message sets, which are converted to a batch here; from 3 on a partition
// has exactly one batch (partition.Append checks that, and that zstd comes with version 7 or later). Record errors
// (KIP-467) from 8, the new leader's address beside NOT_LEADER_OR_FOLLOWER (KIP-951) from 10, topic ids (KIP-516) at 13.
//
// The coordinators' topics take nothing from clients (INVALID_TOPIC_EXCEPTION) but from one that is called __admin_client.
//
// Not done: quotas, so the throttle time is always 0.

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
)

// produce is one Produce request under way. It goes back to its pool when the answer has been written.
type produce struct {
	s       *Server
	r       *request
	req     *kmsg.ProduceRequest
	resp    kafkaproto.ProduceResponse
	slots   []produceSlot
	release func()
	left    atomic.Int32          // partitions without an answer, and one for the handler
	refusal atomic.Pointer[error] // under acks=0: the first error
	image   *controller.Image
	current bool // it is no older than the request

	// What most requests need: one partition.
	slot [1]produceSlot
	row  [1]kafkaproto.ProduceResponsePartition
	rows [1]kafkaproto.ProduceResponseTopic

	// Made once for all the requests that it serves.
	over  func()                       // free
	first func(partition.AppendResult) // done of slot
}

var produces sync.Pool

func newProduce() *produce {
	p, _ := produces.Get().(*produce)
	if p == nil {
		p = &produce{}
		p.over, p.first = p.free, p.slot[0].done
	}
	return p
}

// free is called when nobody has p any more: every partition was answered, and the answer written or given up.
func (p *produce) free() {
	*p = produce{over: p.over, first: p.first}
	produces.Put(p)
}

// produceSlot is one partition of it.
type produceSlot struct {
	p    *produce
	key  sessionKey
	out  *kafkaproto.ProduceResponsePartition
	err  error
	hint partition.AppendResult
}

// adminClient is the client id with which Kafka's own tools may write to the topics of coordinators.
const adminClient = "__admin_client"

var errAcks = kafkaproto.ErrInvalidRequiredAcks

func handleProduce(s *Server, r *request) {
	req := r.req.(*kmsg.ProduceRequest)
	p := newProduce()
	p.s, p.r, p.req, p.resp.Version = s, r, req, req.Version
	frame := r.frame.Load()
	p.release = frame.release
	p.layOut()
	p.left.Store(int32(len(p.slots)) + 1)
	p.image = s.quorum.Image()
	slot, bytes := 0, 0
	here := len(p.slots) == 1 && !r.conn.in.hasFrame() // else what follows is better written together
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			bytes += len(t.Partitions[j].Records)
			p.append(&p.slots[slot], t.Partitions[j].Records, frame, here)
			slot++
		}
	}
	if s.events.Produced != nil {
		s.events.Produced(bytes)
	}
	r.letGo()
	if req.Acks == 0 {
		p.endUnanswered()
		return
	}
	p.answered()
}

// layOut makes the response with a place for every partition, so that each can be filled without a lock.
func (p *produce) layOut() {
	count := 0
	for i := range p.req.Topics {
		count += len(p.req.Topics[i].Partitions)
	}
	all := p.row[:]
	p.slots, p.resp.Topics = p.slot[:], p.rows[:]
	if count != 1 || len(p.req.Topics) != 1 {
		p.slots, all = make([]produceSlot, count), make([]kafkaproto.ProduceResponsePartition, count)
		p.resp.Topics = make([]kafkaproto.ProduceResponseTopic, len(p.req.Topics))
	}
	n := 0
	for i := range p.req.Topics {
		from, to := &p.req.Topics[i], &p.resp.Topics[i]
		to.Topic, to.TopicID = from.Topic, from.TopicID
		to.Partitions = all[n : n+len(from.Partitions) : n+len(from.Partitions)]
		for j := range from.Partitions {
			out := &to.Partitions[j]
			*out = kafkaproto.NewProduceResponsePartition(from.Partitions[j].Partition)
			p.slots[n] = produceSlot{p: p, out: out, key: sessionKey{
				byID: p.req.Version >= 13, id: from.TopicID, name: from.Topic, partition: out.Partition,
			}}
			n++
		}
	}
}

// find looks for a partition that this node leads. Before it gives up it makes sure, once, that it has heard of all that was
// decided: the producer may have.
func (p *produce) find(key sessionKey) (*partition.Partition, error) {
	part, err := p.s.findPartition(p.image, key)
	if p.current || p.s.catchUp == nil || err == nil && part.Leads() {
		return part, err
	}
	p.s.catchUp(p.s.ctx)
	p.image, p.current = p.s.quorum.Image(), true
	return p.s.findPartition(p.image, key)
}

// append hands one partition's records over.
func (p *produce) append(slot *produceSlot, records []byte, frame *frame, here bool) {
	part, err := p.find(slot.key)
	if err == nil && (p.req.Acks < -1 || p.req.Acks > 1) {
		err = errAcks
	}
	if err == nil && controller.InternalTopic(part.TopicName()) && textOf(p.r.header.ClientID) != adminClient {
		err = kafkaproto.ErrInvalidTopicException
	}
	converted := false
	if err == nil && p.req.Version < 3 && len(records) > magicPosition && records[magicPosition] < 2 {
		records, err = kafkaproto.ConvertMessageSet(records, kafkaproto.ConvertOptions{})
		converted = true
	}
	if err != nil || p.req.Version < 3 && len(records) == 0 {
		slot.done(partition.AppendResult{Err: err, BaseOffset: kafkaproto.NoOffset,
			LogAppendTime: kafkaproto.NoTimestamp, LogStart: kafkaproto.NoOffset, LeaderID: -1})
		return
	}
	req := partition.AppendRequest{
		Records: records, Acks: p.req.Acks, Timeout: time.Duration(p.req.TimeoutMillis) * time.Millisecond,
		CurrentLeaderEpoch: kafkaproto.NoLeaderEpoch, Client: true, Version: p.req.Version, Done: p.first,
	}
	if slot != &p.slot[0] {
		req.Done = slot.done
	}
	if here {
		req.Here = p.r.conn
	}
	if p.req.TransactionID != nil {
		req.TransactionalID = *p.req.TransactionID
	}
	if !converted {
		frame.retain()
		req.Release = p.release
	}
	part.Append(req)
}

// magicPosition is where message sets and batches alike have their magic byte.
const magicPosition = 16

// done takes a partition's answer, from any goroutine.
func (slot *produceSlot) done(result partition.AppendResult) {
	p, out := slot.p, slot.out
	slot.err = result.Err
	out.BaseOffset, out.LogAppendTime, out.LogStart = result.BaseOffset, result.LogAppendTime, result.LogStart
	if result.Err != nil {
		slot.fail(&result)
	}
	if p.req.Acks == 0 {
		p.refused(result.Err)
		return
	}
	p.answered()
}

func (slot *produceSlot) fail(result *partition.AppendResult) {
	p, out := slot.p, slot.out
	out.ErrorCode = p.errorCode(result.Err)
	out.ErrorMessage = kafkaproto.Message(result.Err)
	out.RecordErrors = result.RecordErrors
	slot.hint.LeaderID, slot.hint.LeaderEpoch = result.LeaderID, result.LeaderEpoch
	if event := p.s.events.PartitionError; event != nil {
		event(0, out.ErrorCode)
	}
}

// errorCode is err's code as the producer's version knows it.
func (p *produce) errorCode(err error) int16 {
	code := kafkaproto.Code(err)
	if p.req.Version < 4 && code == kafkaproto.ErrKafkaStorageError.Num {
		return kafkaproto.ErrNotLeaderOrFollower.Num // what makes an old client look for another leader
	}
	return code
}

// answered counts a partition off, and answers after the last.
func (p *produce) answered() {
	if p.left.Add(-1) > 0 {
		return
	}
	if p.req.Version >= 10 {
		p.addLeaders()
	}
	p.r.released = p.over
	p.r.replyAppended(&p.resp)
}

// addLeaders says where to go instead (KIP-951).
func (p *produce) addLeaders() {
	var image *controller.Image
	for i := range p.slots {
		slot := &p.slots[i]
		if slot.err == nil || !errors.Is(slot.err, kafkaproto.ErrNotLeaderOrFollower) {
			continue
		}
		if image == nil {
			image = p.s.quorum.Image()
		}
		id, epoch := p.s.leaderFor(image, slot.key, slot.hint.LeaderID, slot.hint.LeaderEpoch)
		if id < 0 {
			continue
		}
		slot.out.CurrentLeader = kafkaproto.LeaderIDAndEpoch{LeaderID: id, LeaderEpoch: epoch}
		p.addBroker(image, id)
	}
}

func (p *produce) addBroker(image *controller.Image, id int32) {
	for i := range p.resp.Brokers {
		if p.resp.Brokers[i].NodeID == id {
			return
		}
	}
	if l, rack, ok := p.s.endpoint(image, id, p.r.conn.listener); ok {
		p.resp.Brokers = append(p.resp.Brokers, kafkaproto.ResponseBroker{NodeID: id, Host: l.Host, Port: l.Port, Rack: rack})
	}
}

// refused takes an error under acks=0. Before the handler has returned it makes the request end with the connection;
// after that the connection is closed at once.
func (p *produce) refused(err error) {
	p.refusal.CompareAndSwap(nil, &err)
	if p.left.Swap(unansweredFailed) == unansweredOver {
		go p.r.conn.close(errUnanswered(err))
	}
}

// States of left under acks=0, where nothing is counted.
const (
	unansweredFailed = -1
	unansweredOver   = -2
)

// endUnanswered ends a request under acks=0.
func (p *produce) endUnanswered() {
	if p.left.Swap(unansweredOver) != unansweredFailed {
		p.r.noReply()
		return
	}
	p.r.hangUp(errUnanswered(*p.refusal.Load()))
}

func errUnanswered(err error) error {
	return kafkaproto.ErrNetworkException.With("a produce request with acks=0 failed, which can't be answered: %w", err)
}
