package broker

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// createElsewhere makes a topic of one partition on another broker, id 2, at kafka2:9999.
func (b *testBroker) createElsewhere(name string) *controller.Topic {
	b.t.Helper()
	submit := func(c controller.Command) any {
		answer, err := b.quorum.Submit(context.Background(), c)
		must(b.t, err)
		return answer
	}
	answer := submit(controller.RegisterBroker{
		ID: 2, Incarnation: [16]byte{2}, Directories: [][16]byte{{2}}, Clean: true, Rack: kmsg.StringPtr("r2"),
		Listeners: []controller.Listener{{Name: "PLAINTEXT", Protocol: "PLAINTEXT", Host: "kafka2", Port: 9999}},
	})
	submit(controller.UnfenceBroker{ID: 2, Epoch: answer.(controller.RegisterBrokerAnswer).Epoch})
	created := submit(controller.CreateTopics{Topics: []controller.CreateTopic{{
		Name: name, NumPartitions: -1, ReplicationFactor: -1, Assignments: []controller.Assignment{{Brokers: []int32{2}}},
	}}})
	must(b.t, created.([]controller.CreateTopicAnswer)[0].Err)
	topic, _ := b.quorum.Image().Topic(name)
	return topic
}

func TestProduceSaysWhoLeadsInstead(t *testing.T) {
	b := startBroker(t)
	topic := b.createElsewhere("t")
	c := b.dial()
	for version := int16(3); version <= 13; version++ {
		req := produceRequest("t", 0, batchOf("x"))
		req.Version, req.Topics[0].TopicID = version, topic.ID
		resp := ask[*kmsg.ProduceResponse](c, req)
		p := produced(t, resp)
		wantCode(t, "elsewhere", p.ErrorCode, kafkaproto.ErrNotLeaderOrFollower)
		if version < 10 {
			continue
		}
		if p.CurrentLeader.LeaderID != 2 || p.CurrentLeader.LeaderEpoch != int32(topic.Partitions[0].LeaderEpoch) {
			t.Errorf("version %d: got %+v", version, p)
		}
		if len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != 2 || resp.Brokers[0].Host != "kafka2" ||
			resp.Brokers[0].Port != 9999 || *resp.Brokers[0].Rack != "r2" {
			t.Errorf("version %d: got %+v", version, resp.Brokers)
		}
	}
}

func TestFetchSaysWhoLeadsInstead(t *testing.T) {
	b := startBroker(t)
	topic := b.createElsewhere("t")
	c := b.dial()
	for version := int16(4); version <= 18; version++ {
		req := fetchRequest("t", 0, 0)
		req.Version, req.Topics[0].TopicID = version, topic.ID
		addFetch(req, "t", topic.ID, 0, 0) // named twice, answered once
		resp := ask[*kmsg.FetchResponse](c, req)
		p := fetched(t, resp)
		wantCode(t, "elsewhere", p.ErrorCode, kafkaproto.ErrNotLeaderOrFollower)
		if hinted := p.CurrentLeader.LeaderID == 2 && len(resp.Brokers) == 1 && resp.Brokers[0].Host == "kafka2"; hinted != (version >= 16) {
			t.Errorf("version %d: got %+v", version, resp)
		}
	}
}
