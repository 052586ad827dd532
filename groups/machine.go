package groups

import (
	"fmt"
	"time"

	"github.com/streambus/streambus/internal/machine"
)

// Machine is the coordinator of all groups of one partition of __consumer_offsets.
//
// Offsets, and what a group's last record says, change by Replay alone. What no record knows (who has joined the rebalance that
// is under way, pending ids, sessions) is changed by Step, and begins anew with Loaded.
type Machine struct {
	o      Options
	groups map[string]*group
	txns   map[int64]*transaction // open transactions with offsets, by producer id
	live   bool                   // Loaded was called: Replay only sees what Step made

	now   time.Time
	res   machine.Result[machine.Record] // of the Step under way
	spare []machine.Reply
}

// New makes a machine that knows of no group.
func New(o Options) *Machine {
	return &Machine{o: o, groups: map[string]*group{}, txns: map[int64]*transaction{}}
}

// Configure changes the properties from the next Step on.
func (m *Machine) Configure(o Options) { m.o = o }

// Step decides what an input (see inputs.go) leads to. Its Records take effect when they are given to Replay, which has to
// happen before the next Step; if they can't be made durable the machine is to be thrown away. Nothing of the input's memory
// is kept, and nothing of the result's memory is used again.
func (m *Machine) Step(now time.Time, t machine.Ticket, input any) machine.Result[machine.Record] {
	m.now = now
	switch in := input.(type) {
	case Heartbeat:
		m.answer(t, nil, m.heartbeat(&in))
	case OffsetCommit:
		m.commitOffsets(t, &in)
	case OffsetFetch:
		m.answer(t, m.fetchOffsets(&in), nil)
	case JoinGroup:
		m.joinGroup(t, in)
	case SyncGroup:
		m.syncGroup(t, in)
	case LeaveGroup:
		m.answer(t, m.leaveGroup(&in), nil)
	case TxnOffsetCommit:
		m.commitTxnOffsets(t, &in)
	case TimerFired:
		m.timerFired(in.Key)
	case TopicsDeleted:
		m.topicsDeleted(in)
	default:
		m.administer(t, input)
	}
	res := m.res
	m.res = machine.Result[machine.Record]{}
	return res
}

// administer is Step for what admin clients ask.
func (m *Machine) administer(t machine.Ticket, input any) {
	switch in := input.(type) {
	case DescribeGroup:
		m.answer(t, m.describeGroup(in), nil)
	case ListGroups:
		m.answer(t, m.listGroups(in), nil)
	case DeleteGroup:
		m.answer(t, nil, m.deleteGroup(in))
	case DeleteOffsets:
		rows, err := m.deleteOffsets(in)
		if err != nil {
			m.answer(t, nil, err)
			return
		}
		m.answer(t, rows, nil)
	default:
		m.answer(t, nil, fmt.Errorf("groups: unknown input %T", input))
	}
}

// Loaded tells that replay has reached the end of the log and that this node leads: members get new sessions, timers are set.
// A group with more members than it may have by now rebalances, which leaves the last ones out.
func (m *Machine) Loaded(now time.Time) machine.Result[machine.Record] {
	m.now, m.live = now, true
	for _, g := range m.sortedGroups() {
		for _, mb := range g.order {
			m.newSession(g, mb)
		}
		if m.o.MaxSize > 0 && len(g.members) > m.o.MaxSize {
			m.prepareRebalance(g)
		}
	}
	m.armExpiry(m.o.RetentionCheck)
	res := m.res
	m.res = machine.Result[machine.Record]{}
	return res
}

// answer adds a reply. Most steps have one, so they are cut from blocks.
func (m *Machine) answer(t machine.Ticket, value any, err error) {
	if m.res.Replies == nil {
		if len(m.spare) == 0 {
			m.spare = make([]machine.Reply, replyBlock)
		}
		m.res.Replies, m.spare = m.spare[:0:1], m.spare[1:]
	}
	m.res.Replies = append(m.res.Replies, machine.Reply{Ticket: t, Value: value, Err: err})
}

func (m *Machine) record(r machine.Record) { m.res.Records = append(m.res.Records, r) }

func (m *Machine) timer(key string, at time.Time) {
	m.res.Timers = append(m.res.Timers, machine.Timer{Key: key, At: at})
}
