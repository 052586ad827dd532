package broker

// Fetch (key 1, versions 0-18): record batches from the log to the socket, without a copy in this process.
//
// Sessions (KIP-227) from version 7, topic ids (KIP-516) from 13, leader epochs (KIP-320) from 9, diverging epochs
// (KIP-595) from 12, the new leader's address beside NOT_LEADER_OR_FOLLOWER (KIP-951) from 16. A fetch waits for
// min.bytes or max.wait.ms, whichever comes first, without a goroutine: partitions wake it, a timer ends it, and so does
// a drain. fetch.max.bytes caps every answer whatever the client asks; only the first batch of an answer may exceed it,
// in every version, so that a consumer always makes progress.
//
// Versions 0-3 are served message sets (fetch_convert.go), and a batch in zstd, which fetchers before version 10 can't
// read, is UNSUPPORTED_COMPRESSION_TYPE where it would come first.
//
// Not done: fetching from followers (KIP-392, PreferredReadReplica is always -1). INCONSISTENT_TOPIC_ID can't occur:
// logs are found by topic id, so an id without a log is UNKNOWN_TOPIC_ID.

import (
	"encoding/binary"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/streambus/streambus/kafkaproto"
)

// StreamBus's own tagged fields of a partition in a follower's Fetch, both int64.
const (
	tagFlushedEnd = 10000 // how far it is flushed
	tagSuspect    = 10001 // the offset at which it has received something whose CRC is wrong
)

// tagReceived of a follower's Fetch, without a value: it has received all answers of the session, so that nobody reads what they lent.
const tagReceived = 10002

// maxConvertedBytes bounds an answer that is built in memory, for fetchers before version 4.
const maxConvertedBytes = 8 << 20

func handleFetch(s *Server, r *request) {
	req := r.req.(*kmsg.FetchRequest)
	f := newFetch(s, r, req)
	f.mu.Lock() // from before the session is found: who comes for it next waits until this fetch has looked
	defer f.mu.Unlock()
	if err := f.openSession(req); err != nil {
		r.letGo()
		f.answerError(err)
		return
	}
	r.letGo()
	f.start()
}

func newFetch(s *Server, r *request, req *kmsg.FetchRequest) *fetch {
	f := &fetch{
		s: s, r: r, version: req.Version, replica: replicaID(req), brokerEpoch: -1,
		committed: req.Version >= 4 && req.IsolationLevel == 1,
		maxBytes:  s.limits.fetchBytes,
		wait:      time.Duration(max(req.MaxWaitMillis, 0)) * time.Millisecond,
	}
	if req.Version >= 15 {
		f.brokerEpoch = req.ReplicaState.Epoch
	}
	if req.Version >= 3 {
		f.maxBytes = min(f.maxBytes, int(max(req.MaxBytes, 0)))
	}
	if req.Version < 4 {
		f.maxBytes = min(f.maxBytes, maxConvertedBytes)
	}
	f.minBytes = min(int(req.MinBytes), f.maxBytes)
	return f
}

func replicaID(req *kmsg.FetchRequest) int32 {
	if req.Version >= 15 {
		return req.ReplicaState.ID
	}
	return req.ReplicaID
}

// openSession finds or makes the session that the request is about, and brings it up to date.
func (f *fetch) openSession(req *kmsg.FetchRequest) error {
	byTopicID := req.Version >= 13
	full := req.SessionEpoch == initialEpoch || req.SessionEpoch == finalEpoch || req.Version < 7
	if full {
		if req.SessionID != noSession && req.Version >= 7 {
			f.s.sessions.drop(req.SessionID) // a full fetch ends the session it names
		}
		f.full = true
		f.keep = req.Version >= 7 && req.SessionEpoch == initialEpoch
		if !f.keep {
			f.session = f.r.conn.takeSpare(byTopicID, f.replica >= 0)
		}
		if f.session == nil {
			f.session = newFetchSession(byTopicID, f.replica >= 0)
		}
		f.session.renew(req)
		return nil
	}
	now := f.s.env.Clock.Now()
	session, before, err := f.s.sessions.begin(req.SessionID, req.SessionEpoch, byTopicID, now, f)
	if err != nil {
		return err
	}
	if before != nil {
		before.finishNow()
	} else if session.follower && hasTag(&req.UnknownTags, tagReceived) {
		session.lent.Return()
	}
	f.session = session
	session.update(req)
	if len(session.partitions) == 0 {
		f.s.sessions.drop(session.id)
		f.session, f.full = newFetchSession(byTopicID, f.replica >= 0), true
	}
	return nil
}

// renew takes over a request that names all of its partitions, in the order in which they are to be read.
func (f *fetchSession) renew(req *kmsg.FetchRequest) {
	f.round++
	f.update(req)
	for f.first != nil && f.first.named != f.round { // what was named comes after them
		f.remove(f.first.key)
	}
}

// update takes over what the request says of its partitions.
func (f *fetchSession) update(req *kmsg.FetchRequest) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			from := &t.Partitions[j]
			p := f.put(f.key(t.TopicID, t.Topic, from.Partition))
			if p.named = f.round; f.id == noSession {
				f.moveToEnd(p)
			}
			if f.follower {
				p.forgetTold()
			}
			p.offset = kafkaproto.Offset(from.FetchOffset)
			p.maxBytes = int(from.PartitionMaxBytes)
			p.currentEpoch, p.lastEpoch = kafkaproto.NoLeaderEpoch, kafkaproto.NoLeaderEpoch
			if req.Version >= 9 {
				p.currentEpoch = kafkaproto.LeaderEpoch(from.CurrentLeaderEpoch)
			}
			if req.Version >= 12 {
				p.lastEpoch = kafkaproto.LeaderEpoch(from.LastFetchedEpoch)
			}
			p.flushedEnd = offsetIn(&from.UnknownTags, tagFlushedEnd)
			p.suspect = offsetIn(&from.UnknownTags, tagSuspect) == p.offset && p.offset >= 0
		}
	}
	for i := range req.ForgottenTopics {
		t := &req.ForgottenTopics[i]
		for _, n := range t.Partitions {
			f.remove(f.key(t.TopicID, t.Topic, n))
		}
	}
}

func hasTag(tags *kmsg.Tags, wanted uint32) (has bool) {
	tags.Each(func(tag uint32, _ []byte) { has = has || tag == wanted })
	return has
}

// offsetIn is the offset in a tagged field; -1 if it isn't there.
func offsetIn(tags *kmsg.Tags, wanted uint32) kafkaproto.Offset {
	o := kafkaproto.NoOffset
	if tags.Len() == 0 {
		return o
	}
	tags.Each(func(tag uint32, value []byte) {
		if tag == wanted && len(value) == 8 {
			o = kafkaproto.Offset(binary.BigEndian.Uint64(value))
		}
	})
	return o
}
