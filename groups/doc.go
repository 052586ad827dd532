// Package groups is the group coordinator as a pure state machine: classic consumer groups, their members and generations,
// and the offsets that groups commit. Step turns an input into records of __consumer_offsets (Kafka's own formats), replies
// and timers; Replay is the only way that hard state changes, at load as in operation. The package has no goroutine, lock,
// clock, file or randomness: time and new ids come in with the inputs.
//
// Driven by package shard, one Machine for each partition of __consumer_offsets. It never asks who leads that partition,
// and never looks at topics or brokers.
//
// It does what Kafka 4.3.1 does, checked request by request against one, but for these: a JoinGroup that is refused leaves no
// empty group behind; where votes for protocols are equal, the one that was named first wins (Kafka's order is that of a hash
// map); a request that a second one of the same member replaces is answered, with REBALANCE_IN_PROGRESS; a member that finds
// no room in a group that has become too large makes the rebalance go on at once; an empty group that has just given out a
// member id does not expire; a subscription that a static member changes on its return counts at once.
//
// Read inputs.go for what can be asked and what is answered, machine.go for the rest: classic_* are the members' requests and
// the rebalance, offsets_* the committed offsets, group_* what admin clients ask, records.go and replay.go the log.
package groups
