package broker

import (
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
