package broker

// IncrementalAlterConfigs (key 44, versions 0-1): sets, deletes, appends to and subtracts from what is set on topics,
// brokers, groups and subscriptions to clients' metrics (KIP-339). Each resource changes as a whole or not at all, whatever
// becomes of the others; a change to what is so already changes nothing. The level of the only logger, root, is this
// process' own (KIP-412): it can be set, to one of Kafka's names of levels, and is what log.level says after a restart.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/config"
	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

func handleIncrementalAlterConfigs(s *Server, r *request) {
	req := r.req.(*kmsg.IncrementalAlterConfigsRequest)
	changes := make([]configChange, len(req.Resources))
	for i := range req.Resources {
		asked, c := &req.Resources[i], &changes[i]
		c.ChangeConfig = controller.ChangeConfig{
			Kind: controller.ConfigKind(asked.ResourceType), Name: asked.ResourceName,
			Set: map[string]*string{}, Append: map[string]string{}, Subtract: map[string]string{},
		}
		for j := range asked.Configs {
			c.add(asked.Configs[j].Name, asked.Configs[j].Op, asked.Configs[j].Value)
		}
		if asked.ResourceType == kmsg.ConfigResourceTypeBrokerLogger {
			c.logger = asked
		}
	}
	if err := s.changeConfigs(changes, req.ValidateOnly); err != nil {
		r.fail(err)
		return
	}
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	resp.Resources = []kmsg.IncrementalAlterConfigsResponseResource{}
	for i := range req.Resources {
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = req.Resources[i].ResourceType, req.Resources[i].ResourceName
		out.ErrorCode, out.ErrorMessage = kafkaproto.Code(changes[i].err), kafkaproto.Message(changes[i].err)
		resp.Resources = append(resp.Resources, out)
	}
	r.reply(resp)
}

// changeLogger sets the level of the log. It returns errDone if that is done.
func (s *Server) changeLogger(asked *kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) error {
	if err := s.mustBeThisNode(asked.ResourceName, "Unexpected node id. Expected %d, but received %s"); err != nil {
		return err
	}
	for i := range asked.Configs {
		if err := checkLogger(&asked.Configs[i]); err != nil {
			return err
		}
	}
	for i := range asked.Configs {
		if level, ok := config.ParseLevel(*asked.Configs[i].Value); ok && !validateOnly {
			s.config.SetLevel(level)
		}
	}
	return errDone
}

func checkLogger(c *kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	switch {
	case c.Op == kmsg.IncrementalAlterConfigOpAppend || c.Op == kmsg.IncrementalAlterConfigOpSubtract:
		return kafkaproto.ErrInvalidRequest.With("%s operation is not allowed for the BROKER_LOGGER resource", c.Op)
	case c.Name == rootLogger && c.Op == kmsg.IncrementalAlterConfigOpDelete:
		return kafkaproto.ErrInvalidRequest.With("Removing the log level of the root logger is not allowed")
	case c.Op != kmsg.IncrementalAlterConfigOpSet && c.Op != kmsg.IncrementalAlterConfigOpDelete:
		return kafkaproto.ErrInvalidRequest.With("Unknown operation type %d", int8(c.Op))
	case c.Name != rootLogger:
		return kafkaproto.ErrInvalidConfig.With("Logger %s does not exist!", c.Name)
	}
	if _, ok := config.ParseLevel(*c.Value); !ok {
		return kafkaproto.ErrInvalidConfig.With("Cannot set the log level of %s to %s as it is not a supported log level. "+
			"Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN", c.Name, *c.Value)
	}
	return nil
}
