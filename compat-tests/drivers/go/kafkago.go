package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// segmentio drives segmentio/kafka-go.
type segmentio struct {
	bootstrap []string
	client    *kafka.Client
}

func newKafkaGo(bootstrap []string) *segmentio {
	transport := &kafka.Transport{ClientID: "kafka-go", MetadataTTL: 200 * time.Millisecond}
	return &segmentio{bootstrap, &kafka.Client{Addr: kafka.TCP(bootstrap...), Transport: transport}}
}

func (s *segmentio) close() error {
	s.client.Transport.(*kafka.Transport).CloseIdleConnections()
	return nil
}

func (s *segmentio) createTopic(ctx context.Context, topic string, partitions int32, replicas int16, configs map[string]string) error {
	of := kafka.TopicConfig{Topic: topic, NumPartitions: int(partitions), ReplicationFactor: int(replicas)}
	for k, v := range configs {
		of.ConfigEntries = append(of.ConfigEntries, kafka.ConfigEntry{ConfigName: k, ConfigValue: v})
	}
	resp, err := s.client.CreateTopics(ctx, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{of}})
	if err != nil {
		return err
	}
	return resp.Errors[topic]
}

func (s *segmentio) deleteTopic(ctx context.Context, topic string) error {
	resp, err := s.client.DeleteTopics(ctx, &kafka.DeleteTopicsRequest{Topics: []string{topic}})
	if err != nil {
		return err
	}
	return resp.Errors[topic]
}

// sending is what a message carries through the writer.
type sending struct {
	index     int
	partition *int32
}

// byRecord puts a message into its record's partition, else where the key's hash says.
type byRecord struct{ hash kafka.Hash }

func (b *byRecord) Balance(m kafka.Message, partitions ...int) int {
	if s, ok := m.WriterData.(sending); ok && s.partition != nil {
		return int(*s.partition)
	}
	return b.hash.Balance(m, partitions...)
}

func (s *segmentio) produce(ctx context.Context, p producing, records []record) ([][2]int64, error) {
	if p.idempotent != nil && *p.idempotent {
		return nil, fmt.Errorf("idempotent: %w", errUnsupported)
	}
	codec, ok := map[string]kafka.Compression{
		"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
	}[p.codec]
	if !ok {
		return nil, fmt.Errorf("codec %q: %w", p.codec, errUnsupported)
	}
	var mu sync.Mutex
	offsets := make([][2]int64, len(records))
	w := &kafka.Writer{
		Addr: kafka.TCP(s.bootstrap...), Topic: p.topic, Balancer: &byRecord{}, Compression: codec,
		RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond, BatchSize: 1000, Transport: s.client.Transport,
		Completion: func(done []kafka.Message, _ error) {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range done {
				offsets[m.WriterData.(sending).index] = [2]int64{int64(m.Partition), m.Offset}
			}
		},
	}
	sent := make([]kafka.Message, len(records))
	for i, rec := range records {
		m := kafka.Message{Key: rec.Key, Value: rec.Value, WriterData: sending{i, rec.Partition}}
		if rec.Timestamp != nil {
			m.Time = time.UnixMilli(*rec.Timestamp)
		}
		for _, h := range rec.Headers {
			m.Headers = append(m.Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
		sent[i] = m
	}
	err := w.WriteMessages(ctx, sent...)
	return offsets, errors.Join(err, w.Close())
}

// listOffset asks for an offset by time, or one of the marks of the log's ends; -1 is none.
func (s *segmentio) listOffset(ctx context.Context, topic string, of kafka.OffsetRequest) (int64, error) {
	resp, err := s.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{topic: {of}}})
	if err != nil {
		return 0, err
	}
	if len(resp.Topics[topic]) != 1 {
		return 0, fmt.Errorf("no offsets of %s", topic)
	}
	p := resp.Topics[topic][0]
	switch of.Timestamp {
	case kafka.FirstOffset:
		return p.FirstOffset, p.Error
	case kafka.LastOffset:
		return p.LastOffset, p.Error
	}
	for offset := range p.Offsets {
		return offset, p.Error
	}
	return -1, p.Error
}

func (s *segmentio) openReader(ctx context.Context, topic string, p int32, from start) (reader, int64, error) {
	position := from.offset
	var err error
	switch from.at {
	case "start":
		position, err = s.listOffset(ctx, topic, kafka.FirstOffsetOf(int(p)))
	case "end":
		position, err = s.listOffset(ctx, topic, kafka.LastOffsetOf(int(p)))
	case "time":
		position, err = s.listOffset(ctx, topic, kafka.TimeOffsetOf(int(p), time.UnixMilli(from.offset)))
	}
	if err != nil {
		return nil, 0, err
	}
	r := s.reader(topic, p)
	switch from.at {
	case "start":
		err = r.SetOffset(kafka.FirstOffset)
	case "time":
		err = r.SetOffsetAt(ctx, time.UnixMilli(from.offset))
	default:
		err = r.SetOffset(position)
	}
	return kafkaGoReader{r}, position, err
}

