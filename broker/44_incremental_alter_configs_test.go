package broker

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

const (
	opSet      = kmsg.IncrementalAlterConfigOpSet
	opDelete   = kmsg.IncrementalAlterConfigOpDelete
	opAppend   = kmsg.IncrementalAlterConfigOpAppend
	opSubtract = kmsg.IncrementalAlterConfigOpSubtract
)

func changeConfig(kind kmsg.ConfigResourceType, name string, op kmsg.IncrementalAlterConfigOp, key string, value *string) kmsg.IncrementalAlterConfigsRequestResource {
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kind, name
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Op, c.Value = key, op, value
	r.Configs = append(r.Configs, c)
	return r
}

func setConfig(kind kmsg.ConfigResourceType, name, key, value string) kmsg.IncrementalAlterConfigsRequestResource {
	return changeConfig(kind, name, opSet, key, &value)
}

func (c *client) change(version int16, validateOnly bool, resources ...kmsg.IncrementalAlterConfigsRequestResource) []kmsg.IncrementalAlterConfigsResponseResource {
	c.t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version, req.Resources, req.ValidateOnly = version, resources, validateOnly
	return ask[*kmsg.IncrementalAlterConfigsResponse](c, req).Resources
}

func (c *client) mustChange(resources ...kmsg.IncrementalAlterConfigsRequestResource) {
	c.t.Helper()
	for _, r := range c.change(1, false, resources...) {
		if r.ErrorCode != 0 {
			c.t.Fatalf("%v %q: %s", r.ResourceType, r.ResourceName, *r.ErrorMessage)
		}
	}
}

func TestIncrementalAlterConfigsSetsDeletesAppendsAndSubtracts(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	for _, step := range []struct {
		op    kmsg.IncrementalAlterConfigOp
		value *string
		want  string
	}{
		{opAppend, ptr("compact"), "delete,compact"},
		{opAppend, ptr("compact"), "delete,compact"},
		{opSubtract, ptr("delete"), "compact"},
		{opSubtract, ptr("compact"), ""},
		{opSet, ptr("compact,delete"), "compact,delete"},
		{opDelete, nil, "delete"},
	} {
		for version := range int16(2) { // the second time it changes nothing
			r := c.change(version, false, changeConfig(topicType, "t", step.op, "cleanup.policy", step.value))[0]
			if r.ErrorCode != 0 && step.want != "" {
				t.Fatalf("%v: %s", step.op, *r.ErrorMessage)
			}
		}
		if got := *c.describe(topicType, "t")["cleanup.policy"].Value; got != step.want {
			t.Errorf("after %v it is %q, want %q", step.op, got, step.want)
		}
	}
}

