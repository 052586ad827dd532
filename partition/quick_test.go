package partition

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/replication"
)

// TestWhichAnswersAreTakenInAtOnce: those by whoever brings them that wait for nothing but a small write.
func TestWhichAnswersAreTakenInAtOnce(t *testing.T) {
	id := func(i kafkaproto.PartitionID) kafkaproto.TopicPartition {
		return kafkaproto.TopicPartition{Topic: kafkaproto.TopicID{1}, Partition: i}
	}
	r := &round{lane: &lane{ctx: context.Background()}, life: 1, all: make(map[kafkaproto.TopicPartition]*following)}
	const durable = 2 // this partition's topic is
	for i := range kafkaproto.PartitionID(3) {
		p := &Partition{id: id(i)}
		p.topic.Store(&topic{rules: replication.Rules{Durable: i == durable}})
		r.all[id(i)] = &following{p: p}
	}
	small, half := make([]byte, 1000), make([]byte, log.MaxHeld/2)
	with := func(partition int32, records []byte, change ...func(*kmsg.FetchResponseTopicPartition)) kmsg.FetchResponseTopicPartition {
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition, p.RecordBatches = partition, records
		for _, c := range change {
			c(&p)
		}
		return p
	}
	type parts = []kmsg.FetchResponseTopicPartition
	for name, c := range map[string]struct {
		parts parts
		want  bool
	}{
		"nothing":                           {nil, true},
		"a high watermark":                  {parts{with(0, nil)}, true},
		"few records":                       {parts{with(0, small)}, true},
		"few records and a high watermark":  {parts{with(0, small), with(1, nil)}, true},
		"few records of two":                {parts{with(0, small), with(1, small)}, true},
		"many records":                      {parts{with(0, make([]byte, log.MaxHeld+1))}, false},
		"many records of two":               {parts{with(0, half), with(1, append(half, 0))}, false},
		"records that have to be flushed":   {parts{with(0, nil), with(durable, small)}, false},
		"the high watermark of such":        {parts{with(0, small), with(durable, nil)}, true},
		"a partition that isn't fetched":    {parts{with(0, small), with(7, nil)}, false},
		"an error":                          {parts{with(0, small), with(1, nil, func(p *kmsg.FetchResponseTopicPartition) { p.ErrorCode = 1 })}, false},
		"an epoch after which logs diverge": {parts{with(0, nil, func(p *kmsg.FetchResponseTopicPartition) { p.DivergingEpoch.Epoch = 3 })}, false},
	} {
		a := fetchAnswer{life: 1, Fetched: Fetched{Response: &kmsg.FetchResponse{}}}
		if len(c.parts) > 0 {
			a.Response.Topics = []kmsg.FetchResponseTopic{{TopicID: id(0).Topic, Partitions: c.parts}}
		}
		if got := r.quick(&a); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name, a := range map[string]fetchAnswer{
		"of an earlier session":     {life: 0, Fetched: Fetched{Response: &kmsg.FetchResponse{}}},
		"the session's first":       {life: 1, full: true, Fetched: Fetched{Response: &kmsg.FetchResponse{}}},
		"an error of the session":   {life: 1, Fetched: Fetched{Response: &kmsg.FetchResponse{ErrorCode: 71}}},
		"no answer of the leader's": {life: 1, Fetched: Fetched{Err: context.Canceled}},
	} {
		if r.quick(&a) {
			t.Errorf("%s is taken in at once", name)
		}
	}
}
