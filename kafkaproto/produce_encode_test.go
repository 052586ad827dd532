package kafkaproto

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func randomProduceResponse(r *rand.Rand) *ProduceResponse {
	resp := &ProduceResponse{ThrottleMillis: r.Int32(), Brokers: randomFetchResponse(r).Brokers}
	for range r.IntN(4) {
		t := ProduceResponseTopic{Topic: randomString(r, 300)}
		for i := range t.TopicID {
			t.TopicID[i] = byte(r.Uint32())
		}
		for range r.IntN(5) {
			p := NewProduceResponsePartition(r.Int32())
			p.ErrorCode, p.BaseOffset, p.LogAppendTime, p.LogStart = int16(r.Uint32()), Offset(r.Int64()), Timestamp(r.Int64()), Offset(r.Int64())
			for range r.IntN(2) * r.IntN(4) {
				p.RecordErrors = append(p.RecordErrors, RecordError{BatchIndex: r.Int32(), Message: randomString(r, 1+r.IntN(200))})
			}
			if text := randomString(r, 200); r.IntN(3) == 0 {
				p.ErrorMessage = &text
			}
			if r.IntN(3) == 0 {
				p.CurrentLeader = LeaderIDAndEpoch{r.Int32N(3) - 1, LeaderEpoch(r.Int32N(3) - 1)}
			}
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

// kmsgProduce is resp as kmsg encodes it.
func kmsgProduce(resp *ProduceResponse) []byte {
	k := kmsg.NewPtrProduceResponse()
	k.Version, k.ThrottleMillis = resp.Version, resp.ThrottleMillis
	for _, t := range resp.Topics {
		kt := kmsg.NewProduceResponseTopic()
		kt.Topic, kt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			kp := kmsg.NewProduceResponseTopicPartition()
			kp.Partition, kp.ErrorCode, kp.ErrorMessage = p.Partition, p.ErrorCode, p.ErrorMessage
			kp.BaseOffset, kp.LogAppendTime, kp.LogStartOffset = int64(p.BaseOffset), int64(p.LogAppendTime), int64(p.LogStart)
			if resp.Version >= 10 { // kmsg writes it in version 9 too, which Kafka's has not
				kp.CurrentLeader.LeaderID, kp.CurrentLeader.LeaderEpoch = p.CurrentLeader.LeaderID, int32(p.CurrentLeader.LeaderEpoch)
			}
			for _, e := range p.RecordErrors {
				ke := kmsg.NewProduceResponseTopicPartitionErrorRecord()
				ke.RelativeOffset = e.BatchIndex
				if text := e.Message; text != "" {
					ke.ErrorMessage = &text
				}
				kp.ErrorRecords = append(kp.ErrorRecords, ke)
			}
			kt.Partitions = append(kt.Partitions, kp)
		}
		k.Topics = append(k.Topics, kt)
	}
	for _, b := range resp.Brokers {
		if resp.Version < 10 {
			break
		}
		k.Brokers = append(k.Brokers, kmsg.ProduceResponseBroker{NodeID: b.NodeID, Host: b.Host, Port: b.Port, Rack: b.Rack})
	}
	return k.AppendTo(nil)
}

func TestProduceResponsesAreThoseOfKmsg(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		resp := randomProduceResponse(r)
		for resp.Version = 0; resp.Version <= 13; resp.Version++ {
			before := []byte("before")
			if got, want := resp.AppendTo(before), kmsgProduce(resp); !bytes.Equal(got, append(before, want...)) {
				t.Fatalf("v%d: %+v\n%x\n%x", resp.Version, resp, got, want)
			}
		}
	}
}
