package shard

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/internal/machine"
)

// Everything at once: writers, readers, transactions, timers, panics, a disk that is full now and then, and leadership that
// moves. Each input is answered once, what was acknowledged stays, and in the end nothing is held.
func TestChaosLosesNothingThatWasAcknowledged(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			n := startNode(t, func(n *node) { n.clock = nil })
			n.topic(2)
			c := &chaos{n: n, stop: make(chan struct{}), acked: map[string]int32{}}
			var wg sync.WaitGroup
			for w := range 6 {
				rng := rand.New(rand.NewPCG(seed, uint64(w)))
				wg.Go(func() { c.work(w, rng) })
			}
			rng := rand.New(rand.NewPCG(seed, 99))
			for range 25 {
				time.Sleep(time.Duration(rng.IntN(4000)) * time.Microsecond)
				c.disturb(rng)
			}
			n.faults.Change(func(h *env.FaultHooks) { h.WriteVAt = nil })
			n.lead(1)
			close(c.stop)
			wg.Wait()
			c.check(t)
		})
	}
}

type chaos struct {
	n    *node
	stop chan struct{}

	mu    sync.Mutex
	acked map[string]int32
	twice atomic.Int64
}

// ask submits and waits for the answer, and counts a second one.
func (c *chaos) ask(p int32, input any) answered {
	ch := make(chan answered, 1)
	var once atomic.Bool
	c.n.host.Submit(p, input, func(value any, err error) {
		if once.Swap(true) {
			c.twice.Add(1)
			return
		}
		ch <- answered{value, err}
	})
	select {
	case a := <-ch:
		return a
	case <-time.After(20 * time.Second):
		c.n.t.Errorf("%T was never answered", input)
		return answered{}
	}
}

func (c *chaos) work(w int, rng *rand.Rand) {
	for i := 0; ; i++ {
		select {
		case <-c.stop:
			return
		default:
		}
		p, key := int32(rng.IntN(2)), fmt.Sprintf("%d/%d", w, i)
		switch rng.IntN(40) {
		case 0:
			c.ask(p, crash{})
		case 1:
			c.ask(p, timed{key, time.Now().Add(time.Duration(rng.IntN(3)) * time.Millisecond)})
		case 2:
			c.transaction(p, machine.Producer{ID: int64(w)}, key, rng.IntN(2) == 0)
		case 3:
			c.ask(p, get(key))
		default:
			c.write(p, two{key + "#", "x"})
		}
	}
}

// write notes what was acknowledged.
func (c *chaos) write(p int32, in two) {
	if a := c.ask(p, in); a.err == nil {
		c.mu.Lock()
		c.acked[in.key+"1"], c.acked[in.key+"2"] = p, p
		c.mu.Unlock()
	} else {
		time.Sleep(100 * time.Microsecond)
	}
}

func (c *chaos) transaction(p int32, producer machine.Producer, key string, commit bool) {
	if a := c.ask(p, inTxn{producer, key, "x"}); a.err != nil {
		return
	}
	told := make(chan error, 1)
	c.n.host.AppendMarker(p, producer, 1, commit, func(err error) { told <- err })
	if err := <-told; err == nil && commit {
		c.mu.Lock()
		c.acked[key] = p
		c.mu.Unlock()
	}
}

// disturb moves the leadership, or fills the disk or makes room again.
func (c *chaos) disturb(rng *rand.Rand) {
	switch rng.IntN(5) {
	case 0:
		c.n.lead(1)
	case 1:
		c.n.lead(2)
		c.n.lead(1)
	case 2:
		c.n.faults.Change(func(h *env.FaultHooks) {
			h.WriteVAt = func(string, int64, int) (int, error) { return 0, errNoSpace }
		})
	default:
		c.n.faults.Change(func(h *env.FaultHooks) { h.WriteVAt = nil })
	}
}

func (c *chaos) check(t *testing.T) {
	if c.twice.Load() > 0 {
		t.Errorf("%d inputs were answered twice", c.twice.Load())
	}
	if len(c.acked) == 0 {
		t.Error("nothing was acknowledged at all")
	}
	for key, p := range c.acked {
		if got := c.lookup(p, key); got != "x" {
			t.Errorf("partition %d has %q for %s, which was acknowledged", p, got, key)
		}
	}
	for p := range int32(2) {
		s := c.n.host.view.Load().shards[p]
		eventually(t, "all are answered", func() bool { return s.held.Load() == 0 })
	}
}

// lookup asks until the shard serves again.
func (c *chaos) lookup(p int32, key string) any {
	for range 20_000 {
		if a := c.ask(p, get(key)); a.err == nil {
			return a.value
		}
		time.Sleep(time.Millisecond)
	}
	return "no answer"
}
