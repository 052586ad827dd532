package log

import (
	"sync"

	"github.com/streambus/streambus/kafkaproto"
)

// item is one thing to be written: a log's batches, or control records.
type item struct {
	log         *Log // nil for control records
	owner       *Log // of a control record that moved the log's next offset
	data        []byte
	first, last offset
	maxTime     int64
	epoch       kafkaproto.LeaderEpoch
	batches     uint32
	gap         uint32
	lazy        bool // does not ask for a sync, whatever the policy
	next        int32
	// build makes data when everything before is published: what it says is then true at that place of the WAL.
	build func() []byte
	done  func(error)
}

// queue are the items that wait for the writer, in the order in which they will be in the WAL.
type queue struct {
	mu     sync.Mutex
	wake   sync.Cond
	items  []item
	spare  []item
	reject error // set while a failed write is undone, and for good when the engine is closed or failed
	closed bool
	busy   bool // somebody writes what was taken
	held   int  // bytes of items that were pushed as such; what has been taken since counts no longer
}

func newQueue() *queue {
	q := &queue{}
	q.wake.L = &q.mu
	return q
}

// push adds an item, or says why nothing can be added now. The caller holds its log's lock.
func (q *queue) push(it item) error { return q.pushAll([]item{it}, false) }

// pushAll adds items side by side, or none. held: the caller sees to it that they are taken.
func (q *queue) pushAll(items []item, held bool) error {
	q.mu.Lock()
	if q.reject != nil {
		err := q.reject
		q.mu.Unlock()
		return err
	}
	q.items = append(q.items, items...)
	if held {
		q.held += bytesOf(items)
	}
	wake := !q.busy && !held
	q.mu.Unlock()
	if wake {
		q.wake.Signal()
	}
	return nil
}

// take waits until there are items and nobody writes, and takes them all. Who takes is the writer until written is called; the
// slice is good until then. false when the queue is closed and empty.
func (q *queue) take() ([]item, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 || q.busy {
		if q.closed && !q.busy {
			return nil, false
		}
		q.wake.Wait()
	}
	return q.swap(), true
}

// tryTake is take for a goroutine that has other things to do: nil if there is nothing, somebody writes already, or it is more
// than most bytes; then the writer's goroutine is woken.
func (q *queue) tryTake(most int) []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy || len(q.items) == 0 {
		return nil
	}
	if bytesOf(q.items) > most {
		q.wake.Signal()
		return nil
	}
	return q.swap()
}

func bytesOf(items []item) (n int) {
	for i := range items {
		n += len(items[i].data)
	}
	return n
}

// heldBytes is how much waits that was pushed as held.
func (q *queue) heldBytes() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held
}

func (q *queue) swap() []item {
	taken := q.items
	q.items, q.spare = trim(q.spare), nil
	q.busy, q.held = true, 0
	return taken
}

// written gives back what take or tryTake returned, and wakes the writer's goroutine if there is more by now.
func (q *queue) written(taken []item) {
	clear(taken)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spare, q.busy = taken, false
	if len(q.items) > 0 || q.closed {
		q.wake.Signal()
	}
}

// refuse makes push fail with err, and takes what waits. A nil err lets pushes in again.
func (q *queue) refuse(err error) []item {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err == nil {
		if !q.closed {
			q.reject = nil
		}
		return nil
	}
	q.reject = err
	taken := append([]item(nil), q.items...)
	clear(q.items)
	q.items, q.held = q.items[:0], 0
	return taken
}

// wakeWriter has the writer's goroutine look at what waits.
func (q *queue) wakeWriter() { q.wake.Signal() }

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) == 0
}

// close lets take return false once the queue is empty; nothing more can be pushed.
func (q *queue) close(err error) {
	q.mu.Lock()
	q.closed, q.reject = true, err
	q.mu.Unlock()
	q.wake.Signal()
}
