package replication

import (
	"slices"

	"github.com/streambus/streambus/internal/planted"
	"github.com/streambus/streambus/kafkaproto"
)

// Ends is how far a replica's log reaches. Both are next offsets: what is below them is there. Flushed never exceeds
// Written.
type Ends struct {
	Written kafkaproto.Offset
	Flushed kafkaproto.Offset
}

// UnknownEnds is what a leader knows of a replica that has not fetched in its epoch.
var UnknownEnds = Ends{Written: kafkaproto.NoOffset, Flushed: kafkaproto.NoOffset}

// Rules are the settings of a topic that decide what counts.
type Rules struct {
	// Durable is set under the flush policy `always`: a replica holds a record once it is flushed. Else (`interval`,
	// `never`, and Kafka) it does once it is written.
	Durable bool
	// MinInSync is min.insync.replicas. More than there are replicas counts as all of them, as in Kafka.
	MinInSync int
}

// Assignment is what the controller decided about a partition.
type Assignment struct {
	Epoch    kafkaproto.LeaderEpoch
	Replicas []int32
	ISR      []int32
}

// Start is what a replica knows when it becomes the leader of an epoch.
type Start struct {
	Self int32
	Assignment
	Rules
	// Own is where its own log ends, Next the offset that the epoch's first record will get.
	Own  Ends
	Next kafkaproto.Offset
	// LogStart is the log start offset, KnownHighWatermark the last high watermark it remembers, or -1.
	LogStart           kafkaproto.Offset
	KnownHighWatermark kafkaproto.Offset
}

// replica is what the leader knows of one of the partition's replicas, itself among them.
type replica struct {
	id     int32
	inSync bool
	counts bool // holds the high watermark back, though it is not in the ISR
	ends   Ends
}

// Leader is what the leader of a partition knows in one leader epoch. The zero value leads nothing. It is not safe for
// concurrent use.
type Leader struct {
	self       int32
	epoch      kafkaproto.LeaderEpoch
	epochStart kafkaproto.Offset
	rules      Rules
	inSync     int32
	high       kafkaproto.Offset // never falls
	held       kafkaproto.Offset // what the whole ISR holds; may fall when the ISR or the rules change
	replicas   []replica
}

// Lead begins an epoch. A leader that is the whole ISR starts with the high watermark at its own end. Else it starts
// at the last one it knew, and only fetches of this epoch raise it: what another member of the ISR holds is unknown.
func Lead(s Start) Leader {
	l := Leader{self: s.Self, epoch: s.Epoch, epochStart: s.Next, rules: s.Rules}
	l.setReplicas(s.Assignment)
	if own := l.find(s.Self); own != nil {
		own.ends = s.Own
	}
	// A remembered high watermark may lie behind the log's end after a crash that lost what was not flushed, and below
	// the log's start, because it is remembered only now and then. Within the log it counts, flushed or not: it has
	// been shown.
	l.high = max(min(s.KnownHighWatermark, s.Own.Written), s.LogStart)
	l.advance()
	return l
}

// Assign takes another set of replicas or another ISR within the epoch, and says whether the high watermark rose.
func (l *Leader) Assign(a Assignment) bool {
	l.setReplicas(a)
	return l.advance()
}

// Configure takes other rules, and says whether the high watermark rose. It never falls: what was visible stays so.
func (l *Leader) Configure(r Rules) bool {
	l.rules = r
	return l.advance()
}

// Hold names the replicas that count for the high watermark beside the ISR: they may be in it already without this leader
// knowing, or are about to join it (ISR.Counted). They count until the next Hold, and never for min.insync.replicas. When
// the ISR changes, Assign comes first: a replica that has just joined would else count neither here nor there for a moment. It
// says whether the high watermark rose, because others need not be waited for any more.
func (l *Leader) Hold(ids []int32) bool {
	for i := range l.replicas {
		r := &l.replicas[i]
		r.counts = slices.Contains(ids, r.id)
	}
	return l.advance()
}

