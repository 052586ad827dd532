package sim

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
	"github.com/streambus/streambus/replication"
)

// producer writes to all partitions of a topic, and tells the checkers what it was told. An idempotent one has up to five
// batches of a partition on their way and sends what failed again, in order, until it is acknowledged. Any other sends one at
// a time; with acks=all it tries again a few times, with acks=1 it does not.
type producer struct {
	client
	id         int
	topic      *topic
	acks       int16
	idempotent bool
	lanes      []*sendLane
	pace       time.Duration // between two batches, on average
}

// sendLane is a producer's queue for one partition.
type sendLane struct {
	p        *producer
	id       kafkaproto.TopicPartition
	waiting  []*outBatch // in order; the first inFlight of them are on their way
	inFlight int
	at       int32 // the node that those on their way went to
	draining bool  // something failed: nothing is sent until nothing is on its way
	paused   bool
	ended    bool
	made     int   // records
	sequence int32 // of the next record
}

// outBatch is a batch with what became of it.
type outBatch struct {
	values   []string
	sequence int32
	flying   bool
	acked    bool
	tries    int
}

const mostUnacked = 5

func (s *Sim) addProducers() {
	for i := range s.plan.producers {
		p := &producer{client: client{s: s, name: fmt.Sprintf("p%d", i)}, id: i + 1, topic: s.topics[i%len(s.topics)], acks: replication.AcksAll}
		d := p.dice()
		p.idempotent = d.percent(60)
		if !p.idempotent && d.percent(40) {
			p.acks = replication.AcksLeader
		}
		p.pace = d.between(200*time.Millisecond, 900*time.Millisecond)
		for n := range p.topic.partitions {
			p.lanes = append(p.lanes, &sendLane{p: p, id: p.topic.partition(n)})
		}
		s.producers = append(s.producers, p)
		s.later(d.between(0, p.pace), "produce", p.produce)
	}
}

// produce makes a batch now and then.
func (p *producer) produce() {
	if p.s.stopping {
		return
	}
	d := p.dice()
	p.s.later(d.between(p.pace/4, p.pace*7/4), "produce", p.produce)
	l := p.lanes[d.below(len(p.lanes))]
	if l.ended || len(l.waiting) >= 4*mostUnacked {
		return
	}
	b := &outBatch{sequence: l.sequence}
	for range 1 + d.below(9) {
		b.values = append(b.values, fmt.Sprintf("p%d/%d/%d/%s", p.id, l.id.Partition, l.made, padding[:d.below(len(padding))]))
		l.made++
	}
	l.sequence += int32(len(b.values))
	l.waiting = append(l.waiting, b)
	p.s.check.made(l.id, b.values)
	l.send()
}

var padding = strings.Repeat("x", 160)

// send puts on its way what may be.
func (l *sendLane) send() {
	most := 1
	if l.p.idempotent {
		most = mostUnacked
	}
	// A broker remembers the last five batches of a producer, so none is sent that is further from the first open one.
	for i := 0; i < min(len(l.waiting), most) && !l.draining && !l.paused; i++ {
		if b := l.waiting[i]; !b.flying && !b.acked {
			to, _ := l.p.leader(l.id)
			if to == 0 {
				l.pause()
				return
			}
			// A new leader that knows nothing of the producer takes any first sequence, as Kafka does. So, like franz-go, it
			// sends nothing there while what it sent before is open at the old one.
			if l.inFlight > 0 && to != l.at {
				return
			}
			l.at = to
			l.sendOne(b, to)
		}
	}
}

// pause waits a little and asks for metadata before anything is sent.
func (l *sendLane) pause() {
	if l.paused {
		return
	}
	l.paused = true
	l.p.s.later(l.p.dice().between(10*time.Millisecond, 150*time.Millisecond), "producer refreshes", func() {
		l.p.refresh(func() {
			l.paused = false
			l.send()
		})
	})
}

func (l *sendLane) sendOne(b *outBatch, to int32) {
	b.flying = true
	b.tries++
	l.inFlight++
	records, err := l.build(b)
	if err != nil {
		l.p.s.check.fail("%s: %v", l.p.name, err)
		return
	}
	id, acks := l.id, l.p.acks
	l.p.ask(to, "/produce", requestTimeout, func(at *life, reply func(any)) { at.produce(id, records, acks, reply) }, func(v any, err error) {
		b.flying = false
		l.inFlight--
		r, ok := v.(partition.AppendResult)
		if err == nil && ok {
			err = r.Err
		}
		l.answered(b, to, r.BaseOffset, err)
	})
}

func (l *sendLane) build(b *outBatch) ([]byte, error) {
	bb := kafkaproto.NewBuilder()
	if l.p.idempotent {
		bb.ProducerID, bb.ProducerEpoch, bb.BaseSequence = kafkaproto.ProducerID(l.p.id), 0, b.sequence
	}
	now := kafkaproto.Timestamp(startOfTime*1000 + l.p.s.now().Milliseconds())
	for _, v := range b.values {
		bb.Append(kafkaproto.Record{Timestamp: now, Value: []byte(v)})
	}
	return bb.Batch()
}

// answered takes the end of an attempt.
func (l *sendLane) answered(b *outBatch, to int32, base kafkaproto.Offset, err error) {
	c := &l.p.s.check
	if l.ended {
		return
	}
	if err == nil {
		b.acked = true
		c.acked(l.id, l.p, base, b.values)
		l.p.s.note(l.p.name, "%s %s acks=%d at %d: %d records", l.p.s.name(l.id), b.values[0][:strings.LastIndexByte(b.values[0], '/')], l.p.acks, base, len(b.values))
	} else {
		l.p.s.note(l.p.name, "%s %s at node %d: %v", l.p.s.name(l.id), b.values[0][:strings.LastIndexByte(b.values[0], '/')], to, kafkaproto.ErrorForCode(kafkaproto.Code(err)))
		l.failed(b, err)
	}
	for len(l.waiting) > 0 && l.waiting[0].acked {
		l.waiting = l.waiting[1:]
	}
	if l.inFlight == 0 && l.draining {
		l.draining = false
		l.pause()
	}
	l.send()
}

// failed decides whether a batch is sent again.
func (l *sendLane) failed(b *outBatch, err error) {
	l.draining = true
	if !l.p.idempotent {
		if l.p.acks == replication.AcksLeader || b.tries > 3 && !l.p.s.stopping {
			b.acked = true // given up: nobody knows whether it is there
		}
		return
	}
	first := l.waiting[0] == b
	if !first {
		return // what comes before it is not settled
	}
	for _, bad := range []error{kafkaproto.ErrOutOfOrderSequenceNumber, kafkaproto.ErrUnknownProducerID, kafkaproto.ErrInvalidProducerEpoch, kafkaproto.ErrDuplicateSequenceNumber} {
		if errors.Is(err, bad) {
			l.p.s.check.producerRefused(l.id, l.p, b, err)
			l.waiting, l.ended = nil, true // a client would begin a new epoch; here nothing more is sent
			return
		}
	}
}

// drained says whether nothing waits any more.
func (p *producer) drained() bool {
	for _, l := range p.lanes {
		if len(l.waiting) > 0 {
			return false
		}
	}
	return true
}
