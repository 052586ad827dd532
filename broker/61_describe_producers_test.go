package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func producersRequest(topic string, partitions ...int32) *kmsg.DescribeProducersRequest {
	req := kmsg.NewPtrDescribeProducersRequest()
	t := kmsg.NewDescribeProducersRequestTopic()
	t.Topic, t.Partitions = topic, partitions
	req.Topics = append(req.Topics, t)
	return req
}

func TestDescribeProducersListsIdleOnesAndOpenTransactions(t *testing.T) {
	b := startBroker(t, withOpenTransactions())
	b.createTopic("t", 2)
	c := b.dial()
	c.mustProduce("t", 0, "nobody's")
	idempotent := buildBatch(func(k *kafkaproto.Builder) { k.ProducerID, k.ProducerEpoch, k.BaseSequence = 900, 3, 4 }, "a", "b", "c")
	mustBeCode(t, "idempotent", ask[*kmsg.ProduceResponse](c, produceRequest("t", 0, idempotent)).Topics[0].Partitions[0].ErrorCode, nil)
	transactional := produceRequest("t", 0, buildBatch(func(k *kafkaproto.Builder) {
		k.ProducerID, k.ProducerEpoch, k.BaseSequence, k.Transactional = 901, 0, 0, true
	}, "d"))
	id := "txn"
	transactional.TransactionID = &id
	mustBeCode(t, "transactional", ask[*kmsg.ProduceResponse](c, transactional).Topics[0].Partitions[0].ErrorCode, nil)

	resp := ask[*kmsg.DescribeProducersResponse](c, producersRequest("t", 0, 1)).Topics[0].Partitions
	if len(resp[0].ActiveProducers) != 2 || len(resp[1].ActiveProducers) != 0 {
		t.Fatalf("%+v", resp)
	}
	idle, open := resp[0].ActiveProducers[0], resp[0].ActiveProducers[1]
	if idle.ProducerID != 900 || idle.ProducerEpoch != 3 || idle.LastSequence != 6 || idle.LastTimestamp != 1_700_000_000_000 ||
		idle.CoordinatorEpoch != -1 || idle.CurrentTxnStartOffset != -1 {
		t.Errorf("%+v", idle)
	}
	if open.ProducerID != 901 || open.LastSequence != 0 || open.CurrentTxnStartOffset != 4 {
		t.Errorf("%+v", open)
	}
}

func TestDescribeProducersNamesWhatIsNotThere(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	p := ask[*kmsg.DescribeProducersResponse](c, producersRequest("t", 0, 7)).Topics[0].Partitions
	mustBeCode(t, "t-0", p[0].ErrorCode, nil)
	mustBeCode(t, "t-7", p[1].ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
	p = ask[*kmsg.DescribeProducersResponse](c, producersRequest("none", 0)).Topics[0].Partitions
	mustBeCode(t, "none-0", p[0].ErrorCode, kafkaproto.ErrUnknownTopicOrPartition)
}
