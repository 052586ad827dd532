package node

import (
	"strconv"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
)

// configure lets what is set on brokers while they run take effect here, before anybody else looks at the new image. It
// never logs a value.
func (n *Node) configure(next *controller.Image, c controller.Changes) {
	if !c.ConfigsOf(controller.BrokerConfig) {
		return
	}
	bad := n.o.Config.SetDynamic(config.Dynamic{
		Broker:  next.Config(controller.BrokerConfig, strconv.Itoa(int(n.set.nodeID))),
		Cluster: next.Config(controller.BrokerConfig, ""),
	})
	for _, name := range bad {
		n.log.Warn("what is set on brokers can't be used on this one", "key", name)
	}
	for e := range n.engines {
		e.SetProducerExpiration(n.o.Config.Duration("producer.id.expiration.ms"))
		e.SetFlushInterval(flushInterval(n.o.Config))
		e.SetCleaning(cleaning(n.o.Config))
	}
}
