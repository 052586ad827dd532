// Package groups is the group coordinator as a pure state machine: classic consumer groups, their members and generations,
// and the offsets that groups commit. Step turns an input into records of __consumer_offsets (Kafka's own formats), replies
// and timers; Replay is the only way that hard state changes, at load as in operation. The package has no goroutine, lock,
// clock, file or randomness: time and new ids come in with the inputs.
//
// Driven by package shard, one Machine for each partition of __consumer_offsets. It never asks who leads that partition,
// and never looks at topics or brokers.
//
// Read inputs.go for what can be asked and what is answered.
package groups
