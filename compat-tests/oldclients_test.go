package compat

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What Kafka 4 dropped and old clients and devices still send: message sets in Produce 0-2 and Fetch 0-3, ListOffsets 0,
// and clients that do not negotiate.

// oldMessage is a message of format 0 or 1.
func oldMessage(magic int8, attributes int8, offset, timestamp int64, key, value []byte) []byte {
	body := []byte{byte(magic), byte(attributes)}
	if magic == 1 {
		body = binary.BigEndian.AppendUint64(body, uint64(timestamp))
	}
	for _, field := range [][]byte{key, value} {
		if field == nil {
			body = binary.BigEndian.AppendUint32(body, 0xffffffff)
			continue
		}
		body = append(binary.BigEndian.AppendUint32(body, uint32(len(field))), field...)
	}
	out := binary.BigEndian.AppendUint64(nil, uint64(offset))
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)+4))
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(body))
	return append(out, body...)
}

func gzipped(plain []byte) []byte { return compress(codecGzip, plain) }

// parsedMessage is what comes back.
type parsedMessage struct {
	offset, timestamp int64
	magic             int8
	key, value        string
}

// parseMessages reads a message set, also inside gzip, and checks every CRC.
func parseMessages(t testing.TB, set []byte) []parsedMessage {
	t.Helper()
	var all []parsedMessage
	for len(set) >= 26 {
		size := int(binary.BigEndian.Uint32(set[8:]))
		if len(set) < 12+size {
			break
		}
		m, crc, body := parsedMessage{timestamp: -1}, binary.BigEndian.Uint32(set[12:]), set[16:12+size]
		m.offset, m.magic = int64(binary.BigEndian.Uint64(set)), int8(body[0])
		if got := crc32.ChecksumIEEE(body); got != crc {
			t.Errorf("message at %d: CRC %x, want %x", m.offset, crc, got)
		}
		codec, rest := body[1]&7, body[2:]
		if m.magic == 1 {
			m.timestamp, rest = int64(binary.BigEndian.Uint64(rest)), rest[8:]
		}
		key, rest := nullableBytes(rest)
		value, _ := nullableBytes(rest)
		m.key, m.value = string(key), string(value)
		set = set[12+size:]
		switch codec {
		case 0:
			all = append(all, m)
		case codecGzip:
			inner := parseMessages(t, gunzip(t, value))
			if m.magic == 1 { // relative offsets: the wrapper has the last one's
				for i := range inner {
					inner[i].offset += m.offset - int64(len(inner)-1)
				}
			}
			all = append(all, inner...)
		default:
			t.Fatalf("codec %d", codec)
		}
	}
	return all
}

func nullableBytes(b []byte) (field, rest []byte) {
	n := int32(binary.BigEndian.Uint32(b))
	if n < 0 {
		return nil, b[4:]
	}
	return b[4 : 4+n], b[4+n:]
}

