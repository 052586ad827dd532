package partition

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
)

// BenchmarkAppend is the cost of the way from the broker to the log's queue and of the answer, with eight requests on
// their way. The disk is memory.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		name    string
		records int
		acks    int16
	}{{"10x100B/acks=1", 10, 1}, {"10x100B/acks=all", 10, -1}, {"1000x100B/acks=1", 1000, 1}} {
		b.Run(c.name, func(b *testing.B) {
			n := startNode(b, "never")
			p := n.one("t", "retention.bytes", "1")
			sent := make([]string, c.records)
			for i := range sent {
				sent[i] = strings.Repeat("x", 100)
			}
			records := batch(sent...)
			b.SetBytes(int64(len(records)))
			b.ReportAllocs()
			var all sync.WaitGroup
			done := func(r AppendResult) {
				if r.Err != nil {
					b.Error(r.Err)
				}
				all.Done()
			}
			const onTheirWay = 8
			var buffers [onTheirWay][]byte
			var releases [onTheirWay]func()
			slots := make(chan int, onTheirWay)
			for i := range buffers {
				buffers[i], releases[i] = slices.Clone(records), func() { slots <- i }
				slots <- i
			}
			for b.Loop() {
				i := <-slots
				kafkaproto.Batch(buffers[i]).SetBaseOffset(0)
				all.Add(1)
				p.Append(AppendRequest{
					Records: buffers[i], Acks: c.acks, Timeout: 30 * time.Second, Client: true, Version: 13, CurrentLeaderEpoch: -1,
					Release: releases[i], Done: done,
				})
			}
			all.Wait()
		})
	}
}

// BenchmarkRead is the cost of finding spans for a tailing consumer, without sending them.
func BenchmarkRead(b *testing.B) {
	n := startNode(b, "never")
	p := n.one("t")
	for range 1000 {
		n.send(p, 1, batch(strings.Repeat("x", 1000))).waitOK()
	}
	b.ReportAllocs()
	var cursor log.Cursor
	r := fetch(0)
	r.MaxBytes, r.Cursor = 1000, &cursor
	for b.Loop() {
		res := p.Read(r)
		if res.Err != nil {
			b.Fatal(res.Err)
		}
		r.Offset = (res.Read.Next) % 1000
		res.Read.Release()
	}
}

// BenchmarkReadAtEnd is a poll that finds nothing.
func BenchmarkReadAtEnd(b *testing.B) {
	n := startNode(b, "never")
	p := n.one("t")
	n.send(p, 1, batch("x")).waitOK()
	b.ReportAllocs()
	for b.Loop() {
		res := p.Read(fetch(1))
		if res.Err != nil || res.Read.Bytes != 0 {
			b.Fatal(res.Err)
		}
		res.Read.Release()
	}
}

// BenchmarkValidate is what a batch costs before it is appended.
func BenchmarkValidate(b *testing.B) {
	t := &topic{keep: true}
	t.config.TimestampAfterMax, t.config.TimestampBeforeMax = time.Hour, 1<<63-1
	t.config.MaxMessageBytes = 1 << 20
	for _, n := range []int{10, 1000} {
		values := make([]string, n)
		for i := range values {
			values[i] = strings.Repeat("x", 100)
		}
		r := &AppendRequest{Records: batch(values...), Client: true, Version: 13}
		b.Run(map[int]string{10: "10x100B", 1000: "1000x100B"}[n], func(b *testing.B) {
			b.SetBytes(int64(len(r.Records)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := t.validate(r, testTime); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
