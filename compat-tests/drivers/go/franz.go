package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// franz drives franz-go, and kadm for what is an administrator's.
type franz struct {
	bootstrap []string
	admin     *kadm.Client // nil until it is needed
	producers map[producerKind]*kgo.Client
}

// producerKind tells apart the clients that producing needs.
type producerKind struct {
	codec      string
	idempotent bool
	manual     bool // the records name their partitions
}

func newFranz(bootstrap []string) *franz {
	return &franz{bootstrap: bootstrap, producers: map[producerKind]*kgo.Client{}}
}

func (f *franz) open(opts ...kgo.Opt) (*kgo.Client, error) {
	opts = append([]kgo.Opt{kgo.SeedBrokers(f.bootstrap...), kgo.ClientID("franz-go"), kgo.MetadataMinAge(100 * time.Millisecond)}, opts...)
	return kgo.NewClient(opts...)
}

func (f *franz) adm() (*kadm.Client, error) {
	if f.admin == nil {
		client, err := f.open()
		if err != nil {
			return nil, err
		}
		f.admin = kadm.NewClient(client)
	}
	return f.admin, nil
}

func (f *franz) close() error {
	for _, client := range f.producers {
		client.Close()
	}
	if f.admin != nil {
		f.admin.Close()
	}
	return nil
}

func (f *franz) createTopic(ctx context.Context, topic string, partitions int32, replicas int16, configs map[string]string) error {
	adm, err := f.adm()
	if err != nil {
		return err
	}
	settings := map[string]*string{}
	for k, v := range configs {
		settings[k] = &v
	}
	_, err = adm.CreateTopic(ctx, partitions, replicas, settings, topic)
	return err
}

func (f *franz) deleteTopic(ctx context.Context, topic string) error {
	adm, err := f.adm()
	if err != nil {
		return err
	}
	_, err = adm.DeleteTopic(ctx, topic)
	return err
}

func (f *franz) producer(p producing, manual bool) (*kgo.Client, error) {
	kind := producerKind{p.codec, p.idempotent == nil || *p.idempotent, manual}
	if client, ok := f.producers[kind]; ok {
		return client, nil
	}
	codec, ok := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}[p.codec]
	if !ok {
		return nil, fmt.Errorf("codec %q: %w", p.codec, errUnsupported)
	}
	opts := []kgo.Opt{kgo.ProducerBatchCompression(codec)}
	if !kind.idempotent {
		opts = append(opts, kgo.DisableIdempotentWrite())
	}
	if manual {
		opts = append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	client, err := f.open(opts...)
	if err == nil {
		f.producers[kind] = client
	}
	return client, err
}

func (f *franz) produce(ctx context.Context, p producing, records []record) ([][2]int64, error) {
	client, err := f.producer(p, len(records) > 0 && records[0].Partition != nil)
	if err != nil {
		return nil, err
	}
	sent := make([]*kgo.Record, len(records))
	for i, rec := range records {
		r := &kgo.Record{Topic: p.topic, Key: rec.Key, Value: rec.Value}
		if rec.Partition != nil {
			r.Partition = *rec.Partition
		}
		if rec.Timestamp != nil {
			r.Timestamp = time.UnixMilli(*rec.Timestamp)
		}
		for _, h := range rec.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		sent[i] = r
	}
	if err := client.ProduceSync(ctx, sent...).FirstErr(); err != nil {
		return nil, err
	}
	offsets := make([][2]int64, len(sent))
	for i, r := range sent {
		offsets[i] = [2]int64{int64(r.Partition), r.Offset}
	}
	return offsets, nil
}

func (f *franz) position(ctx context.Context, topic string, p int32, from start) (int64, error) {
	adm, err := f.adm()
	if err != nil {
		return 0, err
	}
	var listed kadm.ListedOffsets
	switch from.at {
	case "start":
		listed, err = adm.ListStartOffsets(ctx, topic)
	case "end":
		listed, err = adm.ListEndOffsets(ctx, topic)
	case "time":
		listed, err = adm.ListOffsetsAfterMilli(ctx, from.offset, topic)
	default:
		return from.offset, nil
	}
	if err == nil {
		err = listed.Error()
	}
	o, ok := listed.Lookup(topic, p)
	if err == nil && !ok {
		err = fmt.Errorf("no offset of %s-%d", topic, p)
	}
	return o.Offset, err
}

