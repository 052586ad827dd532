package kafkaproto

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// captured is a frame of testdata/frames.txt.
type captured struct {
	response     bool
	key, version int16
	frame        []byte
}

func (c captured) String() string {
	kind := "request"
	if c.response {
		kind = "response"
	}
	return fmt.Sprintf("%s v%d %s", kmsg.NameForKey(c.key), c.version, kind)
}

func capturedFrames(t testing.TB) []captured {
	t.Helper()
	f, err := os.Open("testdata/frames.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []captured
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		var direction, data string
		var c captured
		if _, err := fmt.Sscan(lines.Text(), &direction, &c.key, &c.version, &data); err != nil {
			t.Fatal(err)
		}
		c.response = direction == "<"
		if c.frame, err = base64.StdEncoding.DecodeString(data); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// capturedBatches are the record batches in captured requests and responses.
func capturedBatches(t testing.TB) []Batch {
	var out []Batch
	for _, c := range capturedFrames(t) {
		var sets [][]byte
		switch m := c.message(t).(type) {
		case *kmsg.ProduceRequest:
			for _, topic := range m.Topics {
				for _, p := range topic.Partitions {
					sets = append(sets, p.Records)
				}
			}
		case *kmsg.FetchResponse:
			for _, topic := range m.Topics {
				for _, p := range topic.Partitions {
					sets = append(sets, p.RecordBatches)
				}
			}
		}
		for _, set := range sets {
			for len(set) > 0 {
				b, rest, err := NextBatch(set)
				if err != nil {
					break // a fetch may end inside a batch
				}
				out, set = append(out, b), rest
			}
		}
	}
	return out
}

// message decodes a captured frame.
func (c captured) message(t testing.TB) any {
	t.Helper()
	if !c.response {
		h, body, err := ParseRequestHeader(c.frame)
		if err != nil || !h.Known() {
			t.Fatalf("%v: header: %v", c, err)
		}
		req, err := DecodeRequest(h.Key, h.Version, body)
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		return req
	}
	res := kmsg.ResponseForKey(c.key)
	res.SetVersion(c.version)
	if err := res.ReadFrom(c.responseBody()); err != nil {
		t.Fatalf("%v: %v", c, err)
	}
	return res
}

func (c captured) responseBody() []byte {
	return c.frame[len(AppendResponseHeader(nil, c.key, c.version, 0)):]
}

func TestCapturedRequestsComeBackByteForByte(t *testing.T) {
	for _, c := range capturedFrames(t) {
		if c.response {
			continue
		}
		h, body, err := ParseRequestHeader(c.frame)
		if err != nil || !h.Known() || h.Key != c.key || h.Version != c.version || h.ClientID == nil {
			t.Fatalf("%v: header %+v, %v", c, h, err)
		}
		if got := c.message(t).(kmsg.Request).AppendTo(nil); !bytes.Equal(got, body) {
			t.Errorf("%v comes back otherwise:\n%x\n%x", c, body, got)
		}
	}
}

func TestCapturedResponsesComeBackByteForByte(t *testing.T) {
	for _, c := range capturedFrames(t) {
		if !c.response {
			continue
		}
		correlation := int32(binary.BigEndian.Uint32(c.frame))
		got := AppendResponseHeader(nil, c.key, c.version, correlation)
		if got = c.message(t).(kmsg.Response).AppendTo(got); !bytes.Equal(got, c.frame) {
			t.Errorf("%v comes back otherwise:\n%x\n%x", c, c.frame, got)
		}
	}
}

func TestCapturedFetchesAreEncodedAsKafkaDid(t *testing.T) {
	n := 0
	var e FetchEncoder
	for _, c := range capturedFrames(t) {
		if !c.response || c.key != keyFetch {
			continue
		}
		n++
		resp := fromKmsg(c.message(t).(*kmsg.FetchResponse))
		chunks, size := e.Encode(c.version, int32(binary.BigEndian.Uint32(c.frame)), resp)
		got := flatten(t, chunks)
		if size != len(got) || int(binary.BigEndian.Uint32(got)) != len(c.frame) || !bytes.Equal(got[4:], c.frame) {
			t.Errorf("%v comes back otherwise:\n%x\n%x", c, c.frame, got)
		}
	}
	if n < 20 {
		t.Errorf("only %d fetches", n)
	}
}

func fromKmsg(k *kmsg.FetchResponse) *FetchResponse {
	resp := &FetchResponse{ThrottleMillis: k.ThrottleMillis, ErrorCode: k.ErrorCode, SessionID: k.SessionID}
	for _, kt := range k.Topics {
		t := FetchResponseTopic{Topic: kt.Topic, TopicID: kt.TopicID}
		for _, kp := range kt.Partitions {
			p := NewFetchResponsePartition()
			p.Partition, p.ErrorCode, p.PreferredReadReplica = kp.Partition, kp.ErrorCode, kp.PreferredReadReplica
			p.HighWatermark, p.LastStableOffset, p.LogStartOffset = Offset(kp.HighWatermark), Offset(kp.LastStableOffset), Offset(kp.LogStartOffset)
			p.DivergingEpoch = EpochEndOffset{LeaderEpoch(kp.DivergingEpoch.Epoch), Offset(kp.DivergingEpoch.EndOffset)}
			p.CurrentLeader = LeaderIDAndEpoch{kp.CurrentLeader.LeaderID, LeaderEpoch(kp.CurrentLeader.LeaderEpoch)}
			if kp.AbortedTransactions != nil {
				p.AbortedTransactions = []AbortedTransaction{}
			}
			for _, a := range kp.AbortedTransactions {
				p.AbortedTransactions = append(p.AbortedTransactions, AbortedTransaction{ProducerID(a.ProducerID), Offset(a.FirstOffset)})
			}
			p.RecordBytes = kp.RecordBatches
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	for _, b := range k.Brokers {
		resp.Brokers = append(resp.Brokers, ResponseBroker{b.NodeID, b.Host, b.Port, b.Rack})
	}
	return resp
}

func TestCapturedBatchesAreValid(t *testing.T) {
	codecs := map[Codec]int{}
	control, transactional := 0, 0
	for _, b := range capturedBatches(t) {
		codecs[b.Codec()]++
		crc := b.CRC()
		opts := open
		opts.Internal = b.IsControl() || b.BaseOffset() != 0
		if err := b.Validate(opts); err != nil {
			t.Errorf("%v: %v\n%x", b.Codec(), err, b)
			continue
		}
		if b.CRC() != crc {
			t.Errorf("%v: the batch was changed\n%x", b.Codec(), b)
		}
		checkRebuilt(t, b)
		if b.IsControl() {
			control++
			if typ, _, err := b.ControlType(); err != nil || typ == ControlUnknown {
				t.Errorf("control type %v, %v", typ, err)
			}
		} else if b.IsTransactional() {
			transactional++
		}
	}
	for _, c := range allCodecs {
		if codecs[c] == 0 {
			t.Errorf("no batch with %v", c)
		}
	}
	if control == 0 || transactional == 0 {
		t.Errorf("%d control batches, %d transactional", control, transactional)
	}
}

// checkRebuilt builds b again from its records: uncompressed ones must come out the same.
func checkRebuilt(t *testing.T, b Batch) {
	t.Helper()
	bb := NewBuilder()
	bb.BaseOffset, bb.LeaderEpoch, bb.Codec = b.BaseOffset(), b.PartitionLeaderEpoch(), b.Codec()
	bb.ProducerID, bb.ProducerEpoch, bb.BaseSequence = b.ProducerID(), b.ProducerEpoch(), b.BaseSequence()
	bb.Transactional, bb.Control = b.IsTransactional(), b.IsControl()
	n := 0
	if err := Records(b, func(r Record) error { n++; bb.Append(r); return nil }); err != nil || n != int(b.NumRecords()) {
		t.Errorf("%d records of %d, %v", n, b.NumRecords(), err)
	}
	again, err := bb.Batch()
	if err != nil {
		t.Fatal(err)
	}
	if b.Codec() == CodecNone && !bytes.Equal(again, b) {
		t.Errorf("built again it differs:\n%x\n%x", b, again)
	}
	if err := again.CheckCRC(); err != nil || again.NumRecords() != b.NumRecords() {
		t.Error(err)
	}
}
