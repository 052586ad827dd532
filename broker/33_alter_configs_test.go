package broker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// fullResource is all that is to be set on a resource; a nil value is sent as null.
func fullResource(kind kmsg.ConfigResourceType, name string, set map[string]*string) kmsg.AlterConfigsRequestResource {
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	for key, value := range set {
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		c.Name, c.Value = key, value
		r.Configs = append(r.Configs, c)
	}
	return r
}

func (c *client) alter(version int16, validateOnly bool, resources ...kmsg.AlterConfigsRequestResource) []kmsg.AlterConfigsResponseResource {
	c.t.Helper()
	req := kmsg.NewPtrAlterConfigsRequest()
	req.Version, req.Resources, req.ValidateOnly = version, resources, validateOnly
	return ask[*kmsg.AlterConfigsResponse](c, req).Resources
}

func ptr(s string) *string { return &s }

func TestAlterConfigsResetsWhatIsNotNamed(t *testing.T) {
	b := startBroker(t)
	c := b.dial()
	for version := range int16(3) {
		name := "t" + string(rune('0'+version))
		b.createTopic(name, 1, "retention.ms=1000", "segment.ms=5000")
		mustBeCode(t, name, c.alter(version, false, fullResource(topicType, name, map[string]*string{"segment.ms": ptr("6000")}))[0].ErrorCode, nil)
		rows := c.describe(topicType, name)
		if *rows["segment.ms"].Value != "6000" || *rows["retention.ms"].Value != "604800000" || rows["retention.ms"].Source != kmsg.ConfigSourceDefaultConfig {
			t.Errorf("%s %s", shownRow(rows["segment.ms"]), shownRow(rows["retention.ms"]))
		}
	}
	c.mustChange(setConfig(brokerType, "1", "background.threads", "5"), setConfig(groupType, "g", "consumer.session.timeout.ms", "50000"))
	for _, r := range c.alter(2, false, fullResource(brokerType, "1", map[string]*string{"message.max.bytes": ptr("7")}),
		fullResource(groupType, "g", nil)) {
		mustBeCode(t, r.ResourceName, r.ErrorCode, nil)
	}
	broker, group := c.describe(brokerType, "1"), c.describe(groupType, "g")
	if *broker["background.threads"].Value != "10" || *broker["message.max.bytes"].Value != "7" || *group["consumer.session.timeout.ms"].Value != "45000" {
		t.Error(shownRow(broker["background.threads"]), shownRow(group["consumer.session.timeout.ms"]))
	}
}

func TestAlterConfigsRefusesWhatKafkaRefuses(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1, "retention.ms=1000")
	c := b.dial()
	twice := fullResource(topicType, "t", map[string]*string{"retention.ms": ptr("5")})
	twice.Configs = append(twice.Configs, twice.Configs[0])
	for _, row := range []struct {
		r    kmsg.AlterConfigsRequestResource
		code *kafkaproto.Error
		text string
	}{
		{twice, kafkaproto.ErrInvalidRequest, "Error due to duplicate config keys"},
		{fullResource(topicType, "t", map[string]*string{"retention.ms": nil}), kafkaproto.ErrInvalidRequest, "Null value not supported for : retention.ms"},
		{fullResource(topicType, "none", map[string]*string{"retention.ms": ptr("5")}), kafkaproto.ErrUnknownTopicOrPartition, "The topic 'none' does not exist."},
		{fullResource(loggerType, "1", map[string]*string{"root": ptr("INFO")}), kafkaproto.ErrInvalidRequest, "Unknown resource type 8"},
		{fullResource(brokerType, "3", map[string]*string{"message.max.bytes": ptr("5")}), kafkaproto.ErrInvalidRequest, "Unexpected broker id, expected 1, but received 3"},
		{fullResource(brokerType, "1", map[string]*string{"num.partitions": ptr("5")}), kafkaproto.ErrInvalidRequest, "Cannot update these configs dynamically: [num.partitions]"},
	} {
		got := c.alter(2, false, row.r)[0]
		mustBeCode(t, row.text, got.ErrorCode, row.code)
		if got.ErrorMessage == nil || *got.ErrorMessage != row.text {
			t.Errorf("%v, want %q", got.ErrorMessage, row.text)
		}
	}
	if row := c.describe(topicType, "t")["retention.ms"]; *row.Value != "1000" {
		t.Error("what was refused was done")
	}
}

// The values that a topic describes of itself can all be set on it, and then they are what it describes.
func TestDescribedTopicConfigsCanBeSetBack(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1, "retention.ms=1000")
	c := b.dial()
	before := c.describe(topicType, "t")
	set := map[string]*string{}
	for name, row := range before {
		set[name] = row.Value
	}
	got := c.alter(2, false, fullResource(topicType, "t", set))[0]
	if got.ErrorCode != 0 {
		t.Fatalf("%d %s", got.ErrorCode, *got.ErrorMessage)
	}
	for name, row := range c.describe(topicType, "t") {
		if *row.Value != *before[name].Value || row.Source != kmsg.ConfigSourceDynamicTopicConfig {
			t.Errorf("%s: %s", name, shownRow(row))
		}
	}
}

// So can those of groups, and what a broker describes as changeable and not as secret, tied to one listener or a Java class.
// min.insync.replicas is the cluster's alone.
func TestDescribedGroupAndBrokerConfigsCanBeSetBack(t *testing.T) {
	c := startBroker(t).dial()
	set := map[string]*string{}
	for name, row := range c.describe(groupType, "g") {
		set[name] = row.Value
	}
	if got := c.alter(2, false, fullResource(groupType, "g", set))[0]; got.ErrorCode != 0 {
		t.Errorf("%d %s", got.ErrorCode, *got.ErrorMessage)
	}
	set = map[string]*string{}
	for name, row := range c.describe(brokerType, "1") {
		if !row.ReadOnly && row.Value != nil && name[:4] != "ssl." && name != "min.insync.replicas" {
			set[name] = row.Value
		}
	}
	if got := c.alter(2, false, fullResource(brokerType, "1", set))[0]; got.ErrorCode != 0 || len(set) < 60 {
		t.Errorf("%d %s (%d)", got.ErrorCode, *got.ErrorMessage, len(set))
	}
}
