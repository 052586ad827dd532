// Package machine is the contract that every pure state machine of StreamBus keeps: the controller, the group
// coordinators and the transaction coordinator. A machine decides (Step) and learns (Replay); whoever drives it does
// everything else. Nothing in here has a goroutine, a clock, a lock or a socket, and nothing that implements it may
// have one either: time, ids and randomness come in as arguments.
//
// Drivers: controller/quorum (over raft) and shard (over a partition). Read Result first.
package machine

import "time"

// Ticket addresses an answer. The driver hands one in with an input and finds it again on the Reply, possibly on a
// Result that another input caused (a JoinGroup is answered by the step of the last member that joins).
type Ticket uint64

// Reply is an answer to the input that came with Ticket. The driver lets it go only when the Records of the same Result
// are committed; a Result without records waits for what was the end of the log when it was made, so that nobody is told
// what a failover takes back.
type Reply struct {
	Ticket Ticket
	Value  any   // what the machine's package says the input is answered with; nil if Err is set
	Err    error // carries its Kafka code (kafkaproto.Code)
}

// Timer asks for an input at a time. Setting a key again replaces the timer; a zero At removes it.
type Timer struct {
	Key string
	At  time.Time
}

// Send is a message to another node, as data. The driver delivers it and returns what comes back as another input.
type Send struct {
	Node    int32
	Message any
}

// Result is all that one Step decided. R is the machine's record type: what is made durable and then given to Replay,
// which is the only way that hard state changes.
type Result[R any] struct {
	Records []R
	// Producer is set when the Records belong to a transaction: they count when its commit marker is replayed.
	Producer *Producer
	// Loose allows the Records to be written in parts, some of which a crash may lose: all that they do is to forget. Else
	// they are written all or none.
	Loose   bool
	Replies []Reply
	Timers  []Timer
	Sends   []Send
}

// Record is an entry of a coordinator's log, key and value in Kafka's own formats. A nil Value is a tombstone.
type Record struct {
	Key   []byte
	Value []byte
}

// Producer is whose transaction a record of a coordinator's log belongs to.
type Producer struct {
	ID    int64 // -1: none, the record counts at once
	Epoch int16
}

// NoProducer belongs to a record outside of any transaction.
var NoProducer = Producer{ID: -1, Epoch: -1}
