package broker

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// metadataFor is a Metadata request for topics by name, creation allowed; no names at all is an empty list, not null.
func metadataFor(version int16, names ...string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = version, true
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	return req
}

func metadataByID(version int16, ids ...kafkaproto.TopicID) *kmsg.MetadataRequest {
	req := metadataFor(version)
	for _, id := range ids {
		t := kmsg.NewMetadataRequestTopic()
		t.TopicID = id
		req.Topics = append(req.Topics, t)
	}
	return req
}

func mustBeCode(t testing.TB, what string, got int16, want *kafkaproto.Error) {
	t.Helper()
	code := int16(0)
	if want != nil {
		code = want.Num
	}
	if got != code {
		t.Fatalf("%s: error %v, want %v", what, kafkaproto.ErrorForCode(got), want)
	}
}

func (b *testBroker) addBroker(id int32, fenced bool, listeners ...controller.Listener) {
	b.t.Helper()
	answer, err := b.quorum.Submit(context.Background(), controller.RegisterBroker{
		ID: id, Incarnation: [16]byte{byte(id)}, Directories: [][16]byte{{byte(id), 1}}, Listeners: listeners, Clean: true,
	})
	must(b.t, err)
	if !fenced {
		_, err = b.quorum.Submit(context.Background(), controller.UnfenceBroker{ID: id, Epoch: answer.(controller.RegisterBrokerAnswer).Epoch})
		must(b.t, err)
	}
}

func plaintext(host string, port int32) controller.Listener {
	return controller.Listener{Name: "PLAINTEXT", Protocol: "PLAINTEXT", Host: host, Port: port}
}

func TestMetadataNullMeansAllTopicsAndEmptyMeansNone(t *testing.T) {
	b := startServer(t, nil)
	b.createTopic("one", 1)
	b.createTopic("two", 3)
	c := b.dial()
	for version := range int16(14) {
		req := metadataFor(version)
		none := len(ask[*kmsg.MetadataResponse](c, req).Topics)
		if want := map[bool]int{true: 2, false: 0}[version == 0]; none != want {
			t.Errorf("v%d: an empty list gives %d topics", version, none)
		}
		req.Topics = nil
		if all := ask[*kmsg.MetadataResponse](c, req).Topics; len(all) != 2 || *all[1].Topic != "two" || len(all[1].Partitions) != 3 {
			t.Errorf("v%d: null gives %+v", version, all)
		}
	}
}

func TestMetadataCreatesATopicThatIsUsableAtOnce(t *testing.T) {
	b := startServer(t, nil)
	c := b.dial()
	for version := range int16(14) {
		name := "made-by-v" + string(rune('a'+version))
		topic := ask[*kmsg.MetadataResponse](c, metadataFor(version, name, name)).Topics
		if len(topic) != 1 {
			t.Fatalf("v%d: %d topics for a name that was there twice", version, len(topic))
		}
		mustBeCode(t, name, topic[0].ErrorCode, nil)
		p := topic[0].Partitions
		if len(p) != 1 || p[0].ErrorCode != 0 || p[0].Leader != 1 || !slices.Equal(p[0].ISR, []int32{1}) {
			t.Errorf("v%d: partitions %+v", version, p)
		}
	}
}