// Forget drops what is known of a replica whose broker has registered anew: its log may have become shorter.
func (l *Leader) Forget(id int32) {
	if r := l.find(id); r != nil && id != l.self {
		r.ends = UnknownEnds
		l.held = l.lowest(false)
	}
}

// Report takes the ends of a replica, the leader's own among them, and says whether the high watermark rose. Reports
// may come late and out of order: ends only rise. A replica that is not the partition's is ignored.
func (l *Leader) Report(id int32, e Ends) bool {
	r := l.find(id)
	if r == nil {
		return false
	}
	r.ends.Written = max(r.ends.Written, e.Written)
	r.ends.Flushed = max(r.ends.Flushed, min(e.Flushed, r.ends.Written))
	return (r.inSync || r.counts) && l.advance()
}

// HighWatermark is the end of what consumers may see. It never falls within a process.
func (l *Leader) HighWatermark() kafkaproto.Offset { return l.high }

// Epoch is the leader epoch.
func (l *Leader) Epoch() kafkaproto.LeaderEpoch { return l.epoch }

// EpochStart is where the log ended when the epoch began.
func (l *Leader) EpochStart() kafkaproto.Offset { return l.epochStart }

// CaughtUp says whether the high watermark has reached the start of the epoch. Until then an earlier leader may have
// shown a higher one, so "latest" can't be answered (OFFSET_NOT_AVAILABLE, KIP-207).
func (l *Leader) CaughtUp() bool { return l.high >= l.epochStart || planted.Is(planted.LatestTooEarly) }

// Follows says whether id is a replica of the partition other than the leader.
func (l *Leader) Follows(id int32) bool { return id != l.self && l.find(id) != nil }

// End is the leader's own end that counts under its rules.
func (l *Leader) End() kafkaproto.Offset {
	if own := l.find(l.self); own != nil {
		return l.counts(own.ends)
	}
	return kafkaproto.NoOffset
}

// Durable says that what is not flushed counts for nothing, here or at any follower: `always`.
func (l *Leader) Durable() bool { return l.rules.Durable }

func (l *Leader) counts(e Ends) kafkaproto.Offset {
	if l.rules.Durable && !planted.Is(planted.HighFromWritten) {
		return e.Flushed
	}
	return e.Written
}

func (l *Leader) find(id int32) *replica {
	for i := range l.replicas {
		if l.replicas[i].id == id {
			return &l.replicas[i]
		}
	}
	return nil
}

// setReplicas keeps what is known of replicas that stay.
func (l *Leader) setReplicas(a Assignment) {
	next := make([]replica, 0, len(a.Replicas))
	l.inSync = 0
	for _, id := range a.Replicas {
		r := replica{id: id, inSync: slices.Contains(a.ISR, id), ends: UnknownEnds}
		if known := l.find(id); known != nil {
			r.ends, r.counts = known.ends, known.counts
		}
		if r.inSync {
			l.inSync++
		}
		next = append(next, r)
	}
	l.replicas = next
}

// advance raises the high watermark to the lowest end in the ISR and of those who count beside it. With fewer members than
// min.insync.replicas it stands still (KIP-966): what fewer replicas hold is not committed.
func (l *Leader) advance() bool {
	l.held = l.lowest(false)
	to := l.lowest(true)
	if to <= l.high || l.underMinInSync() {
		return false
	}
	l.high = to
	return true
}

// lowest is the end that every member of the ISR has reached, with beside those who count beside it too; -1 if there is
// none or one is unknown.
func (l *Leader) lowest(beside bool) kafkaproto.Offset {
	lowest, found := kafkaproto.NoOffset, false
	for i := range l.replicas {
		r := &l.replicas[i]
		if !r.inSync && !(beside && r.counts) {
			continue
		}
		if end := l.counts(r.ends); !found || end < lowest {
			lowest, found = end, true
		}
	}
	return lowest
}

func (l *Leader) underMinInSync() bool {
	return int(l.inSync) < min(l.rules.MinInSync, len(l.replicas))
}
