package cli

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// heldReplica is a replica in a directory of the broker that holds it, as this broker tells. Written and Flushed are how far its
// log reaches in memory or on disk, and how far it would survive a power cut; nil on Apache Kafka, which does not say.
type heldReplica struct {
	topicPartition
	broker           int32
	dir              string
	size, lag        int64
	future           bool
	written, flushed *int64
}

// StreamBus's own tagged fields of a partition in DescribeLogDirs.
const (
	tagReplicaWritten = 10000
	tagReplicaFlushed = 10001
)

// heldBy asks brokers, all at once, for the replicas that they hold, of all topics if partitions is nil (DescribeLogDirs, key
// 35). None is asked twice: one that is dead is not to be waited for. silent says of each that gave no answer why.
func heldBy(ctx context.Context, client *kgo.Client, brokers []int32, partitions []topicPartition) (held []heldReplica, silent map[int32]error) {
	silent = map[int32]error{}
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, id := range brokers {
		asked.Go(func() {
			list, err := heldByOne(ctx, client, id, partitions)
			mu.Lock()
			defer mu.Unlock()
			held = append(held, list...)
			if err != nil {
				silent[id] = err
			}
		})
	}
	asked.Wait()
	slices.SortFunc(held, func(a, b heldReplica) int {
		return cmp.Or(comparePartitions(a.topicPartition, b.topicPartition), cmp.Compare(a.broker, b.broker), cmp.Compare(a.dir, b.dir))
	})
	return held, silent
}

func heldByOne(ctx context.Context, client *kgo.Client, broker int32, partitions []topicPartition) ([]heldReplica, error) {
	req := kmsg.NewPtrDescribeLogDirsRequest()
	for _, p := range partitions {
		if n := len(req.Topics); n == 0 || req.Topics[n-1].Topic != p.topic {
			t := kmsg.NewDescribeLogDirsRequestTopic()
			t.Topic = p.topic
			req.Topics = append(req.Topics, t)
		}
		t := &req.Topics[len(req.Topics)-1]
		t.Partitions = append(t.Partitions, p.partition)
	}
	answer, err := client.Broker(int(broker)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.DescribeLogDirsResponse)
	err = kafkaError(resp.ErrorCode, nil)
	var list []heldReplica
	for _, d := range resp.Dirs {
		if failed := kafkaError(d.ErrorCode, nil); failed != nil && err == nil {
			err = fmt.Errorf("%s: %w", d.Dir, failed)
		}
		for _, t := range d.Topics {
			for _, p := range t.Partitions {
				r := heldReplica{
					topicPartition: topicPartition{t.Topic, p.Partition}, broker: broker, dir: d.Dir,
					size: p.Size, lag: p.OffsetLag, future: p.IsFuture,
				}
				r.addEnds(p.UnknownTags)
				list = append(list, r)
			}
		}
	}
	return list, err
}

func (r *heldReplica) addEnds(tags kmsg.Tags) {
	tags.Each(func(tag uint32, value []byte) {
		if len(value) != 8 {
			return
		}
		end := int64(binary.BigEndian.Uint64(value))
		switch tag {
		case tagReplicaWritten:
			r.written = &end
		case tagReplicaFlushed:
			r.flushed = &end
		}
	})
}

// servesOn asks one broker whether it serves an API, unlike servesKey, which asks and awaits them all.
func servesOn(ctx context.Context, client *kgo.Client, broker int32, key int16) bool {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "streambus", "cli" // an empty one is invalid
	answer, err := client.Broker(int(broker)).Request(ctx, req)
	return err == nil && slices.ContainsFunc(answer.(*kmsg.ApiVersionsResponse).ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool {
		return k.ApiKey == key
	})
}
