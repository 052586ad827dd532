package compat

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"hash/crc32"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Codecs as they stand in the lowest bits of a batch's attributes.
const (
	codecNone = 0
	codecGzip = 1
	codecZstd = 4
)

// batch makes record batches of version 2 byte by byte, so that a test can say what no client would.
type batch struct {
	producerID int64
	epoch      int16
	sequence   int32
	codec      int16
	first      int64 // timestamp; the others are deltas in the records
	records    []kmsg.Record
}

// plainBatch has no producer id and the time of now.
func plainBatch(values ...[]byte) batch {
	b := batch{producerID: -1, epoch: -1, sequence: -1, first: time.Now().UnixMilli()}
	for _, value := range values {
		b.records = append(b.records, kmsg.Record{Value: value})
	}
	return b
}

// recordBatch is plainBatch's bytes.
func recordBatch(values ...[]byte) []byte { return plainBatch(values...).bytes() }

func (b batch) bytes() []byte {
	var records []byte
	maxDelta := int64(0)
	for i, r := range b.records {
		r.OffsetDelta = int32(i)
		maxDelta = max(maxDelta, r.TimestampDelta64)
		body := r.AppendTo(nil) // with a length of 0, one byte
		r.Length = int32(len(body) - 1)
		records = r.AppendTo(records)
	}
	batch := kmsg.RecordBatch{
		PartitionLeaderEpoch: -1, Magic: 2, Attributes: b.codec, LastOffsetDelta: int32(len(b.records) - 1),
		FirstTimestamp: b.first, MaxTimestamp: b.first + maxDelta, ProducerID: b.producerID, ProducerEpoch: b.epoch,
		FirstSequence: b.sequence, NumRecords: int32(len(b.records)), Records: compress(b.codec, records),
	}
	raw := batch.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], checksum(raw[21:]))
	return raw
}

func compress(codec int16, plain []byte) []byte {
	switch codec {
	case codecGzip:
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		w.Write(plain)
		w.Close()
		return out.Bytes()
	case codecZstd:
		w, _ := zstd.NewWriter(nil)
		defer w.Close()
		return w.EncodeAll(plain, nil)
	default:
		return plain
	}
}

// readBatches gives the headers of the batches in a fetch answer; a piece of a batch at the end is left out.
func readBatches(t testing.TB, raw []byte) []kmsg.RecordBatch {
	t.Helper()
	var all []kmsg.RecordBatch
	for len(raw) >= 61 {
		size := int(binary.BigEndian.Uint32(raw[8:])) + 12
		if size > len(raw) {
			break
		}
		var b kmsg.RecordBatch
		if err := b.ReadFrom(raw[:size]); err != nil {
			t.Fatal(err)
		}
		if got := checksum(raw[21:size]); got != uint32(b.CRC) {
			t.Errorf("batch at %d: CRC %x, want %x", b.FirstOffset, uint32(b.CRC), got)
		}
		all = append(all, b)
		raw = raw[size:]
	}
	return all
}
