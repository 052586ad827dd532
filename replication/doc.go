// Package replication decides what the ends of a partition's replicas mean: where its high watermark stands, when an
// append is answered, and where a replica's log parted from its leader's. It is pure: offsets and epochs come in,
// decisions come out, and it never waits, locks, reads a clock or touches a log. package partition drives it, with the
// ends that the storage engine and the followers' fetches report.
//
// Read leader.go first: a Leader is what the leader of one partition knows. isr.go says who leaves the in-sync replicas
// and who comes back, follower.go what a follower fetches, where it cuts its log and what its high watermark is. acks.go
// says when an append is answered, epochs.go where logs diverge.
package replication
