package main

import (
	"sort"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

// topics are those that a client has made.
type topics struct {
	mu     sync.RWMutex
	byName map[string]*topic
	shared stream // of all partitions, unless each has its own
}

type topic struct {
	name       string
	partitions []*partition
}

// partition is a log: its end, and where its batches lie.
type partition struct {
	stream *stream
	mu     sync.Mutex
	end    kafkaproto.Offset
	pieces []piece
}

// piece is what one append has written, or several that lie side by side.
type piece struct {
	base, next kafkaproto.Offset
	at         place
	size       int64
}

func (t *topics) find(name string, n int32) *partition {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if found := t.byName[name]; found != nil && n >= 0 && int(n) < len(found.partitions) {
		return found.partitions[n]
	}
	return nil
}

func (s *server) createTopics(req *kmsg.CreateTopicsRequest) kmsg.Response {
	resp := kmsg.NewPtrCreateTopicsResponse()
	t := &s.topics
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shared.store = s.store
	for _, r := range req.Topics {
		out := kmsg.NewCreateTopicsResponseTopic()
		out.Topic = r.Topic
		if t.byName[r.Topic] != nil {
			out.ErrorCode = kafkaproto.ErrTopicAlreadyExists.Num
		} else {
			made := &topic{name: r.Topic}
			for range max(r.NumPartitions, 1) {
				p := &partition{stream: &t.shared}
				if s.store.o.apart {
					p.stream = &stream{store: s.store}
				}
				made.partitions = append(made.partitions, p)
			}
			t.byName[r.Topic] = made
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (s *server) deleteTopics(req *kmsg.DeleteTopicsRequest) kmsg.Response {
	resp := kmsg.NewPtrDeleteTopicsResponse()
	s.topics.mu.Lock()
	defer s.topics.mu.Unlock()
	for _, name := range req.TopicNames {
		out := kmsg.NewDeleteTopicsResponseTopic()
		out.Topic = kmsg.StringPtr(name)
		if s.topics.byName[name] == nil {
			out.ErrorCode = kafkaproto.ErrUnknownTopicOrPartition.Num
		}
		delete(s.topics.byName, name)
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

const nodeID = 1

func (s *server) metadata(req *kmsg.MetadataRequest) kmsg.Response {
	resp := kmsg.NewPtrMetadataResponse()
	b := kmsg.NewMetadataResponseBroker()
	b.NodeID, b.Host, b.Port = nodeID, s.host, s.port
	resp.Brokers, resp.ControllerID, resp.ClusterID = append(resp.Brokers, b), nodeID, kmsg.StringPtr("ceiling")
	s.topics.mu.RLock()
	defer s.topics.mu.RUnlock()
	if req.Topics == nil {
		for _, t := range s.topics.byName {
			resp.Topics = append(resp.Topics, t.metadata())
		}
		return resp
	}
	for _, r := range req.Topics {
		if r.Topic == nil {
			continue
		}
		if t := s.topics.byName[*r.Topic]; t != nil {
			resp.Topics = append(resp.Topics, t.metadata())
			continue
		}
		out := kmsg.NewMetadataResponseTopic()
		out.Topic, out.ErrorCode = r.Topic, kafkaproto.ErrUnknownTopicOrPartition.Num
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (t *topic) metadata() kmsg.MetadataResponseTopic {
	out := kmsg.NewMetadataResponseTopic()
	out.Topic = kmsg.StringPtr(t.name)
	for i := range t.partitions {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader, p.Replicas, p.ISR = int32(i), nodeID, []int32{nodeID}, []int32{nodeID}
		out.Partitions = append(out.Partitions, p)
	}
	return out
}

func (s *server) listOffsets(req *kmsg.ListOffsetsRequest) kmsg.Response {
	const earliest = -2
	resp := kmsg.NewPtrListOffsetsResponse()
	for _, t := range req.Topics {
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = t.Topic
		for _, r := range t.Partitions {
			row := kmsg.NewListOffsetsResponseTopicPartition()
			row.Partition, row.LeaderEpoch = r.Partition, 0
			if p := s.topics.find(t.Topic, r.Partition); p == nil {
				row.ErrorCode = kafkaproto.ErrUnknownTopicOrPartition.Num
			} else if row.Offset = 0; r.Timestamp != earliest {
				row.Offset = int64(p.logEnd())
			}
			out.Partitions = append(out.Partitions, row)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (p *partition) logEnd() kafkaproto.Offset {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// append stamps the batches, which are checked, and writes them. sync is the one that covers them.
func (p *partition) append(records []byte) (base kafkaproto.Offset, sync uint64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock() // over the write: offsets and places go the same way
	base = p.end
	end := base
	for rest := records; len(rest) > 0; {
		b, tail, err := kafkaproto.NextBatch(rest)
		if err == nil {
			err = b.CheckCRC()
		}
		if err != nil {
			return 0, 0, err
		}
		b.SetBaseOffset(end)
		b.SetPartitionLeaderEpoch(0)
		end, rest = b.NextOffset(), tail
	}
	at, sync, err := p.stream.append(records)
	if err != nil {
		return 0, 0, err
	}
	p.end = end
	size := int64(len(records))
	if n := len(p.pieces); n > 0 {
		if last := &p.pieces[n-1]; last.at.file == at.file && last.at.pos+last.size == at.pos && last.size+size <= pieceBytes {
			last.next, last.size = end, last.size+size
			return base, sync, nil
		}
	}
	p.pieces = append(p.pieces, piece{base, end, at, size})
	return base, sync, nil
}

// pieceBytes bounds a piece: a fetch takes whole ones.
const pieceBytes = 1 << 20

// read gives pieces from an offset on, at least one, and no more than most bytes otherwise.
func (p *partition) read(from kafkaproto.Offset, most int64) (spans []env.Span, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := sort.Search(len(p.pieces), func(i int) bool { return p.pieces[i].next > from })
	for ; i < len(p.pieces) && (bytes == 0 || bytes+p.pieces[i].size <= most); i++ {
		c := p.pieces[i]
		bytes += c.size
		if n := len(spans); n > 0 && spans[n-1].File == c.at.file && spans[n-1].Pos+int64(spans[n-1].Len) == c.at.pos {
			spans[n-1].Len += int(c.size)
			continue
		}
		spans = append(spans, env.Span{File: c.at.file, Pos: c.at.pos, Len: int(c.size)})
	}
	return spans, bytes
}
