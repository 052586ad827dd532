package broker

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
)

// findCoordinator asks for groups in the way of a version.
func findCoordinator(version int16, kind int8, keys ...string) *kmsg.FindCoordinatorRequest {
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version, req.CoordinatorType = version, kind
	if version < batchedCoordinators {
		req.CoordinatorKey = keys[0]
	} else {
		req.CoordinatorKeys = keys
	}
	return req
}

// found is the answer for one key, whatever the version.
func found(t testing.TB, resp *kmsg.FindCoordinatorResponse, i int) kmsg.FindCoordinatorResponseCoordinator {
	t.Helper()
	if resp.Version < batchedCoordinators {
		return kmsg.FindCoordinatorResponseCoordinator{NodeID: resp.NodeID, Host: resp.Host, Port: resp.Port, ErrorCode: resp.ErrorCode, ErrorMessage: resp.ErrorMessage}
	}
	if len(resp.Coordinators) <= i {
		t.Fatalf("%d coordinators, want more than %d", len(resp.Coordinators), i)
	}
	return resp.Coordinators[i]
}

func TestFindCoordinatorMakesTheTopicAndAnswersAtOnceInEveryVersion(t *testing.T) {
	for version := range int16(7) {
		b := startServer(t, nil, withConfig("auto.create.topics.enable=false"))
		got := found(t, ask[*kmsg.FindCoordinatorResponse](b.dial(), findCoordinator(version, 0, "g")), 0)
		if got.ErrorCode != 0 || got.NodeID != 1 || got.Host != "127.0.0.1" || !strings.HasSuffix(b.addr, fmt.Sprint(":", got.Port)) {
			t.Errorf("version %d: got %+v", version, got)
		}
		topic, ok := b.quorum.Image().Topic("__consumer_offsets")
		if !ok || len(topic.Partitions) != 50 || !topic.Internal || len(topic.Partitions[0].Replicas) != 1 {
			t.Fatalf("version %d: the topic is %+v", version, topic)
		}
		configs := b.quorum.Image().Config(controller.TopicConfig, "__consumer_offsets")
		if configs["cleanup.policy"] != "compact" || configs["compression.type"] != "producer" || configs["segment.bytes"] != "104857600" {
			t.Errorf("version %d: the topic has configs %v", version, configs)
		}
	}
}

func TestInternalTopicsOfOneBrokerHaveOneReplicaUnlessTheNumberIsSet(t *testing.T) {
	b := startServer(t, nil, withConfig("offsets.topic.num.partitions=7", "offsets.topic.replication.factor=1"))
	c := b.dial()
	mustBeCode(t, "one replica", ask[*kmsg.FindCoordinatorResponse](c, findCoordinator(3, 0, "g")).ErrorCode, nil)
	if topic, _ := b.quorum.Image().Topic("__consumer_offsets"); len(topic.Partitions) != 7 {
		t.Errorf("%d partitions, want 7", len(topic.Partitions))
	}
	b = startServer(t, nil, withConfig("offsets.topic.replication.factor=2"))
	mustBeCode(t, "two of one broker", ask[*kmsg.FindCoordinatorResponse](b.dial(), findCoordinator(3, 0, "g")).ErrorCode, kafkaproto.ErrCoordinatorNotAvailable)
}

func TestAGroupsCoordinatorLeadsItsPartition(t *testing.T) {
	b := startServer(t, nil)
	c := b.dial()
	ask[*kmsg.FindCoordinatorResponse](c, findCoordinator(4, 0, "first"))
	b.addBroker(2, false, plaintext("two", 9292))
	topic, _ := b.quorum.Image().Topic("__consumer_offsets")
	var events []controller.Event
	for _, p := range topic.Partitions {
		if p.ID%2 == 1 {
			moved := *p
			moved.Leader, moved.Replicas, moved.ISR = 2, []int32{2}, []int32{2}
			events = append(events, &controller.PartitionChanged{Topic: topic.ID, Partition: moved})
		}
	}
	b.quorum.replay(t, events...)
	var keys []string
	for i := range 100 {
		keys = append(keys, fmt.Sprint("group-", i))
	}
	resp := ask[*kmsg.FindCoordinatorResponse](c, findCoordinator(6, 0, keys...))
	for i, key := range keys {
		got, want := found(t, resp, i), int32(1)
		if groups.PartitionFor(key, 50)%2 == 1 {
			want = 2
		}
		if got.Key != key || got.ErrorCode != 0 || got.NodeID != want || (want == 2) != (got.Host == "two" && got.Port == 9292) {
			t.Fatalf("got %+v, want broker %d for %s", got, want, key)
		}
		if one := ask[*kmsg.FindCoordinatorResponse](c, findCoordinator(1, 0, key)); one.NodeID != want {
			t.Fatalf("%s is at %d for one version and at %d for another", key, one.NodeID, want)
		}
	}
}

