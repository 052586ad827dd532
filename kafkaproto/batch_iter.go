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
	it := iteratorOf(b, fn)
	return it.run()
}

// RecordsWithoutHeaders is Records for those who don't look at Headers, which cost an allocation each.
func RecordsWithoutHeaders(b Batch, fn func(Record) error) error {
	it := iteratorOf(b, fn)
	it.withoutHeaders = true
	return it.run()
}

type recordIterator struct {
	batch          Batch
	fn             func(Record) error
	base           Offset
	baseTime       Timestamp
	appendTime     Timestamp
	fixedTime      bool
	withoutHeaders bool
	raw            rawRecord // the record that fn is given
	headers        []Header  // used again for every record
}

func iteratorOf(b Batch, fn func(Record) error) recordIterator {
	it := recordIterator{batch: b, fn: fn, base: b.BaseOffset(), baseTime: b.BaseTimestamp()}
	if b.TimestampType() == LogAppendTime {
		it.appendTime, it.fixedTime = b.MaxTimestamp(), true
	}
	return it
}

func (it *recordIterator) run() error {
	if it.batch.NumRecords() < 0 {
		return errRecordCount
	}
	if it.batch.Codec() == CodecNone {
		return it.plain()
	}
	return it.packed()
}

func (it *recordIterator) plain() error {
	p := it.batch.RecordBytes()
	for range it.batch.NumRecords() {
		if !parseRecord(p, &it.raw) {
			return errMalformedRecord
		}
		p = p[it.raw.size:]
		if err := it.give(); err != nil {
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
	for range it.batch.NumRecords() {
		if err := u.next(&it.raw); err != nil {
			return err
		}
		if err := it.give(); err != nil {
			return err
		}
	}
	return u.finish()
}

func (it *recordIterator) give() error {
	raw := &it.raw
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
	if raw.numHeaders > 0 && !it.withoutHeaders {
		it.headers = parseHeaders(it.headers[:0], raw)
		r.Headers = it.headers
	}
	return it.fn(r)
}
