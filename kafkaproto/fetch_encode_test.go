package kafkaproto

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/env"
)

// memFile is a file of spans.
type memFile struct {
	env.File
	data []byte
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) { return copy(p, f.data[off:]), nil }

// flatten is what goes over the wire.
func flatten(t testing.TB, chunks []Chunk) []byte {
	var out []byte
	for _, c := range chunks {
		if c.Span.File == nil {
			out = append(out, c.Bytes...)
			continue
		}
		if c.Bytes != nil {
			t.Error("a chunk has both bytes and a span")
		}
		p := make([]byte, c.Span.Len)
		c.Span.File.ReadAt(p, c.Span.Pos)
		out = append(out, p...)
	}
	return out
}

// kmsgFrame is resp as kmsg encodes it, in a frame.
func kmsgFrame(version int16, correlation int32, resp *FetchResponse) []byte {
	k := kmsg.NewPtrFetchResponse()
	k.Version = version
	k.ThrottleMillis, k.ErrorCode, k.SessionID = resp.ThrottleMillis, resp.ErrorCode, resp.SessionID
	for _, t := range resp.Topics {
		kt := kmsg.NewFetchResponseTopic()
		kt.Topic, kt.TopicID = t.Topic, t.TopicID
		for i := range t.Partitions {
			kt.Partitions = append(kt.Partitions, kmsgPartition(&t.Partitions[i]))
		}
		k.Topics = append(k.Topics, kt)
	}
	for _, b := range resp.Brokers {
		k.Brokers = append(k.Brokers, kmsg.FetchResponseBroker{NodeID: b.NodeID, Host: b.Host, Port: b.Port, Rack: b.Rack})
	}
	frame := AppendResponseHeader(make([]byte, 4), 1, version, correlation)
	frame = k.AppendTo(frame)
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}

func kmsgPartition(p *FetchResponsePartition) kmsg.FetchResponseTopicPartition {
	kp := kmsg.NewFetchResponseTopicPartition()
	kp.Partition, kp.ErrorCode = p.Partition, p.ErrorCode
	kp.HighWatermark, kp.LastStableOffset, kp.LogStartOffset = int64(p.HighWatermark), int64(p.LastStableOffset), int64(p.LogStartOffset)
	kp.DivergingEpoch.Epoch, kp.DivergingEpoch.EndOffset = int32(p.DivergingEpoch.Epoch), int64(p.DivergingEpoch.EndOffset)
	kp.CurrentLeader.LeaderID, kp.CurrentLeader.LeaderEpoch = p.CurrentLeader.LeaderID, int32(p.CurrentLeader.LeaderEpoch)
	kp.SnapshotID.Epoch, kp.SnapshotID.EndOffset = int32(p.SnapshotID.Epoch), int64(p.SnapshotID.EndOffset)
	kp.PreferredReadReplica = p.PreferredReadReplica
	if p.AbortedTransactions != nil {
		kp.AbortedTransactions = []kmsg.FetchResponseTopicPartitionAbortedTransaction{}
	}
	for _, a := range p.AbortedTransactions {
		kp.AbortedTransactions = append(kp.AbortedTransactions,
			kmsg.FetchResponseTopicPartitionAbortedTransaction{ProducerID: int64(a.ProducerID), FirstOffset: int64(a.FirstOffset)})
	}
	kp.RecordBatches = append([]byte{}, p.RecordBytes...)
	for _, s := range p.Records {
		kp.RecordBatches = append(kp.RecordBatches, s.File.(*memFile).data[s.Pos:s.Pos+int64(s.Len)]...)
	}
	return kp
}

func randomFetchResponse(r *rand.Rand) *FetchResponse {
	resp := &FetchResponse{ThrottleMillis: r.Int32(), ErrorCode: int16(r.Uint32()), SessionID: r.Int32()}
	for range r.IntN(4) {
		t := FetchResponseTopic{Topic: randomString(r, 300), Partitions: nil}
		for i := range t.TopicID {
			t.TopicID[i] = byte(r.Uint32())
		}
		for range r.IntN(5) {
			t.Partitions = append(t.Partitions, randomFetchPartition(r))
		}
		resp.Topics = append(resp.Topics, t)
	}
	for range r.IntN(3) * r.IntN(6) {
		b := ResponseBroker{NodeID: r.Int32(), Host: randomString(r, 200), Port: r.Int32()}
		if rack := randomString(r, 10); r.IntN(2) == 0 {
			b.Rack = &rack
		}
		resp.Brokers = append(resp.Brokers, b)
	}
	return resp
}