func TestFindCoordinatorFailsEachKeyByItself(t *testing.T) {
	b := startServer(t, nil)
	c := b.dial()
	const id = "AAAAAAAAAAAAAAAAAAAAAQ"
	keys := []string{"g:" + id + ":0", "g", "g:x:0", "g:" + id + ":-1", "g:" + id + ":x", ":" + id + ":0", "with:colon:" + id + ":12"}
	want := []*kafkaproto.Error{
		kafkaproto.ErrCoordinatorNotAvailable, kafkaproto.ErrInvalidRequest, kafkaproto.ErrInvalidRequest, kafkaproto.ErrInvalidRequest,
		kafkaproto.ErrInvalidRequest, kafkaproto.ErrInvalidRequest, kafkaproto.ErrCoordinatorNotAvailable,
	}
	resp := ask[*kmsg.FindCoordinatorResponse](c, findCoordinator(6, 2, keys...))
	for i, key := range keys {
		got := found(t, resp, i)
		mustBeCode(t, key, got.ErrorCode, want[i])
		if got.Key != key || got.NodeID != -1 || got.Port != -1 || got.Host != "" {
			t.Errorf("%s: got %+v", key, got)
		}
	}
	for version := int16(1); version < 6; version++ {
		mustBeCode(t, fmt.Sprint("share coordinator in version ", version),
			found(t, ask[*kmsg.FindCoordinatorResponse](c, findCoordinator(version, 2, keys[0])), 0).ErrorCode, kafkaproto.ErrInvalidRequest)
	}
	for version := int16(1); version <= 6; version++ {
		got := found(t, ask[*kmsg.FindCoordinatorResponse](c, findCoordinator(version, 1, "txn")), 0)
		mustBeCode(t, fmt.Sprint("transactions in version ", version), got.ErrorCode, kafkaproto.ErrCoordinatorNotAvailable)
		got = found(t, ask[*kmsg.FindCoordinatorResponse](c, findCoordinator(version, 9, "g")), 0)
		mustBeCode(t, fmt.Sprint("type 9 in version ", version), got.ErrorCode, kafkaproto.ErrInvalidRequest)
		if got.ErrorMessage == nil || !strings.Contains(*got.ErrorMessage, "9") {
			t.Errorf("version %d: the message does not name the type: %v", version, got.ErrorMessage)
		}
	}
	if resp := ask[*kmsg.FindCoordinatorResponse](c, findCoordinator(4, 0)); len(resp.Coordinators) != 0 {
		t.Errorf("no keys: got %+v", resp.Coordinators)
	}
}

func TestFindCoordinatorSaysLaterWhileTheTopicCantBeMade(t *testing.T) {
	b := startServer(t, nil)
	b.quorum.mu.Lock()
	b.quorum.refuse = func(controller.Command) error { return errors.New("no controller") }
	b.quorum.mu.Unlock()
	c := b.dial()
	got := found(t, ask[*kmsg.FindCoordinatorResponse](c, findCoordinator(6, 0, "g")), 0)
	mustBeCode(t, "without a controller", got.ErrorCode, kafkaproto.ErrCoordinatorNotAvailable)
	b.quorum.mu.Lock()
	b.quorum.refuse = nil
	b.quorum.mu.Unlock()
	mustBeCode(t, "with a controller", found(t, ask[*kmsg.FindCoordinatorResponse](c, findCoordinator(6, 0, "g")), 0).ErrorCode, nil)
}

func TestManyFindCoordinatorsAtOnceMakeOneTopic(t *testing.T) {
	b := startServer(t, nil)
	var wg sync.WaitGroup
	for range 20 {
		c := b.dial()
		wg.Go(func() {
			if got := found(t, ask[*kmsg.FindCoordinatorResponse](c, findCoordinator(6, 0, "g")), 0); got.ErrorCode != 0 || got.NodeID != 1 {
				t.Errorf("got %+v", got)
			}
		})
	}
	wg.Wait()
}

// replay changes the metadata without asking the machine.
func (q *testQuorum) replay(t testing.TB, events ...controller.Event) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	image, _, err := q.machine.Image().Replay(events)
	must(t, err)
	q.machine.Committed(image)
	q.imageMu.Lock()
	q.image = image
	q.imageMu.Unlock()
}

func TestClientsCantWriteToTheTopicsOfCoordinators(t *testing.T) {
	b := startBroker(t)
	c := b.dial()
	for _, name := range []string{"__consumer_offsets", "__transaction_state", "__share_group_state"} {
		b.createTopic(name, 1)
		wantCode(t, name, c.produce(produceRequest(name, 0, batchOf("x"))).ErrorCode, kafkaproto.ErrInvalidTopicException)
	}
	req := produceRequest("__consumer_offsets", 0, batchOf("x"))
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("__admin_client")).AppendRequest(nil, req, 77)
	c.sendRaw(frame)
	if got := produced(t, c.receive(77, req).(*kmsg.ProduceResponse)); got.ErrorCode != 0 {
		t.Errorf("Kafka's admin client is refused: %v", kafkaproto.ErrorForCode(got.ErrorCode))
	}
}
