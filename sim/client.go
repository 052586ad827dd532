package sim

import (
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/partition"
	"github.com/streambus/streambus/replication"
)

// client is what every producer and group member has: the metadata as some broker told it, and a patience.
type client struct {
	s     *Sim
	name  string
	image *controller.Image // nil: none yet
	// epochs are the latest leader epochs that were heard of. Word of an earlier one is not believed, as clients since
	// KIP-320 do not: a broker that is cut off knows no better.
	epochs map[kafkaproto.TopicPartition]kafkaproto.LeaderEpoch
	asks   bool // for metadata, now
}

// requestTimeout is how long a client waits for an answer before it hangs up.
const requestTimeout = 4 * time.Second

func (c *client) dice() dice { return dice{c.s, streamClient, hashName(c.name)} }

func hashName(name string) int32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return int32(h & 0x7fffffff)
}

// ask sends a request and gives up after the timeout. The connection is closed then: what was not delivered never is.
func (c *client) ask(to int32, lane string, patience time.Duration, handle func(l *life, reply func(any)), done func(any, error)) {
	var timer *event
	r := c.s.ask(clientHost, to, c.name+lane, handle, func(v any, err error) {
		if timer != nil {
			c.s.cancel(timer)
		}
		done(v, err)
	})
	timer = c.s.later(patience, "client timeout", func() { r.finish(nil, errNet) })
}

// refresh asks some broker for metadata. done is called when the question is answered or has failed.
func (c *client) refresh(done func()) {
	if c.asks {
		done()
		return
	}
	c.asks = true
	to := int32(1 + c.dice().below(len(c.s.nodes)-1))
	c.ask(to, "/meta", time.Second, func(l *life, reply func(any)) { reply(l.image) }, func(v any, err error) {
		c.asks = false
		if img, ok := v.(*controller.Image); ok && err == nil && (c.image == nil || img.NumTopics() > 0) {
			c.image = img
		}
		done()
	})
}

// leader is who leads a partition as far as the client knows, and in which epoch; 0 if it doesn't.
func (c *client) leader(id kafkaproto.TopicPartition) (int32, kafkaproto.LeaderEpoch) {
	if c.image == nil {
		return 0, 0
	}
	p, ok := c.image.Partition(id)
	if !ok || p.Leader < 0 || p.LeaderEpoch < c.epochs[id] {
		return 0, 0
	}
	c.heard(id, p.LeaderEpoch)
	return p.Leader, p.LeaderEpoch
}

// heard takes word of a leader epoch, as a consumer does of the one that a committed offset comes with: whoever leads in an
// earlier one may not have what was read.
func (c *client) heard(id kafkaproto.TopicPartition, epoch kafkaproto.LeaderEpoch) {
	if c.epochs == nil {
		c.epochs = map[kafkaproto.TopicPartition]kafkaproto.LeaderEpoch{}
	}
	c.epochs[id] = max(c.epochs[id], epoch)
}

// The brokers' side.

// produce appends what a client has sent.
func (l *life) produce(id kafkaproto.TopicPartition, records []byte, acks int16, reply func(any)) {
	p, err := l.manager.Partition(id)
	if err != nil {
		reply(partition.AppendResult{Err: err})
		return
	}
	go p.Append(partition.AppendRequest{
		Records: records, Acks: acks, Timeout: 3 * time.Second, Client: true, Version: 13, CurrentLeaderEpoch: -1,
		Done: func(r partition.AppendResult) {
			reply(r)
			if r.Err == nil && acks == replication.AcksAll {
				l.s.after(0, &event{owner: l.n, life: l, what: "acknowledged", do: func() { l.s.acknowledged(l, id, r.BaseOffset) }})
			}
		},
	})
}

