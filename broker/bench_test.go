package broker

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// records makes a batch of n records of 100 bytes.
func recordsOf100(n int) []byte {
	values := make([]string, n)
	for i := range values {
		values[i] = string(bytes.Repeat([]byte{'a' + byte(i%26)}, 100))
	}
	return batchOf(values...)
}

// inFlight is how many requests the benchmarks' client has under way, as stock producers do.
const inFlight = 5

// drive sends frame b.N times over one connection, and reads as many answers.
func drive(b *testing.B, broker *testBroker, frame []byte, records int) {
	c := broker.dial()
	go func() { // the first of them are what is in flight
		for range inFlight {
			_, _ = c.nc.Write(frame)
		}
	}()
	b.SetBytes(int64(len(frame)))
	b.ResetTimer()
	for i := range b.N {
		var size [4]byte
		if _, err := io.ReadFull(c.in, size[:]); err != nil {
			b.Fatal(err)
		}
		if _, err := c.in.Discard(int(size[2])<<8 + int(size[3])); err != nil {
			b.Fatal(err)
		}
		if i+inFlight < b.N {
			if _, err := c.nc.Write(frame); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(records)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkFrames measures everything before and after the partition: reading, decoding, ordering, answering.
func BenchmarkFrames(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			row := api{key: 0, name: "sink", maxVersion: 13, pipelined: true, handle: func(_ *Server, r *request) {
				resp := kmsg.NewPtrProduceResponse()
				resp.Topics = []kmsg.ProduceResponseTopic{{Topic: "t", Partitions: make([]kmsg.ProduceResponseTopicPartition, 1)}}
				r.reply(resp)
			}}
			b.ReportAllocs()
			drive(b, startServer(b, []api{row}), frameOf(produceRequest("t", 0, recordsOf100(n)), 1), n)
		})
	}
}

// BenchmarkProduce measures the whole path into a log on disk, not synced.
func BenchmarkProduce(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			broker := startBroker(b, onDisk())
			broker.createTopic("t", 1)
			req := produceRequest("t", 0, recordsOf100(n))
			req.Acks = 1
			b.ReportAllocs()
			drive(b, broker, frameOf(req, 1), n)
		})
	}
}

// BenchmarkFetch measures answers from the page cache: small ones are read and written, large ones go by sendfile.
func BenchmarkFetch(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("bytes=%d", size), func(b *testing.B) {
			broker := startBroker(b, onDisk())
			broker.createTopic("t", 1)
			c := broker.dial()
			for range max(size/100_000, 1) {
				c.mustProduce("t", 0, string(bytes.Repeat([]byte{'x'}, min(size, 100_000)-100)))
			}
			frame := frameOf(fetchRequest("t", 0, 0), 1)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				c.exchange(frame)
			}
		})
	}
}
