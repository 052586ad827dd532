package shard

import (
	"slices"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// Apply follows the metadata: it begins to load the shards whose partitions this node now leads, and ends those that it
// leads no more. A new leader epoch is a new shard. It waits for no load.
func (h *Host) Apply(next *controller.Image, c controller.Changes) {
	h.applying.Lock()
	defer h.applying.Unlock()
	if h.closed {
		return
	}
	old := h.view.Load()
	topic, exists := next.Topic(h.o.Topic)
	if !exists {
		if old.count > 0 {
			h.view.Store(&view{})
			endAll(old.shards)
		}
		return
	}
	if old.topic == topic.ID && !c.All && !slices.Contains(c.Topics, topic.ID) {
		return
	}
	fresh, over := h.compare(old, topic)
	h.view.Store(fresh)
	endAll(over)
	for i, s := range fresh.shards {
		if s != nil && (i >= len(old.shards) || old.shards[i] != s) {
			s.start()
		}
	}
}

// compare makes the view that belongs to the topic as it is now, and finds the shards of the old one that end.
func (h *Host) compare(old *view, topic *controller.Topic) (fresh *view, over []*shard) {
	fresh = &view{topic: topic.ID, count: int32(len(topic.Partitions)), shards: make([]*shard, len(topic.Partitions))}
	for i, part := range topic.Partitions {
		var was *shard
		if i < len(old.shards) {
			was = old.shards[i]
		}
		fresh.shared = fresh.shared || len(part.Replicas) > 1
		leads := part.Leader == h.o.NodeID
		if was != nil && leads && was.id.Topic == topic.ID && was.epoch == part.LeaderEpoch {
			fresh.shards[i] = was
			continue
		}
		if was != nil {
			over = append(over, was)
		}
		if leads {
			fresh.shards[i] = newShard(h, kafkaproto.TopicPartition{Topic: topic.ID, Partition: part.ID}, part.LeaderEpoch)
		}
	}
	return fresh, append(over, old.shards[min(len(old.shards), len(topic.Partitions)):]...)
}

func endAll(shards []*shard) {
	for _, s := range shards {
		if s != nil {
			s.end()
		}
	}
}
