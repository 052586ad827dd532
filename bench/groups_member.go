package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// groupMember is one member of one group: it joins, sends heartbeats and joins again when it is told to. It has its own
// goroutine and, unless connections are shared, its own connection.
type groupMember struct {
	load       *groupsLoad
	group      string
	number     int // among all members
	conn       *conn
	id         string
	generation int32
}

// protocol is what all members name as theirs.
const protocol = "range"

func (m *groupMember) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := m.join(ctx)
		if err == nil {
			m.load.joined.Add(1)
			err = m.stay(ctx)
			m.load.joined.Add(-1)
		}
		if ctx.Err() != nil {
			break
		}
		m.react(ctx, err)
	}
	m.leave()
}

// react decides how the next attempt begins. A rebalance is no error.
func (m *groupMember) react(ctx context.Context, err error) {
	m.load.rejoins.Add(1)
	switch {
	case errors.Is(err, kerr.MemberIDRequired):
		m.load.rejoins.Add(-1)
		return
	case errors.Is(err, kerr.RebalanceInProgress):
		return
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.IllegalGeneration):
		m.id, m.generation = "", -1
	}
	m.load.failed(fmt.Errorf("group %s: %w", m.group, err))
	m.hangUp()
	if errors.Is(err, kerr.NotCoordinator) {
		_ = m.load.coords.find(ctx, []string{m.group}) // else the next attempt fails as this one did, and is counted
	}
	select {
	case <-ctx.Done():
	case <-time.After(200 * time.Millisecond):
	}
}

func (m *groupMember) hangUp() {
	if m.conn != nil {
		_ = m.conn.nc.Close()
		m.conn = nil
	}
}

// call sends over the member's own connection.
func (m *groupMember) call(ctx context.Context, within time.Duration, req kmsg.Request, resp kmsg.Response) error {
	if m.conn == nil {
		var err error
		if m.conn, err = dial(ctx, m.load.coords.address(m.group)); err != nil {
			return err
		}
	}
	return m.conn.callWithin(ctx, within, req, resp)
}

// join goes through JoinGroup and SyncGroup. The member that is made leader assigns the partitions in turn.
func (m *groupMember) join(ctx context.Context) error {
	o := &m.load.o
	req, resp := kmsg.NewPtrJoinGroupRequest(), kmsg.NewPtrJoinGroupResponse()
	req.Group, req.MemberID, req.ProtocolType = m.group, m.id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = int32(o.SessionTimeout.Milliseconds()), int32(o.SessionTimeout.Milliseconds())
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = protocol, subscription(o.Topic)
	req.Protocols = append(req.Protocols, p)
	if err := m.call(ctx, o.SessionTimeout+callTimeout, req, resp); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	m.id = resp.MemberID
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	m.generation = resp.Generation
	sync, synced := kmsg.NewPtrSyncGroupRequest(), kmsg.NewPtrSyncGroupResponse()
	sync.Group, sync.Generation, sync.MemberID = m.group, m.generation, m.id
	consumer, name := "consumer", protocol
	sync.ProtocolType, sync.Protocol = &consumer, &name
	if resp.LeaderID == m.id {
		sync.GroupAssignment = assign(o.Topic, o.Partitions, resp.Members)
	}
	if err := m.call(ctx, o.SessionTimeout+callTimeout, sync, synced); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if err := kerr.ErrorForCode(synced.ErrorCode); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	if o.Connections > 0 {
		m.hangUp()
	}
	return nil
}

// subscription is what a consumer of one topic says in JoinGroup.
func subscription(topic string) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Topics = []string{topic}
	return meta.AppendTo(nil)
}

func assign(topic string, partitions int32, members []kmsg.JoinGroupResponseMember) []kmsg.SyncGroupRequestGroupAssignment {
	list := make([]kmsg.SyncGroupRequestGroupAssignment, len(members))
	for i, member := range members {
		t := kmsg.NewConsumerMemberAssignmentTopic()
		t.Topic = topic
		for p := int32(i); p < partitions; p += int32(len(members)) {
			t.Partitions = append(t.Partitions, p)
		}
		a := kmsg.NewConsumerMemberAssignment()
		a.Topics = append(a.Topics, t)
		list[i] = kmsg.NewSyncGroupRequestGroupAssignment()
		list[i].MemberID, list[i].MemberAssignment = member.MemberID, a.AppendTo(nil)
	}
	return list
}

// stay sends heartbeats until one is refused. The first comes at a moment by chance, so that members that joined
// together don't beat together.
func (m *groupMember) stay(ctx context.Context) error {
	every := m.load.o.Heartbeat
	timer := time.NewTimer(rand.N(every))
	defer timer.Stop()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.Generation, req.MemberID = m.group, m.generation, m.id
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			timer.Reset(every)
		}
		from, resp := time.Now(), kmsg.NewPtrHeartbeatResponse()
		if err := m.beat(ctx, req, resp); err != nil {
			return fmt.Errorf("heartbeat: %w", err)
		}
		m.load.beats.note(time.Since(from), m.load.measured.Load())
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return fmt.Errorf("heartbeat: %w", err)
		}
	}
}

func (m *groupMember) beat(ctx context.Context, req *kmsg.HeartbeatRequest, resp *kmsg.HeartbeatResponse) error {
	if m.load.o.Connections == 0 {
		return m.call(ctx, callTimeout, req, resp)
	}
	return m.load.shared.call(ctx, m.load.coords.address(m.group), m.number, req, resp)
}

// leaveTimeout is short: a group whose members could not leave is gone when their sessions are over.
const leaveTimeout = 5 * time.Second

func (m *groupMember) leave() {
	defer m.hangUp()
	if m.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	m.hangUp() // an answer may still be under way on the old one
	req, resp := kmsg.NewPtrLeaveGroupRequest(), kmsg.NewPtrLeaveGroupResponse()
	req.Group, req.MemberID = m.group, m.id
	one := kmsg.NewLeaveGroupRequestMember()
	one.MemberID = m.id
	req.Members = append(req.Members, one)
	err := m.call(ctx, leaveTimeout, req, resp)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil && !errors.Is(err, kerr.UnknownMemberID) {
		m.load.errors.note(fmt.Errorf("leave %s: %w", m.group, err), false)
	}
}
