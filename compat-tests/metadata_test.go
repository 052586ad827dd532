package compat

import (
	"encoding/base64"
	"math"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func metadata(version int16, topics ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = version
	req.AllowAutoTopicCreation = true
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, topic := range topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &topic
		req.Topics = append(req.Topics, rt)
	}
	return req
}

// describe is a topic's metadata once it is there without error.
func describe(t testing.TB, w *wire, version int16, topic string) (*kmsg.MetadataResponse, kmsg.MetadataResponseTopic) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		resp := w.must(t, metadata(version, topic)).(*kmsg.MetadataResponse)
		if len(resp.Topics) == 1 && resp.Topics[0].ErrorCode == 0 {
			return resp, resp.Topics[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("metadata of %s: %+v", topic, resp.Topics)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestMetadataCreatesTopics: asked with allowAutoTopicCreation (always true before version 4) a topic appears, and what
// is said until it is there is retriable.
func TestMetadataCreatesTopics(t *testing.T) {
	b := startBroker(t)
	w := openWire(t, b.addr)
	for _, version := range []int16{0, 1, 3, 4, 12} {
		topic := "auto-" + string(rune('a'+version))
		first := w.must(t, metadata(version, topic)).(*kmsg.MetadataResponse).Topics[0]
		if first.ErrorCode != 0 && first.ErrorCode != 3 && first.ErrorCode != 5 {
			t.Errorf("version %d: code %d is not retriable", version, first.ErrorCode)
		}
		if _, rt := describe(t, w, version, topic); len(rt.Partitions) == 0 {
			t.Errorf("version %d: no partitions", version)
		}
	}
	req := metadata(12, "not-wanted")
	req.AllowAutoTopicCreation = false
	for range 3 {
		if code := w.must(t, req).(*kmsg.MetadataResponse).Topics[0].ErrorCode; code != 3 {
			t.Errorf("without allowAutoTopicCreation: code %d, want UNKNOWN_TOPIC_OR_PARTITION", code)
		}
	}
	for _, name := range []string{"with space", "..", "a/b"} {
		if code := w.must(t, metadata(12, name)).(*kmsg.MetadataResponse).Topics[0].ErrorCode; code != 17 {
			t.Errorf("topic %q: code %d, want INVALID_TOPIC_EXCEPTION", name, code)
		}
	}
}

// TestCreatedTopicIsUsableAtOnce: after CreateTopics has answered, a produce to each partition over another connection
// works or gives a retriable error; within a moment it works.
func TestCreatedTopicIsUsableAtOnce(t *testing.T) {
	b := startBroker(t)
	w := openWire(t, b.addr)
	for i := range 20 {
		topic := "fresh-" + string(rune('a'+i))
		createTopic(t, b, topic, 3)
		for p := range int32(3) {
			for try := 0; ; try++ {
				_, code, err := w.produce(topic, p, recordBatch([]byte("x")))
				if err != nil || try > 100 {
					t.Fatalf("%s-%d: code %d after %d tries, %v", topic, p, code, try, err)
				}
				if code == 0 {
					break
				}
				if e := retriable[code]; !e {
					t.Fatalf("%s-%d: code %d is not retriable", topic, p, code)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
}

// retriable are the codes a client tries again after, of those a produce can get here.
var retriable = map[int16]bool{3: true, 5: true, 6: true, 7: true, 19: true, 56: true, 100: true}

// TestAdvertisedAddress is what clients are told, not what the broker listens on.
func TestAdvertisedAddress(t *testing.T) {
	notKafka(t)
	b := newBroker(t, "--advertise", "broker.example.com:19092")
	b.start()
	resp := openWire(t, b.addr).must(t, metadata(12)).(*kmsg.MetadataResponse)
	if len(resp.Brokers) != 1 || resp.Brokers[0].Host != "broker.example.com" || resp.Brokers[0].Port != 19092 {
		t.Errorf("brokers %+v", resp.Brokers)
	}
}

// TestNothingIsZeroThatMeansNone: what is absent is -1, not Go's zero.
func TestNothingIsZeroThatMeansNone(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "none", 1)
	w := openWire(t, b.addr)
	w.mustProduce(t, "none", 0, recordBatch([]byte("x")))
	p, err := w.fetch("none", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if p.PreferredReadReplica != -1 {
		t.Errorf("PreferredReadReplica %d", p.PreferredReadReplica)
	}
	if p.DivergingEpoch.Epoch != -1 || p.DivergingEpoch.EndOffset != -1 || p.CurrentLeader.LeaderID != -1 || p.SnapshotID.EndOffset != -1 {
		t.Errorf("diverging epoch %+v, current leader %+v, snapshot %+v", p.DivergingEpoch, p.CurrentLeader, p.SnapshotID)
	}
	resp := w.must(t, produceRequest("none", 0, recordBatch([]byte("x")))).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if resp.LogAppendTime != -1 || resp.LogStartOffset != 0 {
		t.Errorf("logAppendTime %d, logStartOffset %d, want -1 and 0", resp.LogAppendTime, resp.LogStartOffset)
	}
	missing, err := w.fetch("none", 7, 0)
	if err != nil || missing.ErrorCode != 3 || missing.HighWatermark != -1 || missing.LastStableOffset != -1 || missing.LogStartOffset != -1 {
		t.Errorf("an unknown partition: %+v, %v", missing, err)
	}
	meta, rt := describe(t, w, 12, "none")
	if meta.AuthorizedOperations != math.MinInt32 || rt.AuthorizedOperations != math.MinInt32 {
		t.Errorf("authorized operations that nobody asked for: %d, %d", meta.AuthorizedOperations, rt.AuthorizedOperations)
	}
	if rt.Partitions[0].LeaderEpoch < 0 {
		t.Errorf("leader epoch %d", rt.Partitions[0].LeaderEpoch)
	}
}

// TestAuthorizedOperations: without ACLs everything is allowed to everyone who asks.
func TestAuthorizedOperations(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "operations", 1)
	w := openWire(t, b.addr)
	req := metadata(8, "operations")
	req.IncludeClusterAuthorizedOperations, req.IncludeTopicAuthorizedOperations = true, true
	resp := w.must(t, req).(*kmsg.MetadataResponse)
	t.Logf("topic %b, cluster %b", resp.Topics[0].AuthorizedOperations, resp.AuthorizedOperations)
	for _, bit := range []int{3, 4, 5, 6, 7, 8, 10, 11} { // read, write, create, delete, alter, describe, describe/alter configs
		if resp.Topics[0].AuthorizedOperations>>bit&1 == 0 {
			t.Errorf("topic operation %d is not there: %b", bit, resp.Topics[0].AuthorizedOperations)
		}
	}
	for _, bit := range []int{5, 7, 8, 9, 10, 11, 12} {
		if resp.AuthorizedOperations>>bit&1 == 0 {
			t.Errorf("cluster operation %d is not there: %b", bit, resp.AuthorizedOperations)
		}
	}
	for version := range int16(3) {
		cluster := kmsg.NewPtrDescribeClusterRequest()
		cluster.Version = version
		cluster.IncludeClusterAuthorizedOperations = true
		answer := w.must(t, cluster).(*kmsg.DescribeClusterResponse)
		if answer.ErrorCode != 0 || answer.ClusterAuthorizedOperations != resp.AuthorizedOperations {
			t.Errorf("DescribeCluster v%d: code %d, operations %b", version, answer.ErrorCode, answer.ClusterAuthorizedOperations)
		}
	}
}

// TestClusterIdentity: the controller is one of the brokers listed, and the cluster id is 22 characters of base64url that
// outlive a restart.
func TestClusterIdentity(t *testing.T) {
	b := startBroker(t)
	var id string
	for round := range 2 {
		w := openWire(t, b.addr)
		resp := w.must(t, metadata(12)).(*kmsg.MetadataResponse)
		if resp.ClusterID == nil || len(*resp.ClusterID) != 22 {
			t.Fatalf("cluster id %v", resp.ClusterID)
		}
		if _, err := base64.RawURLEncoding.DecodeString(*resp.ClusterID); err != nil {
			t.Error(err)
		}
		if round == 1 && *resp.ClusterID != id {
			t.Errorf("cluster id %s, before the restart %s", *resp.ClusterID, id)
		}
		id = *resp.ClusterID
		if len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != resp.ControllerID {
			t.Errorf("controller %d, brokers %+v", resp.ControllerID, resp.Brokers)
		}
		cluster := kmsg.NewPtrDescribeClusterRequest()
		cluster.Version = 1
		answer := w.must(t, cluster).(*kmsg.DescribeClusterResponse)
		if answer.ClusterID != id || len(answer.Brokers) != 1 || answer.ControllerID != answer.Brokers[0].NodeID {
			t.Errorf("DescribeCluster: %+v", answer)
		}
		if round == 0 {
			b.stop()
			b.start()
		}
	}
}

func TestDescribeClusterForControllers(t *testing.T) {
	b := startBroker(t)
	req := kmsg.NewPtrDescribeClusterRequest()
	req.Version = 1
	req.EndpointType = 2
	resp := openWire(t, b.addr).must(t, req).(*kmsg.DescribeClusterResponse)
	if resp.ErrorCode != 114 {
		t.Errorf("code %d, want MISMATCHED_ENDPOINT_TYPE", resp.ErrorCode)
	}
}

// TestTopicIDs: produce, fetch and metadata by id; an id that nobody has is UNKNOWN_TOPIC_ID, which clients retry.
func TestTopicIDs(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "by-id", 1)
	w := openWire(t, b.addr)
	_, rt := describe(t, w, 12, "by-id")
	if rt.TopicID == [16]byte{} {
		t.Fatal("no topic id")
	}
	produce := produceRequest("", 0, recordBatch([]byte("x")))
	produce.Version = 13
	produce.Topics[0].TopicID = rt.TopicID
	if p := w.must(t, produce).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 {
		t.Errorf("produce by id: code %d", p.ErrorCode)
	}
	fetch := fetchRequest("", 0, 0)
	fetch.Version = 13
	fetch.Topics[0].TopicID = rt.TopicID
	if p := w.must(t, fetch).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
		t.Errorf("fetch by id: code %d, %d bytes", p.ErrorCode, len(p.RecordBatches))
	}
	byID := metadata(12)
	ask := kmsg.NewMetadataRequestTopic()
	ask.TopicID = rt.TopicID
	byID.Topics = append(byID.Topics, ask)
	if got := w.must(t, byID).(*kmsg.MetadataResponse).Topics[0]; got.ErrorCode != 0 || got.Topic == nil || *got.Topic != "by-id" {
		t.Errorf("metadata by id: %+v", got)
	}

	unknown := [16]byte{1, 2, 3}
	produce.Topics[0].TopicID, fetch.Topics[0].TopicID, byID.Topics[0].TopicID = unknown, unknown, unknown
	if p := w.must(t, produce).(*kmsg.ProduceResponse).Topics[0].Partitions[0]; p.ErrorCode != 100 {
		t.Errorf("produce to an unknown id: code %d", p.ErrorCode)
	}
	if p := w.must(t, fetch).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != 100 {
		t.Errorf("fetch of an unknown id: code %d", p.ErrorCode)
	}
	if got := w.must(t, byID).(*kmsg.MetadataResponse).Topics[0]; got.ErrorCode != 100 {
		t.Errorf("metadata of an unknown id: code %d", got.ErrorCode)
	}
}

// TestRecreatedTopicHasAnotherID: a client that holds the old id is told, and one that asks by name goes on.
func TestRecreatedTopicHasAnotherID(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "again", 1)
	w := openWire(t, b.addr)
	_, before := describe(t, w, 12, "again")
	w.mustProduce(t, "again", 0, recordBatch([]byte("old")))
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version = 6
	del.TimeoutMillis = 10_000
	name := "again"
	del.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}
	if got := w.must(t, del).(*kmsg.DeleteTopicsResponse).Topics[0]; got.ErrorCode != 0 {
		t.Fatalf("delete: code %d", got.ErrorCode)
	}
	createTopic(t, b, "again", 1)
	_, after := describe(t, w, 12, "again")
	if before.TopicID == after.TopicID {
		t.Error("the same id again")
	}
	fetch := fetchRequest("", 0, 0)
	fetch.Version = 13
	fetch.Topics[0].TopicID = before.TopicID
	if p := w.must(t, fetch).(*kmsg.FetchResponse).Topics[0].Partitions[0]; p.ErrorCode != 100 {
		t.Errorf("fetch of the deleted topic's id: code %d, %d bytes", p.ErrorCode, len(p.RecordBatches))
	}
	client := openClient(t, b)
	if record, err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "again", Value: []byte("new")}).First(); err != nil || record.Offset != 0 {
		t.Errorf("the new topic starts at %v, %v", record, err)
	}
}

