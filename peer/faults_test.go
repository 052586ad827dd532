package peer

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestALostConnectionFailsWhatIsInFlightAtOnce(t *testing.T) {
	r := newRig(t, nil, func(n *nodeConn) {
		n.greet()
		a, _ := n.next()
		n.answer(a, echoOf(a))
		n.next() // and is gone
	}, echo)
	if err := r.ask("a"); err != nil {
		t.Fatal(err)
	}
	r.event("connected")
	want(t, r.ask("b"), ErrLost, true)
	r.event("lost")
	if err := r.ask("c"); err != nil { // it had worked, so there is no back-off
		t.Fatal(err)
	}
}

func TestAnIdleConnectionThatEndsIsNoticed(t *testing.T) {
	end := make(chan struct{})
	r := newRig(t, nil, func(n *nodeConn) {
		n.greet()
		a, _ := n.next()
		n.answer(a, echoOf(a))
		<-end
	}, echo)
	if err := r.ask("a"); err != nil {
		t.Fatal(err)
	}
	r.event("connected")
	close(end)
	r.event("lost")
	if err := r.ask("b"); err != nil {
		t.Fatal(err)
	}
	r.event("connected")
}

func TestAnAnswerThatIsCutOffIsALoss(t *testing.T) {
	for _, keep := range []int{1, 4, 7, 12, -1} {
		r := newRig(t, nil, func(n *nodeConn) {
			n.greet()
			a, _ := n.next()
			res := echoOf(a)
			res.SetVersion(a.Version)
			frame := answerFrame(a, res.AppendTo(nil))
			if keep < 0 {
				keep += len(frame)
			}
			_, _ = n.Write(frame[:keep])
		})
		want(t, r.ask("a"), ErrLost, true)
	}
}

func TestGarbageEndsTheConnection(t *testing.T) {
	bad := map[string]func(request) []byte{
		"negative length":      func(request) []byte { return []byte{0xff, 0, 0, 0, 1, 2, 3, 4} },
		"huge length":          func(request) []byte { return []byte{0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4} },
		"no correlation id":    func(request) []byte { return []byte{0, 0, 0, 2, 1, 2} },
		"foreign id":           func(r request) []byte { r.CorrelationID += 99; return answerFrame(r, nil) },
		"header without tags":  func(r request) []byte { return answerFrame(r, nil)[:8:8] },
		"body that is no body": func(r request) []byte { return answerFrame(r, []byte{1, 2, 3}) },
		"tags that never end":  func(r request) []byte { return append(answerFrame(r, nil)[:8:8], 0xff, 0xff, 0xff, 0xff) },
	}
	for name, make := range bad {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil, func(n *nodeConn) {
				n.greet()
				a, _ := n.next()
				frame := make(a)
				if name == "header without tags" || name == "tags that never end" {
					frame[3] = byte(len(frame) - 4)
				}
				_, _ = n.Write(frame)
				n.next()
			})
			err := r.ask("a")
			if !errors.Is(err, ErrProtocol) && !errors.Is(err, ErrLost) || NotSent(err) {
				t.Fatal(err)
			}
		})
	}
}

func TestAnAnswerThatNobodyAskedForEndsTheConnection(t *testing.T) {
	r := newRig(t, nil, func(n *nodeConn) {
		n.greet()
		a, _ := n.next()
		n.answer(a, echoOf(a))
		n.answer(a, echoOf(a))
		n.next()
	})
	if err := r.ask("a"); err != nil {
		t.Fatal(err)
	}
	r.event("connected")
	r.event("lost")
}

func TestASlowAnswerIsReadAndAMissingOneTimesOut(t *testing.T) {
	got := make(chan struct{}, 2)
	r := newRig(t, nil, func(n *nodeConn) {
		n.greet()
		a, _ := n.next()
		res := echoOf(a)
		res.SetVersion(a.Version)
		for _, b := range answerFrame(a, res.AppendTo(nil)) {
			_, _ = n.Write([]byte{b})
		}
		for {
			if _, ok := n.next(); !ok {
				return
			}
			got <- struct{}{}
		}
	})
	if err := r.ask("a"); err != nil {
		t.Fatal(err)
	}
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- r.ask("b") }()
	<-got
	r.clock.Advance(5 * time.Second)
	go func() { second <- r.ask("c") }()
	<-got
	r.clock.Advance(5 * time.Second)
	want(t, <-first, ErrTimeout, true)
	err := <-second
	want(t, err, ErrLost, true)
	r.event("connected")
	r.event("lost")
}

