package config

import (
	"errors"
	"math"
	"testing"
	"time"
)

func TestTopicTakesItsDefaultsFromTheBroker(t *testing.T) {
	c := load(t, Sources{File: "message.max.bytes=5000\nlog.cleanup.policy=compact,delete\nmin.insync.replicas=2\n" +
		"log.message.timestamp.type=LogAppendTime\nlog.flush.interval.ms=50\nlog.cleaner.min.cleanable.ratio=0.25\n"})
	topic, err := c.Topic(map[string]string{"retention.ms": "1000", "flush.messages": "1"})
	if err != nil {
		t.Fatal(err)
	}
	if topic.MaxMessageBytes != 5000 || !topic.CleanupCompact || !topic.CleanupDelete || topic.MinInSyncReplicas != 2 ||
		!topic.LogAppendTime || topic.MinCleanableDirtyRatio != 0.25 {
		t.Errorf("%+v", topic)
	}
	if topic.Retention != time.Second || topic.LocalRetention != time.Second || topic.FlushMessages != 1 ||
		topic.TimestampBeforeMax != math.MaxInt64 || topic.TimestampAfterMax != time.Hour {
		t.Errorf("%+v", topic)
	}
	if topic.FlushInterval != math.MaxInt64 {
		t.Error("the broker's flush interval weakens a topic")
	}
	if v, ok := c.TopicDefault("max.message.bytes"); v != "5000" || !ok {
		t.Error(v, ok)
	}
	if _, ok := c.TopicDefault("nonsense"); ok {
		t.Error("a default for nonsense")
	}
}

func TestTopicEntriesSayWhereAValueComesFrom(t *testing.T) {
	c := load(t, Sources{File: "message.max.bytes=5000\n"})
	got := map[string]TopicEntry{}
	for _, e := range c.TopicEntries(map[string]string{"retention.ms": "1000"}) {
		got[e.Key.Name] = e
	}
	for name, want := range map[string]TopicEntry{
		"retention.ms":      {Value: "1000", Source: FromTopic},
		"max.message.bytes": {Value: "5000", Source: FromBroker},
		"segment.bytes":     {Value: "1073741824", Source: FromDefault},
		"flush.ms":          {Value: "9223372036854775807", Source: FromDefault},
	} {
		if got[name].Value != want.Value || got[name].Source != want.Source {
			t.Errorf("%s: %+v", name, got[name])
		}
	}
	if len(got) != 33 {
		t.Errorf("%d properties", len(got))
	}
}

func TestTopicConfigsHaveKafkasRanges(t *testing.T) {
	for _, bad := range [][2]string{
		{"retention.ms", "-2"}, {"segment.bytes", "1048575"}, {"max.message.bytes", "-1"}, {"min.insync.replicas", "0"},
		{"cleanup.policy", "compact,,delete"}, {"compression.type", "none"}, {"min.cleanable.dirty.ratio", "1.1"},
		{"message.timestamp.type", "createTime"}, {"flush.messages", "0"}, {"segment.ms", "0"}, {"nonsense", "1"},
		{"unclean.leader.election.enable", "1"}, {"compression.zstd.level", "23"}, {"preallocate", ""},
	} {
		if err := ValidateTopic(bad[0], bad[1]); !errors.Is(err, ErrInvalidConfig) {
			t.Errorf("%s=%s: %v", bad[0], bad[1], err)
		}
	}
}

func TestKafkaOnlyTopicConfigsAreAccepted(t *testing.T) {
	for name, value := range map[string]string{
		"remote.storage.enable": "false", "leader.replication.throttled.replicas": "*", "index.interval.bytes": "1",
		"local.retention.ms": "-2", "follower.replication.throttled.replicas": "0:1,1:2", "file.delete.delay.ms": "1",
		"compression.lz4.level": "9", "preallocate": "true", "segment.jitter.ms": "5", "cleanup.policy": "",
	} {
		if err := ValidateTopic(name, value); err != nil {
			t.Error(err)
		}
	}
}

func TestTopicValuesMustFitTogether(t *testing.T) {
	c := load(t, Sources{Set: []string{"remote.log.storage.system.enable=true"}})
	for _, bad := range []map[string]string{
		{"min.compaction.lag.ms": "10", "max.compaction.lag.ms": "9"},
		{"remote.storage.enable": "true", "local.retention.ms": "10", "retention.ms": "9"},
		{"remote.storage.enable": "true", "local.retention.bytes": "10", "retention.bytes": "9"},
		{"nonsense": "1"}, {"retention.ms": "x"},
	} {
		if _, err := c.Topic(bad); !errors.Is(err, ErrInvalidConfig) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	for _, good := range []map[string]string{
		{"remote.storage.enable": "true", "local.retention.ms": "10", "retention.ms": "-1"},
		{"local.retention.ms": "10", "retention.ms": "9"},
	} {
		if _, err := c.Topic(good); err != nil {
			t.Error(err)
		}
	}
	if _, err := load(t, Sources{}).Topic(map[string]string{"remote.storage.enable": "true"}); !errors.Is(err, ErrInvalidConfig) {
		t.Errorf("a topic is tiered by a broker that does not tier: %v", err)
	}
}