func (f *franz) openReader(ctx context.Context, topic string, p int32, from start) (reader, int64, error) {
	position, err := f.position(ctx, topic, p, from)
	if err != nil {
		return nil, 0, err
	}
	offset := kgo.NewOffset().At(position)
	switch from.at {
	case "start":
		offset = kgo.NewOffset().AtStart()
	case "time":
		offset = kgo.NewOffset().AfterMilli(from.offset)
	}
	client, err := f.open(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {p: offset}}),
		kgo.FetchMaxWait(250*time.Millisecond))
	return &franzReader{client}, position, err
}

type franzReader struct{ client *kgo.Client }

func (r *franzReader) close() error {
	r.client.Close()
	return nil
}

func (r *franzReader) read(ctx context.Context, limit int) ([]record, error) {
	var records []record
	for len(records) < limit && ctx.Err() == nil {
		fetches := r.client.PollRecords(ctx, limit-len(records))
		for _, e := range fetches.Errors() {
			if !errors.Is(e.Err, context.DeadlineExceeded) {
				return records, e.Err
			}
		}
		fetches.EachRecord(func(kr *kgo.Record) { records = append(records, fromFranz(kr)) })
	}
	return records, nil
}

func fromFranz(r *kgo.Record) record {
	ms := r.Timestamp.UnixMilli()
	rec := record{Partition: &r.Partition, Offset: r.Offset, Timestamp: &ms, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		rec.Headers = append(rec.Headers, header{h.Key, h.Value})
	}
	return rec
}

func (f *franz) join(_ context.Context, j joining) (member, error) {
	m := &franzMember{inbox: newInbox(), done: make(chan struct{})}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(j.group), kgo.ConsumeTopics(j.topics...), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(j.session),
		kgo.HeartbeatInterval(j.heartbeat()), kgo.FetchMaxWait(250 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, a map[string][]int32) { m.assign(false, pairs(a)...) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, a map[string][]int32) { m.revoke(pairs(a)...) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, a map[string][]int32) { m.revoke(pairs(a)...) }),
	}
	if j.instance != "" {
		opts = append(opts, kgo.InstanceID(j.instance))
	}
	if j.clientID != "" {
		opts = append(opts, kgo.ClientID(j.clientID))
	}
	if j.assignor != "" {
		balancer, ok := map[string]kgo.GroupBalancer{
			"range": kgo.RangeBalancer(), "roundrobin": kgo.RoundRobinBalancer(), "sticky": kgo.StickyBalancer(),
			"cooperative-sticky": kgo.CooperativeStickyBalancer(),
		}[j.assignor]
		if !ok {
			return nil, fmt.Errorf("assignor %q: %w", j.assignor, errUnsupported)
		}
		opts = append(opts, kgo.Balancers(balancer))
	}
	client, err := f.open(opts...)
	if err != nil {
		return nil, err
	}
	m.client = client
	go m.poll()
	return m, nil
}

// franzMember is a group consumer that polls in the background.
type franzMember struct {
	*inbox
	client *kgo.Client
	done   chan struct{} // closed when polling has ended
}

func (m *franzMember) poll() {
	defer close(m.done)
	for {
		fetches := m.client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			m.client.AllowRebalance()
			return
		}
		for _, e := range fetches.Errors() {
			m.fail(e.Err)
		}
		fetches.EachRecord(func(r *kgo.Record) { m.add(topicPartition{r.Topic, r.Partition}, fromFranz(r)) })
		m.client.AllowRebalance()
	}
}

func (m *franzMember) commit(ctx context.Context) ([]committedOffset, error) {
	offsets := m.toCommit()
	if len(offsets) == 0 {
		return nil, nil
	}
	asked := map[string]map[int32]kgo.EpochOffset{}
	for _, o := range offsets {
		if asked[o.topic] == nil {
			asked[o.topic] = map[int32]kgo.EpochOffset{}
		}
		asked[o.topic][o.partition] = kgo.EpochOffset{Epoch: -1, Offset: o.offset}
	}
	var failed error
	m.client.CommitOffsetsSync(ctx, asked,
		func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
			failed = err
			if err != nil {
				return
			}
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					failed = errors.Join(failed, kerr.ErrorForCode(p.ErrorCode))
				}
			}
		})
	return offsets, failed
}