// acknowledged is called when a broker has just said that a record is safe: the worst moment for power to fail, and the best
// one to look whether it is true.
func (s *Sim) acknowledged(l *life, id kafkaproto.TopicPartition, base kafkaproto.Offset) {
	if s.check.part(id).rules.policy == always && (dice{s, streamCheck, 1}).below(250) == 0 {
		s.check.durable(map[kafkaproto.TopicPartition]kafkaproto.Offset{id: base + 1})
	}
	if strike := s.atAck; strike != nil {
		s.atAck = nil
		strike(l.n)
	}
}

// fetched is what a consumer was told.
type fetched struct {
	err     error
	records []byte
	high    kafkaproto.Offset
	start   kafkaproto.Offset
}

// consume reads for a consumer.
func (l *life) consume(id kafkaproto.TopicPartition, epoch kafkaproto.LeaderEpoch, from kafkaproto.Offset, reply func(any)) {
	p, err := l.manager.Partition(id)
	if err != nil {
		reply(fetched{err: err})
		return
	}
	res := p.Read(partition.ReadRequest{
		Offset: from, MaxBytes: 64 << 10, MinOneBatch: true, CurrentLeaderEpoch: epoch, LastFetchedEpoch: -1, ReplicaID: -1, FlushedEnd: -1,
	})
	if res.Err != nil {
		reply(fetched{err: res.Err})
		return
	}
	out := fetched{high: res.HighWatermark, start: res.LogStart}
	out.records, out.err = readSpans(res.Read)
	reply(out)
}

// listed is the answer to a question for the latest offset.
type listed struct {
	err    error
	offset kafkaproto.Offset
	epoch  kafkaproto.LeaderEpoch // of the leader that answers
}

func (l *life) latest(id kafkaproto.TopicPartition, epoch kafkaproto.LeaderEpoch, reply func(any)) {
	p, err := l.manager.Partition(id)
	if err != nil {
		reply(listed{err: err})
		return
	}
	r, err := p.ListOffset(partition.ListRequest{Timestamp: partition.LatestTimestamp, CurrentLeaderEpoch: epoch})
	reply(listed{err, r.Offset, r.LeaderEpoch})
}

// coordinate gives a group's request to its coordinator here.
func (l *life) coordinate(shard int32, input any, reply func(any)) {
	go l.host.Submit(shard, input, func(v any, err error) { reply(answered{v, err}) })
}

// record is one record as it lies in a log.
type record struct {
	offset   kafkaproto.Offset
	epoch    kafkaproto.LeaderEpoch
	value    string
	producer kafkaproto.ProducerID
}

// parse takes batches apart. Every batch has its checksum checked.
func parse(data []byte, each func(record)) error {
	for len(data) > 0 {
		b, rest, err := kafkaproto.NextBatch(data)
		if err != nil {
			return err
		}
		if err := b.CheckCRC(); err != nil {
			return err
		}
		err = kafkaproto.Records(b, func(r kafkaproto.Record) error {
			each(record{r.Offset, b.PartitionLeaderEpoch(), string(r.Value), b.ProducerID()})
			return nil
		})
		if err != nil {
			return err
		}
		data = rest
	}
	return nil
}

// readLog reads a replica's log of a partition from an offset up to another, as its engine has it.
func readLog(e *log.Engine, id kafkaproto.TopicPartition, from, upTo kafkaproto.Offset, each func(record)) error {
	l, ok := e.Log(id)
	if !ok {
		return kafkaproto.ErrUnknownTopicOrPartition
	}
	for at := max(from, l.Ends().Start); at < upTo; {
		read, err := l.Read(log.ReadRequest{From: at, UpTo: upTo, MaxBytes: 1 << 20, MinOneBatch: true})
		if err != nil {
			return err
		}
		next := read.Next
		data, err := readSpans(read)
		if err != nil {
			return err
		}
		if len(data) == 0 || next <= at {
			return nil
		}
		err = parse(data, func(r record) {
			if r.offset >= at && r.offset < upTo {
				each(r)
			}
		})
		if err != nil {
			return err
		}
		at = next
	}
	return nil
}
