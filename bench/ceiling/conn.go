package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// newest are the APIs, and up to which version: those that name topics by name.
var newest = map[int16]int16{
	int16(kmsg.Produce): 12, int16(kmsg.Fetch): 12, int16(kmsg.ListOffsets): 7, int16(kmsg.Metadata): 9,
	int16(kmsg.ApiVersions): kmsg.NewPtrApiVersionsRequest().MaxVersion(), int16(kmsg.CreateTopics): 6, int16(kmsg.DeleteTopics): 5,
}

// conn is a connection: one goroutine, and with group commit another that answers when the syncs have ended.
type conn struct {
	s    *server
	nc   net.Conn
	in   *bufio.Reader
	body []byte // of the request at hand

	out     []byte // answers that are ready
	answers chan answer
	sending sync.WaitGroup
	encoder kafkaproto.FetchEncoder
}

// answer waits for a sync; 0: for none.
type answer struct {
	bytes []byte
	sync  uint64
}

func (s *server) newConn(nc net.Conn) *conn {
	c := &conn{s: s, nc: nc, in: bufio.NewReaderSize(nc, 64<<10)}
	if s.store.o.groupCommit {
		c.answers = make(chan answer, 1024)
		c.sending.Go(c.send)
	}
	return c
}

func (c *conn) serve() {
	defer c.nc.Close()
	for {
		if err := c.next(); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) && !errors.Is(err, syscall.ECONNRESET) {
				fmt.Fprintln(os.Stderr, "ceiling:", err)
			}
			break
		}
	}
	if c.answers != nil {
		close(c.answers)
		c.sending.Wait()
	}
}

// next reads a frame and sees to its answer.
func (c *conn) next() error {
	if c.in.Buffered() < 4 {
		if err := c.flush(); err != nil {
			return err
		}
	}
	var head [4]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return err
	}
	size := int(binary.BigEndian.Uint32(head[:]))
	if size < 8 || size > 100<<20 {
		return fmt.Errorf("a frame of %d bytes", size)
	}
	if c.in.Buffered() < size {
		if err := c.flush(); err != nil {
			return err
		}
	}
	if cap(c.body) < size {
		c.body = make([]byte, size+size/4)
	}
	c.body = c.body[:size]
	if _, err := io.ReadFull(c.in, c.body); err != nil {
		return err
	}
	key, version := int16(binary.BigEndian.Uint16(c.body)), int16(binary.BigEndian.Uint16(c.body[2:]))
	correlation := int32(binary.BigEndian.Uint32(c.body[4:]))
	req := kmsg.RequestForKey(key)
	most, served := newest[key]
	if req == nil || !served {
		return fmt.Errorf("no %s here", kmsg.NameForKey(key))
	}
	if version > most {
		return fmt.Errorf("%s version %d, and %d is the newest here", kmsg.NameForKey(key), version, most)
	}
	req.SetVersion(version)
	rest, err := afterHeader(c.body[8:], req.IsFlexible())
	if err == nil {
		err = req.ReadFrom(rest)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", kmsg.NameForKey(key), err)
	}
	return c.handle(req, correlation)
}

var errHeader = errors.New("a broken header")

// afterHeader skips the client id and the tags.
func afterHeader(b []byte, flexible bool) ([]byte, error) {
	if len(b) < 2 {
		return nil, errHeader
	}
	n := int(max(int16(binary.BigEndian.Uint16(b)), 0))
	if b = b[2:]; len(b) < n {
		return nil, errHeader
	}
	b = b[n:]
	if !flexible {
		return b, nil
	}
	if len(b) == 0 || b[0] != 0 {
		return nil, errHeader
	}
	return b[1:], nil
}

func (c *conn) handle(req kmsg.Request, correlation int32) error {
	var resp kmsg.Response
	sync := uint64(0)
	switch r := req.(type) {
	case *kmsg.ProduceRequest:
		resp, sync = c.s.produce(r)
		if r.Acks == 0 {
			return nil
		}
	case *kmsg.FetchRequest:
		return c.fetch(r, correlation)
	case *kmsg.MetadataRequest:
		resp = c.s.metadata(r)
	case *kmsg.CreateTopicsRequest:
		resp = c.s.createTopics(r)
	case *kmsg.DeleteTopicsRequest:
		resp = c.s.deleteTopics(r)
	case *kmsg.ListOffsetsRequest:
		resp = c.s.listOffsets(r)
	case *kmsg.ApiVersionsRequest:
		resp = apiVersions()
	}
	resp.SetVersion(req.GetVersion())
	if c.answers != nil {
		c.answers <- answer{appendAnswer(nil, resp, correlation), sync}
		return nil
	}
	c.out = appendAnswer(c.out, resp, correlation)
	return nil
}

