package partition

import (
	"errors"
	"math"
	"time"

	"github.com/streambus/streambus/kafkaproto"
)

// produceOneBatch and produceZstd are the first versions of Produce that demand exactly one batch for a partition, and
// that may carry zstd.
const (
	produceOneBatch = 3
	produceZstd     = 7
)

// validate checks the batches of a request against the topic's settings, and returns them as they are to be appended:
// the same bytes, or others where the topic asks for another compression.
func (t *topic) validate(r *AppendRequest, now kafkaproto.Timestamp) ([]byte, error) {
	opts := t.validateOptions(r, now)
	rest, changed := r.Records, false
	var out []byte
	for n := 0; len(rest) > 0 || n == 0; n++ {
		if n == 1 && r.Client && r.Version >= produceOneBatch {
			return nil, kafkaproto.ErrInvalidRecord.With("a produce request of version %d must have exactly one record batch for each partition", r.Version)
		}
		batch, next, err := kafkaproto.NextBatch(rest)
		if err != nil {
			return nil, firstBatchError(r, n, err)
		}
		if err := batch.Validate(opts); err != nil {
			return nil, err
		}
		if r.Client && !t.keep && batch.Codec() != t.codec {
			if !changed { // what came before stays as it is
				out = append(out, r.Records[:len(r.Records)-len(rest)]...)
				changed = true
			}
			if batch, err = t.recompress(batch); err != nil {
				return nil, err
			}
		}
		if changed {
			out = append(out, batch...)
		}
		rest = next
	}
	if !changed {
		out = r.Records
	}
	if len(out) > t.segmentBytes() {
		return nil, kafkaproto.ErrRecordListTooLarge.With("%d bytes are more than segment.bytes (%d)", len(out), t.config.SegmentBytes)
	}
	return out, nil
}

// firstBatchError says of records that hold no batch what Kafka says of them.
func firstBatchError(r *AppendRequest, n int, err error) error {
	if n == 0 && len(r.Records) == 0 && r.Client {
		return kafkaproto.ErrInvalidRecord.With("a produce request must have at least one record batch for each partition")
	}
	return err
}

func (t *topic) validateOptions(r *AppendRequest, now kafkaproto.Timestamp) kafkaproto.ValidateOptions {
	opts := kafkaproto.ValidateOptions{
		Compacted: t.config.CleanupCompact, Now: now,
		BeforeMax: window(t.config.TimestampBeforeMax), AfterMax: window(t.config.TimestampAfterMax),
	}
	if t.logAppendTime {
		opts.TimestampType = kafkaproto.LogAppendTime
	}
	if r.Client {
		opts.MaxBytes, opts.NoZstd = t.config.MaxMessageBytes, r.Version < produceZstd
	} else {
		opts.Internal = true
	}
	return opts
}

// window turns a limit on timestamps into milliseconds.
func window(d time.Duration) int64 {
	if d == math.MaxInt64 {
		return kafkaproto.NoTimestampLimit
	}
	return d.Milliseconds()
}

func (t *topic) segmentBytes() int {
	if t.config.SegmentBytes <= 0 {
		return math.MaxInt
	}
	return int(t.config.SegmentBytes)
}

// recompress makes the batch anew with the topic's codec, as Kafka does where compression.type is not what the producer
// used: the same records and the same producer, other bytes. The result is checked against max.message.bytes again.
func (t *topic) recompress(b kafkaproto.Batch) (kafkaproto.Batch, error) {
	to := kafkaproto.NewBuilder()
	to.BaseOffset, to.LeaderEpoch, to.Codec = b.BaseOffset(), b.PartitionLeaderEpoch(), t.codec
	to.TimestampType, to.Transactional = b.TimestampType(), b.IsTransactional()
	to.ProducerID, to.ProducerEpoch, to.BaseSequence = b.ProducerID(), b.ProducerEpoch(), b.BaseSequence()
	err := kafkaproto.Records(b, func(r kafkaproto.Record) error {
		to.Append(r)
		return nil
	})
	if err != nil {
		return nil, err
	}
	anew, err := to.Batch()
	if err != nil {
		return nil, err
	}
	if limit := t.config.MaxMessageBytes; limit > 0 && len(anew) > limit {
		return nil, kafkaproto.ErrMessageTooLarge.With("compressed with %s the batch has %d bytes, more than max.message.bytes (%d)", t.codec, len(anew), limit)
	}
	return anew, nil
}

// recordErrors are the errors of single records in err, for the clients that show them (KIP-467).
func recordErrors(err error) []kafkaproto.RecordError {
	var e *kafkaproto.RecordErrors
	if errors.As(err, &e) {
		return e.Records
	}
	return nil
}