func (m *franzMember) leave() error {
	m.client.CloseAllowingRebalance()
	<-m.done
	return nil
}

func pairs(of map[string][]int32) []topicPartition {
	var all []topicPartition
	for topic, partitions := range of {
		for _, p := range partitions {
			all = append(all, topicPartition{topic, p})
		}
	}
	return all
}

func (f *franz) committed(ctx context.Context, group, topic string, partitions []int32) ([]*int64, error) {
	adm, err := f.adm()
	if err != nil {
		return nil, err
	}
	fetched, err := adm.FetchOffsets(ctx, group)
	if err == nil {
		err = fetched.Error()
	}
	if err != nil {
		return nil, err
	}
	offsets := make([]*int64, len(partitions))
	for i, p := range partitions {
		if o, ok := fetched.Lookup(topic, p); ok && o.At >= 0 {
			offsets[i] = &o.At
		}
	}
	return offsets, nil
}

func (f *franz) offsetForTime(ctx context.Context, topic string, p int32, ms int64) (*int64, error) {
	adm, err := f.adm()
	if err != nil {
		return nil, err
	}
	listed, err := adm.ListOffsetsAfterMilli(ctx, ms, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, err
	}
	o, ok := listed.Lookup(topic, p)
	if !ok || o.Timestamp == -1 { // kadm answers the end where no record is that late
		return nil, nil
	}
	return &o.Offset, nil
}

func (f *franz) describeConfig(ctx context.Context, topic string) (map[string]string, error) {
	adm, err := f.adm()
	if err != nil {
		return nil, err
	}
	described, err := adm.DescribeTopicConfigs(ctx, topic)
	if err != nil {
		return nil, err
	}
	of, err := described.On(topic, nil)
	if err == nil {
		err = of.Err
	}
	configs := map[string]string{}
	for _, c := range of.Configs {
		configs[c.Key] = c.MaybeValue()
	}
	return configs, err
}

func (f *franz) alterConfig(ctx context.Context, topic string, set map[string]string, del []string) error {
	adm, err := f.adm()
	if err != nil {
		return err
	}
	var changes []kadm.AlterConfig
	for k, v := range set {
		changes = append(changes, kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: &v})
	}
	for _, k := range del {
		changes = append(changes, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: k})
	}
	altered, err := adm.AlterTopicConfigs(ctx, changes, topic)
	if err != nil {
		return err
	}
	_, err = altered.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	return err
}

func (f *franz) deleteRecords(ctx context.Context, topic string, offsets map[int32]int64) (map[int32]int64, error) {
	adm, err := f.adm()
	if err != nil {
		return nil, err
	}
	before := kadm.Offsets{}
	for p, o := range offsets {
		before.AddOffset(topic, p, o, -1)
	}
	deleted, err := adm.DeleteRecords(ctx, before)
	if err == nil {
		err = deleted.Error()
	}
	low := map[int32]int64{}
	deleted.Each(func(d kadm.DeleteRecordsResponse) { low[d.Partition] = d.LowWatermark })
	return low, err
}

func (f *franz) listGroups(ctx context.Context) ([]string, error) {
	adm, err := f.adm()
	if err != nil {
		return nil, err
	}
	listed, err := adm.ListGroups(ctx)
	return slices.Sorted(maps.Keys(listed)), err
}

func (f *franz) describeGroup(ctx context.Context, group string) (string, []string, error) {
	adm, err := f.adm()
	if err != nil {
		return "", nil, err
	}
	described, err := adm.DescribeGroups(ctx, group)
	if err == nil {
		err = described.Error()
	}
	if err != nil {
		return "", nil, err
	}
	d := described[group]
	var clients []string
	for _, m := range d.Members {
		clients = append(clients, m.ClientID)
	}
	return d.State, clients, nil
}
