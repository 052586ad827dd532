package shard

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
)

// state is where a shard stands.
type state int

const (
	loading state = iota // a load runs, or is about to
	failing              // a load has failed, and is tried again later
	active
	ended // this node does not lead in that epoch any more
)

// shard is a partition that this node leads in one leader epoch, and its machine.
//
// Whoever has set running owns what stands below it: the loader first, then whoever finds something to do and nobody at
// it. That may be the goroutine of a request, of a timer, or one made for the purpose. mu is held for moments only, and
// nothing outside of this package is called with it held.
type shard struct {
	host  *Host
	id    kafkaproto.TopicPartition
	epoch kafkaproto.LeaderEpoch
	held  atomic.Int64 // inputs that are not answered yet

	mu      sync.Mutex
	state   state
	running bool
	queue   []entry
	ticked  bool     // the alarm has gone off
	broken  error    // records were given to the log and not written
	life    uint64   // how many machines were dropped
	parked  []answer // in the order of what they wait for
	part    *partition.Partition
	waiter  *partition.Waiter // nil until the first load

	machine Machine
	tickets map[machine.Ticket]func(any, error)
	last    machine.Ticket
	current machine.Ticket    // of the input that the machine is looking at
	next    kafkaproto.Offset // where the log ends, with what out holds
	high    kafkaproto.Offset // the high watermark as last seen
	out     outgoing
	settled []answer // of the turn that goes on
	spare   []entry
	timers  timers
	alarm   alarm
	retry   retry
}

// entry is one input, or a marker.
type entry struct {
	input  any
	marker *marker
	done   func(any, error) // nil: not answered
}

// marker ends a transaction.
type marker struct {
	producer         machine.Producer
	coordinatorEpoch int32
	commit           bool
}

// answer is what somebody will be told when the high watermark has reached need.
type answer struct {
	need     kafkaproto.Offset
	deadline time.Time
	done     func(any, error)
	value    any
	err      error
}

func newShard(h *Host, id kafkaproto.TopicPartition, epoch kafkaproto.LeaderEpoch) *shard {
	s := &shard{host: h, id: id, epoch: epoch, running: true}
	s.out.codec = h.o.Codec
	h.living.Add(1)
	return s
}

// submit queues an input, and runs the loop if nobody does.
func (s *shard) submit(e entry) {
	if err := s.admit(); err != nil {
		e.done(nil, err)
		return
	}
	done := e.done
	e.done = func(value any, err error) { s.deliver(done, value, err) }
	s.mu.Lock()
	if err := s.serving(); err != nil {
		s.mu.Unlock()
		e.done(nil, err)
		return
	}
	s.queue = append(s.queue, e)
	run := s.claim()
	s.mu.Unlock()
	if run {
		s.run(borrowed)
	}
}

// deliver answers. It may be the engine's goroutine that does so, which must not end of a panic of those who asked.
func (s *shard) deliver(done func(any, error), value any, err error) {
	s.held.Add(-1)
	defer func() {
		if p := recover(); p != nil {
			s.host.log.Error("panic while a coordinator's answer was taken", "topic", s.host.o.Topic,
				"partition", int32(s.id.Partition), "panic", p, "stack", string(debug.Stack()))
		}
	}()
	done(value, err)
}

// admit takes a place among the inputs that wait.
func (s *shard) admit() error {
	if s.held.Add(1) > int64(s.host.o.QueueLimit) {
		s.held.Add(-1)
		return kafkaproto.ErrCoordinatorNotAvailable.With("%d requests wait already", s.host.o.QueueLimit)
	}
	return nil
}

// serving says why nothing is served, or nil. mu is held.
func (s *shard) serving() error {
	switch s.state {
	case active:
		return nil
	case loading:
		return kafkaproto.ErrCoordinatorLoadInProgress
	default:
		return kafkaproto.ErrNotCoordinator
	}
}

// tell queues an input that is not answered, also while the shard is being loaded.
func (s *shard) tell(input any) {
	s.mu.Lock()
	if s.state == ended || len(s.queue) >= s.host.o.QueueLimit {
		s.mu.Unlock()
		return
	}
	s.queue = append(s.queue, entry{input: input})
	s.wake()
	s.mu.Unlock()
}

// claim takes the running of the loop, if nobody has it. mu is held.
func (s *shard) claim() bool {
	if s.running || s.state == failing {
		return false
	}
	s.running = true
	return true
}

// wake sees to it that the loop runs, in a goroutine of its own if nobody runs it. mu is held.
func (s *shard) wake() {
	if s.claim() {
		go s.run(own)
	}
}

// end is for a shard whose partition this node leads no more. Everybody who waits is told; what a machine has not
// answered too.
func (s *shard) end() {
	s.mu.Lock()
	if s.state == ended {
		s.mu.Unlock()
		return
	}
	s.state = ended
	parked := s.parked
	s.parked = nil
	run := !s.running
	s.running = true
	s.mu.Unlock()
	refuse(parked, kafkaproto.ErrNotCoordinator)
	if run {
		s.run(borrowed)
	}
}

func refuse(answers []answer, err error) {
	for _, a := range answers {
		if a.done != nil {
			a.done(nil, err)
		}
	}
}

// moved is the waiter's: the high watermark or the leadership of the partition may have moved. It lets go of the answers
// that are due.
func (s *shard) moved() {
	s.waiter.Arm()
	high, err := s.part.Committed(s.epoch)
	s.mu.Lock()
	due := s.parked
	if err == nil {
		n := 0
		for n < len(due) && due[n].need <= high {
			n++
		}
		due, s.parked = due[:n:n], due[n:]
	} else {
		s.parked = nil
	}
	if len(s.parked) == 0 {
		s.parked = nil
	}
	s.mu.Unlock()
	if err != nil {
		refuse(due, coordinatorCode(err))
		return
	}
	for _, a := range due {
		a.done(a.value, a.err)
	}
}
