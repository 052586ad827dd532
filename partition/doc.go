// Package partition joins a log and the decisions of package replication into what the broker sees of a partition:
// append, read, offsets, the high watermark and those who wait for it. A Manager holds the partitions of this node and
// follows the metadata image; a Partition is one of them.
//
// It never serves the wire protocol and never holds a lock while it calls back. It is driven from four sides: the broker's
// connections (Append, Read, Wait), coordinators (coordinator.go), the storage engine's writer and syncer (a log's ends have
// moved), and the quorum's watcher (Manager.Apply). Where other nodes lead, it follows them: a goroutine for each of them and
// lane, whatever the number of partitions. Nothing of a partition costs anything while it is idle, so that ten thousand of
// them are no burden.
//
// Read partition.go first (the state and its locks), then append.go and acks.go for the way in, read.go for the way
// out, and apply.go for how partitions come and go; insync.go for what a leader does about its ISR, following.go and
// fetch_lane.go for following.
package partition
