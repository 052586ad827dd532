package groups

import "time"

// What bounds a machine beside Options. None of these is Kafka's, but the first.
const (
	// newMemberJoinTimeout is how long a new member may wait for the rebalance that takes it in: it can't send heartbeats yet,
	// and a client that gave up and tried again must not stay as a dead member for ever.
	newMemberJoinTimeout = 5 * time.Minute
	// leastJoinWait keeps a rebalance timeout of 0 from making a busy loop of a group whose members are all away.
	leastJoinWait = time.Second
	// mostPendingMembers may have been told an id of a group without having come back with it.
	mostPendingMembers = 10_000
	// mostProtocols a member may name.
	mostProtocols = 256
	// longestString is what fits into a string of a record.
	longestString = 1<<15 - 1
	// mostTombstones are written by one step of the expiry, which goes on at once in another one.
	mostTombstones = 5_000
	// defaultBatchBytes stands for Options.MaxBatchBytes if that is not set: a little less than Kafka's message.max.bytes.
	defaultBatchBytes = 1_000_000
	// replyBlock is how many replies are allocated at once.
	replyBlock = 64
)
