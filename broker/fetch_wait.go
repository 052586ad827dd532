package broker

import (
	"errors"
	"sync"
	"time"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
)

// fetch is one Fetch request under way. start looks at the partitions on the connection's goroutine; if that is not
// enough to answer, the fetch registers with each of them and is looked at again whenever one fires, on a goroutine that
// ends with the look.
type fetch struct {
	s           *Server
	r           *request
	version     int16
	replica     int32 // -1 or lower for consumers
	brokerEpoch int64 // of the replica, -1 if it doesn't say
	committed   bool
	minBytes    int
	maxBytes    int
	wait        time.Duration
	session     *fetchSession
	full        bool // the answer names every partition
	keep        bool // the session is to be cached with the answer

	mu       sync.Mutex // one look at a time; guards session's partitions and the rest
	looked   bool
	answered bool
	waiter   *partition.Waiter
	waiting  []*partition.Partition
	timer    env.Timer
}

// start answers at once, or waits. It is called with mu held.
func (f *fetch) start() {
	if f.replica >= 0 {
		f.r.conn.promise() // what it tells of itself may commit what producers wait for
	}
	enough := f.look()
	if enough || f.wait <= 0 || f.full && f.session.first == nil {
		f.finish(false)
		return
	}
	f.drop()
	if !f.r.wait(f.finishNow) {
		f.finishEmpty()
		return
	}
	f.waiter = f.newWaiter()
	for p := f.session.first; p != nil; p = p.next {
		if p.part != nil {
			p.part.Wait(f.waiter)
			f.waiting = append(f.waiting, p.part)
		}
	}
	f.timer = f.s.env.Clock.AfterFunc(f.wait, f.finishNow)
	// What came between the first look and Wait has fired nobody.
	if f.look() {
		f.finish(false)
		return
	}
	f.drop()
}

// newWaiter waits for what a consumer could see, or for what a follower could.
func (f *fetch) newWaiter() *partition.Waiter {
	if f.replica >= 0 {
		return partition.NewReplicaWaiter(f.fired)
	}
	return partition.NewWaiter(f.fired)
}

// fired is called from wherever a partition moved, the storage engine's goroutines too: the look is another's.
func (f *fetch) fired() { f.s.errands.run(f.lookAgain) }

// lookAgain is an errand.
func (f *fetch) lookAgain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.answered {
		return
	}
	f.waiter.Arm()
	if f.look() {
		f.finish(false)
		return
	}
	f.drop()
}

// finishNow answers with what there is: the time is up, the broker drains, or the session's next fetch has come.
func (f *fetch) finishNow() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.answered {
		return
	}
	f.look()
	f.finish(true)
}

// finishEmpty answers a fetch that can't wait, for its connection is ending.
func (f *fetch) finishEmpty() {
	f.look()
	f.finish(false)
}

// look reads from every partition, and says whether that is enough for an answer: enough bytes, or anything that a
// client must hear of at once.
func (f *fetch) look() bool {
	image := f.s.quorum.Image()
	if f.session.image != image {
		f.session.image = image
		for p := f.session.first; p != nil; p = p.next {
			p.part = nil
		}
	}
	left, bytes, urgent, present := f.maxBytes, 0, false, false
	for p := f.session.first; p != nil; p = p.next {
		n := f.read(p, left, bytes == 0)
		bytes += n
		left = max(left-n, 0)
		if !f.looked {
			p.absent = f.replica < 0 && unknown(p.result.Err)
		}
		present = present || !p.absent
		urgent = urgent || p.result.Err != nil && !p.absent || p.result.Diverging != nil
	}
	f.looked = true
	return urgent || !present || bytes >= f.minBytes
}

// unknown says whether a partition is not in the metadata. That is no reason to answer at once while there are others to
// wait for, as in Kafka: a client that keeps a deleted topic among its partitions would fetch without a pause. A follower, which
// may have heard of a topic first, is told: it leaves the partition out for a moment.
func unknown(err error) bool {
	return errors.Is(err, kafkaproto.ErrUnknownTopicOrPartition) || errors.Is(err, kafkaproto.ErrUnknownTopicID)
}

// read reads one partition into p.result and returns the bytes.
func (f *fetch) read(p *sessionPartition, left int, first bool) int {
	if p.part == nil {
		part, err := f.s.findPartition(f.session.image, p.key)
		if err != nil {
			p.result = failedRead(err)
			return 0
		}
		p.part = part
	}
	p.result = p.part.Read(partition.ReadRequest{
		Offset: p.offset, MaxBytes: min(max(p.maxBytes, 0), left), MinOneBatch: first, ReadCommitted: f.committed,
		CurrentLeaderEpoch: p.currentEpoch, LastFetchedEpoch: p.lastEpoch,
		ReplicaID: f.replica, BrokerEpoch: f.brokerEpoch, FlushedEnd: p.flushedEnd, Suspect: p.suspect, Cursor: &p.cursor,
	})
	p.suspect = false
	if p.result.Err != nil {
		p.part = nil // to be found anew
	}
	if p.result.Read == nil {
		return 0
	}
	return p.result.Read.Bytes
}

func failedRead(err error) partition.ReadResult {
	return partition.ReadResult{
		Err: err, HighWatermark: kafkaproto.NoOffset, LastStable: kafkaproto.NoOffset, LogStart: kafkaproto.NoOffset,
		LeaderID: -1, LeaderEpoch: kafkaproto.NoLeaderEpoch,
	}
}

// drop gives back what a look has read.
func (f *fetch) drop() {
	for p := f.session.first; p != nil; p = p.next {
		if p.result.Read != nil {
			p.result.Read.Release()
		}
		p.result = partition.ReadResult{}
	}
}

// finish answers with what the last look has read. own says that this goroutine has nothing else to do and may write.
func (f *fetch) finish(own bool) {
	f.answered = true
	for _, p := range f.waiting {
		p.Unwait(f.waiter)
	}
	f.waiting = nil
	if f.timer != nil {
		f.timer.Stop()
	}
	f.answer(own)
}
