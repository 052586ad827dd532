package peer

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetched is what a FetchThen has told.
type fetched struct {
	size int
	err  error
}

// fetchThen asks for a number of bytes and sends what came to a channel.
func fetchThen(ctx context.Context, p *Pool, size int, told chan<- fetched) {
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes = int32(size)
	p.FetchThen(ctx, 2, 0, req, func(res *kmsg.FetchResponse, frame *Frame, err error) {
		got := fetched{err: err}
		if err == nil {
			got.size = len(res.Topics[0].Partitions[0].RecordBatches)
			frame.Release()
		}
		told <- got
	})
}

func TestAFetchMayBeAskedForFromTheAnswerOfAnother(t *testing.T) {
	p := loopbackPool(t, echo)
	done := make(chan int)
	var next func(left int)
	next = func(left int) {
		req := kmsg.NewPtrFetchRequest()
		req.MaxBytes = int32(left)
		p.FetchThen(t.Context(), 2, 0, req, func(res *kmsg.FetchResponse, frame *Frame, err error) {
			if err != nil || len(res.Topics[0].Partitions[0].RecordBatches) != left {
				t.Error(left, err)
				left = 0
			}
			if frame != nil {
				frame.Release()
			}
			if left == 0 {
				close(done)
				return
			}
			next(left - 1)
		})
	}
	next(500) // the first makes the connection
	for range 20 {
		if err := ask(p, 2, 0, "beside"); err != nil {
			t.Error(err)
		}
	}
	<-done
}

func TestAFetchIsToldOnceHoweverItEnds(t *testing.T) {
	read, closing := make(chan struct{}), make(chan struct{})
	r := newRig(t, nil, func(n *nodeConn) {
		n.greet()
		first, _ := n.next()
		n.answer(first, echoOf(first))
		for range 2 {
			n.next()
			read <- struct{}{}
		}
		<-closing
	}, echo)
	told := make(chan fetched, 10)
	fetchThen(t.Context(), r.Pool, 3, told)
	if got := <-told; got.err != nil || got.size != 3 {
		t.Fatal(got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	fetchThen(ctx, r.Pool, 3, told)
	<-read
	cancel()
	want(t, (<-told).err, context.Canceled, true)
	fetchThen(ctx, r.Pool, 3, told)
	want(t, (<-told).err, context.Canceled, false)
	fetchThen(t.Context(), r.Pool, 3, told)
	<-read
	close(closing)
	want(t, (<-told).err, ErrLost, true)
	r.Close()
	fetchThen(t.Context(), r.Pool, 3, told)
	want(t, (<-told).err, ErrClosed, false)
	if len(told) != 0 {
		t.Error("told twice")
	}
}

func TestAFetchThatIsNotAnsweredInTimeIsTold(t *testing.T) {
	r := newRig(t, nil, func(n *nodeConn) {
		n.greet()
		first, _ := n.next()
		n.answer(first, echoOf(first))
		n.next()
		n.next()
	})
	told := make(chan fetched, 10)
	fetchThen(t.Context(), r.Pool, 0, told)
	if got := <-told; got.err != nil {
		t.Fatal(got)
	}
	fetchThen(t.Context(), r.Pool, 0, told)
	r.clock.Advance(DefaultTimeout)
	if err := (<-told).err; !errors.Is(err, ErrTimeout) {
		t.Fatal(err)
	}
}
