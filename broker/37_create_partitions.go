package broker

// CreatePartitions (key 37, versions 0-3): more partitions for topics that exist (KIP-195).
//
// The count is the total. Assignments of the new partitions may be given; null lets the controller place them. Every
// topic gets a row in the answer, a name that is there twice gets one with INVALID_REQUEST.
// The topics of coordinators don't grow (INVALID_PARTITIONS), because their keys would move to other partitions.
//
// Not done: quotas of partition creation, so the throttle time is always 0.

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

func handleCreatePartitions(s *Server, r *request) {
	req := r.req.(*kmsg.CreatePartitionsRequest)
	resp := kmsg.NewPtrCreatePartitionsResponse()
	resp.Topics = []kmsg.CreatePartitionsResponseTopic{}
	command := controller.CreatePartitions{ValidateOnly: req.ValidateOnly}
	for i := range req.Topics {
		command.Topics = append(command.Topics, morePartitions(&req.Topics[i]))
	}
	if len(command.Topics) == 0 {
		r.reply(resp)
		return
	}
	answers, err := submit[[]controller.CreatePartitionsAnswer](s, command, req.TimeoutMillis)
	if err != nil {
		r.fail(err)
		return
	}
	for _, a := range answers {
		out := kmsg.NewCreatePartitionsResponseTopic()
		out.Topic, out.ErrorCode, out.ErrorMessage = a.Name, kafkaproto.Code(a.Err), kafkaproto.Message(a.Err)
		resp.Topics = append(resp.Topics, out)
	}
	r.reply(resp)
}

func morePartitions(t *kmsg.CreatePartitionsRequestTopic) controller.CreatePartitionsTopic {
	out := controller.CreatePartitionsTopic{Name: t.Topic, Count: t.Count}
	if t.Assignment != nil {
		out.Assignments = make([][]int32, len(t.Assignment))
		for i := range t.Assignment {
			out.Assignments[i] = slices.Clone(t.Assignment[i].Replicas)
		}
	}
	return out
}