func appendAnswer(dst []byte, resp kmsg.Response, correlation int32) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlation))
	if resp.IsFlexible() && resp.Key() != int16(kmsg.ApiVersions) {
		dst = append(dst, 0)
	}
	dst = resp.AppendTo(dst)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-4))
	return dst
}

func apiVersions() kmsg.Response {
	resp := kmsg.NewPtrApiVersionsResponse()
	for key, most := range newest {
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MaxVersion = key, most
		resp.ApiKeys = append(resp.ApiKeys, k)
	}
	return resp
}

func (s *server) produce(req *kmsg.ProduceRequest) (kmsg.Response, uint64) {
	resp := kmsg.NewPtrProduceResponse()
	last := uint64(0)
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kmsg.NewProduceResponseTopic()
		out.Topic = t.Topic
		for j := range t.Partitions {
			row := kmsg.NewProduceResponseTopicPartition()
			row.Partition = t.Partitions[j].Partition
			if p := s.topics.find(t.Topic, row.Partition); p == nil {
				row.ErrorCode = kafkaproto.ErrUnknownTopicOrPartition.Num
			} else if base, sync, err := p.append(t.Partitions[j].Records); err != nil {
				row.ErrorCode = kafkaproto.Code(err)
			} else {
				row.BaseOffset, row.LogStartOffset, last = int64(base), 0, max(last, sync)
			}
			out.Partitions = append(out.Partitions, row)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp, last
}

// flush sends the answers that are ready.
func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	return err
}

// send sends answers in their order, each when its sync has ended.
func (c *conn) send() {
	var out []byte
	var failed error
	for a := range c.answers {
		if failed != nil {
			continue // the reader ends by the closed connection
		}
		if a.sync > 0 {
			failed = c.s.store.wait(a.sync)
		}
		if failed == nil {
			out = append(out, a.bytes...)
			if len(c.answers) == 0 || len(out) > 64<<10 {
				_, failed = c.nc.Write(out)
				out = out[:0]
			}
		}
		if failed != nil {
			c.nc.Close()
		}
	}
}

// fetch answers with what is there, at once if there is something and after the client's max wait if not.
func (c *conn) fetch(req *kmsg.FetchRequest, correlation int32) error {
	resp, bytes := c.s.fetch(req)
	if bytes == 0 {
		time.Sleep(time.Duration(max(req.MaxWaitMillis, 0)) * time.Millisecond)
		resp, _ = c.s.fetch(req)
	}
	chunks, _ := c.encoder.Encode(req.Version, correlation, resp)
	for _, chunk := range chunks {
		if chunk.Span.File == nil {
			c.out = append(c.out, chunk.Bytes...)
			continue
		}
		if err := c.flush(); err != nil {
			return err
		}
		if err := sendfile(c.nc, chunk.Span); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) fetch(req *kmsg.FetchRequest) (resp *kafkaproto.FetchResponse, bytes int64) {
	resp = &kafkaproto.FetchResponse{}
	left := int64(req.MaxBytes)
	for i := range req.Topics {
		t := &req.Topics[i]
		out := kafkaproto.FetchResponseTopic{Topic: t.Topic}
		for j := range t.Partitions {
			row := kafkaproto.NewFetchResponsePartition()
			row.Partition = t.Partitions[j].Partition
			if p := s.topics.find(t.Topic, row.Partition); p == nil {
				row.ErrorCode = kafkaproto.ErrUnknownTopicOrPartition.Num
			} else {
				row.HighWatermark, row.LogStartOffset = p.logEnd(), 0
				if bytes == 0 || left > 0 {
					spans, n := p.read(kafkaproto.Offset(t.Partitions[j].FetchOffset), min(left, int64(t.Partitions[j].PartitionMaxBytes)))
					row.Records = spans
					bytes, left = bytes+n, left-n
				}
			}
			out.Partitions = append(out.Partitions, row)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp, bytes
}
