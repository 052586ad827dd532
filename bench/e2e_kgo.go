package bench

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
)

// kgoEndToEnd is a producer and a consumer as programs use them.
type kgoEndToEnd struct{ producer, consumer *kgo.Client }

func newKgoEndToEnd(o *EndToEndOptions, top *topology) (e2eClient, error) {
	base := []kgo.Opt{kgo.SeedBrokers(o.Bootstrap...), kgo.ClientID(clientID)}
	acks := map[int16][]kgo.Opt{
		-1: {kgo.RequiredAcks(kgo.AllISRAcks())},
		1:  {kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite()},
		0:  {kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite()},
	}[o.Acks]
	producer, err := kgo.NewClient(append(append(acks, base...),
		kgo.DefaultProduceTopic(o.Topic), kgo.ProducerLinger(o.Linger),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.MaxBufferedRecords(1<<20), kgo.RecordDeliveryTimeout(drainTimeout))...)
	if err != nil {
		return nil, err
	}
	offsets := map[int32]kgo.Offset{}
	for p, end := range top.ends {
		offsets[p] = kgo.NewOffset().At(end)
	}
	consumer, err := kgo.NewClient(append(base,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.Topic: offsets}))...)
	if err != nil {
		producer.Close()
		return nil, err
	}
	return &kgoEndToEnd{producer, consumer}, nil
}

func (c *kgoEndToEnd) close() {
	c.producer.Close()
	c.consumer.Close()
}

func (c *kgoEndToEnd) send(value []byte, done func(error)) {
	c.producer.Produce(context.Background(), &kgo.Record{Value: value}, func(_ *kgo.Record, err error) { done(err) })
}

func (c *kgoEndToEnd) flush(ctx context.Context) error { return c.producer.Flush(ctx) }

func (c *kgoEndToEnd) consume(ctx context.Context, take func(value []byte), failed func(error)) {
	for {
		fetches := c.consumer.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		for _, e := range fetches.Errors() {
			failed(e.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			take(it.Next().Value)
		}
	}
}
