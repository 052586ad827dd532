package bench

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// produceVersion is the newest version the driver speaks: the last that names topics by name.
const produceVersion = 12

// correlationAt is where a request frame carries its correlation id: behind length, key and version.
const correlationAt = 8

// produceFrame is one encoded Produce request with one batch for one partition, cut around the batch: head and tail are
// small and its own, the batch is shared by all frames of a run and never written to.
type produceFrame struct{ head, batch, tail []byte }

func newProduceFrame(version int16, topic string, partition int32, acks int16, batch []byte) produceFrame {
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, batch
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = version, acks, 30_000
	req.Topics = append(req.Topics, t)
	frame := formatter.AppendRequest(nil, req, 0)
	tail := 0
	if req.IsFlexible() {
		tail = 3 // the empty tagged fields of partition, topic and request
	}
	cut := len(frame) - tail - len(batch)
	return produceFrame{slices.Clone(frame[:cut]), batch, slices.Clone(frame[len(frame)-tail:])}
}

func (f produceFrame) size() int { return len(f.head) + len(f.batch) + len(f.tail) }

// appendHead appends the head with its correlation id.
func (f produceFrame) appendHead(dst []byte, correlation int32) []byte {
	at := len(dst)
	dst = append(dst, f.head...)
	binary.BigEndian.PutUint32(dst[at+correlationAt:], uint32(correlation))
	return dst
}

// produceErrorAt is where an answer for one partition of one topic carries its error, counted from the correlation id:
// nothing before it varies in length but the topic's name.
func produceErrorAt(version int16, topic string) int {
	if version >= 9 {
		prefix := len(binary.AppendUvarint(nil, uint64(len(topic)+1)))
		return 4 + 1 + 1 + prefix + len(topic) + 1 + 4
	}
	return 4 + 4 + 2 + len(topic) + 4 + 4
}

// produceError decodes an answer that is not a plain success.
func produceError(version int16, body []byte) error {
	resp := kmsg.NewPtrProduceResponse()
	resp.SetVersion(version)
	if err := decode(resp, body[4:]); err != nil {
		return fmt.Errorf("answer to Produce: %w", err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				if p.ErrorMessage != nil {
					return fmt.Errorf("%w (%s)", err, *p.ErrorMessage)
				}
				return err
			}
		}
	}
	return nil
}
