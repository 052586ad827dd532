package bench

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// sink is a broker that keeps nothing: it answers what the driver needs to begin, and Produce as fast as it can read.
// It shows what the driver itself is able to do.
type sink struct {
	t          *testing.T
	listener   net.Listener
	topic      string
	partitions int32
	records    atomic.Int64
	requests   atomic.Int64
	refuse     atomic.Int32 // error code of Produce answers
	limit      atomic.Int64 // requests after which every connection is closed; 0: none
	log        []byte       // what Fetch serves, from offset 0
	end        int64        // behind log
}

func newSink(t *testing.T, topic string, partitions int32) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{t: t, listener: l, topic: topic, partitions: partitions}
	t.Cleanup(func() { _ = l.Close() })
	go s.accept()
	return s
}

func (s *sink) addr() string { return s.listener.Addr().String() }

func (s *sink) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		go s.serve(c)
	}
}

func (s *sink) serve(c net.Conn) {
	defer c.Close()
	rd := bufio.NewReaderSize(c, 256<<10)
	var frame, out []byte
	for {
		var size [4]byte
		if _, err := io.ReadFull(rd, size[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint32(size[:]))
		if cap(frame) < n {
			frame = make([]byte, n)
		}
		frame = frame[:n]
		if _, err := io.ReadFull(rd, frame); err != nil {
			return
		}
		out = s.answer(out, frame)
		if limit := s.limit.Load(); limit > 0 && s.requests.Load() >= limit {
			return
		}
		// As a broker would: what is already here is answered in one write.
		if rd.Buffered() == 0 || len(out) > 64<<10 {
			if _, err := c.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
	}
}

// answer appends the answer to one request.
func (s *sink) answer(dst, frame []byte) []byte {
	key, version := int16(binary.BigEndian.Uint16(frame)), int16(binary.BigEndian.Uint16(frame[2:]))
	req := kmsg.RequestForKey(key)
	req.SetVersion(version)
	r := kbin.Reader{Src: frame[8:]}
	r.NullableString()
	if req.IsFlexible() {
		kmsg.SkipTags(&r)
	}
	var resp kmsg.Response
	if err := req.ReadFrom(r.Src); err != nil {
		s.t.Errorf("sink: %T: %v", req, err)
		return dst
	}
	switch req := req.(type) {
	case *kmsg.ProduceRequest:
		if resp = s.produce(req); req.Acks == 0 {
			return dst
		}
	case *kmsg.FetchRequest:
		resp = s.fetch(req)
	case *kmsg.ApiVersionsRequest:
		resp = s.versions(req)
	case *kmsg.MetadataRequest:
		resp = s.metadata(req)
	case *kmsg.ListOffsetsRequest:
		resp = s.offsets(req)
	default:
		s.t.Errorf("sink: unexpected %T", req)
		return dst
	}
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, frame[4:8]...)
	if resp.IsFlexible() && key != 18 {
		dst = append(dst, 0)
	}
	dst = resp.AppendTo(dst)
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

func (s *sink) produce(req *kmsg.ProduceRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, int16(s.refuse.Load())
			rt.Partitions = append(rt.Partitions, rp)
			n, _ := countRecords(p.Records)
			s.records.Add(n)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	s.requests.Add(1)
	return resp
}

func (s *sink) fetch(req *kmsg.FetchRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewFetchResponseTopicPartition()
			rp.Partition, rp.HighWatermark = p.Partition, s.end
			if p.FetchOffset == 0 {
				rp.RecordBatches = s.log
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (s *sink) versions(req *kmsg.ApiVersionsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	for key, newest := range map[int16]int16{0: 12, 1: 12, 2: 7, 3: 9, 18: 3} {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MaxVersion = key, newest
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	return resp
}

func (s *sink) metadata(req *kmsg.MetadataRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.MetadataResponse)
	host, port, _ := net.SplitHostPort(s.addr())
	b := kmsg.NewMetadataResponseBroker()
	b.NodeID, b.Host = 1, host
	n, _ := strconv.Atoi(port)
	b.Port = int32(n)
	resp.Brokers = append(resp.Brokers, b)
	resp.ControllerID = 1
	t := kmsg.NewMetadataResponseTopic()
	t.Topic = &s.topic
	for i := range s.partitions {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader, p.Replicas, p.ISR = i, 1, []int32{1}, []int32{1}
		t.Partitions = append(t.Partitions, p)
	}
	resp.Topics = append(resp.Topics, t)
	return resp
}

func (s *sink) offsets(req *kmsg.ListOffsetsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition, rp.Offset = p.Partition, 0
			if p.Timestamp == -1 {
				rp.Offset = s.end
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}
