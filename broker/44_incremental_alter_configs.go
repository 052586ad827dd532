package broker

// IncrementalAlterConfigs (key 44, versions 0-1): sets, deletes, appends to and subtracts from what is set on topics,
// brokers, groups and subscriptions to clients' metrics (KIP-339). Each resource changes as a whole or not at all, whatever
// becomes of the others; a change to what is so already changes nothing. The level of the only logger can't be changed.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

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
			c.err = s.changeLogger(asked)
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

// changeLogger says why loggers don't change.
func (s *Server) changeLogger(asked *kmsg.IncrementalAlterConfigsRequestResource) error {
	if err := s.mustBeThisNode(asked.ResourceName, "Unexpected node id. Expected %d, but received %s"); err != nil {
		return err
	}
	for i := range asked.Configs {
		c := &asked.Configs[i]
		switch {
		case c.Op == kmsg.IncrementalAlterConfigOpAppend || c.Op == kmsg.IncrementalAlterConfigOpSubtract:
			return kafkaproto.ErrInvalidRequest.With("%s operation is not allowed for the BROKER_LOGGER resource", c.Op)
		case c.Name == rootLogger && c.Op == kmsg.IncrementalAlterConfigOpDelete:
			return kafkaproto.ErrInvalidRequest.With("Removing the log level of the root logger is not allowed")
		case c.Name != rootLogger:
			return kafkaproto.ErrInvalidConfig.With("Logger %s does not exist!", c.Name)
		}
	}
	if len(asked.Configs) == 0 {
		return errNothingAsked
	}
	return kafkaproto.ErrInvalidRequest.With("The level of the log can't be changed while the broker runs: start it with another log.level")
}