func (s *segmentio) reader(topic string, p int32) *kafka.Reader {
	return kafka.NewReader(kafka.ReaderConfig{
		Brokers: s.bootstrap, Topic: topic, Partition: int(p), MinBytes: 1, MaxBytes: 10 << 20,
		MaxWait: 250 * time.Millisecond, ReadBackoffMin: 10 * time.Millisecond, ReadBackoffMax: 100 * time.Millisecond,
	})
}

type kafkaGoReader struct{ of *kafka.Reader }

func (r kafkaGoReader) close() error { return r.of.Close() }

func (r kafkaGoReader) read(ctx context.Context, limit int) ([]record, error) {
	var records []record
	for len(records) < limit {
		m, err := r.of.FetchMessage(ctx)
		if err != nil && ctx.Err() != nil { // a message that came just before is one
			return records, nil
		}
		if err != nil {
			return records, err
		}
		records = append(records, fromKafkaGo(m))
	}
	return records, nil
}

func fromKafkaGo(m kafka.Message) record {
	p, ms := int32(m.Partition), m.Time.UnixMilli()
	rec := record{Partition: &p, Offset: m.Offset, Timestamp: &ms, Key: m.Key, Value: m.Value}
	for _, h := range m.Headers {
		rec.Headers = append(rec.Headers, header{h.Key, h.Value})
	}
	return rec
}

func (s *segmentio) join(_ context.Context, j joining) (member, error) {
	if j.instance != "" {
		return nil, fmt.Errorf("static membership: %w", errUnsupported)
	}
	config := kafka.ConsumerGroupConfig{
		ID: j.group, Brokers: s.bootstrap, Topics: j.topics, SessionTimeout: j.session,
		HeartbeatInterval: j.heartbeat(), JoinGroupBackoff: 200 * time.Millisecond, StartOffset: kafka.FirstOffset,
		Dialer: &kafka.Dialer{ClientID: "kafka-go", Timeout: 10 * time.Second, DualStack: true},
	}
	if j.clientID != "" {
		config.Dialer.ClientID = j.clientID
	}
	switch j.assignor {
	case "":
	case "range":
		config.GroupBalancers = []kafka.GroupBalancer{kafka.RangeGroupBalancer{}}
	case "roundrobin":
		config.GroupBalancers = []kafka.GroupBalancer{kafka.RoundRobinGroupBalancer{}}
	default:
		return nil, fmt.Errorf("assignor %q: %w", j.assignor, errUnsupported)
	}
	group, err := kafka.NewConsumerGroup(config)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &kafkaGoMember{inbox: newInbox(), lib: s, group: group, cancel: cancel}
	m.running.Go(func() { m.run(ctx) })
	return m, nil
}

// kafkaGoMember is a kafka-go group consumer: generation after generation, a reader for each partition.
type kafkaGoMember struct {
	*inbox
	lib     *segmentio
	group   *kafka.ConsumerGroup
	cancel  context.CancelFunc
	running sync.WaitGroup

	genMu sync.Mutex
	gen   *kafka.Generation // nil before the first
}

func (m *kafkaGoMember) run(ctx context.Context) {
	for ctx.Err() == nil {
		gen, err := m.group.Next(ctx)
		if err != nil {
			m.fail(err)
			if errors.Is(err, kafka.ErrGroupClosed) {
				return
			}
			continue
		}
		m.genMu.Lock()
		m.gen = gen
		m.genMu.Unlock()
		var owned []topicPartition
		for topic, partitions := range gen.Assignments {
			for _, p := range partitions {
				owned = append(owned, topicPartition{topic, int32(p.ID)})
			}
		}
		m.assign(true, owned...)
		for topic, partitions := range gen.Assignments {
			for _, p := range partitions {
				gen.Start(func(ctx context.Context) { m.read(ctx, topicPartition{topic, int32(p.ID)}, p.Offset) })
			}
		}
	}
}

// read reads a partition until the generation ends.
func (m *kafkaGoMember) read(ctx context.Context, tp topicPartition, from int64) {
	defer m.revoke(tp)
	r := m.lib.reader(tp.topic, tp.partition)
	defer r.Close()
	if err := r.SetOffset(from); err != nil {
		m.fail(err)
		return
	}
	for {
		msg, err := r.FetchMessage(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			m.fail(err)
			return
		}
		m.add(tp, fromKafkaGo(msg))
	}
}

func (m *kafkaGoMember) commit(context.Context) ([]committedOffset, error) {
	m.genMu.Lock()
	gen := m.gen
	m.genMu.Unlock()
	offsets := m.toCommit()
	if gen == nil || len(offsets) == 0 {
		return nil, nil
	}
	asked := map[string]map[int]int64{}
	for _, o := range offsets {
		if asked[o.topic] == nil {
			asked[o.topic] = map[int]int64{}
		}
		asked[o.topic][int(o.partition)] = o.offset
	}
	return offsets, gen.CommitOffsets(asked)
}

func (m *kafkaGoMember) leave() error {
	err := m.group.Close()
	m.cancel()
	m.running.Wait()
	return err
}
