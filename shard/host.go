package shard

import (
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
)

// Defaults and bounds of Options.
const (
	defaultCommitTimeout = 5 * time.Second
	defaultLoadBytes     = 5 << 20
	defaultQueueLimit    = 100_000
)

// Host holds the shards of one topic that this node leads.
type Host struct {
	o     Options
	log   *slog.Logger
	loads chan struct{} // a token for each load that may run at the same time: they share the processors
	view  atomic.Pointer[view]

	applying sync.Mutex     // one Apply or Close at a time
	closed   bool           // guarded by applying
	living   sync.WaitGroup // shards, until nothing of them runs any more
}

// view is what the topic is to this node at one moment. It is immutable.
type view struct {
	topic  kafkaproto.TopicID
	count  int32    // partitions of the topic; 0: it does not exist
	shards []*shard // by partition; nil where this node does not lead
	shared bool     // other nodes have replicas of it, and may lead
}

// NewHost makes a Host without shards: Apply brings them.
func NewHost(o Options) *Host {
	if o.CommitTimeout <= 0 {
		o.CommitTimeout = defaultCommitTimeout
	}
	if o.LoadBytes <= 0 {
		o.LoadBytes = defaultLoadBytes
	}
	if o.QueueLimit <= 0 {
		o.QueueLimit = defaultQueueLimit
	}
	h := &Host{o: o, log: o.Logger, loads: make(chan struct{}, runtime.GOMAXPROCS(0))}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	h.view.Store(&view{})
	return h
}

// Submit gives an input to the shard of a partition. done is called once, from any goroutine, perhaps before Submit
// returns, and must not block nor Submit anything itself (it may be the storage engine's goroutine); what the machine never
// answers is answered when the shard ends. Errors beside the machine's own: NOT_COORDINATOR, COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE (the topic is missing, too
// much waits, or the records were not replicated in time).
func (h *Host) Submit(partition int32, input any, done func(value any, err error)) {
	s, err := h.shard(partition)
	if err != nil {
		done(nil, err)
		return
	}
	s.submit(entry{input: input, done: done})
}

// AppendMarker ends a producer's transaction in a partition: the marker goes through the shard's loop like an input, so
// that it stands in the log behind everything that was decided before it. done is as for Submit, and told when the marker
// is committed.
func (h *Host) AppendMarker(partition int32, p machine.Producer, coordinatorEpoch int32, commit bool, done func(error)) {
	s, err := h.shard(partition)
	if err != nil {
		done(err)
		return
	}
	s.submit(entry{
		marker: &marker{producer: p, coordinatorEpoch: coordinatorEpoch, commit: commit},
		done:   func(_ any, err error) { done(err) },
	})
}

// Tell gives an input that is not answered to every shard on this node. Those that are being loaded get it when they
// are. It never runs a machine by itself, so that a watcher of the metadata may call it.
func (h *Host) Tell(input any) {
	for _, s := range h.view.Load().shards {
		if s != nil {
			s.tell(input)
		}
	}
}

// Each gives an input to every shard on this node and collects what they answer, in the order of partitions. While one is
// being loaded the answer is COORDINATOR_LOAD_IN_PROGRESS; one that ends meanwhile is left out. Without the topic there
// is nothing to collect. done is as for Submit.
func (h *Host) Each(input any, done func(values []any, err error)) {
	c := &collection{done: done}
	for _, s := range h.view.Load().shards {
		if s != nil {
			c.shards = append(c.shards, s)
		}
	}
	if len(c.shards) == 0 {
		done(nil, nil)
		return
	}
	c.answers, c.left = make([]any, len(c.shards)), len(c.shards)
	for i, s := range c.shards {
		s.submit(entry{input: input, done: func(value any, err error) { c.add(i, value, err) }})
	}
}

// collection gathers the answers to Each.
type collection struct {
	shards []*shard
	done   func([]any, error)

	mu      sync.Mutex
	answers []any
	left    int
	err     error
}

func (c *collection) add(i int, value any, err error) {
	c.mu.Lock()
	switch {
	case err == nil:
		c.answers[i] = value
	case errors.Is(err, kafkaproto.ErrNotCoordinator): // another node's from now on
	case c.err == nil:
		c.err = err
	}
	c.left--
	last := c.left == 0
	c.mu.Unlock()
	if !last {
		return
	}
	if c.err != nil {
		c.done(nil, c.err)
		return
	}
	values := c.answers[:0]
	for _, v := range c.answers {
		if v != nil {
			values = append(values, v)
		}
	}
	c.done(values, nil)
}

// Partitions is how many partitions the topic has; not ok while it does not exist.
func (h *Host) Partitions() (n int32, ok bool) {
	v := h.view.Load()
	return v.count, v.count > 0
}

// shard finds the shard of a partition, or says why it is not here.
func (h *Host) shard(partition int32) (*shard, error) {
	v := h.view.Load()
	switch {
	case v.count == 0 || partition < 0 || partition >= v.count:
		return nil, kafkaproto.ErrCoordinatorNotAvailable
	case v.shards[partition] == nil:
		return nil, kafkaproto.ErrNotCoordinator
	case v.shared && h.o.Lease != nil && !h.o.Env.Clock.Now().Before(h.o.Lease()):
		return nil, kafkaproto.ErrNotCoordinator
	}
	return v.shards[partition], nil
}

// Close ends all shards: what waits is answered with NOT_COORDINATOR. It returns when none of them runs any more.
func (h *Host) Close() {
	h.applying.Lock()
	h.closed = true
	old := h.view.Swap(&view{})
	h.applying.Unlock()
	for _, s := range old.shards {
		if s != nil {
			s.end()
		}
	}
	h.living.Wait()
}
