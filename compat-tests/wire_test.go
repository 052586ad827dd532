package compat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// wire speaks frames over one connection, with exactly the versions the test sets. One goroutine at a time.
type wire struct {
	conn        net.Conn
	format      *kmsg.RequestFormatter
	correlation int32
	limit       time.Duration // of one request, or of reading its response
}

func dialWire(addr string) (*wire, error) { return dialWireWithin(addr, 10*time.Second) }

func dialWireWithin(addr string, within time.Duration) (*wire, error) {
	conn, err := net.DialTimeout("tcp", addr, within)
	if err != nil {
		return nil, err
	}
	return &wire{conn: conn, limit: 60 * time.Second, format: kmsg.NewRequestFormatter(kmsg.FormatterClientID("compat"))}, nil
}

// openWire is dialWire for a test, closed with it.
func openWire(t testing.TB, addr string) *wire {
	t.Helper()
	w, err := dialWire(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	return w
}

func (w *wire) close() { w.conn.Close() }

// send writes a request and gives its correlation id.
func (w *wire) send(req kmsg.Request) (int32, error) {
	w.correlation++
	w.conn.SetDeadline(time.Now().Add(w.limit))
	_, err := w.conn.Write(w.format.AppendRequest(nil, req, w.correlation))
	return w.correlation, err
}

// readFrame reads one response without its length, correlation id first.
func (w *wire) readFrame() ([]byte, error) {
	w.conn.SetReadDeadline(time.Now().Add(w.limit))
	var size [4]byte
	if _, err := io.ReadFull(w.conn, size[:]); err != nil {
		return nil, err
	}
	n := int32(binary.BigEndian.Uint32(size[:]))
	if n < 4 || n > 1<<29 {
		return nil, fmt.Errorf("a response frame of %d bytes", n)
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(w.conn, frame)
	return frame, err
}

// receive reads the response to req, which must carry the correlation id.
func (w *wire) receive(req kmsg.Request, correlation int32) (kmsg.Response, error) {
	frame, err := w.readFrame()
	if err != nil {
		return nil, err
	}
	if got := int32(binary.BigEndian.Uint32(frame)); got != correlation {
		return nil, fmt.Errorf("correlation id %d, want %d", got, correlation)
	}
	body := frame[4:]
	resp := req.ResponseKind()
	if resp.IsFlexible() && resp.Key() != 18 {
		if len(body) == 0 || body[0] != 0 {
			return nil, errors.New("no empty tag section in the response header")
		}
		body = body[1:]
	}
	return resp, resp.ReadFrom(body)
}

// ask sends a request and reads its response.
func (w *wire) ask(req kmsg.Request) (kmsg.Response, error) {
	correlation, err := w.send(req)
	if err != nil {
		return nil, err
	}
	return w.receive(req, correlation)
}

// must is ask for a test.
func (w *wire) must(t testing.TB, req kmsg.Request) kmsg.Response {
	t.Helper()
	resp, err := w.ask(req)
	if err != nil {
		t.Fatalf("%s v%d: %v", kmsg.NameForKey(req.Key()), req.GetVersion(), err)
	}
	return resp
}

// produceRequest asks for acks=-1 with version 9, the newest that names topics and is flexible in Apache Kafka 4.
func produceRequest(topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version = 9
	req.Acks = -1
	req.TimeoutMillis = 30_000
	rt := kmsg.NewProduceRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewProduceRequestTopicPartition()
	rp.Partition = partition
	rp.Records = records
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	return req
}

// produce writes one batch and gives its base offset and Kafka's error code.
func (w *wire) produce(topic string, partition int32, records []byte) (offset int64, code int16, err error) {
	resp, err := w.ask(produceRequest(topic, partition, records))
	if err != nil {
		return 0, 0, err
	}
	topics := resp.(*kmsg.ProduceResponse).Topics
	if len(topics) != 1 || len(topics[0].Partitions) != 1 {
		return 0, 0, errors.New("no partition in the produce response")
	}
	p := topics[0].Partitions[0]
	return p.BaseOffset, p.ErrorCode, nil
}

// mustProduce is produce for a test, without error code.
func (w *wire) mustProduce(t testing.TB, topic string, partition int32, records []byte) int64 {
	t.Helper()
	offset, code, err := w.produce(topic, partition, records)
	if err != nil || code != 0 {
		t.Fatalf("produce to %s-%d: code %d, %v", topic, partition, code, err)
	}
	return offset
}

// fetchRequest asks one partition with version 12, the newest that names topics.
func fetchRequest(topic string, partition int32, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version = 12
	req.MaxWaitMillis = 500
	req.MinBytes = 1
	req.MaxBytes = 50 << 20
	req.SessionEpoch = -1
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic = topic
	fp := kmsg.NewFetchRequestTopicPartition()
	fp.Partition = partition
	fp.FetchOffset = offset
	fp.PartitionMaxBytes = 1 << 20
	ft.Partitions = append(ft.Partitions, fp)
	req.Topics = append(req.Topics, ft)
	return req
}

// fetch reads one partition once.
func (w *wire) fetch(topic string, partition int32, offset int64) (kmsg.FetchResponseTopicPartition, error) {
	resp, err := w.ask(fetchRequest(topic, partition, offset))
	if err != nil {
		return kmsg.FetchResponseTopicPartition{}, err
	}
	topics := resp.(*kmsg.FetchResponse).Topics
	if len(topics) != 1 || len(topics[0].Partitions) != 1 {
		return kmsg.FetchResponseTopicPartition{}, errors.New("no partition in the fetch response")
	}
	return topics[0].Partitions[0], nil
}
