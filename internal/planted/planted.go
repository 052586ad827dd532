// Package planted is how the tests of the simulator (package sim) show that it finds bugs: known ones are planted in production
// code, behind the build tag "plantedbugs", and chosen one at a time. It never does anything by itself, and without the tag Is is
// the constant false, so that nothing of a planted bug is in the program. Only sim's tests choose one; on.go and off.go hold
// the switch. This file says what each bug is.
package planted

// Bug is a bug that can be planted.
type Bug int

// The bugs.
const (
	None Bug = iota
	// AcksBeforeFlush: under `always`, acks=all is answered when the ISR has written and not when it has flushed.
	AcksBeforeFlush
	// HighFromWritten: under `always`, the high watermark follows what is written and not what is flushed.
	HighFromWritten
	// NoDivergence: a leader does not tell a follower that their logs part, so nothing is cut after an election.
	NoDivergence
	// EpochReused: a broker that registers again leads on in the old leader epoch.
	EpochReused
	// JoinsBehind: a follower may join the ISR before it has reached the high watermark.
	JoinsBehind
	// StaleBatch: a batch of a deposed controller is applied, whatever term and base it was decided in.
	StaleBatch
	// FollowerTellsEarly: a follower says that it has what it was sent before that is in its log.
	FollowerTellsEarly
	// ShrinksAlone: a leader counts a slow follower out before the controller has decided so.
	ShrinksAlone
	// AnswersEarly: a coordinator answers before the records of its answer are committed.
	AnswersEarly
	// ProducersForgotten: what a follower appends is not noted for its producers, so that as a leader it knows no duplicates.
	ProducersForgotten
	// SyncTooFar: what is written while a sync runs is taken for flushed by it.
	SyncTooFar
	// LatestTooEarly: a new leader tells the latest offset before its high watermark has reached the start of its epoch.
	LatestTooEarly
	bugs
)

// All are all bugs.
func All() (out []Bug) {
	for b := None + 1; b < bugs; b++ {
		out = append(out, b)
	}
	return out
}

var names = [bugs]string{
	"none", "acks before flush", "high watermark from written ends", "no truncation", "leader epoch reused", "joins the ISR behind",
	"stale batch applied", "follower tells early", "ISR shrinks without the controller", "coordinator answers early",
	"producers forgotten by followers", "sync counts too much", "latest too early",
}

func (b Bug) String() string { return names[b] }