func randomFetchPartition(r *rand.Rand) FetchResponsePartition {
	p := NewFetchResponsePartition()
	p.Partition, p.ErrorCode = r.Int32(), int16(r.Uint32())
	p.HighWatermark, p.LastStableOffset, p.LogStartOffset = Offset(r.Int64()), Offset(r.Int64()), Offset(r.Int64())
	p.PreferredReadReplica = r.Int32()
	if r.IntN(3) == 0 {
		p.DivergingEpoch = EpochEndOffset{LeaderEpoch(r.Int32()), Offset(r.Int64())}
	}
	if r.IntN(3) == 0 {
		p.CurrentLeader.LeaderID = r.Int32N(3) - 1
	}
	if r.IntN(3) == 0 {
		p.SnapshotID.EndOffset = Offset(r.Int64())
	}
	if r.IntN(2) == 0 {
		p.AbortedTransactions = make([]AbortedTransaction, r.IntN(4), 4)
	}
	for i := range p.AbortedTransactions {
		p.AbortedTransactions[i] = AbortedTransaction{ProducerID(r.Int64()), Offset(r.Int64())}
	}
	f := &memFile{data: []byte(randomString(r, 400))}
	switch r.IntN(3) {
	case 0:
		p.RecordBytes = f.data
	case 1:
		for pos := 0; pos < len(f.data); {
			n := min(1+r.IntN(100), len(f.data)-pos)
			p.Records = append(p.Records, env.Span{File: f, Pos: int64(pos), Len: n})
			pos += n
		}
	}
	return p
}

func randomString(r *rand.Rand, max int) string {
	p := make([]byte, r.IntN(max))
	for i := range p {
		p[i] = byte('a' + r.IntN(26))
	}
	return string(p)
}

func checkFetch(t *testing.T, e *FetchEncoder, version int16, resp *FetchResponse) {
	t.Helper()
	chunks, size := e.Encode(version, 77, resp)
	got, want := flatten(t, chunks), kmsgFrame(version, 77, resp)
	if !bytes.Equal(got, want) || size != len(want) {
		t.Fatalf("version %d: %d bytes (said %d), kmsg has %d\n%x\n%x", version, len(got), size, len(want), got, want)
	}
}

func TestFetchIsEncodedAsKmsgDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var e FetchEncoder
	for i := range 3000 {
		checkFetch(t, &e, int16(i%19), randomFetchResponse(r))
	}
	for version := range int16(19) {
		checkFetch(t, &e, version, &FetchResponse{})
	}
}

func FuzzFetchIsEncodedAsKmsgDoes(f *testing.F) {
	f.Add(uint64(1), uint64(2))
	f.Fuzz(func(t *testing.T, a, b uint64) {
		r := rand.New(rand.NewPCG(a, b))
		var e FetchEncoder
		for version := range int16(19) {
			checkFetch(t, &e, version, randomFetchResponse(r))
		}
	})
}

func TestFetchEncoderCopiesNoRecords(t *testing.T) {
	var e FetchEncoder
	p := NewFetchResponsePartition()
	p.Records = []env.Span{{File: &memFile{}, Len: 1 << 30}}
	resp := &FetchResponse{Topics: []FetchResponseTopic{{Partitions: []FetchResponsePartition{p, p}}}}
	e.Encode(18, 1, resp)
	if n := testing.AllocsPerRun(100, func() { e.Encode(18, 1, resp) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkEncodeFetch(b *testing.B) {
	for _, partitions := range []int{1, 100} {
		b.Run(fmt.Sprint(partitions), func(b *testing.B) {
			resp := &FetchResponse{Topics: []FetchResponseTopic{{}}}
			for range partitions {
				p := NewFetchResponsePartition()
				p.RecordBytes = make([]byte, 1000)
				resp.Topics[0].Partitions = append(resp.Topics[0].Partitions, p)
			}
			var e FetchEncoder
			b.ReportAllocs()
			for b.Loop() {
				e.Encode(17, 1, resp)
			}
		})
	}
}