// TestLogStartOffset stands in fetch answers and moves with DeleteRecords.
func TestLogStartOffset(t *testing.T) {
	b := startBroker(t)
	createTopic(t, b, "start", 1)
	w := openWire(t, b.addr)
	for range 5 {
		w.mustProduce(t, "start", 0, recordBatch([]byte("x")))
	}
	if p, err := w.fetch("start", 0, 0); err != nil || p.LogStartOffset != 0 || p.HighWatermark != 5 || p.LastStableOffset != 5 {
		t.Errorf("%+v, %v", p, err)
	}
	del := kmsg.NewPtrDeleteRecordsRequest()
	del.Version = 2
	del.TimeoutMillis = 10_000
	del.Topics = []kmsg.DeleteRecordsRequestTopic{{
		Topic: "start", Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: 0, Offset: 3}},
	}}
	if p := w.must(t, del).(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]; p.ErrorCode != 0 || p.LowWatermark != 3 {
		t.Errorf("delete records: %+v", p)
	}
	if p, err := w.fetch("start", 0, 3); err != nil || p.LogStartOffset != 3 || p.ErrorCode != 0 || len(p.RecordBatches) == 0 {
		t.Errorf("after DeleteRecords: %+v, %v", p, err)
	}
	if p, err := w.fetch("start", 0, 1); err != nil || p.ErrorCode != 1 {
		t.Errorf("below the start: code %d, %v, want OFFSET_OUT_OF_RANGE", p.ErrorCode, err)
	}
}
