package broker

import (
	"sync"
	"time"

	"github.com/streambus/streambus/controller"
	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/log"
	"github.com/streambus/streambus/partition"
)

// Fetch sessions (KIP-227): the broker remembers which partitions a consumer fetches and what it was told of them, so
// that a request names only what changed and an answer only what is new.

// sessionKey names a partition as the client does: by topic id from Fetch v13 on, by name before. That an id of zeros is
// an id too is what byID is for.
type sessionKey struct {
	byID      bool
	id        kafkaproto.TopicID
	name      string
	partition int32
}

// sessionPartition is one partition of a session. The parameters are what the client asked last; highWatermark and
// logStart what it was told last (-1: nothing yet, or an error, so that the next answer names the partition again).
type sessionPartition struct {
	key        sessionKey
	prev, next *sessionPartition

	offset       kafkaproto.Offset
	maxBytes     int
	currentEpoch kafkaproto.LeaderEpoch
	lastEpoch    kafkaproto.LeaderEpoch
	flushedEnd   kafkaproto.Offset
	suspect      bool // told once

	highWatermark kafkaproto.Offset
	logStart      kafkaproto.Offset

	part   *partition.Partition // as of session.image, nil if it is to be looked up
	cursor log.Cursor
	result partition.ReadResult // of the fetch that is going on
	absent bool                 // was unknown when that came
	named  uint32               // the fetchSession's round in which it was named last
}

// forgetTold has the next answer name the partition again. A follower that asks for a partition anew, while its last request is
// still on its way, takes no word of the answer to that one: it was about another place in its log.
func (p *sessionPartition) forgetTold() {
	p.highWatermark, p.logStart = kafkaproto.NoOffset, kafkaproto.NoOffset
}

// fetchSession is a list of partitions in the order in which they are read. Those that gave data go to its end, so that
// none starves behind others when an answer is full. A fetch without a session uses one that nobody else knows, and leaves it to
// the next such fetch of its connection (conn.spare): most name the same partitions, and go on where the last one read.
//
// Its partitions belong to the fetch that is going on; the cache sees to it that there is only one (sessionCache.begin).
type fetchSession struct {
	id         int32 // 0: not in the cache
	byTopicID  bool
	follower   bool
	partitions map[sessionKey]*sessionPartition
	first      *sessionPartition
	last       *sessionPartition
	image      *controller.Image // that part pointers were found by
	round      uint32            // counts the requests that named all partitions
	lent       log.Loan          // what answers to a follower may still lie in a socket

	// The cache's, under its lock.
	epoch    int32
	size     int
	created  time.Time
	used     time.Time
	fetching *fetch
}

func newFetchSession(byTopicID, follower bool) *fetchSession {
	return &fetchSession{byTopicID: byTopicID, follower: follower, partitions: map[sessionKey]*sessionPartition{}}
}

func (f *fetchSession) key(id kafkaproto.TopicID, name string, partition int32) sessionKey {
	return sessionKey{byID: f.byTopicID, id: id, name: name, partition: partition}
}

// put adds a partition, or returns the one there is.
func (f *fetchSession) put(key sessionKey) *sessionPartition {
	if p := f.partitions[key]; p != nil {
		return p
	}
	p := &sessionPartition{key: key, highWatermark: kafkaproto.NoOffset, logStart: kafkaproto.NoOffset}
	f.partitions[key] = p
	f.link(p)
	return p
}

func (f *fetchSession) remove(key sessionKey) {
	if p := f.partitions[key]; p != nil {
		delete(f.partitions, key)
		f.unlink(p)
	}
}

func (f *fetchSession) link(p *sessionPartition) {
	p.prev, p.next = f.last, nil
	if f.last == nil {
		f.first = p
	} else {
		f.last.next = p
	}
	f.last = p
}

