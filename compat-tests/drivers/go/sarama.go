package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

// shopify drives Sarama: the current one, and one from before it negotiated versions, which a second module file picks.
type shopify struct {
	bootstrap []string
	name      string
	client    sarama.Client // nil until it is needed, as is admin
	admin     sarama.ClusterAdmin
	producers map[producerKind]sarama.SyncProducer
}

func newSarama(bootstrap []string, name string) *shopify {
	return &shopify{bootstrap: bootstrap, name: name, producers: map[producerKind]sarama.SyncProducer{}}
}

func (s *shopify) config() *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = s.name
	c.Version = protocolVersion
	c.Consumer.Return.Errors = true
	c.Consumer.MaxWaitTime = 100 * time.Millisecond // or closing takes long
	c.Consumer.Offsets.AutoCommit.Enable = false
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Producer.Return.Successes = true
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Retry.Max = 300 // its own three tries end 0.3 s after a leader went, which no broker can promise to be enough
	return c
}

func (s *shopify) cli() (sarama.Client, error) {
	if s.client != nil {
		return s.client, nil
	}
	client, err := sarama.NewClient(s.bootstrap, s.config())
	if err == nil {
		s.client = client
	}
	return client, err
}

func (s *shopify) adm() (sarama.ClusterAdmin, error) {
	if s.admin != nil {
		return s.admin, nil
	}
	admin, err := sarama.NewClusterAdmin(s.bootstrap, s.config())
	if err == nil {
		s.admin = admin
	}
	return admin, err
}

func (s *shopify) close() error {
	var err error
	for _, p := range s.producers {
		err = errors.Join(err, p.Close())
	}
	if s.admin != nil {
		err = errors.Join(err, s.admin.Close())
	}
	if s.client != nil {
		err = errors.Join(err, s.client.Close())
	}
	return err
}

func (s *shopify) createTopic(_ context.Context, topic string, partitions int32, replicas int16, configs map[string]string) error {
	adm, err := s.adm()
	if err != nil {
		return err
	}
	settings := map[string]*string{}
	for k, v := range configs {
		settings[k] = &v
	}
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: replicas, ConfigEntries: settings}
	return adm.CreateTopic(topic, detail, false)
}

func (s *shopify) deleteTopic(_ context.Context, topic string) error {
	adm, err := s.adm()
	if err != nil {
		return err
	}
	return adm.DeleteTopic(topic)
}

func (s *shopify) producer(p producing, manual bool) (sarama.SyncProducer, error) {
	kind := producerKind{p.codec, p.idempotent != nil && *p.idempotent, manual}
	if producer, ok := s.producers[kind]; ok {
		return producer, nil
	}
	codec, ok := map[string]sarama.CompressionCodec{
		"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
		"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
	}[p.codec]
	if !ok {
		return nil, fmt.Errorf("codec %q: %w", p.codec, errUnsupported)
	}
	c := s.config()
	c.Producer.Compression = codec
	if kind.idempotent {
		c.Producer.Idempotent = true
		c.Net.MaxOpenRequests = 1
	}
	if manual {
		c.Producer.Partitioner = sarama.NewManualPartitioner
	}
	producer, err := sarama.NewSyncProducer(s.bootstrap, c)
	if err == nil {
		s.producers[kind] = producer
	}
	return producer, err
}

func (s *shopify) produce(_ context.Context, p producing, records []record) ([][2]int64, error) {
	producer, err := s.producer(p, len(records) > 0 && records[0].Partition != nil)
	if err != nil {
		return nil, err
	}
	sent := make([]*sarama.ProducerMessage, len(records))
	for i, rec := range records {
		m := &sarama.ProducerMessage{Topic: p.topic}
		if rec.Key != nil {
			m.Key = sarama.ByteEncoder(rec.Key)
		}
		if rec.Value != nil {
			m.Value = sarama.ByteEncoder(rec.Value)
		}
		if rec.Partition != nil {
			m.Partition = *rec.Partition
		}
		if rec.Timestamp != nil {
			m.Timestamp = time.UnixMilli(*rec.Timestamp)
		}
		for _, h := range rec.Headers {
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
		}
		sent[i] = m
	}
	if err := producer.SendMessages(sent); err != nil {
		if each, ok := errors.AsType[sarama.ProducerErrors](err); ok {
			return nil, fmt.Errorf("%w, the first: %w", err, each[0].Err)
		}
		return nil, err
	}
	offsets := make([][2]int64, len(sent))
	for i, m := range sent {
		offsets[i] = [2]int64{int64(m.Partition), m.Offset}
	}
	return offsets, nil
}