func TestIncrementalAlterConfigsRefusesInKafkasWords(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	invalid, config := kafkaproto.ErrInvalidRequest, kafkaproto.ErrInvalidConfig
	for _, row := range []struct {
		r    kmsg.IncrementalAlterConfigsRequestResource
		code *kafkaproto.Error
		text string
	}{
		{setConfig(topicType, "t", "retention.ms", "-2"), config, "Invalid value -2 for configuration retention.ms: Value must be at least -1"},
		{setConfig(topicType, "t", "retention.ms", "abc"), config, "Invalid value abc for configuration retention.ms: Not a number of type LONG"},
		{setConfig(topicType, "t", "nonsense", "abc"), config, "Unknown topic config name: nonsense"},
		{changeConfig(topicType, "t", opSet, "retention.ms", nil), invalid, "Null value not supported for : retention.ms"},
		{changeConfig(topicType, "t", opAppend, "retention.ms", ptr("5")), config, "Can't APPEND to key retention.ms because its type is not LIST."},
		{changeConfig(topicType, "t", opSubtract, "nonsense", ptr("5")), config, "Can't SUBTRACT to key nonsense because its type is not LIST."},
		{changeConfig(topicType, "t", 9, "retention.ms", ptr("5")), invalid, "Unknown operations type 9"},
		{changeConfig(topicType, "t", opAppend, "cleanup.policy", ptr("bad")), config, "Invalid value bad for configuration cleanup.policy: String must be one of: compact, delete"},
		{setConfig(topicType, "t", "cleanup.policy", "delete,,compact"), config, "Configuration 'cleanup.policy' values must not be empty."},
		{setConfig(topicType, "t", "min.cleanable.dirty.ratio", "1.5"), config, "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"},
		{setConfig(topicType, "t", "compression.gzip.level", "0"), config, "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"},
		{setConfig(topicType, "t", "remote.storage.enable", "true"), config, "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."},
		{setConfig(topicType, "t", "leader.replication.throttled.replicas", "0:x"), config, "Invalid value [0:x] for configuration leader.replication.throttled.replicas: leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."},
		{setConfig(topicType, "none", "retention.ms", "5"), kafkaproto.ErrUnknownTopicOrPartition, "The topic 'none' does not exist."},
		{setConfig(topicType, "none", "retention.ms", "-5"), config, "Invalid value -5 for configuration retention.ms: Value must be at least -1"},
		{setConfig(topicType, "", "retention.ms", "5"), invalid, "Default topic resources are not allowed."},
		{setConfig(brokerType, "1", "num.partitions", "5"), invalid, "Cannot update these configs dynamically: [num.partitions]"},
		{setConfig(brokerType, "1", "num.io.threads", "0"), invalid, "Invalid value 0 for configuration num.io.threads: Value must be at least 1"},
		{setConfig(brokerType, "x", "num.io.threads", "9"), invalid, "Node id must be an integer, but it is: x"},
		{setConfig(brokerType, "2", "num.io.threads", "9"), invalid, "Unexpected broker id, expected 1, but received 2"},
		{changeConfig(brokerType, "", opAppend, "num.io.threads", ptr("3")), config, "Config value append is not allowed for config key: num.io.threads"},
		{changeConfig(brokerType, "", opAppend, "nonsense", ptr("3")), config, "Unknown config name: nonsense"},
		{setConfig(groupType, "g", "nonsense", "1"), config, "Unknown group config name: nonsense"},
		{setConfig(groupType, "g", "consumer.session.timeout.ms", "5"), config, "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms"},
		{setConfig(groupType, "", "consumer.session.timeout.ms", "50000"), invalid, "Default group resources are not allowed."},
		{setConfig(metricsType, "m", "nonsense", "1"), invalid, "Unknown client metrics configuration: nonsense"},
		{setConfig(metricsType, "", "metrics", "1"), invalid, "Subscription name can't be empty"},
		{setConfig(loggerType, "1", "kafka.server", "INFO"), config, "Logger kafka.server does not exist!"},
		{setConfig(loggerType, "1", "root", "BAD"), config, "Cannot set the log level of root to BAD as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"},
		{setConfig(loggerType, "2", "root", "INFO"), invalid, "Unexpected node id. Expected 1, but received 2"},
		{changeConfig(loggerType, "1", opDelete, "root", nil), invalid, "Removing the log level of the root logger is not allowed"},
		{changeConfig(loggerType, "1", opAppend, "root", ptr("INFO")), invalid, "APPEND operation is not allowed for the BROKER_LOGGER resource"},
		{changeConfig(loggerType, "1", opSet, "root", nil), invalid, "Null value not supported for : root"},
		{setConfig(77, "1", "root", "INFO"), invalid, "Unknown resource type 77"},
	} {
		got := c.change(1, false, row.r)[0]
		mustBeCode(t, row.text, got.ErrorCode, row.code)
		if got.ErrorMessage == nil || *got.ErrorMessage != row.text {
			t.Errorf("want %q, got %q", row.text, *got.ErrorMessage)
		}
	}
	for _, r := range c.change(1, false, setConfig(topicType, "t", "retention.ms", "5"), setConfig(topicType, "t", "segment.ms", "5")) {
		mustBeCode(t, "twice", r.ErrorCode, invalid)
	}
	c.mustChange(setConfig(topicType, "t", "max.compaction.lag.ms", "5"))
	if got := c.change(1, false, setConfig(topicType, "t", "min.compaction.lag.ms", "10"))[0]; *got.ErrorMessage !=
		"conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)" || got.ErrorCode != config.Num {
		t.Errorf("%+v", got)
	}
}

func TestValidateOnlyChecksAndChangesNothing(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	good := []kmsg.IncrementalAlterConfigsRequestResource{
		setConfig(topicType, "t", "retention.ms", "77"), setConfig(brokerType, "1", "background.threads", "5"),
		setConfig(brokerType, "", "background.threads", "5"), setConfig(groupType, "g", "consumer.session.timeout.ms", "50000"),
	}
	for _, r := range c.change(1, true, good...) {
		mustBeCode(t, r.ResourceName, r.ErrorCode, nil)
	}
	for _, r := range c.change(1, true, setConfig(topicType, "t", "retention.ms", "-77"), setConfig(brokerType, "1", "num.partitions", "5"),
		setConfig(groupType, "g", "consumer.session.timeout.ms", "5"), setConfig(topicType, "none", "retention.ms", "7")) {
		if r.ErrorCode == 0 {
			t.Errorf("%v %q is taken", r.ResourceType, r.ResourceName)
		}
	}
	for _, r := range c.alter(2, true, fullResource(topicType, "t", map[string]*string{"retention.ms": ptr("5")})) {
		mustBeCode(t, r.ResourceName, r.ErrorCode, nil)
	}
	for kind, name := range map[controller.ConfigKind]string{controller.TopicConfig: "t", controller.BrokerConfig: "1", controller.GroupConfig: "g"} {
		if set := b.quorum.Image().Config(kind, name); len(set) > 0 {
			t.Errorf("%d %q has %v", kind, name, set)
		}
	}
}