func (f *fetchSession) unlink(p *sessionPartition) {
	if p.prev == nil {
		f.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		f.last = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
}

// maxSpare bounds the partitions of a session that a connection keeps for the next fetch without one.
const maxSpare = 1000

// takeSpare returns the session that the connection's last fetch without one has left, nil if there is none.
func (c *conn) takeSpare(byTopicID, follower bool) *fetchSession {
	s := c.spare.Swap(nil)
	if s == nil || s.byTopicID != byTopicID || s.follower != follower {
		return nil
	}
	return s
}

// leaveSpare leaves a session that is in no cache. The caller uses it no longer.
func (c *conn) leaveSpare(s *fetchSession) {
	if len(s.partitions) <= maxSpare {
		c.spare.Store(s)
	}
}

// moveToEnd makes p the last to be read next time.
func (f *fetchSession) moveToEnd(p *sessionPartition) {
	if f.last != p {
		f.unlink(p)
		f.link(p)
	}
}

// Session ids and epochs with a meaning of their own.
const (
	noSession    int32 = 0
	initialEpoch int32 = 0  // a full fetch that asks for a session
	finalEpoch   int32 = -1 // a full fetch without one, which ends the one it names
)

// sessionCache holds the sessions that clients may come back to. When it is full, a new one takes the place of one that
// nobody used for sessionIdle, or, once that has been here as long, of a smaller one; brokers' sessions before clients'.
type sessionCache struct {
	max  int
	rand env.Rand

	mu       sync.Mutex
	sessions map[int32]*fetchSession
}

// sessionIdle is how long a session is safe from others (Kafka's min.incremental.fetch.session.eviction.ms).
const sessionIdle = 2 * time.Minute

func (c *sessionCache) init(max int, rand env.Rand) {
	c.max, c.rand = max, rand
	c.sessions = map[int32]*fetchSession{}
}

func (c *sessionCache) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions)
}

// drop ends a session.
func (c *sessionCache) drop(id int32) {
	c.mu.Lock()
	delete(c.sessions, id)
	c.mu.Unlock()
}

// begin finds the session that an incremental fetch names, checks and raises its epoch, and gives it to the fetch. If
// another fetch of the session is still waiting (its client pipelines, or has lost the connection it came by) that one
// is returned as well: it must be ended before the session is touched.
func (c *sessionCache) begin(id, epoch int32, byTopicID bool, now time.Time, f *fetch) (s *fetchSession, before *fetch, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s = c.sessions[id]
	switch {
	case s == nil:
		return nil, nil, kafkaproto.ErrFetchSessionIDNotFound
	case s.epoch != epoch:
		return nil, nil, kafkaproto.ErrInvalidFetchSessionEpoch
	case s.byTopicID != byTopicID:
		return nil, nil, kafkaproto.ErrFetchSessionTopicIDError
	}
	before, s.fetching = s.fetching, f
	s.epoch = nextSessionEpoch(epoch)
	s.used = now
	return s, before, nil
}

// end says that a fetch is through with its session, and how many partitions that has now.
func (c *sessionCache) end(s *fetchSession, f *fetch) {
	c.mu.Lock()
	if s.fetching == f {
		s.fetching = nil
	}
	s.size = len(s.partitions)
	c.mu.Unlock()
}

// add takes a new session in if there is room, and gives it its id and its first epoch. Else its id stays 0, which tells
// the client that it has none.
func (c *sessionCache) add(s *fetchSession, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.size = len(s.partitions)
	if s.size == 0 || c.max <= 0 {
		return
	}
	if len(c.sessions) >= c.max && !c.evict(s, now) {
		return
	}
	for s.id == noSession || c.sessions[s.id] != nil {
		s.id = int32(c.rand.Uint64() & 0x7fffffff)
	}
	s.epoch = nextSessionEpoch(initialEpoch)
	s.created, s.used = now, now
	c.sessions[s.id] = s
}

// evict makes room for s, or says that s is the one to go without.
func (c *sessionCache) evict(s *fetchSession, now time.Time) bool {
	var stalest, least *fetchSession
	for _, x := range c.sessions {
		if stalest == nil || x.used.Before(stalest.used) {
			stalest = x
		}
		if now.Sub(x.created) >= sessionIdle && (least == nil || x.lessWorth(least)) {
			least = x
		}
	}
	switch {
	case stalest != nil && now.Sub(stalest.used) > sessionIdle:
		delete(c.sessions, stalest.id)
	case least != nil && least.lessWorth(s):
		delete(c.sessions, least.id)
	default:
		return false
	}
	return true
}

func (f *fetchSession) lessWorth(other *fetchSession) bool {
	if f.follower != other.follower {
		return other.follower
	}
	return f.size < other.size
}

func nextSessionEpoch(epoch int32) int32 {
	switch {
	case epoch < 0:
		return finalEpoch
	case epoch == 1<<31-1:
		return 1
	}
	return epoch + 1
}
