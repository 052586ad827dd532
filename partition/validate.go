package partition

import (
	"errors"
	"io"
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
	if r.Client && r.Version >= produceOneBatch {
		if _, err := kafkaproto.SingleBatch(r.Records); err != nil {
			return nil, noBatch(err)
		}
	}
	opts := t.validateOptions(r, now)
	var anew []byte // what is appended instead, once a batch had to change
	for at := 0; at < len(r.Records) || at == 0; {
		batch, _, err := kafkaproto.NextBatch(r.Records[at:])
		if err != nil {
			return nil, err
		}
		if err := batch.Validate(opts); err != nil {
			return nil, err
		}
		if r.Client && !t.keep && batch.Codec() != t.codec {
			if anew == nil {
				anew = append(make([]byte, 0, len(r.Records)), r.Records[:at]...)
			}
			if anew, err = t.recompress(anew, batch); err != nil {
				return nil, err
			}
		} else if anew != nil {
			anew = append(anew, batch...)
		}
		at += len(batch)
	}
	if anew == nil {
		anew = r.Records
	}
	if len(anew) > t.segmentBytes() {
		return nil, kafkaproto.ErrRecordListTooLarge.With("%d bytes are more than segment.bytes, %d", len(anew), t.config.SegmentBytes)
	}
	return anew, nil
}

// noBatch says of records that end before their first batch does what Kafka says of them: there is none.
func noBatch(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return kafkaproto.ErrInvalidRecord.With("there is no whole record batch: %w", err)
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

// recompress appends to dst the batch made anew with the topic's codec, as Kafka does where compression.type is not what
// the producer used: the same records and the same producer, other bytes. The result must fit max.message.bytes too.
func (t *topic) recompress(dst []byte, b kafkaproto.Batch) ([]byte, error) {
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
	before := len(dst)
	if dst, err = to.AppendBatch(dst); err != nil {
		return nil, err
	}
	if n, limit := len(dst)-before, t.config.MaxMessageBytes; limit > 0 && n > limit {
		return nil, kafkaproto.ErrMessageTooLarge.With("record batch of %d bytes, after compression to %s, is larger than max.message.bytes, %d", n, t.codec, limit)
	}
	return dst, nil
}

// recordErrors are the errors of single records in err, for the clients that show them (KIP-467).
func recordErrors(err error) []kafkaproto.RecordError {
	var e *kafkaproto.RecordErrors
	if errors.As(err, &e) {
		return e.Records
	}
	return nil
}