func TestAFetchMayTakeAsLongAsItAskedFor(t *testing.T) {
	got, answer := make(chan struct{}), make(chan struct{})
	r := newRig(t, nil, func(n *nodeConn) {
		n.greet()
		a, _ := n.next()
		close(got)
		<-answer
		n.answer(a, echoOf(a))
		n.next()
	})
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MaxBytes = 60_000, 10
	done := make(chan error, 1)
	go func() {
		_, frame, err := r.Fetch(context.Background(), 2, 0, req)
		if err == nil {
			frame.Release()
		}
		done <- err
	}()
	<-got
	r.clock.Advance(69 * time.Second)
	close(answer)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestARequestThatIsStillQueuedSurelyDidNotArrive(t *testing.T) {
	stop, stuck := make(chan struct{}), make(chan struct{})
	r := newRig(t, func(o *Options) { o.Timeout = time.Second }, func(n *nodeConn) {
		n.greet()
		buf := make([]byte, 1)
		_, _ = n.r.Read(buf) // one byte of the first request: the writer now waits for us
		close(stuck)
		<-stop
	})
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- r.ask(string(make([]byte, 30_000))) }() // more than the node's reader buffers
	<-stuck
	r.mu.Lock()
	c := r.links[linkID{2, 0}].conn
	r.mu.Unlock()
	go func() { second <- r.ask("b") }()
	for queued := 0; queued == 0; {
		c.mu.Lock()
		queued = len(c.queue)
		c.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := r.Do(ctx, 2, 0, metadataFor("c"))
	want(t, err, context.DeadlineExceeded, false)
	r.clock.Advance(time.Second)
	if err := <-first; NotSent(err) {
		t.Fatal(err)
	}
	if err := <-second; !NotSent(err) {
		t.Fatal(err)
	}
	close(stop)
}

func TestANodeThatHangsInTheHandshakeIsGivenUp(t *testing.T) {
	asked, stop := make(chan struct{}), make(chan struct{})
	r := newRig(t, nil, func(n *nodeConn) {
		n.next()
		close(asked)
		<-stop
	})
	done := make(chan error, 1)
	go func() { done <- r.ask("a") }()
	<-asked
	r.clock.Advance(DefaultDialTimeout)
	want(t, <-done, ErrUnreachable, false)
	r.event("failed")
	close(stop)
}

func TestANodeThatDropsEveryConnectionIsBackedOffFrom(t *testing.T) {
	r := newRig(t, nil, func(n *nodeConn) {
		n.greet()
		n.next()
	})
	want(t, r.ask("a"), ErrLost, true)
	r.event("connected")
	r.event("lost")
	want(t, r.ask("a"), ErrBackoff, false)
}

func TestCloseAnswersThoseWhoWaitForAConnection(t *testing.T) {
	asked := make(chan struct{})
	r := newRig(t, nil, func(n *nodeConn) {
		n.next()
		close(asked)
		n.next()
	})
	done := make(chan error, 1)
	go func() { done <- r.ask("a") }()
	<-asked
	r.Close()
	want(t, <-done, ErrClosed, false)
	r.Close()
}

// A node that answers anything at all: no answer may panic or be handed to the wrong call, every call ends, and the pool
// goes on with a node that behaves.
func TestRandomAnswersHarmNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		seed := rng.Uint64()
		r := newRig(t, func(o *Options) { o.MaxFrameBytes = 1 << 20 }, func(n *nodeConn) { garbled(n, seed) })
		err := r.ask("a")
		if err != nil && kindless(err) {
			t.Fatal(err)
		}
		r.net.set(nil, echo)
		r.Forget(2)
		if err := r.ask("b"); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
}

// garbled answers with a right frame that has some bytes changed.
func garbled(n *nodeConn, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	if rng.IntN(2) == 0 && !n.greet() {
		return
	}
	req, ok := n.next()
	if !ok {
		return
	}
	var res kmsg.Response = &kmsg.ApiVersionsResponse{ApiKeys: serves}
	if req.Key != 18 {
		res = echoOf(req)
	}
	res.SetVersion(req.Version)
	frame := answerFrame(req, res.AppendTo(nil))
	for range 1 + rng.IntN(3) {
		frame[rng.IntN(len(frame))] = byte(rng.Uint32())
	}
	_, _ = n.Write(frame)
}

func kindless(err error) bool {
	for _, kind := range []error{ErrLost, ErrProtocol, ErrUnreachable, ErrVersion, ErrTimeout} {
		if errors.Is(err, kind) {
			return false
		}
	}
	var e *Error
	return errors.As(err, &e) // answers with other bytes in the name are no failure of the pool's
}
