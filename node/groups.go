package node

import (
	"time"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/groups"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/shard"
)

// offsetsTopic is where group coordinators keep what they know.
const offsetsTopic = "__consumer_offsets"

// openGroups makes the coordinators of groups: none yet, for they follow the metadata.
func (n *Node) openGroups() {
	c := n.o.Config
	n.groups = shard.NewHost(shard.Options{
		Env: n.o.Env, NodeID: n.set.nodeID, Topic: offsetsTopic, Partitions: n.manager,
		New:   func(int32) shard.Machine { return groups.New(groupOptions(c)) },
		Timer: func(key string) any { return groups.TimerFired{Key: key} }, Writes: groups.Writes,
		Codec: kafkaproto.Codec(c.Int("offsets.topic.compression.codec")), CommitTimeout: c.Duration("offsets.commit.timeout.ms"), LoadBytes: c.Int("offsets.load.buffer.size"),
		Lease: n.quorum.Lease, Logger: n.log, Events: n.metrics.ShardEvents(),
	})
}

func groupOptions(c *config.Config) groups.Options {
	return groups.Options{
		InitialRebalanceDelay: c.Duration("group.initial.rebalance.delay.ms"),
		MinSessionTimeout:     c.Duration("group.min.session.timeout.ms"),
		MaxSessionTimeout:     c.Duration("group.max.session.timeout.ms"),
		MaxSize:               c.Int("group.max.size"),
		MaxMetadataBytes:      c.Int("offset.metadata.max.bytes"),
		OffsetRetention:       time.Duration(c.Int64("offsets.retention.minutes")) * time.Minute,
		RetentionCheck:        c.Duration("offsets.retention.check.interval.ms"),
		MaxBatchBytes:         c.Int("message.max.bytes"),
	}
}

// follow has configuration, partitions and coordinators see each change of the metadata, in this order: a coordinator reads
// its partition.
// When the quorum answers a command, both have seen what it changed.
func (n *Node) follow() func(*controller.Image, controller.Changes) {
	var last *controller.Image
	return func(next *controller.Image, c controller.Changes) {
		n.configure(next, c)
		n.forgetOld(last, next, c)
		n.manager.Apply(next, c)
		n.groups.Apply(next, c)
		if gone := deletedTopics(last, next, c); len(gone.Topics) > 0 {
			n.groups.Tell(gone)
		}
		last = next
	}
}

// deletedTopics names the topics that an image has no more. Their ids go along: a topic that was made anew under the same
// name may have offsets before the coordinators hear of this.
func deletedTopics(last, next *controller.Image, c controller.Changes) (gone groups.TopicsDeleted) {
	if last == nil {
		return gone
	}
	look := func(t *controller.Topic) {
		if _, still := next.TopicByID(t.ID); !still {
			gone.Topics, gone.IDs = append(gone.Topics, t.Name), append(gone.IDs, t.ID)
		}
	}
	if c.All {
		for t := range last.Topics() {
			look(t)
		}
		return gone
	}
	for _, id := range c.Topics {
		if t, ok := last.TopicByID(id); ok {
			look(t)
		}
	}
	return gone
}

// countWait bounds how long a scrape waits for coordinators.
const countWait = time.Second

// countGroups counts the groups that this node coordinates by their states; nil while that can't be told.
func (n *Node) countGroups() map[string]int {
	answer := make(chan []any, 1)
	n.groups.Each(groups.ListGroups{}, func(values []any, err error) {
		if err != nil {
			close(answer)
			return
		}
		answer <- values
	})
	late := n.o.Env.Clock.NewTimer(countWait)
	defer late.Stop()
	var lists []any
	select {
	case values, ok := <-answer:
		if !ok {
			return nil
		}
		lists = values
	case <-late.C():
		return nil
	}
	counts := map[string]int{}
	for _, list := range lists {
		rows, _ := list.([]groups.ListedGroup)
		for _, g := range rows {
			counts[g.State]++
		}
	}
	return counts
}
