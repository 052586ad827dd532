package compat

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func listOffsetsRequest(topic string, timestamp int64, isolation int8) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.Version = 9
	req.ReplicaID, req.IsolationLevel = -1, isolation
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewListOffsetsRequestTopicPartition()
	rp.Timestamp = timestamp
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

func listOffset(t testing.TB, w *wire, topic string, timestamp int64, isolation int8) kmsg.ListOffsetsResponseTopicPartition {
	t.Helper()
	p := w.must(t, listOffsetsRequest(topic, timestamp, isolation)).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		t.Errorf("ListOffsets of %s at %d: code %d", topic, timestamp, p.ErrorCode)
	}
	return p
}

// TestOffsetsByTime are exact to the record inside (compressed) batches; nothing at or after the time is -1 and -1.
func TestOffsetsByTime(t *testing.T) {
	const start = 1_700_000_000_000
	for _, codec := range []int16{codecNone, codecGzip, codecZstd} {
		b := startBroker(t)
		createTopic(t, b, "times", 1)
		w := openWire(t, b.addr)
		for i := range int64(3) { // batches at 0, 100, 200, records 10 apart
			batch := plainBatch()
			batch.codec, batch.first = codec, start+100*i
			for j := range int64(5) {
				batch.records = append(batch.records, kmsg.Record{TimestampDelta64: 10 * j, Value: []byte("x")})
			}
			w.mustProduce(t, "times", 0, batch.bytes())
		}
		for isolation := range int8(2) {
			for _, c := range [][3]int64{ // asked, offset, timestamp
				{0, 0, start}, {start, 0, start}, {start + 1, 1, start + 10}, {start + 10, 1, start + 10},
				{start + 40, 4, start + 40}, {start + 41, 5, start + 100}, {start + 215, 12, start + 220},
				{start + 240, 14, start + 240},
			} {
				if p := listOffset(t, w, "times", c[0], isolation); p.Offset != c[1] || p.Timestamp != c[2] {
					t.Errorf("codec %d, isolation %d: at %d: offset %d, time %d, want %v", codec, isolation, c[0]-start, p.Offset, p.Timestamp-start, c)
				}
			}
			if p := listOffset(t, w, "times", start+241, isolation); p.Offset != -1 || p.Timestamp != -1 {
				t.Errorf("codec %d: after the last: offset %d, time %d, want -1 and -1", codec, p.Offset, p.Timestamp)
			}
		}
		b.stop()
		if againstKafka {
			return
		}
	}
}

// TestSpecialTimestamps: -1 latest, -2 earliest, -3 the record of the largest timestamp, -4 earliest local, -5 latest tiered.
func TestSpecialTimestamps(t *testing.T) {
	const start = 1_700_000_000_000
	b := startBroker(t)
	createTopic(t, b, "special", 1)
	w := openWire(t, b.addr)
	check := func(when string, timestamp, offset, time int64) {
		t.Helper()
		if p := listOffset(t, w, "special", timestamp, 0); p.Offset != offset || p.Timestamp != time {
			t.Errorf("%s: at %d: offset %d, time %d, want %d and %d", when, timestamp, p.Offset, p.Timestamp, offset, time)
		}
	}
	check("empty", -1, 0, -1)
	check("empty", -2, 0, -1)
	check("empty", -3, -1, -1)
	check("empty", -4, 0, -1)
	check("empty", -5, -1, -1)
	for _, at := range []int64{start, start + 500, start + 100} {
		batch := plainBatch([]byte("a"), []byte("b"))
		batch.first = at
		batch.records[1].TimestampDelta64 = 7
		w.mustProduce(t, "special", 0, batch.bytes())
	}
	check("written", -1, 6, -1)
	check("written", -2, 0, -1)
	check("written", -3, 3, start+507)
	check("written", -4, 0, -1)
	check("written", -5, -1, -1)
}
