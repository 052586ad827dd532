package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
)

func TestManyRequestsShareAConnection(t *testing.T) {
	p := loopbackPool(t, echo)
	var all sync.WaitGroup
	for i := range 64 {
		all.Add(1)
		go func() {
			defer all.Done()
			for j := range 20 {
				if err := ask(p, 2, i%2, fmt.Sprint(i, "-", j)); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	if len(p.links) != 2 {
		t.Fatalf("%d connections for two lanes", len(p.links))
	}
}

func TestAnswersMayComeOutOfOrder(t *testing.T) {
	r := newRig(t, nil, func(n *nodeConn) {
		n.greet()
		a, _ := n.next()
		b, _ := n.next()
		n.answer(b, echoOf(b))
		n.answer(a, echoOf(a))
		n.next()
	})
	done := make(chan error, 2)
	for _, name := range []string{"a", "b"} {
		go func() { done <- r.ask(name) }()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheNewestCommonVersionIsAskedFor(t *testing.T) {
	versions := make(chan int16, 10)
	r := newRig(t, nil, func(n *nodeConn) {
		n.greet()
		for {
			req, ok := n.next()
			if !ok {
				return
			}
			versions <- req.Version
			n.answer(req, echoOf(req))
		}
	})
	if err := r.ask("a"); err != nil {
		t.Fatal(err)
	}
	if v := <-versions; v != 9 {
		t.Fatalf("version %d of Metadata, of which the node serves 0 to 9", v)
	}
	_, err := r.Do(context.Background(), 2, 0, kmsg.NewPtrCreateTopicsRequest())
	want(t, err, ErrVersion, false)
	_, err = r.Do(context.Background(), 2, 0, kmsg.NewPtrProduceRequest())
	want(t, err, ErrVersion, false)
	lowest, highest, err := r.Versions(context.Background(), 2, 0, 1)
	if err != nil || lowest != 4 || highest != 17 {
		t.Fatal(lowest, highest, err)
	}
	if _, _, err = r.Versions(context.Background(), 2, 0, 0); !errors.Is(err, ErrVersion) {
		t.Fatal(err)
	}
}

func TestAnOldNodeTellsItsVersionsInVersionZero(t *testing.T) {
	r := newRig(t, nil, func(n *nodeConn) {
		req, _ := n.next()
		req.Version = 0
		n.answer(req, &kmsg.ApiVersionsResponse{ErrorCode: kafkaproto.ErrUnsupportedVersion.Num})
		echo(n)
	})
	if err := r.ask("a"); err != nil {
		t.Fatal(err)
	}
}

func TestRawBodiesGoAndComeAsTheyAre(t *testing.T) {
	r := newRig(t, nil, echo)
	for _, version := range []int16{1, 9} { // plain and flexible headers
		req := metadataFor("raw")
		req.SetVersion(version)
		frame, err := r.DoRaw(context.Background(), 2, 0, 3, version, req.AppendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		res := kmsg.NewPtrMetadataResponse()
		res.SetVersion(version)
		if err := res.ReadFrom(frame.Body()); err != nil || version == 9 && *res.ClusterID != "raw" {
			t.Fatal(version, err)
		}
		frame.Release()
	}
	for _, version := range []int16{-1, 10, 99} {
		_, err := r.DoRaw(context.Background(), 2, 0, 3, version, nil)
		want(t, err, ErrVersion, false)
	}
	_, err := r.DoRaw(context.Background(), 2, 0, 9999, 0, nil)
	want(t, err, ErrVersion, false)
}

func TestFetchedRecordsAreNotCopied(t *testing.T) {
	p := loopbackPool(t, echo)
	for _, size := range []int32{0, 10, 1 << 20, maxBuffer + 5, 5*maxBuffer + 1} {
		req := kmsg.NewPtrFetchRequest()
		req.MaxBytes = size
		res, frame, err := p.Fetch(context.Background(), 2, 0, req)
		if err != nil {
			t.Fatal(err)
		}
		records := res.Topics[0].Partitions[0].RecordBatches
		if len(records) != int(size) {
			t.Fatalf("%d bytes of %d", len(records), size)
		}
		for i, b := range records {
			if b != byte(i) {
				t.Fatalf("byte %d is wrong", i)
			}
		}
		if size > 0 {
			records[0] = 77
			if !sharesMemory(frame.Body(), records) {
				t.Fatal("the records are a copy")
			}
		}
		frame.Release()
	}
}

func sharesMemory(outer, inner []byte) bool {
	for i := range outer[:min(len(outer), 4096)] {
		if &outer[i] == &inner[0] {
			return true
		}
	}
	return false
}

func TestAFrameIsReleasedOnce(t *testing.T) {
	p := loopbackPool(t, echo)
	_, frame, err := p.DoPooled(context.Background(), 2, 0, metadataFor("a"))
	if err != nil {
		t.Fatal(err)
	}
	frame.Release()
	defer func() {
		if recover() == nil {
			t.Error("released twice")
		}
	}()
	frame.Release()
}

func TestARefusedConnectIsToldFromOneThatTimesOut(t *testing.T) {
	r := newRig(t, nil, echo)
	r.net.set(refused)
	want(t, r.ask("a"), ErrRefused, false)
	r.event("failed")
	r.clock.Advance(time.Minute)
	r.net.set(&net.OpError{Op: "dial", Err: context.DeadlineExceeded})
	err := r.ask("a")
	want(t, err, ErrUnreachable, false)
	if errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}
	r.event("failed")
	want(t, ask(r.Pool, 100, 0, "a"), ErrUnknownNode, false)
}

func TestARealRefusalIsSeenAtOnce(t *testing.T) {
	n := env.System().Net
	l, err := n.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	p := NewPool(Options{Net: n, Clock: env.System().Clock, Address: func(int32) (string, bool) { return l.Addr().String(), true }})
	defer p.Close()
	want(t, ask(p, 2, 0, "a"), ErrRefused, false)
}

func TestBackoffGrowsAndEndsWithAnAnswer(t *testing.T) {
	r := newRig(t, func(o *Options) { o.BackoffMin, o.BackoffMax = 10*time.Millisecond, 40*time.Millisecond }, echo)
	for _, pause := range []time.Duration{10, 20, 40, 40} {
		pause *= time.Millisecond
		r.net.set(refused)
		err := r.ask("a")
		want(t, err, ErrRefused, false)
		var e *Error
		if errors.As(err, &e); e.RetryAfter != pause {
			t.Fatalf("told to wait %v, not %v", e.RetryAfter, pause)
		}
		r.clock.Advance(pause - 1)
		err = ask(r.Pool, 2, 1, "a") // another lane, the same node
		want(t, err, ErrBackoff, false)
		want(t, err, ErrRefused, false)
		if r.net.dialed() != 1 {
			t.Fatal("dialed during the back-off")
		}
		r.clock.Advance(1)
	}
	r.net.set(nil, echo)
	if err := r.ask("a"); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.backoff) != 0 {
		t.Fatal("the back-off goes on")
	}
}

func TestANodeThatIsForgottenIsAskedAnewAtOnce(t *testing.T) {
	r := newRig(t, nil, echo)
	r.net.set(refused)
	want(t, r.ask("a"), ErrRefused, false)
	r.net.set(nil, echo)
	r.Forget(2)
	if err := r.ask("a"); err != nil {
		t.Fatal(err)
	}
	r.Forget(2)
	if err := r.ask("b"); err != nil || r.net.dialed() != 2 {
		t.Fatal(err, r.net.dialed())
	}
}

func TestACancelledCallLeavesTheConnectionToOthers(t *testing.T) {
	got, release := make(chan struct{}), make(chan struct{})
	r := newRig(t, nil, func(n *nodeConn) {
		n.greet()
		a, _ := n.next()
		close(got)
		<-release
		n.answer(a, echoOf(a))
		for {
			b, ok := n.next()
			if !ok {
				return
			}
			n.answer(b, echoOf(b))
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-got
		cancel()
	}()
	_, err := r.Do(ctx, 2, 0, metadataFor("a"))
	want(t, err, context.Canceled, true)
	_, err = r.Do(ctx, 2, 0, metadataFor("a"))
	want(t, err, context.Canceled, false)
	close(release)
	if err := r.ask("b"); err != nil || r.net.dialed() != 1 {
		t.Fatal(err, r.net.dialed())
	}
}

func TestTooManyRequestsInFlightAreRefused(t *testing.T) {
	got := make(chan struct{})
	r := newRig(t, func(o *Options) { o.MaxInFlight = 3 }, func(n *nodeConn) {
		n.greet()
		for range 3 {
			n.next()
			got <- struct{}{}
		}
		n.next()
	})
	done := make(chan error, 3)
	for range 3 {
		go func() { done <- r.ask("a") }()
	}
	for range 3 {
		<-got
	}
	want(t, r.ask("b"), ErrBusy, false)
	r.Close()
	for range 3 {
		want(t, <-done, ErrClosed, true)
	}
	want(t, r.ask("c"), ErrClosed, false)
}

func TestTooLargeARequestIsNotSent(t *testing.T) {
	r := newRig(t, func(o *Options) { o.MaxFrameBytes = 1000 }, echo)
	want(t, r.ask(string(make([]byte, 1000))), ErrTooLarge, false)
	if err := r.ask("a"); err != nil {
		t.Fatal(err)
	}
}

func TestErrorsCarryKafkasCodes(t *testing.T) {
	for err, code := range map[error]*kafkaproto.Error{
		ErrTimeout: kafkaproto.ErrRequestTimedOut, ErrVersion: kafkaproto.ErrUnsupportedVersion, ErrLost: kafkaproto.ErrNetworkException,
		ErrTooLarge: kafkaproto.ErrMessageTooLarge, ErrUnknownNode: kafkaproto.ErrBrokerNotAvailable, because(ErrBackoff, ErrRefused): kafkaproto.ErrNetworkException,
	} {
		if got := kafkaproto.Code(&Error{Err: err}); got != code.Num {
			t.Errorf("%v has code %d", err, got)
		}
	}
	if NotSent(nil) || NotSent(errors.New("x")) {
		t.Error("nothing is known of these")
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, callers := range []int{1, 16} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			p := loopbackPool(b, echo)
			b.SetParallelism(callers)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := ask(p, 2, 0, "a"); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkFetch1MiB(b *testing.B) {
	p := loopbackPool(b, echo)
	b.SetBytes(1 << 20)
	b.ReportAllocs()
	for b.Loop() {
		req := kmsg.NewPtrFetchRequest()
		req.MaxBytes = 1 << 20
		_, frame, err := p.Fetch(context.Background(), 2, 0, req)
		if err != nil {
			b.Fatal(err)
		}
		frame.Release()
	}
}