func (s *shopify) openReader(_ context.Context, topic string, p int32, from start) (reader, int64, error) {
	client, err := s.cli()
	if err != nil {
		return nil, 0, err
	}
	position := from.offset
	switch from.at {
	case "start":
		position, err = client.GetOffset(topic, p, sarama.OffsetOldest)
	case "end":
		position, err = client.GetOffset(topic, p, sarama.OffsetNewest)
	case "time":
		position, err = client.GetOffset(topic, p, from.offset)
	}
	if err != nil {
		return nil, 0, err
	}
	consumer, err := sarama.NewConsumer(s.bootstrap, s.config())
	if err != nil {
		return nil, 0, err
	}
	at := position
	if from.at == "start" {
		at = sarama.OffsetOldest
	}
	of, err := consumer.ConsumePartition(topic, p, at)
	if err != nil {
		return nil, 0, errors.Join(err, consumer.Close())
	}
	return &saramaReader{consumer, of}, position, nil
}

type saramaReader struct {
	consumer sarama.Consumer
	of       sarama.PartitionConsumer
}

func (r *saramaReader) close() error {
	return errors.Join(r.of.Close(), r.consumer.Close())
}

func (r *saramaReader) read(ctx context.Context, limit int) ([]record, error) {
	var records []record
	for len(records) < limit {
		select {
		case m := <-r.of.Messages():
			records = append(records, fromSarama(m))
		case err := <-r.of.Errors():
			return records, err
		case <-ctx.Done():
			return records, nil
		}
	}
	return records, nil
}

func fromSarama(m *sarama.ConsumerMessage) record {
	ms := m.Timestamp.UnixMilli()
	rec := record{Partition: &m.Partition, Offset: m.Offset, Timestamp: &ms, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		rec.Headers = append(rec.Headers, header{string(h.Key), h.Value})
	}
	return rec
}

func (s *shopify) committed(_ context.Context, group, topic string, partitions []int32) ([]*int64, error) {
	adm, err := s.adm()
	if err != nil {
		return nil, err
	}
	fetched, err := adm.ListConsumerGroupOffsets(group, map[string][]int32{topic: partitions})
	if err != nil {
		return nil, err
	}
	if fetched.Err != sarama.ErrNoError {
		return nil, fetched.Err
	}
	offsets := make([]*int64, len(partitions))
	for i, p := range partitions {
		block := fetched.GetBlock(topic, p)
		if block == nil {
			continue
		}
		if block.Err != sarama.ErrNoError {
			return nil, block.Err
		}
		if block.Offset >= 0 {
			offsets[i] = &block.Offset
		}
	}
	return offsets, nil
}

func (s *shopify) offsetForTime(_ context.Context, topic string, p int32, ms int64) (*int64, error) {
	client, err := s.cli()
	if err != nil {
		return nil, err
	}
	offset, err := client.GetOffset(topic, p, ms)
	if err != nil || offset < 0 {
		return nil, err
	}
	return &offset, nil
}

func (s *shopify) describeConfig(_ context.Context, topic string) (map[string]string, error) {
	adm, err := s.adm()
	if err != nil {
		return nil, err
	}
	//lint:ignore SA1019 the old Sarama has no other call
	entries, err := adm.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: topic})
	configs := map[string]string{}
	for _, e := range entries {
		configs[e.Name] = e.Value
	}
	return configs, err
}

func (s *shopify) alterConfig(_ context.Context, topic string, set map[string]string, del []string) error {
	adm, err := s.adm()
	if err != nil {
		return err
	}
	changes := map[string]sarama.IncrementalAlterConfigsEntry{}
	for k, v := range set {
		changes[k] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &v}
	}
	for _, k := range del {
		changes[k] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationDelete}
	}
	return adm.IncrementalAlterConfig(sarama.TopicResource, topic, changes, false)
}

// deleteRecords: Sarama does not tell the new low watermarks.
func (s *shopify) deleteRecords(_ context.Context, topic string, offsets map[int32]int64) (map[int32]int64, error) {
	adm, err := s.adm()
	if err != nil {
		return nil, err
	}
	return nil, adm.DeleteRecords(topic, offsets)
}

func (s *shopify) listGroups(context.Context) ([]string, error) {
	adm, err := s.adm()
	if err != nil {
		return nil, err
	}
	listed, err := adm.ListConsumerGroups()
	return slices.Sorted(maps.Keys(listed)), err
}

func (s *shopify) describeGroup(_ context.Context, group string) (string, []string, error) {
	adm, err := s.adm()
	if err != nil {
		return "", nil, err
	}
	described, err := adm.DescribeConsumerGroups([]string{group})
	if err != nil {
		return "", nil, err
	}
	if described[0].Err != sarama.ErrNoError {
		return "", nil, described[0].Err
	}
	var clients []string
	for _, m := range described[0].Members {
		clients = append(clients, m.ClientId)
	}
	return described[0].State, clients, nil
}
