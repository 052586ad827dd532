package broker

// DescribeLogDirs (key 35, versions 0-5): how much the replicas on this broker take, by data directory (KIP-113), and how
// large and how full its disk is (from 4, KIP-827).
//
// Null topics mean all; topics and partitions that are not here are left out. The lag is how far a replica's log is behind
// the high watermark that it knows of; that of a future one, which is being moved into a directory (AlterReplicaLogDirs), how far
// it is behind the replica itself. A directory that has failed or could not be opened has an error and no topics. No directory is cordoned (5, KIP-1066): cordoned.log.dirs has no effect.
//
// Of each partition two tagged fields of StreamBus's own tell how far this replica is written and flushed, from version 2
// on, where answers have tagged fields.
//
// Kafka refuses version 0 since 4.0; it is kept for old clients.

import (
	"encoding/binary"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
)

// StreamBus's own tagged fields of a partition in DescribeLogDirs (int64).
const (
	tagReplicaWritten = 10000
	tagReplicaFlushed = 10001
)

func handleDescribeLogDirs(s *Server, r *request) {
	req := r.req.(*kmsg.DescribeLogDirsRequest)
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	for _, d := range s.partitions.Dirs() {
		dir := kmsg.NewDescribeLogDirsResponseDir()
		dir.Topics = []kmsg.DescribeLogDirsResponseDirTopic{}
		dir.Dir = d.Absolute()
		if err := d.Failed(); err != nil {
			dir.ErrorCode = kafkaproto.Code(err)
		} else {
			if free, total, err := s.env.FS.Usage(d.Path); err == nil {
				dir.UsableBytes, dir.TotalBytes = int64(free), int64(total)
			}
			dir.Topics = append(dir.Topics, s.sizes(d, s.quorum.Image(), req.Topics)...)
		}
		resp.Dirs = append(resp.Dirs, dir)
	}
	r.reply(resp)
}

// sizes lists the replicas in a directory, of all topics if asked is nil.
func (s *Server) sizes(d *partition.Dir, image *controller.Image, asked []kmsg.DescribeLogDirsRequestTopic) []kmsg.DescribeLogDirsResponseDirTopic {
	var out []kmsg.DescribeLogDirsResponseDirTopic
	add := func(t *controller.Topic, wanted func(int32) bool) {
		topic := kmsg.NewDescribeLogDirsResponseDirTopic()
		topic.Topic = t.Name
		for i := range t.Partitions {
			if !wanted(int32(i)) {
				continue
			}
			here, err := s.partitions.Partition(kafkaproto.TopicPartition{Topic: t.ID, Partition: kafkaproto.PartitionID(i)})
			if err != nil {
				continue
			}
			if here.Dir() == d {
				topic.Partitions = append(topic.Partitions, replicaIn(int32(i), here.Status()))
			} else if to, size, lag, ok := here.Moving(); ok && to == d {
				future := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
				future.Partition, future.Size, future.OffsetLag, future.IsFuture = int32(i), size, lag, true
				topic.Partitions = append(topic.Partitions, future)
			}
		}
		if len(topic.Partitions) > 0 {
			out = append(out, topic)
		}
	}
	if asked == nil {
		for t := range image.Topics() {
			add(t, func(int32) bool { return true })
		}
		return out
	}
	wanted := map[string][]int32{}
	for i := range asked {
		wanted[asked[i].Topic] = append(wanted[asked[i].Topic], asked[i].Partitions...)
	}
	for i := range asked {
		partitions, left := wanted[asked[i].Topic]
		if t, ok := image.Topic(asked[i].Topic); ok && left {
			add(t, func(n int32) bool { return slices.Contains(partitions, n) })
		}
		delete(wanted, asked[i].Topic) // named twice, it is answered once
	}
	return out
}

func replicaIn(n int32, at partition.Status) kmsg.DescribeLogDirsResponseDirTopicPartition {
	p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
	p.Partition, p.Size, p.OffsetLag = n, at.Size, max(0, int64(at.HighWatermark-at.End))
	p.UnknownTags.Set(tagReplicaWritten, binary.BigEndian.AppendUint64(nil, uint64(at.Written)))
	p.UnknownTags.Set(tagReplicaFlushed, binary.BigEndian.AppendUint64(nil, uint64(at.Flushed)))
	return p
}
