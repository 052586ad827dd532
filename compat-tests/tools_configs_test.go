package compat

import (
	"strings"
	"testing"
)

const configCommand = "kafka.admin.ConfigCommand "

func toolsOfTopicConfigs(t *testing.T, x *toolbox) {
	createTopic(t, x.sys, "configured", 1, "max.message.bytes", "50000")
	describe := tool(configCommand + "--describe --topic configured")
	x.run(t, describe, "Dynamic configs for topic configured are:",
		"max.message.bytes=50000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:max.message.bytes=50000, DEFAULT_CONFIG:message.max.bytes=1048588}")
	x.run(t, append(describe, "--all"), "All configs for topic configured are:",
		"cleanup.policy=delete sensitive=false synonyms={DEFAULT_CONFIG:log.cleanup.policy=delete}",
		"max.message.bytes=50000 sensitive=false ...",
		"retention.ms=604800000 sensitive=false synonyms={}",
		"segment.bytes=1073741824 sensitive=false ...")
	alter := configCommand + "--alter --topic configured "
	x.run(t, tool(alter+"--add-config retention.ms=60000,cleanup.policy=[compact,delete] --delete-config max.message.bytes"),
		"Completed updating config for topic configured.")
	x.soon(t, describe,
		"cleanup.policy=compact,delete sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, DEFAULT_CONFIG:log.cleanup.policy=delete}",
		"retention.ms=60000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=60000}")
	if out := x.run(t, describe); strings.Contains(out, "max.message.bytes") {
		t.Errorf("a deleted setting is still there:\n%s", out)
	}
	x.refused(t, tool(alter+"--add-config retention.ms=soon"), "Invalid value soon for configuration retention.ms")
	x.refused(t, tool(alter+"--add-config no.such.setting=1"), "no.such.setting")
	x.refused(t, tool(configCommand+"--alter --topic nowhere --add-config retention.ms=1"), "UnknownTopicOrPartitionException")
}

func toolsOfBrokerConfigs(t *testing.T, x *toolbox) {
	node := x.node(t)
	describe := tool(configCommand + "--describe --broker " + node)
	x.run(t, append(describe, "--all"), "All configs for broker "+node+" are:", "message.max.bytes=1048588 sensitive=false ...",
		"node.id="+node+" sensitive=false ...", "num.partitions=...", "log.retention.hours=168 sensitive=false ...")
	alter := configCommand + "--alter --broker " + node + " "
	x.run(t, tool(alter+"--add-config message.max.bytes=2000000"), "Completed updating config for broker "+node+".")
	x.soon(t, describe, "message.max.bytes=2000000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:message.max.bytes=2000000, DEFAULT_CONFIG:message.max.bytes=1048588}")
	x.refused(t, tool(alter+"--add-config node.id=5"), "Cannot update these configs dynamically: [node.id]")
	x.refused(t, tool(alter+"--add-config message.max.bytes=much"), "message.max.bytes")

	defaults := configCommand + "--alter --broker-defaults "
	x.run(t, tool(defaults+"--add-config message.max.bytes=3000000"), "Completed updating default config for brokers in the cluster.")
	x.soon(t, tool(configCommand+"--describe --broker-defaults"), "Default configs for brokers in the cluster are:",
		"message.max.bytes=3000000 sensitive=false synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=3000000}")
	x.soon(t, describe, "message.max.bytes=2000000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:message.max.bytes=2000000, "+
		"DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=3000000, DEFAULT_CONFIG:message.max.bytes=1048588}")
	x.run(t, tool(alter+"--delete-config message.max.bytes"))
	createTopic(t, x.sys, "inherits", 1)
	x.soon(t, tool(configCommand+"--describe --topic inherits --all"), "max.message.bytes=3000000 sensitive=false "+
		"synonyms={DYNAMIC_DEFAULT_BROKER_CONFIG:message.max.bytes=3000000, DEFAULT_CONFIG:message.max.bytes=1048588}")
	x.run(t, tool(defaults+"--delete-config message.max.bytes"))
	x.soon(t, tool(configCommand+"--describe --topic inherits --all"),
		"max.message.bytes=1048588 sensitive=false synonyms={DEFAULT_CONFIG:message.max.bytes=1048588}")
}

func toolsOfGroupConfigs(t *testing.T, x *toolbox) {
	alter := configCommand + "--alter --group configured "
	describe := tool(configCommand + "--describe --group configured")
	x.run(t, tool(alter+"--add-config consumer.session.timeout.ms=50000"), "Completed updating config for group configured.")
	x.soon(t, describe, "Dynamic configs for group configured are:", "consumer.session.timeout.ms=50000 sensitive=false "+
		"synonyms={DYNAMIC_GROUP_CONFIG:consumer.session.timeout.ms=50000, DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000}")
	x.run(t, append(describe, "--all"), "All configs for group configured are:",
		"consumer.heartbeat.interval.ms=5000 sensitive=false synonyms={DEFAULT_CONFIG:group.consumer.heartbeat.interval.ms=5000}",
		"consumer.session.timeout.ms=50000 ...")
	x.refused(t, tool(alter+"--add-config consumer.session.timeout.ms=1"), "consumer.session.timeout.ms")
	x.run(t, tool(alter+"--delete-config consumer.session.timeout.ms"))
	x.soon(t, append(describe, "--all"), "consumer.session.timeout.ms=45000 ...")
}
