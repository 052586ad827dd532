package kafkaproto

import (
	"errors"
	"fmt"
	"math"
)

// ValidateOptions is what a partition asks of the batches that clients append.
type ValidateOptions struct {
	MaxBytes  int  // max.message.bytes; 0: no limit
	Compacted bool // cleanup.policy has compact: every record needs a key
	NoZstd    bool // the request is older than Produce v7

	// TimestampType and the window are the topic's. Now is what the window is around; BeforeMax and AfterMax are
	// message.timestamp.before.max.ms and after.max.ms (NoTimestampLimit: none). Under LogAppendTime no timestamp of
	// the client is looked at.
	TimestampType TimestampType
	Now           Timestamp
	BeforeMax     int64
	AfterMax      int64

	// Internal lets batches through that only a broker writes: control batches, a base offset, the attributes that a
	// broker sets.
	Internal bool

	MaxDecompressed int // bytes; 0: the constant MaxDecompressed
}

// NoTimestampLimit as BeforeMax or AfterMax is Kafka's default for BeforeMax.
const NoTimestampLimit = math.MaxInt64

// maxRecordErrors bounds how many records of one batch are named in an error.
const maxRecordErrors = 1000

// RecordError is the reason why one record of a batch was refused.
type RecordError struct {
	BatchIndex int32 // which record, counted from 0
	Message    string
}

// RecordErrors is the error of a batch that was refused for some of its records. It wraps Kind, which Code finds.
type RecordErrors struct {
	Kind    *Error // ErrInvalidRecord or ErrInvalidTimestamp
	Records []RecordError
	Total   int // how many there were; Records holds the first 1000
}

func (e *RecordErrors) Error() string {
	return fmt.Sprintf("%v (%d records, the first is number %d: %s)", e.Kind, e.Total, e.Records[0].BatchIndex, e.Records[0].Message)
}

// Unwrap is the error's kind.
func (e *RecordErrors) Unwrap() error { return e.Kind }

var (
	errManyBatches = ErrInvalidRecord.With("%w", errors.New("a produce request holds exactly one batch per partition"))
	errBaseOffset  = ErrInvalidRecord.With("%w", errors.New("a client's batch has base offset 0"))
	errControl     = ErrInvalidRecord.With("%w", errors.New("clients can't write control batches"))
	errSequence    = ErrInvalidRecord.With("%w", errors.New("producer id, epoch and sequence of the batch contradict each other"))
	errAppendTime  = ErrInvalidTimestamp.With("%w", errors.New("a client can't set log append time"))
	errHorizon     = ErrInvalidRecord.With("%w", errors.New("a client can't set a delete horizon"))
)

// SingleBatch is the one batch that a partition of a Produce request v3 or later must hold. Format and number are
// INVALID_RECORD if wrong, as with Kafka; lengths are CORRUPT_MESSAGE.
func SingleBatch(buf []byte) (Batch, error) {
	if len(buf) > 16 && buf[16] != magicV2 {
		return nil, ErrInvalidRecord.With("%w: magic %d", errBatchMagic, int8(buf[16]))
	}
	b, rest, err := NextBatch(buf)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 {
		return nil, errManyBatches
	}
	return b, nil
}

// Validate checks a batch as Kafka's LogValidator does before a leader appends what a client sent: size, CRC, header,
// and every record, which means that compressed ones are unpacked. A max timestamp in the header that its records belie
// is put right in place, with the CRC. Errors wrap the Error that the client gets, or are a *RecordErrors.
func (b Batch) Validate(opts ValidateOptions) error {
	if opts.MaxBytes > 0 && len(b) > opts.MaxBytes {
		return ErrMessageTooLarge.With("record batch of %d bytes is larger than max.message.bytes, %d", len(b), opts.MaxBytes)
	}
	if err := b.CheckCRC(); err != nil {
		return err
	}
	if err := b.validateHeader(&opts); err != nil {
		return err
	}
	c := recordCheck{opts: opts, baseTime: int64(b.BaseTimestamp()), maxTime: int64(NoTimestamp)}
	if err := c.all(b); err != nil {
		return err
	}
	if opts.TimestampType != LogAppendTime && !opts.Internal && c.maxTime != int64(b.MaxTimestamp()) {
		b.setMaxTimestamp(Timestamp(c.maxTime))
	}
	return nil
}

