package broker

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

func TestErrandsAreRunByWhoPromisedTo(t *testing.T) {
	var s errands
	defer s.close()
	ran := make(chan struct{}, 100)
	job := func() { ran <- struct{}{} }
	s.run(job)
	<-ran
	s.promise()
	s.promise()
	s.run(func() {
		job()
		s.run(job) // what comes up meanwhile is run too
	})
	if len(ran) != 0 {
		t.Error("run before the promise is kept")
	}
	s.keep()
	if len(ran) != 2 {
		t.Error("the first to keep its promise runs everything")
	}
	s.run(job)
	s.keep()
	if len(ran) != 3 {
		t.Error("the second has still promised")
	}
	s.promise()
	hold := make(chan struct{})
	for range mostErrands {
		s.run(job)
	}
	for range 3 {
		s.run(func() { <-hold; job() }) // more than is run by one
	}
	s.keep()
	if len(ran) != 3+mostErrands {
		t.Errorf("%d errands of %d on the goroutine that promised", len(ran)-3, mostErrands)
	}
	close(hold)
	for range 3 + mostErrands + 3 {
		<-ran
	}
	s.run(job)
	<-ran // the promise is over
}

func TestErrandsThatComeAfterTheEndAreRun(t *testing.T) {
	var s errands
	ran := make(chan struct{})
	s.run(func() { ran <- struct{}{} })
	<-ran
	s.close()
	s.run(func() { ran <- struct{}{} })
	<-ran
	for left := 1; left > 0; {
		s.mu.Lock()
		left = s.workers
		s.mu.Unlock()
	}
}

func TestNoErrandIsLost(t *testing.T) {
	var s errands
	defer s.close()
	var ran atomic.Int64
	const goroutines, each = 8, 2000
	done := make(chan struct{}, goroutines)
	all := make(chan struct{})
	for range goroutines {
		go func() {
			for i := range each {
				if i%3 > 0 {
					s.promise()
				}
				s.run(func() {
					if ran.Add(1) == goroutines*each {
						close(all)
					}
				})
				if i%3 > 0 {
					s.keep()
				}
			}
			done <- struct{}{}
		}()
	}
	for range goroutines {
		<-done
	}
	<-all
}

// The goroutine of one connection writes small answers of another, which reads nothing for a while.
func TestAnErrandDoesNotWaitForASlowReader(t *testing.T) {
	const requests = 40 * maxQueuedRequests // with more answers than a socket takes
	held := make(chan *request, requests)
	holding := api{key: 3, name: "holding", maxVersion: 13, pipelined: true, handle: func(_ *Server, r *request) { held <- r }}
	var answered atomic.Int64
	answering := api{key: keyAPIVersions, name: "answering", maxVersion: 4, pipelined: true, handle: func(_ *Server, r *request) {
		r.conn.s.pace.quiet.Store(true)
		r.conn.promise()
		for len(held) > 0 {
			s := <-held
			frame := make([]byte, hereBytes)
			binary.BigEndian.PutUint32(frame, hereBytes-4)
			binary.BigEndian.PutUint32(frame[4:], uint32(s.header.CorrelationID))
			answered.Add(1)
			s.replyChunks([]kafkaproto.Chunk{{Bytes: frame}}, len(frame), nil)
		}
		r.reply(kmsg.NewPtrApiVersionsResponse())
	}}
	b := startServer(t, []api{holding, answering})
	slow, other := b.dial(), b.dial()
	var frames []byte
	for i := range requests {
		frames = append(frames, frameOf(metadataRequest(), int32(i))...)
	}
	go slow.sendRaw(frames)
	eventually(t, "the slow one has its bound of answers that it does not take", func() bool {
		ask[*kmsg.ApiVersionsResponse](other, apiVersionsRequest(0))
		return len(held) == 0 && b.queued(slow) == maxQueuedRequests
	})
	if answered.Load() == requests {
		t.Fatal("the socket has taken all answers")
	}
	order := make(chan int32, requests)
	go func() {
		for range requests {
			got, _ := slow.frame()
			order <- got
		}
	}()
	for answered.Load() < requests {
		ask[*kmsg.ApiVersionsResponse](other, apiVersionsRequest(0))
	}
	for i := range requests {
		if got := <-order; got != int32(i) {
			t.Fatalf("answer %d came at the place of %d", got, i)
		}
	}
}

// Of an answer's pieces, those soon behind one that the page cache has are not looked for.
func TestPiecesBehindOneThatIsCachedAreNotLookedFor(t *testing.T) {
	fs := env.NewMem()
	var files [2]env.File
	for i := range files {
		var err error
		if files[i], err = fs.Create(fmt.Sprint("f", i)); err != nil {
			t.Fatal(err)
		}
	}
	w := responseWriter{c: &conn{}}
	for _, c := range []struct {
		file   int
		pos    int64
		looked bool
	}{
		{0, 1 << 20, true}, {0, 2 << 20, false}, {0, 8 << 20, false}, {0, 9 << 20, true},
		{0, 8 << 20, true}, {1, 9 << 20, true}, {1, 17<<20 - 1000, false}, {1, 17<<20 - 999, true},
	} {
		before := w.c.found
		span := env.Span{File: files[c.file], Pos: c.pos, Len: 1000}
		if w.lost(span) {
			t.Fatal("a file whose pages nobody can tell of counts as there")
		}
		if looked := w.c.found == span; looked != c.looked {
			t.Errorf("file %d at %d, last found at %d: looked %v", c.file, c.pos, before.Pos, looked)
		}
	}
}

// What was written since the socket was last seen empty bounds what goes into it without another look.
func TestASocketTakesAFewSmallAnswersUnseen(t *testing.T) {
	var u unseen
	if !u.takes(hereBytes) || u.takes(hereBytes+1) {
		t.Error("an empty socket takes 4 KiB and no more")
	}
	u.add(100)
	if !u.takes(hereBytes-100) || u.takes(hereBytes-99) {
		t.Error("100 bytes are not counted off")
	}
	for range hereWrites - 1 {
		u.add(1)
	}
	if u.takes(1) {
		t.Error("there is no end to the writes")
	}
	u = unseen{}
	u.add(1 << 20)
	if u.takes(0) {
		t.Error("a large answer is forgotten")
	}
}

// queued is how many requests of a client the server has whose answers are not written.
func (b *testBroker) queued(cl *client) int {
	b.server.mu.Lock()
	defer b.server.mu.Unlock()
	for c := range b.server.conns {
		if c.remote == cl.nc.LocalAddr().String() {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.queued
		}
	}
	return 0
}
