package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// TopicSource says where a topic property's effective value comes from.
type TopicSource int

// Sources of a topic property, from the weakest.
const (
	FromDefault       TopicSource = iota // the table
	FromBroker                           // the broker's file, environment or flags
	FromCluster                          // set on all brokers while they run
	FromRunningBroker                    // set on this broker while it runs
	FromTopic                            // set on the topic
)

// TopicEntry is one property of a topic with its effective value.
type TopicEntry struct {
	Key    *Key
	Value  string
	Source TopicSource
}

// ValidateTopic checks one property of a topic: that it exists, and that its value is allowed. The error is an *Error.
func ValidateTopic(name, text string) error {
	k, ok := LookupTopic(name)
	if !ok {
		return &Error{Key: name, Value: text, Unknown: true}
	}
	_, err := k.checkSet(text)
	return err
}

// Topic makes a topic's effective configuration from what is set on it and the broker's defaults. It checks each value,
// and the rules between values. The error is an *Error.
func (c *Config) Topic(overrides map[string]string) (TopicConfig, error) {
	values := make(map[string]any, len(topicRows))
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		k, ok := LookupTopic(name)
		if !ok {
			return TopicConfig{}, &Error{Key: name, Value: overrides[name], Unknown: true}
		}
		parsed, err := k.checkSet(overrides[name])
		if err != nil {
			return TopicConfig{}, err
		}
		values[name] = parsed
	}
	for i := range topicRows {
		k := &topicRows[i]
		if _, ok := values[k.Name]; !ok {
			values[k.Name], _, _ = c.topicDefault(k)
		}
	}
	if _, own := overrides["flush.ms"]; !own {
		// The broker's log.flush.interval.ms is the interval of its own flush policy; it must not weaken "always".
		values["flush.ms"] = int64(math.MaxInt64)
	}
	return typedTopic(values), c.checkTogether(values)
}

// TopicDefault is the value of a topic property where the topic does not set it, as text. False: no such property.
func (c *Config) TopicDefault(name string) (string, bool) {
	k, ok := LookupTopic(name)
	if !ok {
		return "", false
	}
	parsed, _, _ := c.topicDefault(k)
	return format(parsed), true
}

// TopicEntries returns every topic property, by name, with its effective value under the overrides. Values that are not
// allowed are shown as they are.
func (c *Config) TopicEntries(overrides map[string]string) []TopicEntry {
	entries := make([]TopicEntry, 0, len(topicRows))
	for i := range topicRows {
		k := &topicRows[i]
		e := TopicEntry{Key: k, Source: FromTopic}
		if text, ok := overrides[k.Name]; ok {
			e.Value = text
		} else {
			parsed, origin, _ := c.topicDefault(k)
			e.Value, e.Source = format(parsed), sourceOf(origin)
		}
		entries = append(entries, e)
	}
	return entries
}

func sourceOf(o Origin) TopicSource {
	switch o {
	case OriginDefault:
		return FromDefault
	case OriginCluster:
		return FromCluster
	case OriginBroker:
		return FromRunningBroker
	}
	return FromBroker
}

// topicDefault finds the first broker property of a topic property's synonyms that has a value, and that value in the
// topic property's unit. Where all of them stand at their defaults, the topic property's own default counts.
func (c *Config) topicDefault(k *Key) (parsed any, origin Origin, synonym string) {
	for _, name := range k.Synonyms {
		v := c.get(name)
		if !v.isSet || v.origin == OriginDefault {
			continue
		}
		return inMilliseconds(name, v.parsed), v.origin, name
	}
	parsed, _ = parse(k.Type, k.Default)
	return parsed, OriginDefault, ""
}

// inMilliseconds converts the value of a property in hours or minutes, and a retention without limit to its usual form.
func inMilliseconds(name string, parsed any) any {
	n, ok := parsed.(int64)
	if ok && n < 0 && strings.HasPrefix(name, "log.retention.") {
		return int64(-1) // any negative one is no limit
	}
	if !ok || n < 0 || !strings.HasSuffix(name, ".hours") && !strings.HasSuffix(name, ".minutes") {
		return parsed
	}
	return n * unitOf(name).Milliseconds()
}

