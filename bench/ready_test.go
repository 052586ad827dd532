package bench

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// readyCluster has two brokers and a topic of seven partitions, of which all but the last have records.
func readyCluster(t *testing.T) (*kfake.Cluster, ReadyOptions) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(7, "bench"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	_, err = Produce(t.Context(), ProduceOptions{Target: Target{Bootstrap: c.ListenAddrs()}, BatchRecords: 3, Records: 3 * 7 * 4, Acks: -1})
	if err != nil {
		t.Fatal(err)
	}
	return c, ReadyOptions{Bootstrap: c.ListenAddrs()[:1], Batch: 2, Timeout: 20 * time.Second}
}

// ordered says whether the times of a result follow one another.
func ordered(r *ReadyResult) bool {
	return 0 < r.Answered && r.Answered <= r.Located && r.Located < r.Listed && r.Listed < r.Produced && r.Fetched < r.Produced &&
		r.Located < r.FirstAck && r.FirstAck <= r.Produced
}

func TestEveryPartitionIsReady(t *testing.T) {
	_, o := readyCluster(t)
	r, err := Ready(t.Context(), o)
	if err != nil || r.Partitions != 7 || r.Retries != 0 || !ordered(r) {
		t.Fatalf("%+v, %v", r, err)
	}
	batch, err := encodeBatch(3, 100, "none", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if want := int64((7 - r.Empty) * len(batch)); r.FetchBytes != want {
		t.Errorf("%d bytes of last batches, want %d: %+v", r.FetchBytes, want, r)
	}
	again, err := Ready(t.Context(), o) // now each ends with the record that it got
	if err != nil || again.Empty != 0 || again.FetchBytes >= int64(7*len(batch)) {
		t.Errorf("the second time: %+v, %v", again, err)
	}
}

func TestWhoeverIsNotReadyIsAskedAgain(t *testing.T) {
	for name, key := range map[string]int16{"metadata": int16(kmsg.Metadata), "ends": int16(kmsg.ListOffsets), "batches": int16(kmsg.Fetch), "records": int16(kmsg.Produce)} {
		t.Run(name, func(t *testing.T) {
			c, o := readyCluster(t)
			var asked atomic.Int64
			c.ControlKey(key, func(req kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				if asked.Add(1) > 3 {
					return nil, nil, false
				}
				return refusal(req, kerr.NotLeaderForPartition.Code), nil, true
			})
			r, err := Ready(t.Context(), o)
			if err != nil || r.Retries < 3 || !ordered(r) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

func TestATopicThatIsForbiddenIsNoWait(t *testing.T) {
	c, o := readyCluster(t)
	c.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return refusal(req, kerr.TopicAuthorizationFailed.Code), nil, true
	})
	r, err := Ready(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "TOPIC_AUTHORIZATION_FAILED") || r.Listed != 0 || r.Produced != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestALostEndIsSeen has a broker forget that it had the last batch of a partition.
func TestALostEndIsSeen(t *testing.T) {
	c, o := readyCluster(t)
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return refusal(req, 0), nil, true // at offset 0
	})
	if r, err := Ready(t.Context(), o); err == nil || !strings.Contains(err.Error(), "the next record is at 0") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestABrokerThatNeverComesIsAnError(t *testing.T) {
	r, err := Ready(t.Context(), ReadyOptions{Bootstrap: []string{"127.0.0.1:1"}, Timeout: 20 * time.Millisecond})
	if err == nil || r.Answered != 0 || r.Retries == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// refusal answers all partitions of a request with a code.
func refusal(req kmsg.Request, code int16) kmsg.Response {
	switch req := req.(type) {
	case *kmsg.MetadataRequest:
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		t := kmsg.NewMetadataResponseTopic()
		t.Topic, t.ErrorCode = req.Topics[0].Topic, code
		resp.Topics = append(resp.Topics, t)
		return resp
	case *kmsg.ListOffsetsRequest:
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		t := kmsg.NewListOffsetsResponseTopic()
		t.Topic = req.Topics[0].Topic
		for _, p := range req.Topics[0].Partitions {
			r := kmsg.NewListOffsetsResponseTopicPartition()
			r.Partition, r.ErrorCode = p.Partition, code
			t.Partitions = append(t.Partitions, r)
		}
		resp.Topics = append(resp.Topics, t)
		return resp
	case *kmsg.FetchRequest:
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		t := kmsg.NewFetchResponseTopic()
		t.Topic = req.Topics[0].Topic
		for _, p := range req.Topics[0].Partitions {
			r := kmsg.NewFetchResponseTopicPartition()
			r.Partition, r.ErrorCode = p.Partition, code
			t.Partitions = append(t.Partitions, r)
		}
		resp.Topics = append(resp.Topics, t)
		return resp
	case *kmsg.ProduceRequest:
		resp := req.ResponseKind().(*kmsg.ProduceResponse)
		t := kmsg.NewProduceResponseTopic()
		t.Topic = req.Topics[0].Topic
		for _, p := range req.Topics[0].Partitions {
			r := kmsg.NewProduceResponseTopicPartition()
			r.Partition, r.ErrorCode = p.Partition, code
			t.Partitions = append(t.Partitions, r)
		}
		resp.Topics = append(resp.Topics, t)
		return resp
	}
	return nil
}
