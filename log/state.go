package log

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/streambus/streambus/kafkaproto"
)

// logState is what a log knows beside its ends and entries. It is loaded when first needed.
type logState struct {
	epochs epochTable
	table  *producerTable // nil: no producers with ids are known, as of most idle logs
}

var noProducers producerTable

// producers are the log's producers, to be looked at only.
func (s *logState) producers() *producerTable {
	if s.table == nil {
		return &noProducers
	}
	return s.table
}

// ownProducers are the log's producers, to be changed.
func (s *logState) ownProducers() *producerTable {
	if s.table == nil {
		s.table = &producerTable{}
	}
	return s.table
}

// meta is the part of a log that is read at every start; docs/format/index.md shows the bytes of both.
type meta struct {
	incarnation uint64 // sequence of the frame that created the log
	start, next offset
	high        offset
	checkpoint  uint32 // file with the log's last checkpoint, or with its creation
	quarantined int64  // ms since 1970, 0: no
	runs        uint32 // not used yet: number of sorted runs
}

const metaLen = 8 + 8 + 8 + 8 + 4 + 8 + 4

func (m *meta) encode() []byte {
	be := binary.BigEndian
	b := make([]byte, 0, metaLen)
	b = be.AppendUint64(b, m.incarnation)
	b = be.AppendUint64(b, uint64(m.start))
	b = be.AppendUint64(b, uint64(m.next))
	b = be.AppendUint64(b, uint64(m.high))
	b = be.AppendUint32(b, m.checkpoint)
	b = be.AppendUint64(b, uint64(m.quarantined))
	return be.AppendUint32(b, m.runs)
}

var errState = errors.New("malformed state of a log")

func (m *meta) decode(b []byte) error {
	if len(b) != metaLen {
		return errState
	}
	be := binary.BigEndian
	m.incarnation = be.Uint64(b)
	m.start, m.next = offset(be.Uint64(b[8:])), offset(be.Uint64(b[16:]))
	m.high = offset(be.Uint64(b[24:]))
	m.checkpoint, m.quarantined = be.Uint32(b[32:]), int64(be.Uint64(b[36:]))
	m.runs = be.Uint32(b[44:])
	return nil
}

// encode writes epochs and producers as they are written, sorted, so that equal states have equal bytes. Transactions whose marker is above the high
// watermark are not kept: what depends on the moment would make a rebuilt index differ, and readers skip aborted ones by
// the aborted transactions anyway.
func (s *logState) encode() []byte {
	b := binary.AppendUvarint(nil, uint64(len(s.epochs)))
	for _, e := range s.epochs {
		b = binary.AppendVarint(b, int64(e.epoch))
		b = binary.AppendVarint(b, int64(e.start))
	}
	producers := s.producers().byID
	ids := make([]kafkaproto.ProducerID, 0, len(producers))
	for id, p := range producers {
		if p.written.known() {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		b = producers[id].written.encode(b, id)
	}
	return b
}

func (p *producerData) encode(b []byte, id kafkaproto.ProducerID) []byte {
	b = binary.AppendVarint(b, int64(id))
	b = binary.AppendVarint(b, int64(p.epoch))
	b = binary.AppendVarint(b, int64(p.coordinatorEpoch))
	b = binary.AppendVarint(b, p.lastTime)
	b = binary.AppendVarint(b, int64(p.txnStart))
	b = append(b, p.n)
	for _, m := range p.batches[:p.n] {
		b = binary.AppendVarint(b, int64(m.lastSeq))
		b = binary.AppendVarint(b, int64(m.delta))
		b = binary.AppendVarint(b, int64(m.last))
		b = binary.AppendVarint(b, m.time)
	}
	return b
}

func appendTxns(b []byte, txns []AbortedTxn) []byte {
	for _, a := range txns {
		b = binary.AppendVarint(b, int64(a.Producer))
		b = binary.AppendVarint(b, int64(a.First))
		b = binary.AppendVarint(b, int64(a.Last))
		b = binary.AppendVarint(b, int64(a.LastStable))
	}
	return b
}

// reader takes varints off a slice and remembers whether one was missing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a number of items, each of which takes at least one byte.
func (r *reader) count() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > uint64(len(r.b)) {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) txns(n int) []AbortedTxn {
	var out []AbortedTxn
	for range n {
		if r.bad {
			return nil
		}
		out = append(out, AbortedTxn{
			Producer: kafkaproto.ProducerID(r.int()), First: offset(r.int()), Last: offset(r.int()), LastStable: offset(r.int()),
		})
	}
	return out
}

func (s *logState) decode(b []byte) error {
	r := reader{b: b}
	for n := r.count(); n > 0 && !r.bad; n-- {
		s.epochs = append(s.epochs, epochEntry{kafkaproto.LeaderEpoch(r.int()), offset(r.int())})
	}
	for n := r.count(); n > 0 && !r.bad; n-- {
		id, d := r.producer()
		if r.bad {
			break
		}
		t := s.ownProducers()
		p := t.get(id)
		p.written, p.assigned = d, d
		if d.txnStart >= 0 {
			t.open = append(t.open, openTxn{id, d.txnStart})
		}
	}
	if s.table != nil {
		slices.SortFunc(s.table.open, func(a, b openTxn) int { return int(a.first - b.first) })
	}
	if r.bad || len(r.b) > 0 {
		return errState
	}
	return nil
}

func (r *reader) producer() (kafkaproto.ProducerID, producerData) {
	id := kafkaproto.ProducerID(r.int())
	d := producerData{
		epoch: int16(r.int()), coordinatorEpoch: int32(r.int()), lastTime: r.int(), txnStart: offset(r.int()), n: r.byte(),
	}
	if d.n > keptBatches {
		r.bad = true
		return id, d
	}
	for i := range d.n {
		d.batches[i] = batchMeta{lastSeq: int32(r.int()), delta: int32(r.int()), last: offset(r.int()), time: r.int()}
	}
	return id, d
}

// checkpoint is the body of a checkpoint record: everything that the files about to go knew of a log.
type checkpoint struct {
	meta    meta
	state   []byte
	aborted []AbortedTxn
}

func (c *checkpoint) encode() []byte {
	b := c.meta.encode()
	b = binary.AppendUvarint(b, uint64(len(c.state)))
	b = append(b, c.state...)
	b = binary.AppendUvarint(b, uint64(len(c.aborted)))
	return appendTxns(b, c.aborted)
}

func (c *checkpoint) decode(b []byte) error {
	if len(b) < metaLen {
		return errState
	}
	if err := c.meta.decode(b[:metaLen]); err != nil {
		return err
	}
	r := reader{b: b[metaLen:]}
	n := r.count()
	if r.bad {
		return errState
	}
	c.state, r.b = r.b[:n], r.b[n:]
	c.aborted = r.txns(r.count())
	if r.bad || len(r.b) > 0 {
		return errState
	}
	return nil
}
