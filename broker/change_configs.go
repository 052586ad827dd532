package broker

import (
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// configChange is what AlterConfigs or IncrementalAlterConfigs asks of one resource, and what became of it.
type configChange struct {
	controller.ChangeConfig
	names     map[string]bool
	null      []string // keys that are given null where that is not allowed
	duplicate bool     // a key stands there twice
	unknownOp bool
	op        kmsg.IncrementalAlterConfigOp
	logger    *kmsg.IncrementalAlterConfigsRequestResource // the request, if it is about loggers
	err       error
}

// errDone says of a change that it is done, with nothing left for the controller.
var errDone = errors.New("done")

// add takes in what is asked of one key.
func (c *configChange) add(name string, op kmsg.IncrementalAlterConfigOp, value *string) {
	if c.names == nil {
		c.names = map[string]bool{}
	}
	c.duplicate = c.duplicate || c.names[name]
	c.names[name] = true
	if value == nil && op != kmsg.IncrementalAlterConfigOpDelete {
		c.null = append(c.null, name)
		return
	}
	switch op {
	case kmsg.IncrementalAlterConfigOpSet:
		c.Set[name] = value
	case kmsg.IncrementalAlterConfigOpDelete:
		c.Set[name] = nil
	case kmsg.IncrementalAlterConfigOpAppend:
		c.Append[name] = *value
	case kmsg.IncrementalAlterConfigOpSubtract:
		c.Subtract[name] = *value
	default:
		c.unknownOp, c.op = true, op
	}
}

// changeConfigs checks what only this broker can, gives the rest to the controller, and leaves each resource's error in
// changes. The error it returns is for the request as a whole.
func (s *Server) changeConfigs(changes []configChange, validateOnly bool) error {
	type resource struct {
		kind controller.ConfigKind
		name string
	}
	named := map[resource]int{}
	for i := range changes {
		named[resource{changes[i].Kind, changes[i].Name}]++
	}
	command := controller.ChangeConfigs{ValidateOnly: validateOnly}
	var asked []*configChange
	image := s.quorum.Image()
	for i := range changes {
		c := &changes[i]
		switch {
		case named[resource{c.Kind, c.Name}] > 1:
			c.err = kafkaproto.ErrInvalidRequest.With("Each resource must appear at most once.")
		default:
			c.err = s.checkChange(image, c, validateOnly)
		}
		if c.err == errDone {
			c.err = nil
			continue
		}
		if c.err == nil {
			command.Resources = append(command.Resources, c.ChangeConfig)
			asked = append(asked, c)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	answers, err := submit[[]controller.ChangeConfigsAnswer](s, command, 0)
	if err != nil {
		return err
	}
	for i, a := range answers {
		asked[i].err = a.Err
	}
	return nil
}

// checkChange checks a change against the protocol and against this broker's own configuration. What is wrong with the
// values of topics is mostly left to the controller.
func (s *Server) checkChange(image *controller.Image, c *configChange, validateOnly bool) error {
	switch {
	case c.duplicate:
		return kafkaproto.ErrInvalidRequest.With("Error due to duplicate config keys")
	case len(c.null) > 0:
		return kafkaproto.ErrInvalidRequest.With("Null value not supported for : %s", strings.Join(c.null, ", "))
	case c.unknownOp:
		return kafkaproto.ErrInvalidRequest.With("Unknown operations type %d", int8(c.op))
	}
	if c.logger != nil {
		return s.changeLogger(c.logger, validateOnly)
	}
	switch c.Kind {
	case controller.BrokerConfig:
		return s.checkBrokerChange(image, c)
	case controller.GroupConfig:
		next, err := c.Resulting(image.Config(c.Kind, c.Name))
		if err != nil || c.Name == "" {
			return err
		}
		if err = s.config.CheckGroup(next); err != nil {
			return kafkaproto.ErrInvalidConfig.With("%w", err)
		}
		return nil
	case controller.TopicConfig:
		next, err := c.Resulting(image.Config(c.Kind, c.Name))
		if err != nil {
			return err
		}
		return s.checkTogether(pointers(next))
	case controller.ClientMetricsConfig:
		return nil
	}
	return kafkaproto.ErrInvalidRequest.With("Unknown resource type %d", int8(c.Kind))
}

func pointers(set map[string]string) map[string]*string {
	out := make(map[string]*string, len(set))
	for name, value := range set {
		out[name] = &value
	}
	return out
}

// checkBrokerChange allows what brokers can change while they run: this one, or all.
func (s *Server) checkBrokerChange(image *controller.Image, c *configChange) error {
	if c.Name != "" {
		if err := s.mustBeThisNode(c.Name, "Unexpected broker id, expected %d, but received %s"); err != nil {
			return err
		}
	}
	for op, lists := range map[string]map[string]string{"append": c.Append, "subtract": c.Subtract} {
		for name := range lists {
			if k, ok := config.Lookup(name); !ok {
				return kafkaproto.ErrInvalidConfig.With("Unknown config name: %s", name)
			} else if k.Type != config.List {
				return kafkaproto.ErrInvalidConfig.With("Config value %s is not allowed for config key: %s", op, name)
			}
		}
	}
	next, err := c.Resulting(image.Config(c.Kind, c.Name))
	if err != nil {
		return err
	}
	if err = s.config.CheckDynamic(next, c.Name != ""); err != nil {
		return kafkaproto.ErrInvalidRequest.With("%w", err)
	}
	for name := range c.Set {
		if next[name] != "" && !config.KnownDynamic(name) {
			s.log.Warn("an unknown property was set on brokers; it has no effect", "key", name)
		}
	}
	return nil
}

// mustBeThisNode checks the name of a broker; unexpected takes this node's id and the name.
func (s *Server) mustBeThisNode(name, unexpected string) error {
	id, err := brokerNamed(name)
	switch {
	case err != nil:
		return kafkaproto.ErrInvalidRequest.With("Node id must be an integer, but it is: %s", name)
	case id != s.nodeID:
		return kafkaproto.ErrInvalidRequest.With(unexpected, s.nodeID, name)
	}
	return nil
}
