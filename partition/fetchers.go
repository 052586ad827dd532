package partition

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"sync"

	"github.com/streambus/streambus/kafkaproto"
)

// fetchers are the lanes over which this node follows others: at most num.replica.fetchers for each of them, however many
// partitions there are.
type fetchers struct {
	m *Manager

	mu     sync.Mutex // before lane.mu; taken with no other lock of a partition held but role
	lanes  map[laneID]*lane
	closed bool
	ended  sync.WaitGroup
}

type laneID struct {
	node   int32
	number int
}

// lane fetches some of the partitions that a node leads, one fetch after another, on a goroutine that ends with the last
// of them.
type lane struct {
	m      *Manager
	id     laneID
	ctx    context.Context // ends with the lane
	cancel context.CancelFunc
	wake   chan struct{} // there is something in todo or gone
	moved  chan struct{} // some log of the lane's has moved

	mu      sync.Mutex // taken with Partition.mu held; takes none itself
	members int
	fresh   bool // a partition has come since the goroutine looked
	todo    []*following
	gone    []*following
}

// laneOf spreads partitions over lanes.
func (s *fetchers) laneOf(f *following) laneID {
	h := fnv.New32a()
	_, _ = h.Write(f.p.id.Topic[:])
	_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(f.p.id.Partition)))
	return laneID{f.holder.id, int(h.Sum32() % uint32(s.m.replica.lanes))}
}

// add has a partition fetched.
func (s *fetchers) add(f *following) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	id := s.laneOf(f)
	l := s.lanes[id]
	if l == nil {
		l = &lane{m: s.m, id: id, wake: make(chan struct{}, 1), moved: make(chan struct{}, 1)}
		l.ctx, l.cancel = context.WithCancel(s.m.ctx)
		if s.lanes == nil {
			s.lanes = make(map[laneID]*lane)
		}
		s.lanes[id] = l
		s.ended.Go(l.run)
	}
	l.mu.Lock()
	l.members++
	l.fresh = true
	l.mu.Unlock()
	f.p.mu.Lock()
	f.lane = l
	l.push(f)
	f.p.mu.Unlock()
}

// remove ends fetching a partition. What is under way for it finds that it is over.
func (s *fetchers) remove(f *following) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f.p.mu.Lock()
	l := f.lane
	f.p.mu.Unlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	l.members--
	l.gone = append(l.gone, f)
	l.mu.Unlock()
	signalOne(l.wake)
}

// leave takes a lane out that has no partitions any more, and says whether it has none.
func (s *fetchers) leave(l *lane) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.members > 0 {
		return false
	}
	if s.lanes[l.id] == l {
		delete(s.lanes, l.id)
	}
	return true
}

// close ends all lanes; the Manager's context has ended.
func (s *fetchers) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.ended.Wait()
}

// push has the lane look at a partition.
func (l *lane) push(f *following) {
	l.mu.Lock()
	if !f.queued {
		f.queued = true
		l.todo = append(l.todo, f)
	}
	l.mu.Unlock()
	signalOne(l.wake)
}

// take is what there is to look at, and whether it holds partitions that have just come.
func (l *lane) take() (todo, gone []*following, fresh bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	todo, gone, fresh = l.todo, l.gone, l.fresh
	l.todo, l.gone, l.fresh = nil, nil, false
	for _, f := range todo {
		f.queued = false
	}
	return todo, gone, fresh
}

// signalOne wakes whoever waits for c, which has room for one, and never blocks.
func signalOne(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (f *following) key() kafkaproto.TopicPartition { return f.p.id }
