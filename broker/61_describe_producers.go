package broker

// DescribeProducers (key 61, version 0): the producers that a partition's leader remembers, with their last sequence and
// the transaction that each has open (KIP-664). Idle ones are listed until producer.id.expiration.ms forgets them.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

func handleDescribeProducers(s *Server, r *request) {
	req := r.req.(*kmsg.DescribeProducersRequest)
	resp := kmsg.NewPtrDescribeProducersResponse()
	resp.Topics = []kmsg.DescribeProducersResponseTopic{}
	image := s.quorum.Image()
	for i := range req.Topics {
		t := kmsg.NewDescribeProducersResponseTopic()
		t.Topic = req.Topics[i].Topic
		for _, n := range req.Topics[i].Partitions {
			p := kmsg.NewDescribeProducersResponseTopicPartition()
			p.Partition = n
			p.ActiveProducers = []kmsg.DescribeProducersResponseTopicPartitionActiveProducer{}
			if err := s.describeProducers(image, t.Topic, &p); err != nil {
				p.ErrorCode, p.ErrorMessage = kafkaproto.Code(err), kafkaproto.Message(err)
			}
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	r.reply(resp)
}

func (s *Server) describeProducers(image *controller.Image, topic string, p *kmsg.DescribeProducersResponseTopicPartition) error {
	t, ok := image.Topic(topic)
	if !ok {
		return kafkaproto.ErrUnknownTopicOrPartition.With("This server does not host this topic-partition.")
	}
	here, err := s.partitions.Partition(kafkaproto.TopicPartition{Topic: t.ID, Partition: kafkaproto.PartitionID(p.Partition)})
	if err != nil {
		return err
	}
	producers, err := here.Producers()
	if err != nil {
		return err
	}
	for _, a := range producers {
		out := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
		out.ProducerID, out.ProducerEpoch, out.LastSequence = int64(a.ID), int32(a.Epoch), a.LastSequence
		out.LastTimestamp, out.CoordinatorEpoch, out.CurrentTxnStartOffset = int64(a.LastTimestamp), a.CoordinatorEpoch, int64(a.TxnStart)
		p.ActiveProducers = append(p.ActiveProducers, out)
	}
	return nil
}
