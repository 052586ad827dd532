package doctor

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	offsetsTopic = "__consumer_offsets"
	// noGroup is a group that nobody has: any name is some coordinator's.
	noGroup = "streambus-doctor"
)

// services asks what can be asked without changing anything. Who coordinates a group is only asked if the topic of
// offsets is there: asking makes it, else.
func (c *conn) services(a *Answer) {
	if version, ok := a.Versions.best(keyFindCoordinator, kmsg.NewPtrFindCoordinatorRequest().MaxVersion()); ok && a.View.Offsets {
		c.findCoordinator(a, version)
	}
	c.describeDefaults(a)
	c.describeQuorum(a)
}

func (c *conn) findCoordinator(a *Answer, version int16) {
	req, resp := kmsg.NewPtrFindCoordinatorRequest(), kmsg.NewPtrFindCoordinatorResponse()
	req.Version, req.CoordinatorKey, req.CoordinatorKeys = version, noGroup, []string{noGroup}
	if err := c.ask(req, resp); err != nil {
		return
	}
	found := &Coordinator{resp.ErrorCode, Member{ID: resp.NodeID, Host: resp.Host, Port: resp.Port}}
	if len(resp.Coordinators) > 0 {
		one := resp.Coordinators[0]
		found = &Coordinator{one.ErrorCode, Member{ID: one.NodeID, Host: one.Host, Port: one.Port}}
	}
	a.Services.Coordinator = found
}

// describeDefaults asks for the configuration that all brokers share, which every broker answers.
func (c *conn) describeDefaults(a *Answer) {
	req, resp := kmsg.NewPtrDescribeConfigsRequest(), kmsg.NewPtrDescribeConfigsResponse()
	version, ok := a.Versions.best(keyDescribeConfigs, req.MaxVersion())
	if !ok {
		return
	}
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType = kmsg.ConfigResourceTypeBroker
	req.Version, req.Resources = version, append(req.Resources, r)
	if err := c.ask(req, resp); err == nil && len(resp.Resources) == 1 {
		a.Services.Configs = &resp.Resources[0].ErrorCode
	}
}
