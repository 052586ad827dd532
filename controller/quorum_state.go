package controller

import "time"

// QuorumState is the metadata quorum at one moment, as its leader sees it.
type QuorumState struct {
	LeaderID      int32
	LeaderEpoch   int32
	HighWatermark int64 // index of the first entry that is not committed
	Voters        []QuorumMember
	Observers     []QuorumMember
}

// QuorumMember is a node of the quorum. What its leader does not know is -1, or the zero time.
type QuorumMember struct {
	ID           int32
	DirectoryID  [16]byte
	Address      string // host:port of its cluster listener
	LogEndOffset int64  // index of the next entry
	LastFetch    time.Time
	LastCaughtUp time.Time
}
