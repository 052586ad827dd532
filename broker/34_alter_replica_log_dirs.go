package broker

// AlterReplicaLogDirs (key 34, versions 0-2): moves replicas of this broker to other data directories (KIP-113).
//
// The answer says that a move has begun; DescribeLogDirs shows how far it is. What is named twice in one request goes to where it
// was named last. A replica that is not here yet is REPLICA_NOT_AVAILABLE, and will be made in that directory. As in Kafka
// no move begins while any directory is offline. Moves together are as fast as replica.alter.log.dirs.io.max.bytes.per.second.
//
// Kafka refuses version 0 since 4.0; it is kept for old clients.

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

func handleAlterReplicaLogDirs(s *Server, r *request) {
	req := r.req.(*kmsg.AlterReplicaLogDirsRequest)
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	at := map[string]int{} // topics' places in the answer
	for i := range req.Dirs {
		for j := range req.Dirs[i].Topics {
			t := &req.Dirs[i].Topics[j]
			place, ok := at[t.Topic]
			if !ok {
				place = len(resp.Topics)
				at[t.Topic] = place
				topic := kmsg.NewAlterReplicaLogDirsResponseTopic()
				topic.Topic = t.Topic
				resp.Topics = append(resp.Topics, topic)
			}
			topic := &resp.Topics[place]
			for _, n := range t.Partitions {
				p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				p.Partition = n
				p.ErrorCode = kafkaproto.Code(s.partitions.MoveReplica(t.Topic, kafkaproto.PartitionID(n), req.Dirs[i].Dir))
				topic.Partitions = append(topic.Partitions, p)
			}
		}
	}
	r.reply(resp)
}
