package partition

import (
	"math"
	"slices"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/replication"
)

// topic is what the partitions of a topic share: its name and its settings as the parts below need them. It is
// immutable; a change of the topic's configs makes another one.
type topic struct {
	name   string
	config config.TopicConfig
	rules  replication.Rules
	log    log.LogConfig
	codec  kafkaproto.Codec // what batches are compressed with
	keep   bool             // or as the producer did it (compression.type=producer)

	logAppendTime bool // message.timestamp.type

	heldIn, heldOut replicaNames // throttled as a follower, and as a leader
}

// newTopic maps the configs that are set on a topic, given the broker's and the flush policy that holds where the topic
// says nothing. If they can't be read the broker's defaults hold, and the error says so.
func newTopic(name string, broker *config.Config, overrides map[string]string, policy log.FlushPolicy) (*topic, error) {
	c, err := broker.Topic(overrides)
	if err != nil {
		overrides = nil
		c, _ = broker.Topic(nil)
	}
	_, interval := overrides["flush.ms"]
	t := &topic{name: name, config: c, log: logConfig(c, interval), logAppendTime: c.LogAppendTime}
	t.log.Internal = controller.InternalTopic(name)
	t.heldIn, t.heldOut = newReplicaNames(c.FollowerThrottledReplicas), newReplicaNames(c.LeaderThrottledReplicas)
	if t.log.Policy != log.FlushDefault {
		policy = t.log.Policy
	}
	t.rules = replication.Rules{Durable: policy == log.FlushAlways, MinInSync: c.MinInSyncReplicas}
	if c.CompressionType == "uncompressed" {
		t.codec = kafkaproto.CodecNone
	} else {
		codec, ok := kafkaproto.ParseCodec(c.CompressionType)
		t.codec, t.keep = codec, !ok // producer
	}
	return t, err
}

// Flushes says whether everything that a node has acknowledged was flushed before, as far as an image can tell: the broker's
// policy is `always`, and no topic that it has a replica of says otherwise. If so, a crash costs the node nothing.
func Flushes(broker *config.Config, image *controller.Image, node int32) bool {
	policy := flushPolicy(broker)
	if policy != log.FlushAlways {
		return false
	}
	for t := range image.Topics() {
		if !slices.ContainsFunc(t.Partitions, func(p *controller.Partition) bool { return hosts(p, node) }) {
			continue
		}
		settings, err := newTopic(t.Name, broker, image.Config(controller.TopicConfig, t.Name), policy)
		if err != nil || !settings.rules.Durable {
			return false
		}
	}
	return true
}

// logConfig maps a topic's configs to the engine's. flush.messages=1 means that each record is flushed before it counts.
// flush.ms means an interval only if it is set on the topic itself: else a broker's log.flush.interval.ms, which belongs
// to one policy, would override another.
func logConfig(c config.TopicConfig, interval bool) log.LogConfig {
	l := log.LogConfig{
		RetentionTime: limit(c.Retention), RetentionBytes: limit(c.RetentionBytes),
		Compact: c.CleanupCompact, Delete: c.CleanupDelete,
		SegmentBytes: c.SegmentBytes, SegmentTime: c.SegmentTime,
		MinDirtyRatio: c.MinCleanableDirtyRatio, DeleteRetention: c.DeleteRetention,
		MinCompactionLag: c.MinCompactionLag, MaxCompactionLag: c.MaxCompactionLag,
	}
	switch {
	case c.FlushMessages == 1:
		l.Policy = log.FlushAlways
	case interval && c.FlushInterval < math.MaxInt64:
		l.Policy, l.FlushInterval = log.FlushInterval, c.FlushInterval
	}
	return l
}

// limit maps a limit of retention: to the engine 0 means none, to Kafka it means that nothing is kept.
func limit[T ~int64](v T) T {
	if v == 0 {
		return 1
	}
	return v
}

// flushPolicy reads log.flush.policy.
func flushPolicy(c *config.Config) log.FlushPolicy {
	switch c.String("log.flush.policy") {
	case "interval":
		return log.FlushInterval
	case "never":
		return log.FlushNever
	default:
		return log.FlushAlways
	}
}
