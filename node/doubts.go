package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/peer"
)

// doubts make sure that the brokers live that clients are sent to. A client asks for metadata within a millisecond of its
// leader's death, before the controller, or even this node, can have noticed; told of the dead leader once more, it may not
// ask again for seconds (metadata.min.age of franz-go: five). So before each answer the brokers that this node is connected to
// are asked for a sign of life, and one whose process is dead is waited for: until it is fenced and others lead.
type doubts struct {
	n      *Node
	rounds rounds // of questions

	mu sync.Mutex
	of map[int32]doubt
}

// doubt is of one registration of a broker.
type doubt struct {
	epoch int64
	until time.Time // the controller should have judged by then
}

const (
	signLane   = 14 // peer connections over which nothing else goes
	signTime   = 100 * time.Millisecond
	doubtTime  = 1500 * time.Millisecond
	doubtProbe = 300 * time.Millisecond // how long a broker that could not be asked is tried to be asked again
	doubtStep  = time.Millisecond
	probeStep  = 10 * time.Millisecond
)

// settle returns when the metadata names nobody who is dead, as far as this node can tell within doubtTime.
func (d *doubts) settle(ctx context.Context) {
	clock := d.n.o.Env.Clock
	end := clock.Now().Add(doubtTime)
	if len(d.n.peers.Connected()) > 0 {
		d.rounds.wait(ctx)
	}
	for d.unsure() && clock.Now().Before(end) && d.pause(ctx, doubtStep) {
	}
}

func (d *doubts) pause(ctx context.Context, wait time.Duration) bool {
	t := d.n.o.Env.Clock.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C():
		return true
	case <-ctx.Done():
	case <-d.n.ending.Done():
	}
	return false
}

// ask asks all that this node is connected to.
func (d *doubts) ask() {
	var all sync.WaitGroup
	for _, id := range d.n.peers.Connected() {
		all.Go(func() { d.sign(id) })
	}
	all.Wait()
}

// sign asks one broker for a sign of life. One that is silent is not in doubt: that is for its session to tell.
func (d *doubts) sign(id int32) {
	if err := d.question(id); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		d.lost(id, signLane, err)
	}
}

func (d *doubts) question(id int32) error {
	ctx, cancel := context.WithTimeout(d.n.ending, signTime)
	defer cancel()
	_, err := d.n.peers.Do(ctx, id, signLane, kmsg.NewPtrApiVersionsRequest())
	return err
}

// lost is told of connections that broke or were refused (peer.Events).
func (d *doubts) lost(id int32, _ int, err error) {
	b, ok := d.n.quorum.Image().Broker(id)
	if !ok || !b.Active() || errors.Is(err, peer.ErrClosed) || d.n.ending.Err() != nil {
		return
	}
	of := doubt{b.Epoch, d.n.o.Env.Clock.Now().Add(doubtTime)}
	d.mu.Lock()
	defer d.mu.Unlock()
	if was, known := d.of[id]; known && was.epoch == of.epoch {
		return
	}
	if d.of == nil {
		d.of = make(map[int32]doubt)
	}
	d.of[id] = of
	d.n.running.Go(func() { d.probe(id, of.epoch) })
}

// probe ends the doubt about a broker that answers, or of which nothing can be told: only a refused connection proves that
// nobody is there, and a process that is being ended may take one for a last time.
func (d *doubts) probe(id int32, epoch int64) {
	clock := d.n.o.Env.Clock
	for end := clock.Now().Add(doubtProbe); clock.Now().Before(end); {
		err := d.question(id)
		if errors.Is(err, peer.ErrRefused) {
			return
		}
		if err == nil || !d.pause(d.n.ending, probeStep) {
			break
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of[id].epoch == epoch {
		delete(d.of, id)
	}
}

// unsure says whether the metadata, as clients are told it now, still has a broker that is in doubt.
func (d *doubts) unsure() (waiting bool) {
	image, now := d.n.quorum.Image(), d.n.o.Env.Clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, of := range d.of {
		b, ok := image.Broker(id)
		switch {
		case !ok || !b.Active() || b.Epoch != of.epoch:
			delete(d.of, id)
		case !now.After(of.until):
			waiting = true
		} // else nobody judges: answers don't wait for that again
	}
	return waiting
}
