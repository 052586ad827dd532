package broker

// ElectLeaders (key 43, versions 0-2): the first replica of each partition becomes its leader again (KIP-183), or, from
// version 1 on, any living replica leads a partition that has no leader (KIP-460), even if it lacks records.
//
// Null topics mean all partitions, and then only those are listed that changed or failed. A partition that has the right
// leader already is ELECTION_NOT_NEEDED.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// Election types of KIP-460.
const (
	preferredElection int8 = 0
	uncleanElection   int8 = 1
)

func handleElectLeaders(s *Server, r *request) {
	req := r.req.(*kmsg.ElectLeadersRequest)
	resp := kmsg.NewPtrElectLeadersResponse()
	resp.Topics = []kmsg.ElectLeadersResponseTopic{}
	command := controller.ElectLeaders{Unclean: req.Version >= 1 && req.ElectionType == uncleanElection}
	if req.Version >= 1 && !command.Unclean && req.ElectionType != preferredElection {
		resp.ErrorCode = kafkaproto.ErrInvalidRequest.Num
		r.reply(resp)
		return
	}
	if req.Topics != nil {
		command.Topics = []controller.ElectLeadersTopic{}
	}
	for i := range req.Topics {
		t := controller.ElectLeadersTopic{Name: req.Topics[i].Topic}
		for _, n := range req.Topics[i].Partitions {
			t.Partitions = append(t.Partitions, kafkaproto.PartitionID(n))
		}
		command.Topics = append(command.Topics, t)
	}
	answers, err := submit[[]controller.ElectLeadersAnswer](s, command, req.TimeoutMillis)
	if err != nil {
		r.fail(err)
		return
	}
	for _, a := range answers {
		out := kmsg.NewElectLeadersResponseTopic()
		out.Topic = a.Name
		for _, p := range a.Partitions {
			row := kmsg.NewElectLeadersResponseTopicPartition()
			row.Partition, row.ErrorCode, row.ErrorMessage = int32(p.Partition), kafkaproto.Code(p.Err), kafkaproto.Message(p.Err)
			out.Partitions = append(out.Partitions, row)
		}
		resp.Topics = append(resp.Topics, out)
	}
	r.reply(resp)
}
