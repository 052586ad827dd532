package kafkaproto

import "encoding/binary"

// answerEncoder appends the parts of a response to buf. It serves Produce and Fetch, which are answered too often for kmsg: that
// asks reflection about what it leaves out, and needs an object for every field that may be.
type answerEncoder struct {
	buf     []byte
	version int16
	compact bool // flexible version: compact lengths, tagged fields
}

// ResponseBroker is where a leader named in CurrentLeader can be reached (KIP-951).
type ResponseBroker struct {
	NodeID int32
	Host   string
	Port   int32
	Rack   *string
}

// LeaderIDAndEpoch names a partition's leader.
type LeaderIDAndEpoch struct {
	LeaderID    int32
	LeaderEpoch LeaderEpoch
}

// noLeader is what is left out.
var noLeader = LeaderIDAndEpoch{-1, NoLeaderEpoch}

func (l LeaderIDAndEpoch) known() bool { return l != noLeader }

// topicHead begins a topic with so many partitions. Both responses name topics by id from version 13 on.
func (e *answerEncoder) topicHead(name string, id TopicID, partitions int) {
	if e.version >= 13 {
		e.buf = append(e.buf, id[:]...)
	} else {
		e.string(name)
	}
	e.length(partitions)
}

// leader writes the tagged field of a partition's leader.
func (e *answerEncoder) leader(tag byte, l LeaderIDAndEpoch) {
	e.buf = append(e.buf, tag, 9) // tag, size
	e.int32(l.LeaderID)
	e.int32(int32(l.LeaderEpoch))
	e.buf = append(e.buf, 0)
}

// brokers writes a response's tagged fields: NodeEndpoints, if there are any.
func (e *answerEncoder) brokers(brokers []ResponseBroker) {
	if len(brokers) == 0 {
		e.buf = append(e.buf, 0)
		return
	}
	e.buf = append(e.buf, 1) // one tagged field
	e.tagged(0, func() {
		e.length(len(brokers))
		for i := range brokers {
			b := &brokers[i]
			e.int32(b.NodeID)
			e.string(b.Host)
			e.int32(b.Port)
			e.nullable(b.Rack)
			e.buf = append(e.buf, 0)
		}
	})
}

// tagged writes one tagged field, whose size comes before its content and isn't known yet. Content is small and holds
// no records.
func (e *answerEncoder) tagged(tag uint64, content func()) {
	e.buf = binary.AppendUvarint(e.buf, tag)
	at := len(e.buf)
	content()
	size := len(e.buf) - at
	var head [binary.MaxVarintLen32]byte
	n := binary.PutUvarint(head[:], uint64(size))
	e.buf = append(e.buf, head[:n]...)
	copy(e.buf[at+n:], e.buf[at:at+size])
	copy(e.buf[at:], head[:n])
}

// length writes the length of an array or of bytes; -1 is null.
func (e *answerEncoder) length(n int) {
	if e.compact {
		e.buf = binary.AppendUvarint(e.buf, uint64(n+1))
	} else {
		e.int32(int32(n))
	}
}

func (e *answerEncoder) string(s string) {
	if e.compact {
		e.buf = binary.AppendUvarint(e.buf, uint64(len(s)+1))
	} else {
		e.int16(int16(len(s)))
	}
	e.buf = append(e.buf, s...)
}

// nullable writes a string that may be null.
func (e *answerEncoder) nullable(s *string) {
	switch {
	case s != nil:
		e.string(*s)
	case e.compact:
		e.buf = append(e.buf, 0)
	default:
		e.int16(-1)
	}
}

func (e *answerEncoder) int16(v int16) { e.buf = binary.BigEndian.AppendUint16(e.buf, uint16(v)) }
func (e *answerEncoder) int32(v int32) { e.buf = binary.BigEndian.AppendUint32(e.buf, uint32(v)) }
func (e *answerEncoder) int64(v int64) { e.buf = binary.BigEndian.AppendUint64(e.buf, uint64(v)) }
