package broker

// DescribeTopicPartitions (key 75, version 0): partitions page by page, with the eligible leader replicas (KIP-966).
//
// An empty list asks for all topics. Topics are answered in the order of their names, at most as many partitions as the
// request and max.request.partition.size.limit allow; what did not fit begins at the cursor. A cursor must name one of
// the topics that are asked for.

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

func handleDescribeTopicPartitions(s *Server, r *request) {
	req := r.req.(*kmsg.DescribeTopicPartitionsRequest)
	image := s.quorum.Image()
	names, err := pageOfTopics(image, req)
	if err != nil {
		r.fail(err)
		return
	}
	limit := min(int(req.ResponsePartitionLimit), s.config.Int("max.request.partition.size.limit"))
	page := topicPage{
		topology: topology{image, r.conn.listener}, resp: kmsg.NewPtrDescribeTopicPartitionsResponse(), left: max(1, limit),
	}
	page.resp.Topics = []kmsg.DescribeTopicPartitionsResponseTopic{}
	for _, name := range names {
		from := int32(0)
		if req.Cursor != nil && req.Cursor.Topic == name {
			from = req.Cursor.Partition
		}
		if !page.add(name, from) {
			break
		}
	}
	r.reply(page.resp)
}

// pageOfTopics is the topics from the cursor on, in order, each once.
func pageOfTopics(image *controller.Image, req *kmsg.DescribeTopicPartitionsRequest) ([]string, error) {
	first := ""
	if req.Cursor != nil {
		first = req.Cursor.Topic
		if req.Cursor.Partition < 0 {
			return nil, kafkaproto.ErrInvalidRequest.With("a cursor's partition can't be negative")
		}
	}
	var names []string
	if len(req.Topics) == 0 {
		for t := range image.Topics() {
			if t.Name >= first {
				names = append(names, t.Name)
			}
		}
		return names, nil
	}
	for i := range req.Topics {
		if name := req.Topics[i].Topic; name >= first {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, strings.Compare)
	names = slices.Compact(names)
	if req.Cursor != nil && !slices.Contains(names, first) {
		return nil, kafkaproto.ErrInvalidRequest.With("the cursor's topic %s is not among the topics that are asked for", first)
	}
	return names, nil
}

// topicPage is an answer that is being filled.
type topicPage struct {
	topology
	resp *kmsg.DescribeTopicPartitionsResponse
	left int // partitions that still fit
}

// add puts a topic's partitions into the page, from the given one on. False: the page is full, and the cursor is set.
func (p *topicPage) add(name string, from int32) bool {
	if p.left == 0 {
		p.cut(name, 0)
		return false
	}
	out := kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic, out.IsInternal, out.AuthorizedOperations = &name, controller.InternalTopic(name), topicOperations
	out.Partitions = []kmsg.DescribeTopicPartitionsResponseTopicPartition{}
	t, err := findTopic(p.image, sessionKey{name: name})
	if err != nil {
		out.ErrorCode = kafkaproto.Code(whyMissing(name, nil))
		p.resp.Topics = append(p.resp.Topics, out)
		return true
	}
	out.TopicID = t.ID
	first := min(int(from), len(t.Partitions))
	end := min(len(t.Partitions), first+p.left)
	for _, partition := range t.Partitions[first:end] {
		out.Partitions = append(out.Partitions, p.partition(partition))
	}
	p.left -= end - first
	p.resp.Topics = append(p.resp.Topics, out)
	if end < len(t.Partitions) {
		p.cut(name, int32(end))
		return false
	}
	return true
}

func (p *topicPage) cut(name string, partition int32) {
	next := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	next.Topic, next.Partition = name, partition
	p.resp.NextCursor = &next
}

func (p *topicPage) partition(from *controller.Partition) kmsg.DescribeTopicPartitionsResponseTopicPartition {
	out := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	leader, _ := p.leader(from)
	out.Partition, out.LeaderID, out.LeaderEpoch = int32(from.ID), leader, int32(from.LeaderEpoch)
	out.Replicas, out.ISR, out.OfflineReplicas = from.Replicas, from.ISR, p.offline(from.Replicas)
	out.EligibleLeaderReplicas, out.LastKnownELR = orEmpty(from.ELR), orEmpty(from.LastKnownELR)
	return out
}

// orEmpty makes an empty array of a null one: Kafka never answers null here.
func orEmpty(ids []int32) []int32 {
	if ids == nil {
		return []int32{}
	}
	return ids
}
