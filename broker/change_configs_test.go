package broker

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
)

// followDynamic lets what is set on brokers take effect, as a node does.
func followDynamic(c *config.Config) func(*controller.Image, controller.Changes) {
	return func(next *controller.Image, changes controller.Changes) {
		if changes.ConfigsOf(controller.BrokerConfig) {
			c.SetDynamic(config.Dynamic{Broker: next.Config(controller.BrokerConfig, "1"), Cluster: next.Config(controller.BrokerConfig, "")})
		}
	}
}

// configRequests are requests about configs that have something in every field.
func configRequests() []kmsg.Request {
	full, change, elect := kmsg.NewPtrAlterConfigsRequest(), kmsg.NewPtrIncrementalAlterConfigsRequest(), electRequest(2, 1, elections("t", 0))
	full.Version, change.Version = 2, 1
	full.Resources = append(full.Resources, fullResource(topicType, "t", map[string]*string{"retention.ms": ptr("5")}))
	for _, op := range []kmsg.IncrementalAlterConfigOp{opSet, opDelete, opAppend, opSubtract} {
		change.Resources = append(change.Resources,
			changeConfig(topicType, "t", op, "cleanup.policy", ptr("compact")), changeConfig(brokerType, "1", op, "log.cleanup.policy", ptr("compact")),
			changeConfig(groupType, "g", op, "consumer.session.timeout.ms", ptr("50000")), changeConfig(metricsType, "m", op, "match", ptr("client_id=a")))
	}
	describe := describeConfigsRequest(4, resource(topicType, "t", "retention.ms"), resource(brokerType, "1"), resource(groupType, "g"), resource(metricsType, "m"))
	return []kmsg.Request{full, change, elect, describe, producersRequest("t", 0), quorumRequest(2, "__cluster_metadata", 0), dirsRequest(5, "t")}
}
