package shard

import (
	"log/slog"
	"time"

	"github.com/streambus/streambus/internal/env"
	"github.com/streambus/streambus/internal/machine"
	"github.com/streambus/streambus/kafkaproto"
	"github.com/streambus/streambus/partition"
)

// Machine is the pure machine that a shard drives. Its methods are never called at the same time.
type Machine interface {
	// Step decides. t addresses the answer, which may come with a later step.
	Step(now time.Time, t machine.Ticket, input any) machine.Result[machine.Record]
	// Replay takes a record of the log: at load, and right after the Step that decided it. The record's bytes are the
	// machine's to read until it returns. An error ends the load.
	Replay(offset int64, p machine.Producer, r machine.Record) error
	// ReplayMarker ends the transaction that p has open in this partition.
	ReplayMarker(offset int64, p machine.Producer, commit bool)
	// Loaded is called once, when the whole log was replayed and this node leads.
	Loaded(now time.Time) machine.Result[machine.Record]
}

// Options is what a Host is made of. The first six must be set.
type Options struct {
	Env        env.Env
	NodeID     int32
	Topic      string // whose partitions hold the records, "__consumer_offsets"
	Partitions *partition.Manager
	New        func(partition int32) Machine
	Timer      func(key string) any // makes the input that the timer of that key asked for
	// Writes tells inputs that are there to have something written. While the disk is full they are refused before the machine sees
	// them: what it decided and the log did not take would cost the machine, and everybody the time until it is loaded. May be nil.
	Writes func(input any) bool
	// Lease is until when no other node can have been given this one's leaderships; nil: for ever. Past it a coordinator
	// whose topic has other replicas answers nothing: another one may know more. It must be cheap.
	Lease func() time.Time

	Codec         kafkaproto.Codec // of the batches that are written (offsets.topic.compression.codec)
	CommitTimeout time.Duration    // how long an answer waits for the high watermark (offsets.commit.timeout.ms); 0: 5 s
	LoadBytes     int              // read at once at load (offsets.load.buffer.size); 0: 5 MiB
	QueueLimit    int              // inputs that wait or are not answered yet, for each shard; 0: 100,000
	Logger        *slog.Logger
	Events        Events
}

// Events tell what happens. Each may be nil; none may block.
type Events struct {
	// Loaded: a shard was loaded, in took by the clock of Env.
	Loaded func(partition int32, records int, took time.Duration)
	// Failed: a shard could not be loaded, or its machine was dropped because an append failed or it panicked.
	Failed func(partition int32, err error)
	// Appended: a batch of so many records, the decisions of so many steps, was given to the log.
	Appended func(partition int32, records, steps int)
}