// typedTopic fills the struct from parsed values; every topic property has one.
func typedTopic(values map[string]any) TopicConfig {
	integer := func(name string) int64 { n, _ := values[name].(int64); return n }
	millis := func(name string) time.Duration { return duration(integer(name), time.Millisecond) }
	flag := func(name string) bool { b, _ := values[name].(bool); return b }
	text := func(name string) string { s, _ := values[name].(string); return s }
	list := func(name string) []string { l, _ := values[name].([]string); return l }
	ratio, _ := values["min.cleanable.dirty.ratio"].(float64)
	policy := list("cleanup.policy")
	// -2 stands for the value that has no "local" in its name.
	localTime, localBytes := millis("local.retention.ms"), integer("local.retention.bytes")
	if integer("local.retention.ms") == -2 {
		localTime = millis("retention.ms")
	}
	if localBytes == -2 {
		localBytes = integer("retention.bytes")
	}
	return TopicConfig{
		CleanupDelete: slices.Contains(policy, "delete"), CleanupCompact: slices.Contains(policy, "compact"),
		Retention: millis("retention.ms"), RetentionBytes: integer("retention.bytes"),
		LocalRetention: localTime, LocalRetentionBytes: localBytes,
		SegmentBytes: integer("segment.bytes"), SegmentTime: millis("segment.ms"),
		SegmentJitter: millis("segment.jitter.ms"), SegmentIndexBytes: integer("segment.index.bytes"),
		IndexIntervalBytes: integer("index.interval.bytes"), Preallocate: flag("preallocate"),
		MaxMessageBytes: int(integer("max.message.bytes")), CompressionType: text("compression.type"),
		CompressionGzipLevel: int(integer("compression.gzip.level")),
		CompressionLz4Level:  int(integer("compression.lz4.level")),
		CompressionZstdLevel: int(integer("compression.zstd.level")),
		TimestampType:        text("message.timestamp.type"),
		LogAppendTime:        text("message.timestamp.type") == LogAppendTime,
		TimestampBeforeMax:   millis("message.timestamp.before.max.ms"),
		TimestampAfterMax:    millis("message.timestamp.after.max.ms"),
		MinInSyncReplicas:    int(integer("min.insync.replicas")),
		UncleanElection:      flag("unclean.leader.election.enable"),
		FlushMessages:        integer("flush.messages"), FlushInterval: millis("flush.ms"),
		DeleteRetention: millis("delete.retention.ms"), MinCompactionLag: millis("min.compaction.lag.ms"),
		MaxCompactionLag: millis("max.compaction.lag.ms"), MinCleanableDirtyRatio: ratio,
		FileDeleteDelay: millis("file.delete.delay.ms"), RemoteStorageEnable: flag("remote.storage.enable"),
		RemoteLogCopyDisable: flag("remote.log.copy.disable"), RemoteLogDeleteOnDisable: flag("remote.log.delete.on.disable"),
		LeaderThrottledReplicas:   list("leader.replication.throttled.replicas"),
		FollowerThrottledReplicas: list("follower.replication.throttled.replicas"),
	}
}

// checkTogether holds the rules between the values of one topic, as Kafka has them: those about local retention count only
// where the topic is tiered, and it can be that only where the broker can tier.
func (c *Config) checkTogether(values map[string]any) error {
	above := func(low, high string) error {
		lowest, _ := values[low].(int64)
		highest, _ := values[high].(int64)
		if lowest <= highest {
			return nil
		}
		return &Error{Key: low, Value: format(lowest), Text: fmt.Sprintf("%s must not be above %s: %d > %d", low, high, lowest, highest)}
	}
	if lo, hi := values["min.compaction.lag.ms"], values["max.compaction.lag.ms"]; lo.(int64) > hi.(int64) {
		return &Error{Key: "min.compaction.lag.ms", Value: format(lo), Text: fmt.Sprintf(
			"conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", lo, hi)}
	}
	if tiered, _ := values["remote.storage.enable"].(bool); !tiered {
		return nil
	}
	if !c.Bool("remote.log.storage.system.enable") {
		return &Error{Key: "remote.storage.enable", Value: "true", Text: "Tiered Storage functionality is disabled in the broker. " +
			"Topic cannot be configured with remote log storage."}
	}
	for _, unit := range []string{"ms", "bytes"} {
		if n, _ := values["retention."+unit].(int64); n < 0 {
			continue
		}
		if err := above("local.retention."+unit, "retention."+unit); err != nil {
			return err
		}
	}
	return nil
}
