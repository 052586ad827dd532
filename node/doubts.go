package node

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/streambus/streambus/peer"
)

// doubts are brokers that the metadata has as alive and whose process is dead as far as this node can see: a connection to
// them broke, and nobody listens at their address. What clients ask for meanwhile waits a little (broker.Options.Unsure).
type doubts struct {
	n *Node

	any atomic.Bool // whether of is worth looking at

	mu sync.Mutex
	of map[int32]doubt
}

// doubt is of one registration of a broker.
type doubt struct {
	epoch int64
	until time.Time // the controller should have judged by then
}

const (
	doubtTime  = 1500 * time.Millisecond
	doubtProbe = 300 * time.Millisecond // how long a broker's address may take to answer
)

// lost is told of connections that broke (peer.Events).
func (d *doubts) lost(id int32, _ int, err error) {
	b, ok := d.n.quorum.Image().Broker(id)
	if !ok || !b.Active() || errors.Is(err, peer.ErrClosed) {
		return
	}
	of := doubt{b.Epoch, d.n.o.Env.Clock.Now().Add(doubtTime)}
	d.mu.Lock()
	if d.of == nil {
		d.of = make(map[int32]doubt)
	}
	known := d.of[id].epoch == of.epoch
	d.of[id] = of
	d.any.Store(true)
	d.mu.Unlock()
	if !known {
		d.n.running.Go(func() { d.probe(id, of.epoch) })
	}
}

// probe ends the doubt about a broker that can be connected to, or of which nothing can be told.
func (d *doubts) probe(id int32, epoch int64) {
	if address, ok := d.n.brokerAddress(id); ok {
		c, err := d.n.o.Env.Net.Dial("tcp", address, doubtProbe)
		if errors.Is(err, syscall.ECONNREFUSED) {
			return
		}
		if err == nil {
			_ = c.Close()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.of[id].epoch == epoch {
		delete(d.of, id)
	}
}

// unsure says whether the metadata, as clients are told it now, still has such a broker.
func (d *doubts) unsure() bool {
	if !d.any.Load() {
		return false
	}
	image, now := d.n.quorum.Image(), d.n.o.Env.Clock.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, of := range d.of {
		if b, ok := image.Broker(id); !ok || !b.Active() || b.Epoch != of.epoch || now.After(of.until) {
			delete(d.of, id)
		}
	}
	d.any.Store(len(d.of) > 0)
	return len(d.of) > 0
}
