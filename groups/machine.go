package groups

import (
	"time"

	"github.com/streambus/streambus/internal/machine"
)

// Machine is the coordinator of all groups of one partition of __consumer_offsets.
type Machine struct {
	o Options
}

// New makes a machine that knows of no group.
func New(o Options) *Machine { return &Machine{o: o} }

// Configure changes the properties from the next Step on.
func (m *Machine) Configure(o Options) { m.o = o }

// Step decides what an input (see inputs.go) leads to. Its Records take effect when they are given to Replay, which has to
// happen before the next Step; if they can't be made durable the machine is to be thrown away.
func (m *Machine) Step(now time.Time, t machine.Ticket, input any) machine.Result[machine.Record] {
	return machine.Result[machine.Record]{}
}

// Replay takes in a record of the partition at its offset: one that Step made, or at load what the log holds.
func (m *Machine) Replay(offset int64, p machine.Producer, r machine.Record) error { return nil }

// ReplayMarker takes in the end of a transaction: what it left pending counts from now on, or is forgotten.
func (m *Machine) ReplayMarker(offset int64, p machine.Producer, commit bool) {}

// Loaded tells that replay has reached the end of the log and that this node leads: members get new sessions, timers are set.
func (m *Machine) Loaded(now time.Time) machine.Result[machine.Record] {
	return machine.Result[machine.Record]{}
}
