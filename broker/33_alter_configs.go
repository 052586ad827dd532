package broker

// AlterConfigs (key 33, versions 0-2): replaces all that is set on topics, brokers, groups and subscriptions to clients'
// metrics. What a resource's list does not name is reset; null values are refused. Clients should use
// IncrementalAlterConfigs (KIP-339). Each resource changes as a whole or not at all, whatever becomes of the others.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

func handleAlterConfigs(s *Server, r *request) {
	req := r.req.(*kmsg.AlterConfigsRequest)
	changes := make([]configChange, len(req.Resources))
	for i := range req.Resources {
		asked, c := &req.Resources[i], &changes[i]
		c.ChangeConfig = controller.ChangeConfig{
			Kind: controller.ConfigKind(asked.ResourceType), Name: asked.ResourceName, Full: true, Set: map[string]*string{},
		}
		for j := range asked.Configs {
			c.add(asked.Configs[j].Name, kmsg.IncrementalAlterConfigOpSet, asked.Configs[j].Value)
		}
	}
	if err := s.changeConfigs(changes, req.ValidateOnly); err != nil {
		r.fail(err)
		return
	}
	resp := kmsg.NewPtrAlterConfigsResponse()
	resp.Resources = []kmsg.AlterConfigsResponseResource{}
	for i := range req.Resources {
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = req.Resources[i].ResourceType, req.Resources[i].ResourceName
		out.ErrorCode, out.ErrorMessage = kafkaproto.Code(changes[i].err), kafkaproto.Message(changes[i].err)
		resp.Resources = append(resp.Resources, out)
	}
	r.reply(resp)
}