func (b Batch) validateHeader(opts *ValidateOptions) error {
	count, codec := b.NumRecords(), b.Codec()
	switch {
	case count <= 0 || b.LastOffsetDelta() != count-1:
		return errRecordCount
	case codec == CodecNone && int64(count)*minRecordLen > int64(len(b.RecordBytes())):
		return errRecordCount
	case !codec.Valid():
		return ErrUnsupportedCompressionType.With("%v is not known", codec)
	case codec == CodecZstd && opts.NoZstd:
		return ErrUnsupportedCompressionType.With("zstd needs Produce v7 or later")
	case b.ProducerID() >= 0 && (b.BaseSequence() < 0 || b.ProducerEpoch() < 0) && !b.IsControl():
		return errSequence
	case b.ProducerID() < 0 && b.IsTransactional():
		return errSequence
	case opts.Internal:
		return nil
	case b.BaseOffset() != 0:
		return errBaseOffset
	case b.IsControl():
		return errControl
	case b.HasDeleteHorizon():
		return errHorizon
	case b.TimestampType() == LogAppendTime:
		return errAppendTime
	}
	return nil
}

// recordCheck walks the records of one batch.
type recordCheck struct {
	opts     ValidateOptions
	baseTime int64
	maxTime  int64
	errs     *RecordErrors
}

func (c *recordCheck) all(b Batch) error {
	var err error
	if b.Codec() == CodecNone {
		err = c.plain(b)
	} else {
		err = c.packed(b)
	}
	if err != nil {
		return err
	}
	if c.errs != nil {
		return c.errs
	}
	return nil
}

func (c *recordCheck) plain(b Batch) error {
	p := b.RecordBytes()
	var raw rawRecord
	singly := false
	for i := int32(0); i < b.NumRecords(); {
		if !singly {
			run := quickRecords(p, i, b.NumRecords())
			if singly = !c.run(&run); !singly {
				p, i = p[run.size:], i+run.records
			}
			if run.records > 0 {
				continue
			}
		}
		if !parseRecord(p, &raw) {
			return errMalformedRecord
		}
		p = p[raw.size:]
		if err := c.record(i, &raw); err != nil {
			return err
		}
		i++
	}
	if len(p) != 0 {
		return errTrailingRecords
	}
	return nil
}

func (c *recordCheck) packed(b Batch) error {
	limit := c.opts.MaxDecompressed
	if limit == 0 {
		limit = MaxDecompressed
	}
	u, err := openUnpacker(b.Codec(), b.RecordBytes(), limit)
	if err != nil {
		return err
	}
	defer u.close()
	var raw rawRecord
	for i := range b.NumRecords() {
		if err := u.check(&raw); err != nil {
			return err
		}
		if err := c.record(i, &raw); err != nil {
			return err
		}
	}
	return u.finish()
}

// run takes a run of records as a whole, or returns false if some of them may be refused.
func (c *recordCheck) run(run *quickRun) bool {
	if run.nullKey && c.opts.Compacted && !c.opts.Internal {
		return false
	}
	if run.records == 0 || c.opts.TimestampType == LogAppendTime {
		return true
	}
	// Between two timestamps that are allowed, and not negative, all are.
	least, greatest := c.baseTime+run.least, c.baseTime+run.greatest
	if least < 0 || greatest < least || !c.opts.Internal && (!c.opts.inWindow(least) || !c.opts.inWindow(greatest)) {
		return false
	}
	c.maxTime = max(c.maxTime, greatest)
	return true
}

func (c *recordCheck) record(i int32, raw *rawRecord) error {
	if raw.offsetDelta != int64(i) {
		return ErrInvalidRecord.With("record %d of the batch has offset delta %d", i, raw.offsetDelta)
	}
	if c.opts.Compacted && raw.key == nil && !c.opts.Internal {
		c.refuse(ErrInvalidRecord, i, "a record of a compacted topic needs a key")
		return nil
	}
	if c.opts.TimestampType == LogAppendTime {
		return nil
	}
	ts := c.baseTime + raw.tsDelta
	c.maxTime = max(c.maxTime, ts)
	if ts != int64(NoTimestamp) && !c.opts.Internal && !c.opts.inWindow(ts) {
		c.refuse(ErrInvalidTimestamp, i, fmt.Sprintf("timestamp %d is outside the window that the topic allows around %d", ts, c.opts.Now))
	}
	return nil
}

// inWindow compares without overflowing, whatever ts is.
func (opts *ValidateOptions) inWindow(ts int64) bool {
	now := int64(opts.Now)
	if ts <= now {
		return ts >= 0 && now-ts <= opts.BeforeMax || ts < 0 && opts.BeforeMax == NoTimestampLimit
	}
	return now >= 0 && ts-now <= opts.AfterMax || opts.AfterMax == NoTimestampLimit
}

// refuse notes a record error. As with Kafka, one wrong timestamp makes the whole error one of timestamps.
func (c *recordCheck) refuse(kind *Error, i int32, message string) {
	if c.errs == nil {
		c.errs = &RecordErrors{Kind: kind}
	}
	if kind == ErrInvalidTimestamp {
		c.errs.Kind = kind
	}
	c.errs.Total++
	if len(c.errs.Records) < maxRecordErrors {
		c.errs.Records = append(c.errs.Records, RecordError{i, message})
	}
}