func TestMetadataCreatesNothingWhereThatIsNotAllowed(t *testing.T) {
	b := startServer(t, nil)
	c := b.dial()
	req := metadataFor(12, "absent", "bad/name", "")
	req.AllowAutoTopicCreation = false
	topics := ask[*kmsg.MetadataResponse](c, req).Topics
	mustBeCode(t, "absent", topics[0].ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
	mustBeCode(t, "bad/name", topics[1].ErrorCode, kafkaproto.ErrInvalidTopicException)
	mustBeCode(t, "empty name", topics[2].ErrorCode, kafkaproto.ErrInvalidTopicException)

	off := startServer(t, nil, withConfig("auto.create.topics.enable=false"))
	topics = ask[*kmsg.MetadataResponse](off.dial(), metadataFor(1, "absent")).Topics
	mustBeCode(t, "absent", topics[0].ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
	if b.quorum.Image().NumTopics()+off.quorum.Image().NumTopics() != 0 {
		t.Error("a topic was created")
	}
}

func TestMetadataErrorOfACreationThatFailsIsRetriable(t *testing.T) {
	b := startServer(t, nil)
	b.quorum.refuse = func(c controller.Command) error { return errors.New("no leader") }
	topics := ask[*kmsg.MetadataResponse](b.dial(), metadataFor(12, "later", "never/")).Topics
	mustBeCode(t, "later", topics[0].ErrorCode, kafkaproto.ErrLeaderNotAvailable)
	mustBeCode(t, "never/", topics[1].ErrorCode, kafkaproto.ErrInvalidTopicException)
	b.quorum.refuse = nil
	topics = ask[*kmsg.MetadataResponse](b.dial(), metadataFor(12, "later")).Topics
	mustBeCode(t, "later", topics[0].ErrorCode, nil)
}

func TestMetadataCreatesCoordinatorTopicsWithTheirSettings(t *testing.T) {
	b := startServer(t, nil, withConfig("offsets.topic.num.partitions=7"))
	topic := ask[*kmsg.MetadataResponse](b.dial(), metadataFor(12, "__consumer_offsets")).Topics[0]
	if topic.ErrorCode != 0 || !topic.IsInternal || len(topic.Partitions) != 7 || len(topic.Partitions[0].Replicas) != 1 {
		t.Fatalf("%+v", topic)
	}
	configs := b.quorum.Image().Config(controller.TopicConfig, "__consumer_offsets")
	if configs["cleanup.policy"] != "compact" || configs["segment.bytes"] != "104857600" {
		t.Error(configs)
	}
}

func TestMetadataFindsTopicsByID(t *testing.T) {
	b := startServer(t, nil)
	topic := b.createTopic("named", 1)
	c := b.dial()
	unknown := kafkaproto.TopicID{1, 2, 3}
	for version := int16(12); version <= 13; version++ {
		topics := ask[*kmsg.MetadataResponse](c, metadataByID(version, topic.ID, unknown, kafkaproto.TopicID{})).Topics
		mustBeCode(t, "known id", topics[0].ErrorCode, nil)
		if *topics[0].Topic != "named" || topics[0].TopicID != topic.ID {
			t.Errorf("%+v", topics[0])
		}
		mustBeCode(t, "unknown id", topics[1].ErrorCode, kafkaproto.ErrUnknownTopicID)
		if topics[1].Topic != nil || topics[1].TopicID != unknown {
			t.Errorf("%+v", topics[1])
		}
		mustBeCode(t, "neither id nor name", topics[2].ErrorCode, kafkaproto.ErrUnknownTopicID)
	}
	if !kafkaproto.ErrUnknownTopicID.Retriable {
		t.Error("UNKNOWN_TOPIC_ID is not retriable")
	}
	resp := ask[*kmsg.MetadataResponse](c, metadataByID(10, topic.ID))
	mustBeCode(t, "id in version 10", resp.Topics[0].ErrorCode, kafkaproto.ErrInvalidRequest)
	if got := ask[*kmsg.MetadataResponse](c, metadataFor(10, "named")).Topics[0].TopicID; got != topic.ID {
		t.Errorf("version 10 answers id %v", got)
	}
}

func TestMetadataEpochsAndIDsAreRealOrAbsent(t *testing.T) {
	b := startServer(t, nil)
	b.createTopic("topic", 1)
	c := b.dial()
	for version := range int16(14) {
		resp := ask[*kmsg.MetadataResponse](c, metadataFor(version, "topic"))
		p := resp.Topics[0].Partitions[0]
		if want := map[bool]int32{true: 0, false: -1}[version >= 7]; p.LeaderEpoch != want {
			t.Errorf("v%d: leader epoch %d, want %d", version, p.LeaderEpoch, want)
		}
		if version >= 10 && resp.Topics[0].TopicID == [16]byte{} {
			t.Errorf("v%d: no topic id", version)
		}
		if len(p.OfflineReplicas) != 0 {
			t.Errorf("v%d: offline replicas %v", version, p.OfflineReplicas)
		}
	}
	// A restart is a new epoch, and clients see it.
	epoch := b.newEpoch("topic")
	if p := ask[*kmsg.MetadataResponse](c, metadataFor(9, "topic")).Topics[0].Partitions[0]; p.LeaderEpoch != epoch || epoch <= 0 {
		t.Errorf("leader epoch %d after a new registration", p.LeaderEpoch)
	}
}

func TestMetadataAuthorizedOperationsAreThereWhenAskedFor(t *testing.T) {
	b := startServer(t, nil)
	b.createTopic("topic", 1)
	c := b.dial()
	const none = -2147483648
	for version := int16(8); version <= 13; version++ {
		req := metadataFor(version, "topic", "not/there")
		resp := ask[*kmsg.MetadataResponse](c, req)
		if resp.AuthorizedOperations != none || resp.Topics[0].AuthorizedOperations != none {
			t.Errorf("v%d: operations %d, %d without a question", version, resp.AuthorizedOperations, resp.Topics[0].AuthorizedOperations)
		}
		req.IncludeClusterAuthorizedOperations, req.IncludeTopicAuthorizedOperations = version <= 10, true
		resp = ask[*kmsg.MetadataResponse](c, req)
		wantCluster := int32(none)
		if version <= 10 {
			wantCluster = 8096
		}
		if resp.AuthorizedOperations != wantCluster || resp.Topics[0].AuthorizedOperations != 3576 || resp.Topics[1].AuthorizedOperations != 3576 {
			t.Errorf("v%d: operations %d, %d", version, resp.AuthorizedOperations, resp.Topics[0].AuthorizedOperations)
		}
	}
}

func TestMetadataControllerIsAmongItsBrokers(t *testing.T) {
	b := startServer(t, nil)
	b.addBroker(2, false, plaintext("two", 9092), controller.Listener{Name: "INSIDE", Protocol: "PLAINTEXT", Host: "inside-two", Port: 9094})
	b.addBroker(3, true, plaintext("three", 9092))
	b.addBroker(4, false, controller.Listener{Name: "INSIDE", Protocol: "PLAINTEXT", Host: "four", Port: 9094})
	resp := ask[*kmsg.MetadataResponse](b.dial(), metadataFor(9))
	var ids []int32
	for _, broker := range resp.Brokers {
		ids = append(ids, broker.NodeID)
	}
	if !slices.Equal(ids, []int32{1, 2}) {
		t.Errorf("brokers %v: fenced ones and those without the listener must not be there", ids)
	}
	if resp.Brokers[1].Host != "two" || resp.Brokers[1].Port != 9092 {
		t.Errorf("%+v is not the address on the client's listener", resp.Brokers[1])
	}
	if !slices.Contains(ids, resp.ControllerID) {
		t.Errorf("controller %d", resp.ControllerID)
	}
}

func TestMetadataNamesNoControllerThatIsAboutToGo(t *testing.T) {
	b := startServer(t, nil)
	b.addBroker(2, false, plaintext("two", 9092))
	self, _ := b.quorum.Image().Broker(1)
	if _, err := b.quorum.Submit(t.Context(), controller.BrokerHeartbeat{ID: 1, Epoch: self.Epoch, WantShutdown: true}); err != nil {
		t.Fatal(err)
	}
	if resp := ask[*kmsg.MetadataResponse](b.dial(), metadataFor(9)); resp.ControllerID != 2 {
		t.Errorf("controller %d", resp.ControllerID)
	}
}

func TestMetadataTellsWhichReplicasAreOffline(t *testing.T) {
	b := startServer(t, nil)
	b.addBroker(2, false, plaintext("two", 9092))
	b.addBroker(3, false, controller.Listener{Name: "INSIDE", Protocol: "PLAINTEXT", Host: "three", Port: 9094})
	command := controller.CreateTopics{Topics: []controller.CreateTopic{{Name: "spread", NumPartitions: -1, ReplicationFactor: -1,
		Assignments: []controller.Assignment{{Partition: 0, Brokers: []int32{2, 3}}, {Partition: 1, Brokers: []int32{3, 1}}}}}}
	answer, err := b.quorum.Submit(context.Background(), command)
	must(t, err)
	must(t, answer.([]controller.CreateTopicAnswer)[0].Err)
	c := b.dial()
	p := ask[*kmsg.MetadataResponse](c, metadataFor(12, "spread")).Topics[0].Partitions
	if p[0].Leader != 2 || !slices.Equal(p[0].OfflineReplicas, []int32{3}) || p[0].ErrorCode != 0 {
		t.Errorf("%+v", p[0])
	}
	mustBeCode(t, "leader without the listener", p[1].ErrorCode, kafkaproto.ErrListenerNotFound)
	p = ask[*kmsg.MetadataResponse](c, metadataFor(5, "spread")).Topics[0].Partitions
	mustBeCode(t, "leader without the listener, v5", p[1].ErrorCode, kafkaproto.ErrLeaderNotAvailable)
	if p[1].Leader != -1 {
		t.Errorf("leader %d", p[1].Leader)
	}
	p = ask[*kmsg.MetadataResponse](c, metadataFor(0, "spread")).Topics[0].Partitions
	mustBeCode(t, "a replica out of reach, v0", p[0].ErrorCode, kafkaproto.ErrReplicaNotAvailable)
	if !slices.Equal(p[0].Replicas, []int32{2}) {
		t.Errorf("replicas %v", p[0].Replicas)
	}
}

func TestMetadataNamesTheCluster(t *testing.T) {
	b := startServer(t, nil)
	b.server.clusterID = func() string { return b.quorum.Image().ClusterID() }
	for version := int16(2); version <= 13; version++ {
		if id := ask[*kmsg.MetadataResponse](b.dial(), metadataFor(version)).ClusterID; id == nil || len(*id) != 22 {
			t.Errorf("v%d: cluster id %v", version, id)
		}
	}
}
