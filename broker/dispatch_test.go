package broker

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func TestUnsupportedKeysAndVersionsGetATypedErrorAndKeepTheConnection(t *testing.T) {
	row := api{key: 3, name: "old", minVersion: 1, maxVersion: 4, handle: func(_ *Server, r *request) { answerHeld(r) }}
	c := startServer(t, []api{row}).dial()
	unsupported := kafkaproto.ErrUnsupportedVersion.Num

	begin := kmsg.NewPtrBeginQuorumEpochRequest() // not served: the error stands at the top
	if resp := ask[*kmsg.BeginQuorumEpochResponse](c, begin); resp.ErrorCode != unsupported {
		t.Errorf("an unserved key: %+v", resp)
	}
	metadata := metadataRequest() // below the range: the error stands at each topic
	metadata.Version, metadata.Topics = 0, []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("a")}, {Topic: kmsg.StringPtr("b")}}
	resp := ask[*kmsg.MetadataResponse](c, metadata)
	if len(resp.Topics) != 2 || *resp.Topics[1].Topic != "b" || resp.Topics[0].ErrorCode != unsupported || resp.Topics[1].ErrorCode != unsupported {
		t.Errorf("below the range: %+v", resp)
	}
	metadata.Version = 12 // above it
	if resp := ask[*kmsg.MetadataResponse](c, metadata); len(resp.Topics) != 2 || resp.Topics[0].ErrorCode != unsupported {
		t.Errorf("above the range: %+v", resp)
	}
	c.sendRaw(unknownVersion(0, 99)) // a form that nobody knows: the nearest one
	_, body := c.frame()
	produce := kmsg.NewPtrProduceResponse()
	produce.Version = kmsg.NewPtrProduceRequest().MaxVersion()
	must(t, produce.ReadFrom(body[1:]))
	if len(produce.Topics) != 1 || produce.Topics[0].Partitions[0].ErrorCode != unsupported {
		t.Errorf("an unknown version: %+v", produce)
	}
	metadata.Version = 4
	ask[*kmsg.MetadataResponse](c, metadata)
}

func TestKeysOfBrokersAndControllersAreNotServed(t *testing.T) {
	c := startServer(t, nil).dial()
	for _, key := range []int16{52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82} {
		req := kmsg.RequestForKey(key)
		if req == nil {
			continue
		}
		correlation := c.send(req)
		if got, _ := c.frame(); got != correlation {
			t.Errorf("key %d: got the answer to %d", key, got)
		}
	}
	ask[*kmsg.ApiVersionsResponse](c, apiVersionsRequest(0))
}

// Every request kind that kmsg knows can be failed as a whole, in every version, and the client can read it.
func TestAWholeFailureHasAnErrorInEveryAnswer(t *testing.T) {
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		req := kmsg.RequestForKey(key)
		if req == nil {
			continue
		}
		for version := int16(0); version <= req.MaxVersion(); version++ {
			req.SetVersion(version)
			resp := errorResponse(req, kafkaproto.ErrPolicyViolation.With("not here"))
			resp.SetVersion(version)
			again := req.ResponseKind()
			if err := again.ReadFrom(resp.AppendTo(nil)); err != nil {
				t.Errorf("key %d version %d: %v", key, version, err)
			}
		}
	}
}

func TestAWholeFailureNamesWhatTheRequestNamed(t *testing.T) {
	list := kmsg.NewPtrListOffsetsRequest()
	list.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: "a", Partitions: []kmsg.ListOffsetsRequestTopicPartition{{Partition: 3}}}}
	resp := errorResponse(list, kafkaproto.ErrKafkaStorageError).(*kmsg.ListOffsetsResponse)
	if p := resp.Topics[0].Partitions[0]; resp.Topics[0].Topic != "a" || p.Partition != 3 ||
		p.ErrorCode != kafkaproto.ErrKafkaStorageError.Num || p.Offset != -1 || p.LeaderEpoch != -1 {
		t.Errorf("got %+v", resp)
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "a", NumPartitions: 3}}
	created := errorResponse(create, kafkaproto.ErrNotController.With("ask elsewhere")).(*kmsg.CreateTopicsResponse)
	if topic := created.Topics[0]; topic.Topic != "a" || topic.ErrorCode != kafkaproto.ErrNotController.Num || *topic.ErrorMessage != "ask elsewhere" {
		t.Errorf("got %+v", created)
	}
	whole := errorResponse(kmsg.NewPtrInitProducerIDRequest(), errors.New("anything")).(*kmsg.InitProducerIDResponse)
	if whole.ErrorCode != -1 || whole.ProducerID != -1 {
		t.Errorf("got %+v", whole)
	}
}
