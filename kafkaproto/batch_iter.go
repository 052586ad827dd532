package kafkaproto

import "errors"

var (
	errMalformedRecord = ErrInvalidRecord.With("%w", errors.New("record is malformed"))
	errTrailingRecords = ErrInvalidRecord.With("%w", errors.New("bytes are left behind the last record"))
	errRecordCount     = ErrInvalidRecord.With("%w", errors.New("record count does not fit the batch"))
)

// Records calls fn for each record of the batch in order, decompressed within MaxDecompressed. It stops at the first
// error of fn and returns it; a malformed batch gives an error that wraps ErrInvalidRecord, after the records before the
// fault were handed out. A Record's bytes are good until fn returns.
func Records(b Batch, fn func(Record) error) error {
	it := recordIterator{batch: b, fn: fn, base: b.BaseOffset(), baseTime: b.BaseTimestamp()}
	if b.TimestampType() == LogAppendTime {
		it.appendTime, it.fixedTime = b.MaxTimestamp(), true
	}
	if b.NumRecords() < 0 {
		return errRecordCount
	}
	if b.Codec() == CodecNone {
		return it.plain()
	}
	return it.packed()
}

type recordIterator struct {
	batch      Batch
	fn         func(Record) error
	base       Offset
	baseTime   Timestamp
	appendTime Timestamp
	fixedTime  bool
	headers    []Header // used again for every record
}

func (it *recordIterator) plain() error {
	p := it.batch.RecordBytes()
	var raw rawRecord
	for range it.batch.NumRecords() {
		if !parseRecord(p, &raw) {
			return errMalformedRecord
		}
		p = p[raw.size:]
		if err := it.give(&raw); err != nil {
			return err
		}
	}
	if len(p) != 0 {
		return errTrailingRecords
	}
	return nil
}

func (it *recordIterator) packed() error {
	u, err := openUnpacker(it.batch.Codec(), it.batch.RecordBytes(), MaxDecompressed)
	if err != nil {
		return err
	}
	defer u.close()
	var raw rawRecord
	for range it.batch.NumRecords() {
		if err := u.next(&raw); err != nil {
			return err
		}
		if err := it.give(&raw); err != nil {
			return err
		}
	}
	return u.finish()
}

func (it *recordIterator) give(raw *rawRecord) error {
	r := Record{
		Offset:      it.base + Offset(raw.offsetDelta),
		OffsetDelta: int32(raw.offsetDelta),
		Timestamp:   it.baseTime + Timestamp(raw.tsDelta),
		Key:         raw.key,
		Value:       raw.value,
		Size:        raw.size,
	}
	if it.fixedTime {
		r.Timestamp = it.appendTime
	}
	if raw.numHeaders > 0 {
		it.headers = parseHeaders(it.headers[:0], raw)
		r.Headers = it.headers
	}
	return it.fn(r)
}
