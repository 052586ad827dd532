package broker

// DescribeQuorum (key 55, versions 0-2): the leader, the epoch, the high watermark and the members of the metadata quorum
// (KIP-595). Times from version 1 (KIP-836), directory ids and listeners from 2 (KIP-853).
//
// The only partition is __cluster_metadata-0: a request for anything else, or for more, gets UNKNOWN_TOPIC_OR_PARTITION
// for all that it names. Offsets are indexes of the quorum's log. Of members other than the leader nothing but their
// names is known: -1.

import (
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// metadataTopic is the name under which the quorum's log is described.
const metadataTopic = "__cluster_metadata"

func handleDescribeQuorum(s *Server, r *request) {
	req := r.req.(*kmsg.DescribeQuorumRequest)
	resp := kmsg.NewPtrDescribeQuorumResponse()
	resp.ErrorMessage = kmsg.StringPtr("")
	resp.Topics, resp.Nodes = []kmsg.DescribeQuorumResponseTopic{}, []kmsg.DescribeQuorumResponseNode{}
	if !asksForMetadata(req) {
		refuseQuorum(req, resp, kafkaproto.ErrUnknownTopicOrPartition.With("This server does not host this topic-partition."))
		r.reply(resp)
		return
	}
	state, err := s.quorum.Describe()
	if err != nil {
		refuseQuorum(req, resp, err)
		r.reply(resp)
		return
	}
	p := kmsg.NewDescribeQuorumResponseTopicPartition()
	p.ErrorMessage = kmsg.StringPtr("")
	p.LeaderID, p.LeaderEpoch, p.HighWatermark = state.LeaderID, state.LeaderEpoch, state.HighWatermark
	p.CurrentVoters, p.Observers = members(state.Voters), members(state.Observers)
	t := kmsg.NewDescribeQuorumResponseTopic()
	t.Topic, t.Partitions = metadataTopic, []kmsg.DescribeQuorumResponseTopicPartition{p}
	resp.Topics = append(resp.Topics, t)
	resp.Nodes = append(resp.Nodes, s.quorumNodes(state.Voters)...)
	r.reply(resp)
}

func asksForMetadata(req *kmsg.DescribeQuorumRequest) bool {
	return len(req.Topics) == 1 && req.Topics[0].Topic == metadataTopic &&
		len(req.Topics[0].Partitions) == 1 && req.Topics[0].Partitions[0].Partition == 0
}

// refuseQuorum answers for each partition that was asked for.
func refuseQuorum(req *kmsg.DescribeQuorumRequest, resp *kmsg.DescribeQuorumResponse, err error) {
	for i := range req.Topics {
		t := kmsg.NewDescribeQuorumResponseTopic()
		t.Topic = req.Topics[i].Topic
		for _, asked := range req.Topics[i].Partitions {
			p := kmsg.NewDescribeQuorumResponseTopicPartition()
			p.Partition, p.ErrorCode, p.ErrorMessage = asked.Partition, kafkaproto.Code(err), kafkaproto.Message(err)
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
}

func members(list []controller.QuorumMember) []kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
	out := make([]kmsg.DescribeQuorumResponseTopicPartitionReplicaState, len(list))
	for i, m := range list {
		out[i] = kmsg.DescribeQuorumResponseTopicPartitionReplicaState{
			ReplicaID: m.ID, ReplicaDirectoryID: m.DirectoryID, LogEndOffset: m.LogEndOffset,
			LastFetchTimestamp: millis(m.LastFetch), LastCaughtUpTimestamp: millis(m.LastCaughtUp),
		}
	}
	return out
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}

// quorumNodes lists where the voters can be reached by other members.
func (s *Server) quorumNodes(voters []controller.QuorumMember) []kmsg.DescribeQuorumResponseNode {
	name := "CONTROLLER"
	if names := s.config.List("controller.listener.names"); len(names) > 0 {
		name = names[0]
	}
	out := make([]kmsg.DescribeQuorumResponseNode, 0, len(voters))
	for _, v := range voters {
		host, port, err := net.SplitHostPort(v.Address)
		n, bad := strconv.ParseUint(port, 10, 16)
		if err != nil || bad != nil {
			continue
		}
		l := kmsg.NewDescribeQuorumResponseNodeListener()
		l.Name, l.Host, l.Port = name, host, uint16(n)
		node := kmsg.NewDescribeQuorumResponseNode()
		node.NodeID, node.Listeners = v.ID, []kmsg.DescribeQuorumResponseNodeListener{l}
		out = append(out, node)
	}
	return out
}
