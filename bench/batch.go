package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// batchHeader is the length of a version 2 batch's fixed part.
const batchHeader = 61

// encodeBatch builds a record batch of version 2 with n records of size bytes each and no producer id, so that the same
// bytes may be sent any number of times. Values are capital letters, different in each record, as those of Kafka's own
// producer-perf-test are: they compress to about six tenths.
func encodeBatch(n, size int, codec string, now time.Time) ([]byte, error) {
	records := encodeRecords(n, size)
	attributes, records, err := compress(codec, records)
	if err != nil {
		return nil, err
	}
	b := make([]byte, batchHeader, batchHeader+len(records))
	be := binary.BigEndian
	be.PutUint32(b[8:], uint32(batchHeader-12+len(records)))
	be.PutUint32(b[12:], 0xffffffff) // leader epoch: -1, the broker's business
	b[16] = 2                        // magic
	be.PutUint16(b[21:], attributes)
	be.PutUint32(b[23:], uint32(n-1)) // last offset delta
	be.PutUint64(b[27:], uint64(now.UnixMilli()))
	be.PutUint64(b[35:], uint64(now.UnixMilli()))
	be.PutUint64(b[43:], ^uint64(0)) // producer id, epoch and base sequence: -1
	be.PutUint16(b[51:], ^uint16(0))
	be.PutUint32(b[53:], ^uint32(0))
	be.PutUint32(b[57:], uint32(n))
	b = append(b, records...)
	be.PutUint32(b[17:], crc32.Checksum(b[21:], castagnoli))
	return b, nil
}

func encodeRecords(n, size int) []byte {
	random := rand.New(rand.NewPCG(1, 2)) // always the same load
	var all, one []byte
	for i := range n {
		one = append(one[:0], 0)                    // attributes
		one = binary.AppendVarint(one, 0)           // timestamp delta
		one = binary.AppendVarint(one, int64(i))    // offset delta
		one = binary.AppendVarint(one, -1)          // no key
		one = binary.AppendVarint(one, int64(size)) // value
		for range size {
			one = append(one, 'A'+byte(random.IntN(26)))
		}
		one = binary.AppendVarint(one, 0) // headers
		all = binary.AppendVarint(all, int64(len(one)))
		all = append(all, one...)
	}
	return all
}

// compress returns the bits of the batch's attributes that name what was used.
func compress(codec string, src []byte) (uint16, []byte, error) {
	var c kgo.CompressionCodec
	switch codec {
	case "none":
		return 0, src, nil
	case "gzip":
		c = kgo.GzipCompression()
	case "snappy":
		c = kgo.SnappyCompression()
	case "lz4":
		c = kgo.Lz4Compression()
	case "zstd":
		c = kgo.ZstdCompression()
	default:
		return 0, nil, fmt.Errorf("unknown compression %q", codec)
	}
	compressor, err := kgo.DefaultCompressor(c)
	if err != nil {
		return 0, nil, err
	}
	out, kind := compressor.Compress(new(bytes.Buffer), src)
	return uint16(kind), bytes.Clone(out), nil
}

// countRecords walks the headers of the batches in b. What is cut off at the end, as brokers may do, is not counted;
// next is the offset behind the last whole batch, or -1.
func countRecords(b []byte) (records int64, next int64) {
	next = -1
	for batch, rest := cutBatch(b); batch != nil; batch, rest = cutBatch(rest) {
		records += batchRecords(batch)
		next = batchNext(batch)
	}
	return records, next
}

// cutBatch cuts the first batch off; nil: there is no whole one.
func cutBatch(b []byte) (batch, rest []byte) {
	if len(b) < batchHeader {
		return nil, nil
	}
	size := int(int32(binary.BigEndian.Uint32(b[8:]))) + 12
	if size < batchHeader || size > len(b) || b[16] != 2 {
		return nil, nil
	}
	return b[:size], b[size:]
}

func batchRecords(batch []byte) int64 { return int64(int32(binary.BigEndian.Uint32(batch[57:]))) }

// batchNext is the offset behind a batch.
func batchNext(batch []byte) int64 {
	return int64(binary.BigEndian.Uint64(batch)) + int64(int32(binary.BigEndian.Uint32(batch[23:]))) + 1
}
