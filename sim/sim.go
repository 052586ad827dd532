package sim

import (
	"container/heap"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/kafkaproto"
)

// Sim is one run. The goroutine that calls Run owns all its fields but those behind mu.
type Sim struct {
	plan  plan
	clock atomic.Int64 // nanoseconds of simulated time since the start; Run's goroutine alone moves it
	quiet []metrics.Sample
	// outside is how many goroutines are always in a call outside of Go, as one is that waits for signals.
	outside uint64

	mu     sync.Mutex // guards what goroutines of the product reach: events, trace and the streams of randomness
	events eventHeap
	seq    uint64
	trace  trace
	counts map[streamKey]uint64

	nodes     []*node // by id; the first is nil
	net       network
	quorum    quorum
	topics    []*topic
	producers []*producer
	members   []*member
	groups    []*group
	check     checks
	steps     int
	slowest   time.Duration      // real time of one step
	atAck     func(*node)        // a fault that waits for the next acknowledgement
	offsets   kafkaproto.TopicID // of __consumer_offsets
	stopping  bool               // the workload makes nothing new
	over      bool
}

// event is something that happens at a time. What belongs to a node waits while that is paused, and does not happen at all
// once the life of the node that it belongs to is over.
type event struct {
	at    time.Duration
	seq   uint64
	owner *node // nil: nobody's
	life  *life // nil: the machine's, whatever runs on it
	what  string
	do    func()
	pos   int // in the heap; -1: not there
}

type eventHeap []*event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].seq < h[j].seq
}
func (h eventHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}
func (h *eventHeap) Push(x any) {
	e := x.(*event)
	e.pos = len(*h)
	*h = append(*h, e)
}
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.pos = -1
	return e
}

func (s *Sim) now() time.Duration { return time.Duration(s.clock.Load()) }

// after has something happen in d. It may be called from any goroutine.
func (s *Sim) after(d time.Duration, e *event) *event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add(s.now()+max(d, 0), e)
}

// add is called with mu held.
func (s *Sim) add(at time.Duration, e *event) *event {
	s.seq++
	e.at, e.seq = at, s.seq
	heap.Push(&s.events, e)
	return e
}

// cancel takes an event back, and says whether it was still to happen.
func (s *Sim) cancel(e *event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.pos < 0 {
		return e.owner != nil && e.owner.unstash(e)
	}
	heap.Remove(&s.events, e.pos)
	return true
}

// later has the simulator itself do something in d.
func (s *Sim) later(d time.Duration, what string, do func()) *event {
	return s.after(d, &event{what: what, do: do})
}

// next takes the event that is due first, if it is due by then.
func (s *Sim) next(by time.Duration) *event {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.events) == 0 || s.events[0].at > by {
		return nil
	}
	e := heap.Pop(&s.events).(*event)
	s.clock.Store(int64(max(e.at, s.now())))
	return e
}

// runUntil lets everything happen that is due by then, or until the condition holds.
func (s *Sim) runUntil(by time.Duration, done func() bool) bool {
	for !s.check.failed() {
		if done != nil && done() {
			return true
		}
		e := s.next(by)
		if e == nil {
			break
		}
		s.fire(e)
	}
	if s.now() < by {
		s.clock.Store(int64(by))
	}
	return done != nil && done()
}

func (s *Sim) fire(e *event) {
	if e.life != nil && !e.life.alive {
		return
	}
	if e.owner != nil && e.owner.paused {
		s.mu.Lock()
		e.owner.stash = append(e.owner.stash, e)
		s.mu.Unlock()
		return
	}
	s.steps++
	s.mu.Lock()
	s.trace.step(s.now(), e)
	s.mu.Unlock()
	began := time.Now()
	e.do()
	s.settle()
	s.slowest = max(s.slowest, time.Since(began))
}

// settle returns when no other goroutine can go on. There is one processor, so while this goroutine runs all the others
// either wait for something, or are in the scheduler's queues, or in a call outside of Go (Pebble takes memory from C).
func (s *Sim) settle() {
	for {
		runtime.Gosched()
		metrics.Read(s.quiet)
		switch {
		case s.quiet[0].Value.Uint64() > 0:
		case s.quiet[1].Value.Uint64() > s.outside:
			time.Sleep(10 * time.Microsecond)
		default:
			return
		}
	}
}

// watchQuiet notes what is usual before anything runs.
func (s *Sim) watchQuiet() {
	s.quiet = []metrics.Sample{{Name: "/sched/goroutines/runnable:goroutines"}, {Name: "/sched/goroutines/not-in-go:goroutines"}}
	metrics.Read(s.quiet)
	s.outside = s.quiet[1].Value.Uint64()
}

// node finds a node by its id; nil where the metadata names none.
func (s *Sim) node(id int32) *node {
	if id < 1 || int(id) >= len(s.nodes) {
		return nil
	}
	return s.nodes[id]
}

// note writes a line of the event log, for whoever reads about a failure.
func (s *Sim) note(who, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace.line(s.now(), who, fmt.Sprintf(format, args...))
}

// topic is one that the clients use.
type topic struct {
	name       string
	id         kafkaproto.TopicID
	partitions int
	rules      topicRules
}

func (t *topic) partition(n int) kafkaproto.TopicPartition {
	return kafkaproto.TopicPartition{Topic: t.id, Partition: kafkaproto.PartitionID(n)}
}

// known is what the cluster has decided about a partition, nil if there is nothing.
func (s *Sim) known(id kafkaproto.TopicPartition) *controller.Partition {
	p, _ := s.quorum.image.Partition(id)
	return p
}

// name is a partition as the event log has it.
func (s *Sim) name(id kafkaproto.TopicPartition) string {
	for _, t := range s.topics {
		if t.id == id.Topic {
			return fmt.Sprintf("%s-%d", t.name, id.Partition)
		}
	}
	if t, ok := s.quorum.image.TopicByID(id.Topic); ok {
		return fmt.Sprintf("%s-%d", t.Name, id.Partition)
	}
	return id.String()
}