func TestApplyingTheSameConfigsAgainChangesNothing(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	change := []kmsg.IncrementalAlterConfigsRequestResource{
		setConfig(topicType, "t", "retention.ms", "77"), setConfig(brokerType, "1", "background.threads", "5"),
		changeConfig(groupType, "g", opDelete, "consumer.session.timeout.ms", nil),
	}
	c.mustChange(change...)
	watched := 0
	b.quorum.watch(func(_ *controller.Image, changes controller.Changes) { watched += len(changes.Configs) })
	c.mustChange(change...)
	if watched != 0 {
		t.Errorf("%d changes", watched)
	}
}

func TestTopicConfigsTakeEffectAtOnce(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	c := b.dial()
	big := strings.Repeat("x", 2000)
	c.mustProduce("t", 0, big)
	c.mustChange(setConfig(topicType, "t", "max.message.bytes", "1000"))
	resp := ask[*kmsg.ProduceResponse](c, produceRequest("t", 0, batchOf(big)))
	mustBeCode(t, "big", resp.Topics[0].Partitions[0].ErrorCode, kafkaproto.ErrMessageTooLarge)
	c.mustChange(changeConfig(topicType, "t", opDelete, "max.message.bytes", nil))
	c.mustProduce("t", 0, big)
	c.mustChange(setConfig(topicType, "t", "cleanup.policy", "compact"))
	resp = ask[*kmsg.ProduceResponse](c, produceRequest("t", 0, batchOf("no key")))
	mustBeCode(t, "no key", resp.Topics[0].Partitions[0].ErrorCode, kafkaproto.ErrInvalidRecord)
}

func TestDynamicBrokerConfigsReachTopicsWithoutTheirOwn(t *testing.T) {
	b := startBroker(t)
	b.createTopic("t", 1)
	b.createTopic("own", 1, "max.message.bytes=1048588")
	c := b.dial()
	big := strings.Repeat("x", 2000)
	code := func(topic string) int16 {
		return ask[*kmsg.ProduceResponse](c, produceRequest(topic, 0, batchOf(big))).Topics[0].Partitions[0].ErrorCode
	}
	c.mustChange(setConfig(brokerType, "", "message.max.bytes", "1000"))
	mustBeCode(t, "cluster-wide", code("t"), kafkaproto.ErrMessageTooLarge)
	mustBeCode(t, "own", code("own"), nil)
	c.mustChange(setConfig(brokerType, "1", "message.max.bytes", "9000"))
	mustBeCode(t, "of this broker", code("t"), nil)
	want := "9000 DYNAMIC_BROKER message.max.bytes=9000/DYNAMIC_BROKER message.max.bytes=1000/DYNAMIC_DEFAULT_BROKER message.max.bytes=1048588/DEFAULT"
	if got := shownRow(c.describe(topicType, "t")["max.message.bytes"]); got != want {
		t.Error(got)
	}
	if got := c.describe(brokerType, ""); len(got) != 2 || shownRow(got["min.insync.replicas"]) != "1 DYNAMIC_DEFAULT_BROKER min.insync.replicas=1/DYNAMIC_DEFAULT_BROKER" || shownRow(got["message.max.bytes"]) != "1000 DYNAMIC_DEFAULT_BROKER message.max.bytes=1000/DYNAMIC_DEFAULT_BROKER" {
		t.Errorf("%+v", got)
	}
	c.mustChange(changeConfig(brokerType, "1", opDelete, "message.max.bytes", nil), changeConfig(brokerType, "", opDelete, "message.max.bytes", nil))
	if got := shownRow(c.describe(topicType, "t")["max.message.bytes"]); got != "1048588 DEFAULT message.max.bytes=1048588/DEFAULT" {
		t.Error(got)
	}
	mustBeCode(t, "as before", code("t"), nil)
}

func TestConnectionLimitsChangeWhileTheBrokerRuns(t *testing.T) {
	b := startBroker(t)
	c := b.dial()
	c.mustChange(setConfig(brokerType, "1", "max.connections", "1"))
	b.dial().mustBeClosed()
	c.mustChange(setConfig(brokerType, "1", "max.connections", "10"), setConfig(brokerType, "", "max.connections.per.ip", "1"))
	b.dial().mustBeClosed()
	c.mustChange(changeConfig(brokerType, "", opDelete, "max.connections.per.ip", nil))
	b.dial().describe(brokerType, "")
}

func TestSecretsThatAreSetAreNeitherToldNorLogged(t *testing.T) {
	b := startBroker(t)
	c := b.dial()
	const key = "listener.name.plaintext.plain.sasl.jaas.config"
	c.mustChange(setConfig(brokerType, "1", key, "s3cret"), setConfig(brokerType, "", "unknown.to.all", "s3cret"))
	if row := c.describe(brokerType, "1")[key]; !row.IsSensitive || shownRow(row) != "null DYNAMIC_BROKER "+key+"=null/DYNAMIC_BROKER" {
		t.Errorf("%+v", row)
	}
	logged := strings.Join(b.logged.lines(), "\n")
	if strings.Contains(logged, "s3cret") || !strings.Contains(logged, "unknown.to.all") {
		t.Errorf("logged: %s", logged)
	}
}
