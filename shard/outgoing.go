package shard

import (
	"sync"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// batchBytes is about how large a batch becomes, before compression. The records of one step are not parted,
// unless they are loose.
const batchBytes = 512 << 10

// keptBytes bounds the buffers that are used again.
const keptBytes = 1 << 20

// outgoing gathers the records of steps until they are appended together.
type outgoing struct {
	codec    kafkaproto.Codec
	builder  *kafkaproto.Builder // the batch that is being made
	producer machine.Producer
	data     []byte // the batches before it
	records  int
	steps    int
}

var buffers sync.Pool // of *[]byte

func (o *outgoing) empty() bool { return o.records == 0 }

// bytes is how much waits, about.
func (o *outgoing) bytes() int {
	if o.builder == nil {
		return len(o.data)
	}
	return len(o.data) + o.builder.Len()
}

// add takes the records of one step. Those of a transaction make a batch of their own.
func (o *outgoing) add(records []machine.Record, p machine.Producer, now kafkaproto.Timestamp) error {
	o.steps++
	if b := o.builder; b != nil && b.Count() > 0 && (p != o.producer || p.ID >= 0 || b.Len() >= batchBytes) {
		if err := o.seal(); err != nil {
			return err
		}
	}
	if o.builder == nil {
		o.builder = kafkaproto.NewBuilder()
	}
	o.begin(p)
	for _, r := range records {
		o.builder.Append(kafkaproto.Record{Timestamp: now, Key: r.Key, Value: r.Value})
	}
	o.records += len(records)
	return nil
}

// firstPart is as many of the records as make a batch.
func firstPart(records []machine.Record) []machine.Record {
	size := 0
	for i := range records {
		if size += len(records[i].Key) + len(records[i].Value); size >= batchBytes {
			return records[:i+1]
		}
	}
	return records
}

// begin says whose the batch is. The log does not check a coordinator's sequence numbers; 0 is what Kafka writes.
func (o *outgoing) begin(p machine.Producer) {
	b := o.builder
	o.producer, b.Codec = p, o.codec
	b.ProducerID, b.ProducerEpoch, b.BaseSequence, b.Transactional = kafkaproto.NoProducerID, kafkaproto.NoProducerEpoch, -1, false
	if p.ID >= 0 {
		b.ProducerID, b.ProducerEpoch = kafkaproto.ProducerID(p.ID), kafkaproto.ProducerEpoch(p.Epoch)
		b.BaseSequence, b.Transactional = 0, true
	}
}

// seal ends the batch that is being made.
func (o *outgoing) seal() error {
	if o.data == nil {
		o.data = newBuffer()
	}
	var err error
	o.data, err = o.builder.AppendBatch(o.data)
	o.builder.Reset()
	return err
}

// take gives all batches away, with how many records and steps they are.
func (o *outgoing) take() (data []byte, records, steps int, err error) {
	if o.builder != nil && o.builder.Count() > 0 {
		err = o.seal()
	}
	data, records, steps = o.data, o.records, o.steps
	o.data, o.records, o.steps = nil, 0, 0
	if o.builder != nil && o.builder.Len() == 0 && records > 1000 {
		o.builder = nil // a burst's memory is not kept
	}
	return data, records, steps, err
}

// forget drops what was gathered.
func (o *outgoing) forget() { *o = outgoing{codec: o.codec} }

func newBuffer() []byte {
	if b, ok := buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 512)
}

func freeBuffer(b []byte) {
	if cap(b) <= keptBytes {
		buffers.Put(&b)
	}
}
