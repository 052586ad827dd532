package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func electRequest(version int16, kind int8, topics ...kmsg.ElectLeadersRequestTopic) *kmsg.ElectLeadersRequest {
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version, req.ElectionType, req.Topics, req.TimeoutMillis = version, kind, topics, 5000
	return req
}

func elections(name string, partitions ...int32) kmsg.ElectLeadersRequestTopic {
	t := kmsg.NewElectLeadersRequestTopic()
	t.Topic, t.Partitions = name, partitions
	return t
}

func TestElectLeadersTellsOfEachPartitionThatIsNamed(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 2)
	c := b.dial()
	for version := range int16(3) {
		for _, kind := range []int8{preferredElection, uncleanElection} {
			resp := ask[*kmsg.ElectLeadersResponse](c, electRequest(version, kind, elections("t", 0, 9), elections("none", 0)))
			if resp.ErrorCode != 0 || len(resp.Topics) != 2 || len(resp.Topics[0].Partitions) != 2 {
				t.Fatalf("v%d: %+v", version, resp)
			}
			here, absent, none := resp.Topics[0].Partitions[0], resp.Topics[0].Partitions[1], resp.Topics[1].Partitions[0]
			mustBeCode(t, "t-0", here.ErrorCode, kafkaproto.ErrElectionNotNeeded)
			mustBeCode(t, "t-9", absent.ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
			mustBeCode(t, "none-0", none.ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
			if *here.ErrorMessage != "Leader election not needed for topic partition." || *none.ErrorMessage != "No such topic as none" {
				t.Errorf("v%d: %s, %s", version, *here.ErrorMessage, *none.ErrorMessage)
			}
		}
	}
}

func TestElectLeadersOfAllTellsNothingOfThoseThatAreRight(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 2)
	for version := range int16(3) {
		for _, topic := range ask[*kmsg.ElectLeadersResponse](b.dial(), electRequest(version, preferredElection)).Topics {
			if topic.Topic != "t" || len(topic.Partitions) != 0 {
				t.Errorf("v%d: %+v", version, topic)
			}
		}
	}
	none := electRequest(2, preferredElection)
	none.Topics = []kmsg.ElectLeadersRequestTopic{}
	if resp := ask[*kmsg.ElectLeadersResponse](b.dial(), none); resp.ErrorCode != 0 || len(resp.Topics) != 0 {
		t.Errorf("%+v", resp)
	}
}

func TestElectLeadersKnowsTwoKindsOfElections(t *testing.T) {
	resp := ask[*kmsg.ElectLeadersResponse](startBroker(t).dial(), electRequest(2, 7))
	mustBeCode(t, "kind 7", resp.ErrorCode, kafkaproto.ErrInvalidRequest)
}
