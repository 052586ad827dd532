package log

import (
	"sort"

	"github.com/streambus/streambus/kafkaproto"
)

// epochEntry says at which offset a leader began (KIP-101).
type epochEntry struct {
	epoch kafkaproto.LeaderEpoch
	start offset
}

// epochTable are the leader epochs of a log, ascending in both. It is never changed in place.
type epochTable []epochEntry

// assign adds an epoch. Entries that contradict it (same or later epoch, or start at or behind its start) go.
func (t epochTable) assign(epoch kafkaproto.LeaderEpoch, start offset) epochTable {
	n := len(t)
	if n > 0 && t[n-1].epoch == epoch {
		// Kafka: an epoch begins once; a later assignment of the same epoch changes nothing.
		if t[n-1].start <= start {
			return t
		}
	}
	for n > 0 && (t[n-1].epoch >= epoch || t[n-1].start >= start) {
		n--
	}
	return append(t[:n:n], epochEntry{epoch, start})
}

func (t epochTable) latest() (kafkaproto.LeaderEpoch, offset) {
	if len(t) == 0 {
		return kafkaproto.NoLeaderEpoch, kafkaproto.NoOffset
	}
	return t[len(t)-1].epoch, t[len(t)-1].start
}

// end is the largest epoch that is not above the one asked for, with the offset where it ended.
func (t epochTable) end(asked kafkaproto.LeaderEpoch, logEnd offset) (kafkaproto.LeaderEpoch, offset) {
	if asked < 0 || len(t) == 0 {
		return kafkaproto.NoLeaderEpoch, kafkaproto.NoOffset
	}
	if t[len(t)-1].epoch == asked {
		return asked, logEnd
	}
	i := sort.Search(len(t), func(i int) bool { return t[i].epoch > asked })
	switch {
	case i == len(t):
		return kafkaproto.NoLeaderEpoch, kafkaproto.NoOffset
	case i == 0:
		return asked, t[0].start
	}
	return t[i-1].epoch, t[i].start
}

func (t epochTable) truncate(to offset) epochTable {
	n := len(t)
	for n > 0 && t[n-1].start >= to {
		n--
	}
	return t[:n:n]
}

// advance drops what ended below start and lets the epoch that covers start begin there.
func (t epochTable) advance(start offset) epochTable {
	i := sort.Search(len(t), func(i int) bool { return t[i].start > start })
	if i == 0 {
		return t
	}
	out := append(epochTable(nil), t[i-1:]...)
	out[0].start = max(out[0].start, start)
	return out
}