func gunzip(t testing.TB, b []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// TestMessageSets: what Produce 0 to 2 sends, plain and compressed, is read by Fetch of every age.
func TestMessageSets(t *testing.T) {
	notKafka(t) // Kafka 4 refuses
	const at = 1_700_000_000_000
	b := startBroker(t)
	for version := int16(0); version <= 2; version++ {
		topic := fmt.Sprintf("old-%d", version)
		createTopic(t, b, topic, 1)
		w := openWire(t, b.addr)
		magic := int8(0)
		if version == 2 {
			magic = 1
		}
		plain := append(oldMessage(magic, 0, 0, at, []byte("k0"), []byte("v0")), oldMessage(magic, 0, 1, at+1, nil, []byte("v1"))...)
		wrapped := oldMessage(magic, codecGzip, 1, at+1, nil, gzipped(plain))
		for i, set := range [][]byte{plain, wrapped} {
			req := produceRequest(topic, 0, set)
			req.Version = version
			p := w.must(t, req).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			if p.ErrorCode != 0 || p.BaseOffset != int64(2*i) {
				t.Fatalf("produce v%d: %+v", version, p)
			}
		}
		for fetch := int16(0); fetch <= 3; fetch++ {
			checkOldFetch(t, w, topic, fetch, magic, at)
		}
		p, err := w.fetch(topic, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		records := 0
		for _, batch := range readBatches(t, p.RecordBatches) {
			records += int(batch.NumRecords)
		}
		if records != 4 {
			t.Errorf("produce v%d: %d records for a new client", version, records)
		}
	}
}

func checkOldFetch(t *testing.T, w *wire, topic string, version int16, sent int8, at int64) {
	t.Helper()
	req := fetchRequest(topic, 0, 0)
	req.Version = version
	p := w.must(t, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
	got := parseMessages(t, p.RecordBatches)
	if p.ErrorCode != 0 || p.HighWatermark != 4 || len(got) != 4 {
		t.Fatalf("fetch v%d of %s: code %d, high watermark %d, %d messages", version, topic, p.ErrorCode, p.HighWatermark, len(got))
	}
	for i, m := range got {
		want := parsedMessage{offset: int64(i), timestamp: -1, value: fmt.Sprintf("v%d", i%2)}
		if i%2 == 0 {
			want.key = "k0"
		}
		if version >= 2 {
			want.magic = 1
			if sent == 1 {
				want.timestamp = at + int64(i%2)
			}
		}
		if m != want {
			t.Errorf("fetch v%d of %s: %+v, want %+v", version, topic, m, want)
		}
	}
}

// TestNewRecordsForOldFetchers: compressed batches with headers, as messages without them.
func TestNewRecordsForOldFetchers(t *testing.T) {
	notKafka(t) // Kafka 4 has dropped these versions
	b := startBroker(t)
	createTopic(t, b, "new", 1)
	w := openWire(t, b.addr)
	batch := plainBatch([]byte("one"), []byte("two"), nil)
	batch.codec = codecGzip
	batch.records[0].Headers = []kmsg.Header{{Key: "h", Value: []byte("x")}}
	batch.records[2].Key = []byte("tombstone")
	w.mustProduce(t, "new", 0, batch.bytes())
	for version := int16(0); version <= 3; version++ {
		for offset := range int64(3) { // from within the batch, too
			req := fetchRequest("new", 0, offset)
			req.Version = version
			p := w.must(t, req).(*kmsg.FetchResponse).Topics[0].Partitions[0]
			got := parseMessages(t, p.RecordBatches)
			if p.ErrorCode != 0 || len(got) == 0 || got[len(got)-1].offset != 2 || got[len(got)-1].key != "tombstone" || got[0].offset > offset {
				t.Errorf("fetch v%d at %d: code %d, %+v", version, offset, p.ErrorCode, got)
			}
		}
	}
}

func TestOldListOffsets(t *testing.T) {
	notKafka(t) // Kafka 4 begins with version 1
	b := startBroker(t)
	createTopic(t, b, "old-offsets", 1)
	w := openWire(t, b.addr)
	for range 3 {
		w.mustProduce(t, "old-offsets", 0, recordBatch([]byte("x")))
	}
	for timestamp, want := range map[int64]int64{-1: 3, -2: 0} {
		req := listOffsetsRequest("old-offsets", timestamp, 0)
		req.Version = 0
		req.Topics[0].Partitions[0].MaxNumOffsets = 1
		p := w.must(t, req).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
		if p.ErrorCode != 0 || len(p.OldStyleOffsets) != 1 || p.OldStyleOffsets[0] != want {
			t.Errorf("at %d: code %d, offsets %v, want [%d]", timestamp, p.ErrorCode, p.OldStyleOffsets, want)
		}
	}
}

// TestLibrdkafkaWithoutNegotiation runs kcat as old as it can be told to be.
func TestLibrdkafkaWithoutNegotiation(t *testing.T) {
	notKafka(t)
	needTool(t, "kcat")
	c := realInput(t)
	c = &corpus{lines: c.lines[:2000]}
	path := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(path, append(bytes.Join(c.lines, []byte("\n")), '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	b := startBroker(t)
	for _, version := range []string{"0.8.2", "0.9.0", "0.10.0", "0.10.2"} {
		for _, codec := range []string{"none", "gzip", "snappy", "lz4"} {
			old := []string{"-X", "api.version.request=false", "-X", "broker.version.fallback=" + version}
			topic := "fallback-" + version + "-" + codec
			createTopic(t, b, topic, 2)
			args := append([]string{"kcat", "-P", "-b", b.addr, "-t", topic, "-z", codec, "-l"}, old...)
			runClient(t, "", append(args, path)...)
			args = append([]string{"kcat", "-C", "-b", b.addr, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p %s\n"}, old...)
			k := newChecker(c, 2)
			for line := range strings.Lines(string(runClient(t, "", args...))) {
				p, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
				k.add(int(p[0]-'0'), []byte(value))
			}
			k.done(t, "kcat as of "+version+" with "+codec)
		}
	}
}

// TestSaramaWithoutNegotiation: Sarama before 1.46 sends what its configured version says.
func TestSaramaWithoutNegotiation(t *testing.T) {
	b := startBroker(t)
	versions := []sarama.KafkaVersion{sarama.V2_0_0_0, sarama.V2_8_0_0}
	if !againstKafka {
		versions = append(versions, sarama.V0_8_2_0, sarama.V0_10_2_0, sarama.V0_11_0_0, sarama.V1_0_0_0)
	}
	for _, version := range versions {
		t.Run(version.String(), func(t *testing.T) {
			topic := "sarama-" + version.String()
			createTopic(t, b, topic, 1)
			config := sarama.NewConfig()
			config.Version = version
			config.ApiVersionsRequest = false
			config.Producer.Return.Successes = true
			config.Producer.RequiredAcks = sarama.WaitForAll
			config.Producer.Compression = sarama.CompressionGZIP
			saramaRoundTrip(t, b, topic, config)
		})
	}
}

func saramaRoundTrip(t *testing.T, b *broker, topic string, config *sarama.Config) {
	producer, err := sarama.NewSyncProducer([]string{b.addr}, config)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	const n = 200
	var messages []*sarama.ProducerMessage
	for i := range n {
		messages = append(messages, &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(fmt.Sprint(i))})
	}
	if err := producer.SendMessages(messages); err != nil {
		t.Fatal(err)
	}
	consumer, err := sarama.NewConsumer([]string{b.addr}, config)
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	defer partition.Close()
	timeout := time.After(30 * time.Second)
	for i := range n {
		select {
		case m := <-partition.Messages():
			if string(m.Value) != fmt.Sprint(i) || m.Offset != int64(i) {
				t.Fatalf("message %d is %q at %d", i, m.Value, m.Offset)
			}
		case <-timeout:
			t.Fatalf("%d of %d messages", i, n)
		}
	}
}
